"""Why a charge ended on an invoice: each word has its sentence in both languages."""

from __future__ import annotations

import datetime as dt
import tomllib
from typing import get_args

import pytest

from billing.cards.stripe.declines import AUTHENTICATE, NEVER
from billing.cards.why import Why, why
from billing.delivery.words import TEXTS, Bill, Sender, Told, letter

BILL = Bill(100_000_123, 20_000, "0010000010000012347", "15030012345", dt.date(2026, 2, 16))


@pytest.mark.parametrize("language", ["nb", "en"])
@pytest.mark.parametrize("word", get_args(Why))
def test_the_letter_says_it(word: str, language: str) -> None:
    sentence = tomllib.loads(TEXTS.read_text("utf-8"))["frame"][language][f"why_{word}"]
    for bill in (BILL, Bill(BILL.invoice, 0, BILL.kid, BILL.account, BILL.due_on)):
        told = Told("Kari", language, 10_000_001, bill.invoice, bill=bill, facts={"why": word})
        assert sentence in letter("card_failed", told, Sender("Brikke", "+47 21 00 00 00", "s@brikke.example")).plain


@pytest.mark.parametrize(
    ("code", "waited", "small", "word"),
    [
        ("insufficient_funds", False, False, "funds"),
        ("lost_card", False, False, "gone"),
        ("expired_card", False, True, "expired"),
        ("some_new_code", False, False, "bank"),
        ("authentication_required", True, False, "confirm"),
        ("insufficient_funds", True, False, "confirm"),
        (None, False, True, "small"),
        (None, False, False, "no_card"),
    ],
)
def test_by_what_the_charge_has_been_through(code: str | None, waited: bool, small: bool, word: str) -> None:
    assert why(code=code, waited=waited, small=small) == word


def test_every_code_that_never_works_again_has_a_word() -> None:
    assert {why(code=code, waited=False, small=False) for code in AUTHENTICATE} == {"confirm"}
    assert {why(code=code, waited=False, small=False) for code in NEVER} <= {"bank", "gone", "expired"}
