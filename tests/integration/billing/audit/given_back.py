"""Refunds and disputes of card payments in the world of the audit's test."""

from __future__ import annotations

import datetime as dt

from billing.cards import refund
from billing.cards.gateway import Declined, Succeeded
from billing.claims import leaving
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
    _late(books, now)
    _failed_when_lost(books, now)


def _late(books: Books, now: dt.datetime) -> None:
    """A refund is stopped, a part of its credit spent, and then the provider has made it after all."""
    payer = CardPayer(books)
    charge = payer.paid(20_003, 1_118, now=now)
    row = refund.give_back(
        books.session, charge.id, [payer.passages[1]], reason="x", seller=SELLER, actor=KARI, now=now
    ).refund
    assert row is not None
    refund.cancel(books.session, row.id, actor=KARI, now=now)
    books.invoice(payer.agreement, 300, run="spent later", due=now.date() - dt.timedelta(days=1))
    leaving.after_debts(books.session, payer.agreement, now, KARI)
    payer.tell(row, Succeeded("re_late", row.amount_ore, now), now)


def _failed_when_lost(books: Books, now: dt.datetime) -> None:
    """A refund that was made fails at the card's bank after the payment was lost, of which we bore that sum."""
    payer = CardPayer(books)
    charge = payer.paid(20_004, 1_119, now=now)
    row = refund.give_back(
        books.session, charge.id, [payer.passages[1]], reason="x", seller=SELLER, actor=KARI, now=now
    ).refund
    assert row is not None
    payer.give(row, now)
    assert payer.dispute(charge, "lost", 21_123, ref="dp_failed", now=now) == "lost"
    payer.tell(row, Declined(f"re_{row.id}", "lost_card", "No.", needs_customer=False, retry="later"), now)
    one = payer.the_dispute("dp_failed")
    assert (one.claim_ore, one.credit_ore, one.written_off_ore) == (20_004, 1_119, 0)


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
