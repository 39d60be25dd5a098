"""Payments by Vipps in the world of the audit's test, with every end of one and of a refund. Vipps is not asked: what
it says is told."""

from __future__ import annotations

import datetime as dt

from billing.payments.vipps import refund, refund_call
from billing.payments.vipps.begin import _open
from billing.payments.vipps.client import Seen
from billing.payments.vipps.models import VippsPayment
from billing.payments.vipps.record import record
from tests.integration.billing.books import Books, Invoice

KARI = "agent:kari"
DUE_LATER = dt.timedelta(days=20)


def by_vipps(books: Books, now: dt.datetime) -> None:
    """One paid, one that nobody approved, and one captured though it had been paid, of which some went back."""
    paid = _begun(books, 3_331, now)
    assert _told(books, paid, now, "AUTHORIZED") == "capturing"
    assert _told(books, paid, now, "AUTHORIZED", captured=3_331) == "captured"
    assert _told(books, _begun(books, 3_333, now), now, "EXPIRED") == "expired"
    late = _begun(books, 3_337, now)
    assert _told(books, late, now, "AUTHORIZED") == "capturing"
    books.pay(_kid(books, late), 3_337, now.date() - dt.timedelta(days=3))
    assert _told(books, late, now, "AUTHORIZED", captured=3_337) == "captured"
    assert books.credit(late.agreement_id) == 3_337
    _refunded(books, late, now)


def _begun(books: Books, ore: int, now: dt.datetime) -> VippsPayment:
    invoice: Invoice = books.invoice(books.agreement(), ore, due=now.date() + DUE_LATER)
    payment_id, _, _ = _open(
        books.session, invoice.agreement, invoice.number, return_url="https://brikke.example/{reference}",
        actor="customer:1", now=now, request_key=None,
    )  # fmt: skip
    return books.session.get_one(VippsPayment, payment_id)


def _kid(books: Books, row: VippsPayment) -> str:
    return str(books.value("SELECT kid FROM documents WHERE number = :n", n=row.invoice))


def _told(
    books: Books, row: VippsPayment, now: dt.datetime, state: str, *, captured: int = 0, refunded: int = 0
) -> str:
    seen = Seen(row.reference, state, row.amount_ore, row.amount_ore, captured, 0, refunded)
    return record(books.session, row.id, seen, now=now)


def _refunded(books: Books, row: VippsPayment, now: dt.datetime) -> None:
    """Made, stopped, refused, waiting; and one that Vipps made beside them, of which we bear a part."""
    session = books.session

    def ask(ore: int) -> int:
        return refund.request(session, row.reference, amount_ore=ore, reason="x", actor=KARI, now=now).id

    made = ask(337)
    assert refund_call.prepare(session, made, now=now) is not None
    _told(books, row, now, "AUTHORIZED", captured=3_337, refunded=337)
    refund.cancel(session, ask(401), actor=KARI, now=now)
    refused = ask(503)
    assert refund_call.prepare(session, refused, now=now) is not None
    refund.fail(session, refund.locked(session, refused), "no money", now)
    assert refund.locked(session, ask(601)).state == "approved"
    _told(books, row, now, "AUTHORIZED", captured=3_337, refunded=337 + 3_000)
    assert books.credit(row.agreement_id) == 0
