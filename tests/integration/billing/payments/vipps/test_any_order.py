"""Whatever happens, in whatever order, any number of times: what is booked is what Vipps has done.

Customers approve and decline, pages expire, the browser comes back or not, webhooks come twice, late and backwards, the
job comes by, answers are lost before and after their effect, the bank pays meanwhile, support refunds and somebody
gives back in Vipps's own portal. Then all is let come to its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from billing.payments.vipps import webhook
from billing.payments.vipps.carry import carry_on
from billing.payments.vipps.client import VippsUnavailable
from billing.payments.vipps.models import UNENDED, VippsPayment, VippsRefund
from config.problems import Conflict
from simulator.vipps.world import Refused
from tests.integration.billing.books import DAY
from tests.integration.billing.payments.vipps.payer import NOW, PAID, Payer

T = TypeVar("T")

ACTS = (
    "begin", "begin", "approve", "approve", "abort", "expire", "carry", "carry", "hook", "hook", "bank_some",
    "bank_all", "hour", "refund", "give", "give", "sweep", "portal", "forget_keys",
)  # fmt: skip
FAULTS = tuple((kind, on, when) for kind in ("error",) for on in ("create", "capture", "cancel", "refund", "get")
               for when in ("before", "after"))  # fmt: skip


class Day:
    """One example: an invoice of 10,000 øre and what happens to it."""

    def __init__(self, payer: Payer) -> None:
        self.payer = payer
        books = payer.books
        books.session.rollback()
        payer.invoice = books.invoice(books.agreement(), 10_000, due=PAID + 20 * DAY)
        books.session.commit()
        payer.server.faults.clear()
        self.hooks = len(payer.server.courier.kept)

    def run(self, act: str, which: int) -> None:
        """Do one thing; what is not possible now, or not answered, is part of it."""
        try:
            getattr(self, act)(which)
        except (VippsUnavailable, Conflict, Refused, LookupError):
            self.payer.books.session.rollback()

    def payments(self) -> list[VippsPayment]:
        session = self.payer.books.session
        session.rollback()
        mine = select(VippsPayment).where(VippsPayment.claim_id == self.payer.invoice.claim).order_by(VippsPayment.id)
        return list(session.scalars(mine.execution_options(populate_existing=True)))

    def one(self, which: int) -> VippsPayment:
        return pick(self.payments(), which)

    def begin(self, _which: int) -> None:
        self.payer.begin()

    def approve(self, which: int) -> None:
        self.payer.server.do(self.one(which).reference, "approve")

    def abort(self, which: int) -> None:
        self.payer.server.do(self.one(which).reference, "abort")

    def expire(self, which: int) -> None:
        self.payer.server.do(self.one(which).reference, "expire")

    def portal(self, which: int) -> None:
        self.payer.server.do(self.one(which).reference, "refund", 1 + which % 3_000)

    def carry(self, which: int) -> None:
        carry_on(self.payer.sessions, self.payer.client, self.one(which).id, now=NOW)

    def hook(self, which: int) -> None:
        event = webhook.read(pick(self.payer.server.courier.kept[self.hooks :], which))
        webhook.receive(self.payer.sessions, self.payer.client, event, msn=self.payer.server.ids.msn, now=NOW)

    def bank_some(self, which: int) -> None:
        self.payer.settle(1 + which % 9_000)

    def bank_all(self, _which: int) -> None:
        self.payer.settle(10_000)

    def hour(self, _which: int) -> None:
        self.payer.hour_later()

    def refund(self, which: int) -> None:
        self.payer.ask_back(self.one(which).reference, None if which % 2 else 1 + which % 4_000)

    def give(self, which: int) -> None:
        self.payer.give(self.refunds(which))

    def sweep(self, which: int) -> None:
        self.payer.sweep(self.refunds(which))

    def forget_keys(self, _which: int) -> None:
        """Within the time that a request may be under way Vipps keeps them."""
        self.payer.hour_later()
        self.payer.server.world.books.keys.clear()

    def refunds(self, which: int) -> VippsRefund:
        ids = [one.id for one in self.payments()]
        session = self.payer.books.session
        mine = select(VippsRefund).where(VippsRefund.payment_id.in_(ids)).order_by(VippsRefund.id)
        return pick(list(session.scalars(mine.execution_options(populate_existing=True))), which)

    def end(self) -> None:
        """Let everything come to its end, as the jobs do."""
        self.payer.server.faults.clear()
        for _ in range(4):
            self.payer.hour_later()
            for row in self.payments():
                if row.state in UNENDED and self.payer.server.books()["payments"].get(row.reference):
                    seen = self.payer.server.books()["payments"][row.reference]
                    if seen["state"] == "CREATED":
                        self.payer.server.do(row.reference, "expire")
                carry_on(self.payer.sessions, self.payer.client, row.id, now=NOW)
            session = self.payer.books.session
            for refund_id in list(session.scalars(select(VippsRefund.id).order_by(VippsRefund.id))):
                self.payer.give(session.get_one(VippsRefund, refund_id))
                self.payer.sweep(session.get_one(VippsRefund, refund_id))


def pick(all_: Sequence[T], which: int) -> T:
    """One of them, whichever; LookupError where there is none."""
    if not all_:
        raise LookupError("none")
    return all_[which % len(all_)]


@pytest.mark.slow
def test_what_is_booked_is_what_vipps_did(payer: Payer) -> None:
    met: set[str] = set()

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 100_000)), min_size=2, max_size=14),
        st.lists(st.sampled_from(FAULTS), max_size=4),
    )
    def days(acts: list[tuple[str, int]], faults: list[tuple[str, str, str]]) -> None:
        day = Day(payer)
        for kind, on, when in faults:
            payer.server.fault(kind, on=on, when=when)
        for act, which in [("begin", 0), *acts]:
            day.run(act, which)
            assert sum(row.state in ("unknown", "created", "capturing") for row in day.payments()) <= 1
        day.end()
        rows = day.payments()
        met.update(row.state for row in rows)
        for row in rows:
            theirs = payer.server.books()["payments"].get(row.reference)
            assert row.state not in UNENDED
            assert (row.captured_ore, row.refunded_ore) == (
                (theirs["captured"], theirs["refunded"]) if theirs else (0, 0)
            )
            assert (
                theirs is None
                or theirs["authorized"] == theirs["captured"] + theirs["cancelled"]
                or (theirs["state"] != "AUTHORIZED")
            )
        payer.prove(NOW)

    days()
    assert {"captured", "expired"} <= met
