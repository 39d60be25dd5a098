"""Credit notes and payouts in the world of the audit's test."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import text

from billing.invoices.below_zero import credit_now
from billing.invoices.reissue import reissue
from billing.passages.credit import credit
from billing.payments import payout_orders, payouts
from billing.payments.pain001 import Debtor
from tests.integration.billing.books import DUE, ISSUED, OURS, SELLER, Books, noon


def credits(books: Books, now: dt.datetime) -> None:
    """A paid invoice credited and issued anew, what it let go of paid out; a sum below zero; payouts of all ends."""
    session, agreement = books.session, books.agreement()
    invoice = books.invoice(agreement, 31_000, 1_700, due=DUE + dt.timedelta(days=90))
    books.pay(invoice.kid, 32_700, DUE - dt.timedelta(days=2))
    _credit(books, agreement, 31_000, now)
    reissue(session, invoice.number, reason="asked for", seller=SELLER, now=now, actor="agent:kari")
    ours: dict[str, str] = {"account": OURS, "actor": "agent:kari"}
    for state, ore in (("paid", 17_000), ("cancelled", 1_300), ("rejected", 1_400), ("approved", 900)):
        row = payouts.request(session, agreement, amount_ore=ore, reason="left us", now=now, **ours)
        if state == "cancelled":
            payouts.cancel(session, row.id, actor="agent:kari", now=now)
        elif state != "approved":
            payout_orders.order(session, debtor=Debtor("Brikke", OURS), now=now)
            session.execute(text("UPDATE payout_orders SET written_at = made_at WHERE written_at IS NULL"))
            if state == "paid":
                payouts.paid(session, row.id, reference="1", actor="accountant:eva", now=now)
            else:
                tomorrow = noon(now.date() + dt.timedelta(days=3))
                payout_orders.order(session, debtor=Debtor("Brikke", OURS), now=tomorrow)
                session.execute(text("UPDATE payout_orders SET written_at = made_at WHERE written_at IS NULL"))
                payouts.rejected(session, row.id, why="closed", actor="accountant:eva", now=now)
    other = books.agreement()
    books.invoice(other, 2_900, due=DUE + dt.timedelta(days=90))
    _credit(books, other, 2_900, now)
    assert credit_now(session, other, reason="asked for", seller=SELLER, now=now, actor="agent:kari") is not None


def _credit(books: Books, agreement: int, ore: int, now: dt.datetime) -> None:
    passage = books.one(
        "SELECT id FROM passages WHERE agreement_id = :a AND amount_ore = :ore AND booked_at <= :at",
        a=agreement,
        ore=ore,
        at=ISSUED,
    )
    credit(books.session, agreement, passage, reason="wrong class", actor="agent:kari", now=now)
