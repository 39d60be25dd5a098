"""Refunds to a card: never more than the credit and the payment hold, made once, and the books right at each step."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from billing.cards import refund, refund_call
from billing.cards.gateway import Declined, Outcome, RateLimited, Succeeded, Unknown
from billing.cards.models import Charge, Refund
from billing.cards.sweep import REQUEST_LIVES
from billing.claims.anew import fee_left
from billing.invoices.reissue import reissue
from billing.passages.credit import credit
from config.clock import now_utc
from config.database import session_factory
from config.problems import Conflict, Forbidden, Invalid, NotFound
from tests.integration.billing.beside import Beside
from tests.integration.billing.books import DAY, SELLER, Books
from tests.integration.billing.cards.payer import KARI, LEAD, NOW, OLA, CardPayer


def back(books: Books, charge: Charge, passages: list[int] | None = None, actor: str = KARI) -> refund.GivenBack:
    """Give passages of a charge back."""
    return refund.give_back(
        books.session, charge.id, passages, reason="wrong class", seller=SELLER, actor=actor, now=NOW
    )


def ask(books: Books, charge: Charge, ore: int | None, actor: str = KARI) -> Refund:
    """Ask for a refund."""
    return refund.request(books.session, charge.id, amount_ore=ore, reason="asked for", actor=actor, now=NOW)


def slug(problem: pytest.ExceptionInfo[Conflict]) -> str:
    """The problem's name."""
    return problem.value.type.removeprefix("/problems/")


def test_one_passage_of_a_business_card_goes_back_with_its_part_of_the_fee(books: Books) -> None:
    payer = CardPayer(books, "commercial")
    charge = payer.paid(15_000, 5_000)
    assert payer.claim(charge) == (20_450, 450, 20_450)
    done = back(books, charge, [payer.passages[1]])
    assert payer.claim(charge) == (15_338, 338, 15_338), "a quarter of 450 is 112.5, and 338 is left"
    assert done.refund is not None
    assert (done.refund.amount_ore, done.refund.state) == (5_112, "approved")
    assert (books.credit(payer.agreement), payer.account("refunds"), payer.account("card_fees")) == (0, -5_112, -338)
    books.prove(NOW)
    payer.call(done.refund)
    books.prove(NOW)
    payer.give(done.refund) if done.refund.state == "approved" else payer.tell(
        done.refund, Succeeded("re_1", 5_112, now_utc())
    )
    assert (payer.account("refunds"), payer.account("card_clearing")) == (0, 20_450 - 5_112)
    books.prove(NOW)
    rest = back(books, charge).refund
    assert rest is not None
    assert rest.amount_ore == 15_338, "all parts add up to the whole fee"
    payer.give(rest)
    assert (payer.account("card_clearing"), payer.account("card_fees"), payer.claim(charge)) == (0, 0, (0, 0, 0))
    assert books.told(payer.agreement).count("card_refunded") == 2
    books.prove(NOW)
    with pytest.raises(Conflict) as nothing:
        back(books, charge)
    assert slug(nothing) == "nothing-left"


@given(st.integers(0, 100_000), st.lists(st.integers(1, 100_000), min_size=1, max_size=8))
def test_all_parts_of_a_fee_add_up_to_it(fee: int, ores: list[int]) -> None:
    first = left = sum(ores)
    kept, parts = fee, []
    for ore in ores:
        left -= ore
        now = fee_left(fee, first, left)
        parts.append(kept - now)
        kept = now
    assert sum(parts) == fee
    assert all(part >= 0 for part in parts)
    assert fee_left(fee, first, first + 1) == fee, "a claim that is dearer takes no more"


