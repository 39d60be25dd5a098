"""Credit that leaves, over cards and to bank accounts: one limit for both ways, and what is disputed stays."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import Engine, text

from billing.audit.audit import audit
from billing.cards import dispute, refund
from billing.cards.gateway import Declined, DisputeDetails
from billing.cards.models import Attempt, Charge, Refund
from billing.claims import leaving
from billing.invoices.reissue import reissue
from billing.passages.credit import credit
from billing.payments import payout_orders, payouts
from billing.payments.pain001 import Debtor
from billing.payments.payout_models import Payout
from config.clock import business_date, move_clock
from config.database import session_factory
from config.problems import Conflict
from config.rates import whole
from tests.integration.billing.beside import Beside
from tests.integration.billing.books import DAY, OURS, SELLER, Books
from tests.integration.billing.cards.payer import CHARGED, KARI, NOW, OLA, CardPayer

THEIRS = "15030054323"
ANOTHER = "15030012345"


def back(payer: CardPayer, charge: Charge, which: int, now: dt.datetime = NOW) -> Refund:
    """Kari gives one of the passages back."""
    row = refund.give_back(
        payer.books.session, charge.id, [payer.passages[which]], reason="x", seller=SELLER, actor=KARI, now=now
    ).refund
    assert row is not None
    return row


def pay_out(payer: CardPayer, ore: int | None, account: str = THEIRS, now: dt.datetime = NOW) -> Payout:
    """Kari asks for credit to be paid to a bank account."""
    return payouts.request(
        payer.books.session, payer.agreement, amount_ore=ore, account=account, reason="x", actor=KARI, now=now
    )


def free(payer: CardPayer, charge: Charge, which: int) -> None:
    """Credit a passage and issue its receipt anew: its sum is in credit."""
    session = payer.books.session
    credit(session, payer.agreement, payer.passages[which], reason="x", actor=KARI, now=NOW)
    number = payer.books.one("SELECT max(number) FROM documents WHERE claim_id = :c AND kind = 'invoice'",
                             c=charge.claim_id)  # fmt: skip
    reissue(session, number, reason="x", seller=SELLER, now=NOW, actor=KARI)


def same_holder(first: CardPayer, second: CardPayer) -> None:
    """Both agreements are of one customer."""
    first.books.session.execute(
        text("UPDATE agreements SET customer_id = (SELECT customer_id FROM agreements WHERE id = :a) WHERE id = :b"),
        {"a": first.agreement, "b": second.agreement},
    )


def slug(problem: pytest.ExceptionInfo[Conflict]) -> str:
    """The problem's name."""
    return problem.value.type.removeprefix("/problems/")


