"""Rulebooks of receivers."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.receivers import rulebook, rulebooks, without_partial_credit


def test_ours_are_read() -> None:
    assert rulebook("964338531").name == "Bergen kommune"
    assert (rulebook("964338531").partial_credit, rulebook("964338531").payout) == (False, False)
    assert (rulebook("940101808").partial_credit, rulebook("940101808").payout) == (False, True)
    assert without_partial_credit() >= {"964338531", "918404635", "940101808"}


@pytest.mark.parametrize("org_no", [None, "", "999999980"])
def test_others_have_the_defaults(org_no: str | None) -> None:
    assert rulebook(org_no).partial_credit
    assert rulebook(org_no).payout


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('[a]\nname = "A"\nsource = "s"\norganisations = ["123456789"]', "123456789"),
        ('[a]\nname = "A"\norganisations = []', "name, organisations"),
        ('[a]\nname = "A"\nsource = "s"\norganisations = []\ncredit = false', "rules that there are"),
        ('[a]\nname = "A"\nsource = "s"\norganisations = ["964338531", "964338531"]', "two rulebooks"),
    ],
)
def test_what_cannot_be_is_said(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "receivers.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=what):
        rulebooks(path)
