"""Money of a dispute that was lost comes back: what was owed is paid, and what was borne is ours no more."""

from __future__ import annotations

from typing import Literal

import pytest

from billing.cards import refund
from tests.integration.billing.books import DAY, SELLER, Books, noon
from tests.integration.billing.cards.payer import CHARGED, KARI, NOW, CardPayer
from tests.integration.billing.cards.test_disputes import refused


@pytest.mark.parametrize(
    ("ores", "segment", "before", "lost", "word", "claim", "credit"),
    [
        # driven, card, what happened before, what the bank took, how it says that it is back; then claim and credit
        ((20_000,), "consumer", "nothing", 20_000, "won", (20_000, 0, 20_000), 0),
        ((20_000,), "consumer", "nothing", 20_000, "lost", (20_000, 0, 20_000), 0),
        ((20_000,), "commercial", "nothing", 20_450, "won", (20_000, 0, 20_000), 450),
        ((20_000,), "commercial", "nothing", 10_000, "won", (20_450, 450, 20_450), 0),
        ((15_000, 5_000), "consumer", "credited", 20_000, "won", (15_000, 0, 15_000), 5_000),
        ((15_000, 5_000), "consumer", "spent", 20_000, "won", (15_000, 0, 15_000), 1_000),
        ((15_000, 5_000), "consumer", "refunded", 15_000, "won", (15_000, 0, 15_000), 0),
    ],
)
@pytest.mark.parametrize("paid_meanwhile", [False, True])
def test_what_was_lost_comes_back(
    books: Books, ores: tuple[int, ...], segment: str, before: str, lost: int, word: Literal["won", "lost"],
    claim: tuple[int, int, int], credit: int, paid_meanwhile: bool,
) -> None:  # fmt: skip
    payer = CardPayer(books, segment)
    charge = payer.paid(*ores)
    if before != "nothing":
        if before == "spent":
            books.invoice(payer.agreement, 4_000, due=CHARGED - DAY)
        row = refund.give_back(
            books.session, charge.id, [payer.passages[1]], reason="x", seller=SELLER, actor=KARI, now=NOW
        ).refund
        if before == "refunded":
            assert row is not None
            payer.give(row)
    whole = payer.account("card_clearing")
    written_off = payer.account("write_off")
    assert payer.dispute(charge, "lost", lost) == "lost"
    assert payer.account("card_clearing") == whole - lost
    owed = payer.claim(charge)
    gone, later = owed[0] - owed[2], noon(CHARGED + 2 * DAY)
    if paid_meanwhile:
        kid = str(books.value("SELECT kid FROM documents WHERE claim_id = :c AND due_on IS NOT NULL ORDER BY id DESC "
                              "LIMIT 1", c=charge.claim_id))  # fmt: skip
        books.pay(kid, gone, CHARGED + DAY)
    for _ in range(2):
        assert payer.dispute(charge, word, lost, lost, now=later) == "won"
        assert payer.claim(charge) == claim
        assert books.credit(payer.agreement) == credit + (gone if paid_meanwhile else 0), "nothing of it is lost"
        assert (payer.account("card_clearing"), payer.account("disputes")) == (whole, 0)
        assert payer.account("write_off") == written_off, "what we bore came back too"
        assert refused(payer) is None
        books.prove(later)
    assert books.told(payer.agreement).count("card_dispute_returned") == 1
    for old in ("open", "lost"):
        assert payer.dispute(charge, old, lost, now=later) == "won", "an old reading undoes nothing"
    assert payer.dispute(charge, "open", 0, amount=lost, now=later) == "won"
    books.prove(later)


@pytest.mark.parametrize("withdrawn", [0, 20_000])
def test_an_old_reading_of_a_lost_one_brings_nothing_back(books: Books, withdrawn: int) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    payer.dispute(charge, "lost", 20_000)
    assert payer.dispute(charge, "open", withdrawn, amount=20_000) == "lost"
    assert payer.dispute(charge, "won", withdrawn, amount=20_000) == "lost", "won, and the money is not back yet"
    assert payer.claim(charge) == (20_000, 0, 0)
    books.prove(NOW)


def test_a_part_that_comes_back_waits_for_the_rest(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    assert payer.dispute(charge, "lost", 20_000, 5_000) == "lost"
    assert payer.dispute(charge, "lost", 20_000, 12_000) == "lost"
    assert payer.claim(charge) == (20_000, 0, 5_000)
    books.prove(NOW)
    assert payer.dispute(charge, "won", 20_000, 20_000) == "won"
    assert payer.claim(charge) == (20_000, 0, 20_000)
    assert payer.account("card_clearing") == 20_000
    books.prove(NOW)


def test_what_came_back_can_be_refunded_and_disputed_again(books: Books) -> None:
    payer = CardPayer(books, "commercial")
    charge = payer.paid(20_000)
    payer.dispute(charge, "lost", 20_450)
    payer.dispute(charge, "won", 20_450, 20_450, now=noon(CHARGED + DAY))
    row = refund.request(books.session, charge.id, amount_ore=None, reason="x", actor=KARI, now=noon(CHARGED + 2 * DAY))
    assert row.amount_ore == 450
    payer.give(row, noon(CHARGED + 2 * DAY))
    books.prove(noon(CHARGED + 2 * DAY))
    again = noon(CHARGED + 3 * DAY)
    assert payer.dispute(charge, "lost", 20_000, ref="dp_2", now=again) == "lost"
    one = payer.the_dispute("dp_2")
    assert (one.claim_ore, one.credit_ore, one.written_off_ore) == (20_000, 0, 0)
    assert payer.claim(charge) == (20_000, 0, 0)
    books.prove(again)
    assert payer.dispute(charge, "won", 20_000, 20_000, ref="dp_2", now=again) == "won"
    assert payer.claim(charge) == (20_000, 0, 20_000)
    books.prove(again)


def test_of_two_lost_ones_one_comes_back(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    payer.dispute(charge, "lost", 8_000)
    payer.dispute(charge, "lost", 5_000, ref="dp_2")
    payer.dispute(charge, "won", 8_000, 8_000)
    assert (payer.claim(charge), refused(payer)) == ((20_000, 0, 15_000), "disputed")
    books.prove(NOW)
    payer.dispute(charge, "won", 5_000, 5_000, ref="dp_2")
    assert (payer.claim(charge), refused(payer)) == ((20_000, 0, 20_000), None)
    books.prove(NOW)
