"""Codes of chargers, and what a notice may say."""

from __future__ import annotations

import pytest

from accounts.chargers import rules
from accounts.chargers.publish import Notice
from config.checks import Wrong


@pytest.mark.parametrize("code", ["FJELL", "FJORD-1", "A", "ØST_2", "1" * 20])
def test_codes(code: str) -> None:
    assert rules.charger_code(code) == code


@pytest.mark.parametrize("code", ["", "fjell", "-A", "A B", "A" * 21, "A\n", "A/B", "A\x00"])
def test_what_is_no_code_is_refused(code: str) -> None:
    with pytest.raises(Wrong):
        rules.charger_code(code)


@pytest.mark.parametrize(("status", "registration"), [("removed", None), ("blocked", 3), ("lost", None)])
def test_a_removal_names_a_registration_and_nothing_else_does(status: str, registration: int | None) -> None:
    with pytest.raises(ValueError, match="cannot publish"):
        Notice(1, status, None, registration)
