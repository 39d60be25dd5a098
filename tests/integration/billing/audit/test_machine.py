"""Whatever happens in whatever order, the books stay whole: invoices, payments, reversals, credit, blocks."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.collection.overdue import find_reach, step
from billing.collection.reopen import reopen
from billing.payments.assign import assign
from config.problems import Conflict
from simulator.bank import BankPayment
from tests.integration.billing.books import DAY, ISSUED, OURS, Books, Invoice, noon


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
