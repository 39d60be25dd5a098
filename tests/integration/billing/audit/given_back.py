"""Refunds and disputes of card payments in the world of the audit's test."""

from __future__ import annotations

import datetime as dt

from billing.cards import refund
from billing.cards.gateway import Declined
from tests.integration.billing.books import SELLER, Books
from tests.integration.billing.cards.payer import KARI, CardPayer


def given_back(books: Books, now: dt.datetime) -> None:
    """A business card's payment given back in parts, with every end that a refund has; disputes of every end."""
    payer = CardPayer(books, "commercial")
    charge = payer.paid(31_007, 1_117, 1_217, 1_317, now=now)
    for number, end in enumerate(("succeeded", "returned", "cancelled")):
        row = refund.give_back(
            books.session, charge.id, [payer.passages[number + 1]], reason="wrong class", seller=SELLER, actor=KARI,
            now=now,
        ).refund  # fmt: skip
        assert row is not None
        if end == "cancelled":
            refund.cancel(books.session, row.id, actor=KARI, now=now)
            continue
        payer.give(row, now)
        if end == "returned":
            payer.tell(row, Declined(f"re_{row.id}", "lost_card", "No.", needs_customer=False, retry="later"), now)
    assert refund.request(books.session, charge.id, amount_ore=700, reason="x", actor=KARI, now=now).state == "approved"
    _disputed(books, now)


def _disputed(books: Books, now: dt.datetime) -> None:
    for status, back in (("open", 0), ("won", 21_119), ("lost", 0), ("back", 21_119)):
        payer = CardPayer(books)
        charge = payer.paid(20_002, 1_117, now=now)
        if status in ("lost", "back"):
            # A part is credit: one of it is left, the other is spent.
            due = books.invoice(payer.agreement, 1_000, run=f"spent {status}", due=now.date())
            refund.give_back(
                books.session, charge.id, [payer.passages[1]], reason="x", seller=SELLER, actor=KARI, now=now
            )
            assert books.open_ore(due) == 0
        name = f"dp_{status}"
        assert payer.dispute(charge, "open", 21_119, ref=name, now=now) == "opened"
        if status == "won":
            assert payer.dispute(charge, "won", 21_119, back, ref=name, now=now) == "won"
        if status in ("lost", "back"):
            assert payer.dispute(charge, "lost", 21_119, ref=name, now=now) == "lost"
            one = payer.the_dispute(name)
            assert (one.claim_ore, one.credit_ore, one.written_off_ore) == (20_002, 117, 1_000)
        if status == "back":
            assert payer.dispute(charge, "won", 21_119, back, ref=name, now=now) == "won"
