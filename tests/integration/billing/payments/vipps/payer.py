"""A customer with an open invoice who pays with Vipps, and the stand-in beside them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import select, text

from billing.payments.vipps import refund, refund_call
from billing.payments.vipps.begin import Begun, begin
from billing.payments.vipps.carry import carry_on
from billing.payments.vipps.client import VippsClient
from billing.payments.vipps.models import VippsPayment, VippsRefund
from config.clock import now_utc
from config.database import SessionFactory
from simulator.vipps import VippsServer
from tests.integration.billing.books import DUE, Books, Invoice, noon

PAID = DUE - dt.timedelta(days=6)
NOW = noon(PAID)
KARI, OLA = "agent:kari", "agent:ola"


def our_client(server: VippsServer, *, timeout_seconds: float = 2.0) -> VippsClient:
    """Our client of a stand-in."""
    ids = server.ids
    return VippsClient(
        url=server.url, client_id=ids.client_id, client_secret=ids.client_secret,
        subscription_key=ids.subscription_key, msn=ids.msn, timeout_seconds=timeout_seconds,
    )  # fmt: skip


@dataclass
class Payer:
    """An agreement with an invoice of so many øre; what is done is committed, as in production."""

    books: Books
    sessions: SessionFactory
    server: VippsServer
    client: VippsClient
    invoice: Invoice

    def begin(self, now: dt.datetime = NOW, *, key: str | None = None) -> Begun:
        """Press the button."""
        return begin(
            self.sessions, self.client, self.invoice.agreement, self.invoice.number,
            return_url="http://127.0.0.1:1/back/{reference}", actor="customer:1", now=now, request_key=key,
        )  # fmt: skip

    def row(self) -> VippsPayment:
        """The payment begun last."""
        self.books.session.rollback()
        last = select(VippsPayment).order_by(VippsPayment.id.desc()).limit(1)
        return self.books.session.scalars(last.execution_options(populate_existing=True)).one()

    def carry(self, now: dt.datetime = NOW) -> str:
        """Come back from Vipps, or have the job come by."""
        return carry_on(self.sessions, self.client, self.row().id, now=now)

    def pay(self, now: dt.datetime = NOW) -> str:
        """Begin, approve, and come back."""
        made = self.begin(now)
        self.server.do(made.reference, "approve")
        assert self.carry(now) == "captured"
        return made.reference

    def settle(self, ore: int, on: dt.date = PAID) -> None:
        """Pay so much by bank."""
        self.books.pay(self.invoice.kid, ore, on, read_on=on + dt.timedelta(days=1))
        self.books.session.commit()

    def hour_later(self) -> None:
        """Let every request that may be under way be over."""
        session = self.books.session
        session.rollback()
        past = now_utc() - dt.timedelta(hours=2)
        session.execute(
            text("UPDATE vipps_payments SET called_at = :at, sent_at = CASE WHEN sent_at IS NULL THEN NULL ELSE "
                 "CAST(:at AS timestamptz) END WHERE ended_at IS NULL"), {"at": past},
        )  # fmt: skip
        session.execute(
            text("UPDATE vipps_refunds SET called_at = :at, sent_at = :at, asked_at = :at WHERE state = 'unknown'"),
            {"at": past},
        )
        session.commit()

    def overpaid(self, ore: int) -> None:
        """Give the agreement credit that is not of Vipps."""
        self.books.pay(self.invoice.kid, self.books.open_ore(self.invoice) + ore, PAID)
        self.books.session.commit()

    def ask_back(self, reference: str, ore: int | None, now: dt.datetime = NOW, actor: str = KARI) -> VippsRefund:
        """Ask for a refund, committed."""
        session = self.books.session
        session.rollback()
        row = refund.request(session, reference, amount_ore=ore, reason="Feil klasse", actor=actor, now=now)
        session.commit()
        return row

    def give(self, row: VippsRefund, now: dt.datetime = NOW) -> str:
        """Have Vipps called for a refund."""
        self.books.session.rollback()
        return refund_call.refund_one(self.sessions, self.client, row.id, now=now)

    def sweep(self, row: VippsRefund, now: dt.datetime = NOW) -> str:
        """Ask about a refund."""
        self.books.session.rollback()
        return refund_call.sweep_one(self.sessions, self.client, row.id, now=now)

    def account(self, kind: str) -> int:
        """An account's balance, debit positive, øre."""
        self.books.session.rollback()
        return self.books.one(
            "SELECT coalesce(sum(CASE WHEN debit = :kind THEN amount_ore ELSE 0 END "
            "- CASE WHEN credit = :kind THEN amount_ore ELSE 0 END), 0) FROM transfers",
            kind=kind,
        )

    def prove(self, now: dt.datetime = NOW) -> None:
        """What is booked is what Vipps has done, and the audit finds nothing."""
        told = self.server.books()
        self.books.session.rollback()
        assert self.account("vipps_clearing") == told["captured_ore"] - told["refunded_ore"]
        self.books.prove(now + dt.timedelta(days=2))
        self.books.session.rollback()
