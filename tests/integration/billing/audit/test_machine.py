"""Whatever happens in whatever order, the books stay whole: invoices, payments, reversals, credit, credit notes,
payouts, blocks."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.collection.overdue import find_reach, step
from billing.collection.reopen import reopen
from billing.invoices.below_zero import credit_now
from billing.invoices.reissue import reissue
from billing.passages.credit import credit
from billing.payments import payout_orders, payouts
from billing.payments.assign import assign
from billing.payments.pain001 import Debtor
from config.problems import Conflict
from simulator.bank import BankPayment
from tests.integration.billing.books import DAY, ISSUED, OURS, SELLER, Books, Invoice, noon


class Machine(RuleBasedStateMachine):
    """Two agreements through some weeks. Everything is one transaction, rolled back at the end."""

    session: Session

    def __init__(self) -> None:
        super().__init__()
        self.books = Books(self.session)
        self.agreements = [self.books.agreement() for _ in range(2)]
        self.day = ISSUED.date()
        self.invoices: list[Invoice] = []
        self.paid: list[BankPayment] = []
        self.files: list[bytes] = []
        self.received_ore = 0
        self.credits = 0

    def teardown(self) -> None:
        self.session.rollback()

    @rule(which=st.integers(0, 1), ores=st.lists(st.integers(1, 9_000), min_size=1, max_size=3), days=st.integers(0, 9))
    def invoice(self, which: int, ores: list[int], days: int) -> None:
        run = f"run:{len(self.invoices)}"
        self.invoices.append(self.books.invoice(self.agreements[which], *ores, due=self.day + days * DAY, run=run))

    def _read(self, *payments: BankPayment) -> None:
        self.files.append(self.books.file(*payments))
        result = self.books.receive(self.files[-1], self.day)
        assert result.state == "booked"
        self.received_ore += result.sum_ore - 2 * sum(p.amount_ore for p in payments if p.type == 18)

    @precondition(lambda self: self.invoices)
    @rule(
        data=st.data(),
        shares=st.lists(st.sampled_from([1, 50, 97, 100, 100, 130]), min_size=1, max_size=3),
        earlier=st.integers(0, 4),
    )
    def pay(self, data: st.DataObject, shares: list[int], earlier: int) -> None:
        value_date = self.day - earlier * DAY
        payments = []
        for share in shares:
            invoice = data.draw(st.sampled_from(self.invoices))
            payments.append(BankPayment(invoice.kid, max(invoice.ore * share // 100, 1), value_date))
        self.paid += payments
        self._read(*payments)

    @rule(ore=st.integers(1, 20_000), kid=st.sampled_from(["", "100000011000000099", "12345678"]))
    def pay_nobody(self, ore: int, kid: str) -> None:
        self.paid.append(BankPayment(kid, ore, self.day))
        self._read(self.paid[-1])

    @precondition(lambda self: self.paid)
    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        taken = data.draw(st.sampled_from(self.paid))
        self._read(BankPayment(taken.kid, taken.amount_ore, self.day, type=18), BankPayment("", 1, self.day))

    @precondition(lambda self: self.files)
    @rule(data=st.data())
    def the_same_file_again(self, data: st.DataObject) -> None:
        assert self.books.receive(data.draw(st.sampled_from(self.files)), self.day).state == "already"

    @rule(data=st.data(), which=st.integers(0, 1))
    def place(self, data: st.DataObject, which: int) -> None:
        waiting = self.session.scalars(
            text("SELECT id FROM payments WHERE state = 'suspense' AND amount_ore > 0 ORDER BY id")
        ).all()
        if not waiting:
            return
        agreement = self.agreements[which]
        claims = [i.claim for i in self.invoices if i.agreement == agreement]
        claim = data.draw(st.sampled_from([None, *claims]))
        assign(self.session, data.draw(st.sampled_from(list(waiting))), agreement, claim, noon(self.day), "agent:test")

    @rule(days=st.integers(1, 5))
    def days_pass(self, days: int) -> None:
        for _ in range(days):
            self.day += DAY
            step(self.session, find_reach(self.session, [OURS], self.day), 0, self.day, noon(self.day))

    @rule(which=st.integers(0, 1))
    def support_reopens(self, which: int) -> None:
        agreement = self.agreements[which]
        due = self._overdue(agreement)
        credit = self.books.credit(agreement)
        refused: Conflict | None = None
        try:
            done = reopen(
                self.session,
                self.books.number(agreement),
                {"channel": "phone", "note": ""},
                noon(self.day),
                "agent:test",
            )
        except Conflict as error:
            refused = error
        else:
            assert done.standing == "open"
            assert due <= credit
        assert refused is None or refused.type == "/problems/not-blocked" or due > 0

    @rule(data=st.data())
    def a_passage_is_credited(self, data: st.DataObject) -> None:
        free = self.session.execute(
            text(
                "SELECT agreement_id, id FROM passages AS p WHERE reverses_id IS NULL AND amount_ore > 0 "
                "AND NOT EXISTS (SELECT FROM reversals AS v WHERE v.passage_id = p.id) ORDER BY id"
            )
        ).all()
        if free:
            agreement, passage = data.draw(st.sampled_from(list(free)))
            credit(self.session, agreement, passage, reason="wrong", actor="agent:test", now=noon(self.day))

    @rule(data=st.data())
    def an_invoice_is_issued_anew(self, data: st.DataObject) -> None:
        numbers = self.session.scalars(
            text("SELECT number FROM documents WHERE kind = 'invoice' ORDER BY number")
        ).all()
        if not numbers:
            return
        number = data.draw(st.sampled_from(list(numbers)))
        done = reissue(self.session, number, reason="asked for", seller=SELLER, now=noon(self.day), actor="agent:test")
        assert done.credited == number

    @rule(which=st.integers(0, 1))
    def what_is_below_zero_is_credited(self, which: int) -> None:
        # Of two in one instant the second would be the same run's: no day has two.
        agreement, at = self.agreements[which], noon(self.day) + dt.timedelta(seconds=self.credits)
        self.credits += 1
        credit_now(self.session, agreement, reason="asked for", seller=SELLER, now=at, actor="agent:test")

    @rule(which=st.integers(0, 1), share=st.sampled_from([30, 100, 130]))
    def a_payout_is_asked_for(self, which: int, share: int) -> None:
        agreement = self.agreements[which]
        asked, there = max(self.books.credit(agreement) * share // 100, 1), self.books.credit(agreement)
        try:
            row = payouts.request(
                self.session, agreement, amount_ore=asked, account=OURS, reason="x", actor="agent:test",
                now=noon(self.day),
            )  # fmt: skip
        except Conflict:
            assert asked > there or self.books.credit(agreement) < asked
        else:
            assert row.amount_ore == asked <= there

    @rule(data=st.data(), end=st.sampled_from(["order", "cancel", "paid", "rejected"]))
    def a_payout_goes_on(self, data: st.DataObject, end: str) -> None:
        state = "ordered" if end in ("paid", "rejected") else "approved"
        ids = self.session.scalars(text("SELECT id FROM payouts WHERE state = :s ORDER BY id"), {"s": state}).all()
        if end == "order":
            payout_orders.order(self.session, debtor=Debtor("Brikke", OURS), now=noon(self.day))
            self.session.execute(text("UPDATE payout_orders SET written_at = made_at WHERE written_at IS NULL"))
        elif ids:
            payout, now = data.draw(st.sampled_from(list(ids))), noon(self.day)
            if end == "cancel":
                payouts.cancel(self.session, payout, actor="agent:test", now=now)
            elif end == "paid":
                payouts.paid(self.session, payout, reference="B1", actor="accountant:test", now=now)
            else:
                payouts.rejected(self.session, payout, why="closed", actor="accountant:test", now=now)

    def _overdue(self, agreement: int) -> int:
        return self.books.one(
            "SELECT coalesce(sum(amount_ore - settled_ore), 0) FROM claims WHERE agreement_id = :a AND due_on < :day "
            "AND amount_ore - settled_ore >= 500",
            a=agreement,
            day=self.day,
        )

    @invariant()
    def the_books_are_whole(self) -> None:
        self.books.prove(noon(self.day))

    @invariant()
    def no_money_is_lost(self) -> None:
        bank = self.books.one("SELECT coalesce(sum(amount_ore), 0) FROM payments")
        assert bank == self.received_ore

    @invariant()
    def closed_to_traffic_exactly_while_a_block_lasts(self) -> None:
        for agreement in self.agreements:
            blocked = self.books.one(
                "SELECT count(*) FROM blocks WHERE agreement_id = :a AND ended_at IS NULL", a=agreement
            )
            standing = self.books.standing(agreement)
            assert (standing in ("blocked", "awaiting_reopen")) == bool(blocked)


@pytest.mark.slow
def test_the_books_stay_whole(session: Session) -> None:
    class Bound(Machine):
        pass

    Bound.session = session
    run_state_machine_as_test(
        Bound,
        settings=settings(
            max_examples=12,
            stateful_step_count=14,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
