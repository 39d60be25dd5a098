"""What the bank tells a payer: nothing of it is ever cut, and it is no bill to pay."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace

import pytest

from billing.delivery.avtalegiro.latin import written
from billing.delivery.avtalegiro.notice import _LINES, lines
from billing.delivery.words import day


@pytest.mark.parametrize("language", ["nb", "en"])
def test_it_fits_and_says_who_what_how_much_and_when(language: str) -> None:
    due = dt.date(2026, 9, 30)
    bill = SimpleNamespace(
        agreement=99_999_999, number=999_999_999, issued_on=due, due_on=due, open_ore=99_999_999_999, language=language
    )
    told = lines(bill, "Æ" * 60)
    assert len(told) == len(_LINES[language])
    both = "\n".join(told)
    for part in ("Æ" * 30, "99999999", "999999999", written(day(due, language)).text, "AvtaleGiro", "999", "99"):
        assert part in both
    whole = [line.rsplit("{", 1)[-1].split("}")[-1] for line in _LINES[language]]  # what ends each line
    assert [line.endswith(end) for line, end in zip(told, whole, strict=True)] == [True] * len(told)
    assert "kontonummer" not in both.lower()
    assert "KID" not in both