def test_one_person_does_not_get_round_the_second_by_going_both_ways(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(200_000, 450_000)
    assert back(payer, charge, 0).state == "approved"
    waits = back(payer, charge, 1)
    assert waits.state == "requested"
    refund.cancel(books.session, waits.id, actor=KARI, now=NOW)
    assert pay_out(payer, 450_000).state == "requested"
    books.prove(NOW)


def test_what_went_to_a_bank_counts_for_the_card(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(200_000, 50_000)
    free(payer, charge, 0)
    assert pay_out(payer, 200_000).state == "approved"
    assert back(payer, charge, 1).state == "requested"
    books.prove(NOW)


@pytest.mark.parametrize("way", ["card", "bank"])
def test_all_agreements_of_a_holder_count_together(books: Books, way: str) -> None:
    first, second = CardPayer(books), CardPayer(books)
    same_holder(first, second)
    one, two = first.paid(200_000), second.paid(450_000)
    assert back(first, one, 0).state == "approved"
    if way == "card":
        assert back(second, two, 0).state == "requested"
    else:
        free(second, two, 0)
        assert pay_out(second, 450_000, ANOTHER).state == "requested"
    books.prove(NOW)


def test_another_holder_does_not_count(books: Books) -> None:
    first, second = CardPayer(books), CardPayer(books)
    one, two = first.paid(200_000), second.paid(200_000)
    assert [back(first, one, 0).state, back(second, two, 0).state] == ["approved", "approved"]


def test_two_agreements_of_a_holder_at_once(books: Books, engine: Engine) -> None:
    first, second = CardPayer(books), CardPayer(books)
    same_holder(first, second)
    one, two = first.paid(200_000), second.paid(200_000)
    free(first, one, 0)
    free(second, two, 0)
    books.session.commit()

    def other() -> str:
        with session_factory(engine).begin() as session:
            return refund.request(session, two.id, amount_ore=None, reason="x", actor=KARI, now=NOW).state

    row = refund.request(books.session, one.id, amount_ore=None, reason="x", actor=KARI, now=NOW)
    assert row.state == "approved"
    beside = Beside(engine, other)
    assert beside.waited
    books.session.commit()
    assert beside.result() == "requested"
    books.prove(NOW)


@pytest.mark.parametrize(("days", "state"), [(0, "requested"), (1, "approved")])
def test_the_window_is_as_long_as_the_figure_says(books: Books, days: int, state: str) -> None:
    payer = CardPayer(books)
    charge = payer.paid(200_000, 100)
    assert back(payer, charge, 0).state == "approved"
    window = whole("payout_window_days", business_date(NOW))
    assert window == 30
    later = NOW + dt.timedelta(days=window + days)
    assert back(payer, charge, 1, later).state == state
    books.prove(later)


def test_what_a_second_person_approved_does_not_count(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(300_000, 100)
    large = back(payer, charge, 0)
    refund.approve(books.session, large.id, actor=OLA, now=NOW)
    assert back(payer, charge, 1).state == "approved"
    books.prove(NOW)


@pytest.mark.parametrize("inquiry", [False, True])
def test_credit_of_a_disputed_payment_does_not_leave(books: Books, inquiry: bool) -> None:
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    payer.dispute(charge, "open", 0 if inquiry else 20_000, amount=20_000)
    free(payer, charge, 1)
    for ore in (None, 5_000):
        with pytest.raises(Conflict) as held:
            pay_out(payer, ore)
        assert (slug(held), held.value.extra) == ("credit-disputed", {"free_ore": 0})
    with pytest.raises(Conflict) as over:
        pay_out(payer, 5_001)
    assert slug(over) == "not-enough-credit"
    if inquiry:
        payer.dispute(charge, "won", amount=20_000)
        assert pay_out(payer, None).amount_ore == 5_000
    else:
        payer.dispute(charge, "lost", 20_000)
        one = payer.the_dispute()
        assert (one.claim_ore, one.credit_ore, one.written_off_ore) == (15_000, 5_000, 0)
    books.prove(NOW)


def test_what_is_over_may_leave(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    other = books.invoice(payer.agreement, 9_000)
    books.pay(other.kid, 9_000 + 23_000, CHARGED)
    payer.dispute(charge, "open", 20_000)
    with pytest.raises(Conflict):
        pay_out(payer, 3_001)
    assert pay_out(payer, None).amount_ore == 3_000
    books.prove(NOW + DAY)


def test_credit_of_another_payment_waits_too_and_that_is_said(books: Books) -> None:
    payer = CardPayer(books)
    first = payer.paid(20_000)
    later = NOW + dt.timedelta(days=7)
    second = payer.paid(15_000, 5_000, now=later)
    payer.dispute(first, "open", 20_000, now=later)
    done = refund.give_back(
        books.session, second.id, [payer.passages[1]], reason="x", seller=SELLER, actor=KARI, now=later
    )
    assert (done.refund, done.waits, books.credit(payer.agreement)) == (None, True, 5_000)
    payer.dispute(first, "won", 20_000, 20_000, now=later)
    row = refund.request(books.session, second.id, amount_ore=None, reason="x", actor=KARI, now=later)
    assert row.amount_ore == 5_000
    books.prove(later)


def test_a_payout_that_the_bank_has_not_been_told_of_stops_when_a_dispute_opens(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    free(payer, charge, 1)
    gone = pay_out(payer, 2_000)
    assert payout_orders.order(books.session, debtor=Debtor("Brikke", OURS), now=NOW) is not None
    kept, stopped = pay_out(payer, 1_000), pay_out(payer, 2_000)
    payer.dispute(charge, "open", 1_500)
    for row in (gone, kept, stopped):
        books.session.refresh(row)
    assert [gone.state, kept.state, stopped.state] == ["ordered", "approved", "cancelled"], "no more than is disputed"
    assert (stopped.ended_by, books.credit(payer.agreement)) == ("card gateway", 2_000)
    books.prove(NOW)
    payer.dispute(charge, "open", 20_000, ref="dp_1")
    books.session.refresh(kept)
    assert (kept.state, books.credit(payer.agreement)) == ("cancelled", 3_000), "the bank took more"
    payer.dispute(charge, "lost", 20_000)
    one = payer.the_dispute()
    assert (one.claim_ore, one.credit_ore, one.written_off_ore) == (15_000, 3_000, 2_000), "what the bank had is gone"
    books.prove(NOW)


def test_an_order_to_the_bank_at_that_moment_goes_or_does_not(books: Books, engine: Engine) -> None:
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    attempt = books.session.query(Attempt).filter_by(charge_id=charge.id).one()
    told = DisputeDetails("dp_1", str(attempt.provider_ref), 20_000, "open", "fraudulent", 20_000)
    free(payer, charge, 1)
    row = pay_out(payer, 5_000)
    books.session.commit()

    def other() -> str:
        with session_factory(engine).begin() as session:
            return dispute.apply(session, dispute.Look(told), seller=SELLER, now=NOW)

    assert payout_orders.order(books.session, debtor=Debtor("Brikke", OURS), now=NOW) is not None
    beside = Beside(engine, other)
    assert beside.waited
    books.session.commit()
    assert beside.result() == "opened"
    books.session.refresh(row)
    assert (row.state, books.credit(payer.agreement)) == ("ordered", 0)
    books.prove(NOW)


def test_a_first_word_that_it_is_won_stops_nothing(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    free(payer, charge, 1)
    row = pay_out(payer, 5_000)
    payer.dispute(charge, "won", 20_000, 20_000)
    books.session.refresh(row)
    assert row.state == "approved"


@pytest.mark.parametrize("disputed", [False, True])
@pytest.mark.parametrize("end", ["cancelled", "failed"])
def test_what_comes_back_pays_what_is_past_due_unless_it_is_disputed(books: Books, disputed: bool, end: str) -> None:
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    row = back(payer, charge, 1)
    due = books.invoice(payer.agreement, 4_000, due=CHARGED - DAY)
    if end == "failed":
        payer.call(row)
    if disputed:
        payer.dispute(charge, "open", 20_000)
    if end == "failed":
        payer.tell(row, Declined(None, "charge_disputed", "No.", needs_customer=False, retry="never"))
    elif not disputed:
        refund.cancel(books.session, row.id, actor=KARI, now=NOW)
    assert row.state == end
    assert (books.open_ore(due), books.credit(payer.agreement)) == ((4_000, 5_000) if disputed else (0, 1_000))
    if disputed:
        payer.dispute(charge, "lost", 20_000)
        assert payer.the_dispute().written_off_ore == 0
    books.prove(NOW)


def test_the_sum_of_what_left_is_of_both_ways(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(100_000, 20_000)
    back(payer, charge, 0)
    free(payer, charge, 1)
    pay_out(payer, 20_000)
    assert leaving.lately(books.session, payer.agreement, NOW) == 120_000
    assert leaving.lately(books.session, CardPayer(books).agreement, NOW, THEIRS) == 20_000


@pytest.mark.parametrize("before", ["card", "bank"])
def test_who_waited_for_a_turn_asks_when_the_one_before_did(books: Books, before: str) -> None:
    """A request that began first and had its turn second counted the other; the other did not count it."""
    first, second = CardPayer(books), CardPayer(books)
    same_holder(first, second)
    one, two = first.paid(300_000), second.paid(150_000, 50_000)
    free(first, one, 0)
    soon = NOW + dt.timedelta(seconds=1)
    if before == "card":
        states = [(row.state, row.requested_at) for row in (back(second, two, 0, soon), pay_out(first, 300_000))]
    else:
        states = [(row.state, row.requested_at) for row in (pay_out(first, 150_000, now=soon), back(second, two, 1))]
    assert states == [("approved", soon)] * 2
    books.prove(soon)


@pytest.mark.parametrize(("ahead", "moved"), [(60, True), (61, False)])
def test_a_clock_that_was_moved_back_dates_nothing_ahead(books: Books, ahead: int, moved: bool) -> None:
    one, two = CardPayer(books), CardPayer(books)
    a, b = one.paid(20_000), two.paid(20_000)
    free(one, a, 0)
    free(two, b, 0)
    then = NOW + dt.timedelta(seconds=ahead)
    pay_out(one, 100, now=then)
    assert pay_out(two, 100, now=NOW).requested_at == (then if moved else NOW), "they go to one account"
    assert pay_out(two, 100, ANOTHER, now=NOW).requested_at == (then if moved else NOW), "they are of one holder"
    other = CardPayer(books)
    c = other.paid(20_000)
    free(other, c, 0)
    assert pay_out(other, 100, "15030078907", now=NOW).requested_at == NOW


SINCE = "INSERT INTO job_occurrences (job, scheduled_for, state, result) VALUES ('cards_forgotten', :at, 'done', :said)"
BEGAN = '{"note": "the schedule begins here"}'


@pytest.mark.parametrize(
    ("looks", "seen"),
    [
        ([], False),
        ([(-1, BEGAN)], False),
        ([(-1, BEGAN), (2, "{}")], False),
        ([(-1, BEGAN), (1, "{}"), (2, "{}")], True),
        ([(0, None)], True),
    ],
)
def test_the_audit_counts_payouts_of_all_agreements_of_a_holder_since_the_rooms_do(
    books: Books, looks: list[tuple[int, str | None]], seen: bool
) -> None:
    """A release before counted each agreement for itself, and let go what is too much now."""
    first, second, later = CardPayer(books), CardPayer(books), NOW + dt.timedelta(hours=1)
    same_holder(first, second)
    one, two = first.paid(450_000), second.paid(450_000)
    free(first, one, 0)
    free(second, two, 0)
    assert pay_out(first, 450_000).state == "approved"
    row = pay_out(second, 450_000, ANOTHER, now=later)
    assert row.state == "requested"
    row.state, row.approved_at = "approved", later
    books.session.flush()
    for hours, said in looks:
        books.session.execute(text(SINCE), {"at": NOW + dt.timedelta(hours=hours), "said": said})
    move_clock(books.session, later, running=False)
    found = [check.name for check in audit(books.session, ["refunds_alone"]).checks if not check.ok]
    assert found == (["refunds_alone"] if seen else [])