def test_what_is_past_due_is_paid_first(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    due = books.invoice(payer.agreement, 3_000, due=NOW.date() - DAY)
    done = back(books, charge)
    assert done.refund is not None
    assert (done.refund.amount_ore, books.open_ore(due)) == (17_000, 0)
    books.prove(NOW)


def test_never_more_than_the_credit_or_the_payment_holds(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    with pytest.raises(Conflict) as empty:
        ask(books, charge, 100)
    assert slug(empty) == "not-enough-credit"
    credit(books.session, payer.agreement, payer.passages[0], reason="x", actor=KARI, now=NOW)
    number = books.one("SELECT number FROM documents WHERE claim_id = :c", c=charge.claim_id)
    reissue(books.session, number, reason="x", seller=SELLER, now=NOW, actor=KARI)
    other = books.invoice(payer.agreement, 9_000)
    books.pay(other.kid, 12_000, NOW.date())
    assert books.credit(payer.agreement) == 23_000 - 0 - 0
    with pytest.raises(Conflict) as over:
        ask(books, charge, 20_001)
    assert slug(over) == "over-payment"
    first = ask(books, charge, 8_000)
    rest = ask(books, charge, None)
    assert (first.amount_ore, rest.amount_ore) == (8_000, 12_000)
    with pytest.raises(Conflict) as nothing:
        ask(books, charge, 1)
    assert slug(nothing) == "over-payment"
    refund.cancel(books.session, rest.id, actor=KARI, now=NOW)
    assert ask(books, charge, 12_000).state == "approved"
    books.prove(NOW)


@pytest.mark.parametrize("ore", [0, -5])
def test_what_makes_no_sense(books: Books, ore: int) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    with pytest.raises(Invalid):
        ask(books, charge, ore)
    with pytest.raises(Invalid):
        refund.request(books.session, charge.id, amount_ore=1, reason=" ", actor=KARI, now=NOW)
    with pytest.raises(NotFound):
        refund.request(books.session, 4711, amount_ore=1, reason="x", actor=KARI, now=NOW)
    with pytest.raises(NotFound):
        back(books, charge, [4711])
    with pytest.raises(NotFound):
        refund.cancel(books.session, 4711, actor=KARI, now=NOW)


def test_a_charge_that_no_card_paid(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.charge(20_000)
    for act in (lambda: ask(books, charge, 1), lambda: back(books, charge)):
        with pytest.raises(Conflict) as unpaid:
            act()
        assert slug(unpaid) in ("charge-not-paid",)


def test_a_large_sum_takes_a_second_person_also_in_small_parts(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(150_000, 50_000, 1)
    first, second, third = (back(books, charge, [one]).refund for one in payer.passages)
    assert first is not None
    assert second is not None
    assert third is not None
    assert [first.state, second.state, third.state] == ["approved", "approved", "requested"]
    with pytest.raises(Forbidden):
        refund.approve(books.session, third.id, actor="lead:kari", now=NOW)
    for _ in range(2):
        assert refund.approve(books.session, third.id, actor=LEAD, now=NOW).state == "approved"
    assert refund.cancel(books.session, third.id, actor=OLA, now=NOW).state == "cancelled"
    with pytest.raises(Conflict) as ended:
        refund.approve(books.session, third.id, actor=LEAD, now=NOW)
    assert slug(ended) == "refund-ended"
    assert books.credit(payer.agreement) == 1
    books.prove(NOW)


def test_what_was_asked_of_the_provider_cannot_be_stopped(books: Books) -> None:
    payer = CardPayer(books)
    row = back(books, payer.paid(20_000)).refund
    assert row is not None
    payer.call(row)
    with pytest.raises(Conflict) as called:
        refund.cancel(books.session, row.id, actor=KARI, now=NOW)
    assert slug(called) == "refund-called"
    assert payer.tell(row, RateLimited()) == payer.tell(row, Unknown("no answer")) == "unknown"
    books.prove(NOW)


@pytest.mark.parametrize("after_success", [False, True])
def test_one_that_fails_is_credit_again_also_after_it_had_succeeded(books: Books, after_success: bool) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    row = back(books, charge).refund
    assert row is not None
    payer.call(row)
    if after_success:
        payer.tell(row, Succeeded("re_1", 20_000, now_utc()))
        books.prove(NOW)
    no = Declined("re_1", "expired_or_canceled_card", "No.", needs_customer=False, retry="later")
    later = NOW + dt.timedelta(days=3)
    for _ in range(2):
        assert payer.tell(row, no, later) == "failed"
    assert (books.credit(payer.agreement), payer.account("card_clearing"), payer.account("refunds")) == (
        20_000, 20_000, 0,
    )  # fmt: skip
    assert books.told(payer.agreement)[-1] == "card_refund_failed"
    books.prove(later)
    assert ask(books, charge, None).amount_ore == 20_000, "what failed is left of the payment again"
    books.prove(later)


def test_another_sum_than_was_asked_for_is_not_taken_for_it(books: Books) -> None:
    payer = CardPayer(books)
    row = back(books, payer.paid(20_000)).refund
    assert row is not None
    payer.call(row)
    with pytest.raises(AssertionError):
        payer.tell(row, Succeeded("re_1", 19_999, now_utc()))


def test_money_paid_after_all_goes_back_over_the_card_that_paid_it(books: Books) -> None:
    payer = CardPayer(books, "commercial")
    charge = payer.charge(20_000)
    first = payer.attempt(charge)
    first.state, first.ended_at = "nothing", NOW
    books.session.flush()
    payer.pay(payer.attempt(charge))
    payer.pay(first)
    assert books.credit(payer.agreement) == 20_450
    row = ask(books, charge, None)
    assert (row.attempt_id, row.amount_ore) == (first.id, 20_450)
    payer.give(row)
    assert payer.account("card_clearing") == 20_450
    books.prove(NOW)


def test_two_at_once_never_get_more_than_there_is(books: Books, engine: Engine) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    credit(books.session, payer.agreement, payer.passages[0], reason="x", actor=KARI, now=NOW)
    number = books.one("SELECT number FROM documents WHERE claim_id = :c", c=charge.claim_id)
    reissue(books.session, number, reason="x", seller=SELLER, now=NOW, actor=KARI)
    books.session.commit()

    def other() -> str:
        with session_factory(engine)() as session:
            try:
                refund.request(session, charge.id, amount_ore=15_000, reason="x", actor=OLA, now=NOW)
            except Conflict as problem:
                return problem.type.removeprefix("/problems/")
            session.commit()
        return "approved"

    ask(books, charge, 15_000)
    beside = Beside(engine, other)
    assert beside.waited
    books.session.commit()
    assert beside.result() == "over-payment"
    books.prove(NOW)


def test_two_at_once_give_one_passage_back_once(books: Books, engine: Engine) -> None:
    payer = CardPayer(books)
    charge = payer.paid(12_000, 8_000)
    books.session.commit()

    def other() -> str:
        with session_factory(engine)() as session:
            try:
                refund.give_back(session, charge.id, [payer.passages[0]], reason="x", seller=SELLER, actor=OLA, now=NOW)
            except Conflict as problem:
                return problem.type.removeprefix("/problems/")
        return "given"

    back(books, charge, [payer.passages[0]])
    beside = Beside(engine, other)
    assert beside.waited
    books.session.commit()
    assert beside.result() == "nothing-left"
    assert books.one("SELECT sum(amount_ore) FROM card_refunds") == 12_000
    books.prove(NOW)


@settings(max_examples=7, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_order_of_refunds_keeps_the_books(books: Books, data: st.DataObject) -> None:
    """Asked for, approved, called, made, failed, cancelled, failed later: the ledger holds at each step."""
    with books.session.begin_nested() as all_:
        payer = CardPayer(books, data.draw(st.sampled_from(["consumer", "commercial"])))
        ores = data.draw(st.lists(st.integers(1, 120_000), min_size=1, max_size=4).filter(lambda x: sum(x) >= 20_000))
        charge = payer.paid(*ores)
        whole, left = payer.account("card_clearing"), list(payer.passages)
        rows: list[Refund] = []
        for _ in range(data.draw(st.integers(1, 8))):
            if left and data.draw(st.sampled_from([True, False])):
                done = back(books, charge, [left.pop()]).refund
                rows += [done] if done else []
            elif rows:
                _step(books, payer, data.draw(st.sampled_from(rows)), data.draw(st.sampled_from(STEPS)))
            books.prove(NOW)
        given_ = books.one("SELECT coalesce(sum(amount_ore), 0) FROM card_refunds WHERE state = 'succeeded'")
        assert payer.account("card_clearing") == whole - given_ >= 0
        all_.rollback()


STEPS = ("approve", "cancel", "call", "made", "failed", "unknown", "forget")


def _step(books: Books, payer: CardPayer, row: Refund, step: str) -> None:
    state = row.state
    try:
        if step == "approve":
            refund.approve(books.session, row.id, actor=LEAD, now=NOW)
        elif step == "cancel":
            refund.cancel(books.session, row.id, actor=KARI, now=NOW)
        elif step == "call":
            refund_call.prepare(books.session, row.id, now=NOW, real=now_utc())
        elif step == "forget":
            refund_call.forget(books.session, row.id, real=now_utc() + REQUEST_LIVES)
        elif state in ("unknown", "succeeded"):
            no = Declined(row.provider_ref, "x", "No.", needs_customer=False, retry="later")
            told: dict[str, Outcome] = {"made": Succeeded(f"re_{row.id}", row.amount_ore, now_utc()), "failed": no}
            payer.tell(row, told.get(step, Unknown("?")))
    except Conflict:
        assert state not in ("requested", "approved")


def test_the_columns_of_the_session_are_not_trusted(books: Books, session: Session) -> None:
    """A refund that another process has called for meanwhile is not called for twice."""
    payer = CardPayer(books)
    row = back(books, payer.paid(20_000)).refund
    assert row is not None
    session.execute(
        text("UPDATE card_refunds SET state = 'unknown', called_at = now(), asked_at = now(), idempotency_key = 'k'")
    )
    assert refund_call.prepare(session, row.id, now=NOW, real=now_utc()) is None


def test_two_workers_call_for_one_refund_once(books: Books, engine: Engine) -> None:
    payer = CardPayer(books)
    row = back(books, payer.paid(20_000)).refund
    assert row is not None
    books.session.commit()

    def other() -> bool:
        with session_factory(engine).begin() as session:
            return refund_call.prepare(session, row.id, now=NOW, real=now_utc()) is not None

    payer.call(row)
    beside = Beside(engine, other)
    assert beside.waited
    books.session.commit()
    assert beside.result() is False
    books.prove(NOW)


def test_one_that_the_provider_has_told_of_is_never_called_for_anew(books: Books) -> None:
    payer = CardPayer(books)
    row = back(books, payer.paid(20_000)).refund
    assert row is not None
    payer.call(row)
    payer.tell(row, Unknown("the refund is pending", ref="re_1"))
    refund_call.forget(books.session, row.id, real=now_utc() + REQUEST_LIVES)
    assert (row.state, row.provider_ref) == ("unknown", "re_1")
    books.prove(NOW)
