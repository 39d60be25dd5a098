"""Making and settling claims, credit, write-offs."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.claims import credit
from billing.claims.make import BalanceDiffers, make
from billing.claims.settle import Settlement, settle
from billing.claims.write_off import write_off
from billing.collection.overdue import find_reach, step
from billing.payments.assign import assign
from config.database import SessionFactory
from simulator.bank import BankPayment
from tests.integration.billing.books import DAY, DUE, ISSUED, JANUARY, OURS, Books, Invoice, noon

RUN = "invoices:2026-02-01"
TODAY = dt.date(2026, 2, 10)
NOW = noon(TODAY)


def make_all(
    session: Session, agreements: list[int], *, minimum: int = 0, run: str = RUN
) -> list[tuple[int, int, int]]:
    made = make(session, agreements, "invoice", run, "", ISSUED, minimum, ISSUED)
    return [(claim.agreement_id, claim.amount_ore, claim.count) for claim in made]


def test_a_claim_takes_exactly_what_was_booked_by_the_cut_off(books: Books, session: Session) -> None:
    one, other = books.agreement(), books.agreement()
    books.passages(one, 3000, 2500)
    books.passages(one, 700, booked=ISSUED)
    late = books.passages(one, 9900, booked=ISSUED + dt.timedelta(seconds=1))
    books.passages(other, 100)
    assert make_all(session, [other, one]) == [(one, 6200, 3), (other, 100, 1)]
    assert books.value("SELECT claim_id FROM passages WHERE id = :id", id=late[0]) is None
    assert books.one("SELECT unbilled_ore FROM balances WHERE agreement_id = :id", id=one) == 9900


def test_a_repeat_makes_nothing_though_passages_came(books: Books, session: Session) -> None:
    one = books.agreement()
    books.passages(one, 3000)
    assert make_all(session, [one]) == [(one, 3000, 1)]
    books.passages(one, 4000)
    assert make_all(session, [one]) == []
    assert books.one("SELECT unbilled_ore FROM balances WHERE agreement_id = :id", id=one) == 4000


@pytest.mark.parametrize(
    ("ores", "after", "minimum", "claimed"),
    [
        ((4999,), (), 5000, None),
        ((5000,), (), 5000, 5000),
        ((4999,), (9000,), 5000, None),  # what came after the cut-off does not lift it over
        ((6000, -6000), (), 0, None),  # nothing is not claimed
        ((6000, -7000), (), 0, None),
        ((6000, -900), (), 5000, 5100),
        ((6000,), (-5900,), 5000, 6000),  # nor does it push it under
    ],
)
def test_a_part_too_small_leaves_no_trace(
    books: Books, session: Session, ores: tuple[int, ...], after: tuple[int, ...], minimum: int, claimed: int | None
) -> None:
    one = books.agreement()
    _with_counter_rows(books, one, ores, JANUARY)
    _with_counter_rows(books, one, after, ISSUED + DAY)
    made = make_all(session, [one], minimum=minimum)
    assert [ore for _, ore, _ in made] == ([claimed] if claimed else [])
    taken = books.one("SELECT count(*) FROM passages WHERE claim_id IS NOT NULL")
    assert taken == (len(ores) if claimed else 0)
    assert books.one("SELECT count(*) FROM claims") == (1 if claimed else 0)


def _with_counter_rows(books: Books, agreement: int, ores: tuple[int, ...], booked: dt.datetime) -> None:
    for ore in ores:
        (passage,) = books.passages(agreement, abs(ore), booked=booked)
        if ore < 0:
            books.session.execute(
                text("UPDATE passages SET amount_ore = :ore WHERE id = :id"), {"ore": ore, "id": passage}
            )
            books.session.execute(
                text("UPDATE balances SET unbilled_ore = unbilled_ore + 2 * :ore WHERE agreement_id = :id"),
                {"ore": ore, "id": agreement},
            )


def test_a_balance_that_lies_stops_the_billing(books: Books, session: Session) -> None:
    one = books.agreement()
    books.passages(one, 3000)
    session.execute(text("UPDATE balances SET unbilled_ore = 3001"))
    with pytest.raises(BalanceDiffers, match="3001"):
        make_all(session, [one])


def test_settling_never_goes_above_what_is_open(books: Books, session: Session) -> None:
    invoice = books.invoice(books.agreement(), 10_000)
    books.pay(invoice.kid, 4_000, TODAY)
    books.pay(invoice.kid, 7_000, TODAY)
    assert books.open_ore(invoice) == 0
    assert books.credit(invoice.agreement) == 1_000
    books.prove(NOW)


def test_a_repeated_settlement_is_already_done_and_what_does_not_fit_comes_back(books: Books, session: Session) -> None:
    invoice = books.invoice(books.agreement(), 10_000)
    asked = [Settlement(invoice.claim, "card", 7, 6_000, TODAY), Settlement(invoice.claim, "card", 8, 6_000, TODAY)]
    first = settle(session, asked, TODAY, NOW, "test")
    assert [(left.settlement.source_id, left.amount_ore) for left in first.leftovers] == [(8, 2_000)]
    again = settle(session, asked, TODAY, NOW, "test")
    assert again.leftovers == []
    assert books.open_ore(invoice) == 0


@pytest.mark.parametrize(
    "asked",
    [
        [Settlement(1, "payment", 1, 0, TODAY)],
        [Settlement(1, "payment", 1, -5, TODAY)],
        [Settlement(1, "reversal", 1, 5, TODAY)],
        [Settlement(1, "payment", 1, 5, TODAY), Settlement(1, "payment", 1, 6, TODAY)],
    ],
)
def test_a_settlement_that_makes_no_sense(session: Session, asked: list[Settlement]) -> None:
    with pytest.raises(ValueError):
        settle(session, asked, TODAY, NOW, "test")


def test_a_claim_that_is_not_there(session: Session) -> None:
    with pytest.raises(LookupError, match="no claim 404"):
        settle(session, [Settlement(404, "payment", 1, 5, TODAY)], TODAY, NOW, "test")


def test_credit_is_used_on_the_next_invoice_and_only_once(books: Books, session: Session) -> None:
    agreement = books.agreement()
    first = books.invoice(agreement, 10_000)
    books.pay(first.kid, 13_000, TODAY)
    second = books.invoice(agreement, 2_000, run="invoices:2026-03-01", due=DUE + 30 * DAY)
    assert books.open_ore(second) == 0
    assert books.one("SELECT credit_used_ore FROM documents WHERE id = :id", id=second.document) == 2_000
    third = books.invoice(agreement, 2_000, run="invoices:2026-04-01", due=DUE + 60 * DAY)
    assert books.open_ore(third) == 1_000
    assert books.credit(agreement) == 0
    assert credit.use(session, [third.claim], TODAY, NOW) == {}
    books.prove(NOW)


def test_two_invoices_paid_with_the_kid_of_one(books: Books) -> None:
    agreement = books.agreement()
    first = books.invoice(agreement, 10_000, due=TODAY - 3 * DAY)
    second = books.invoice(agreement, 5_000, run="other", due=TODAY - DAY)
    books.pay(first.kid, 15_000, TODAY)
    assert (books.open_ore(first), books.open_ore(second), books.credit(agreement)) == (0, 0, 0)
    books.prove(NOW)


def test_one_transfer_in_time_for_two_invoices_voids_the_block(books: Books, session: Session) -> None:
    """What went over the first is credit of that day, not of the day it is used."""
    agreement = books.agreement()
    first, second = books.invoice(agreement, 10_000), books.invoice(agreement, 20_000, run="other")
    day = DUE + 10 * DAY
    step(session, find_reach(session, [OURS], day), 0, day, noon(day))
    assert books.standing(agreement) == "blocked"
    books.pay(first.kid, 30_000, DUE, read_on=day + DAY)
    assert (books.open_ore(first), books.open_ore(second)) == (0, 0)
    assert books.standing(agreement) == "open"
    books.prove(noon(day + DAY))


def test_one_transfer_too_late_for_two_invoices_does_not_void_the_block(books: Books, session: Session) -> None:
    agreement = books.agreement()
    first, second = books.invoice(agreement, 10_000), books.invoice(agreement, 20_000, run="other")
    day = DUE + 10 * DAY
    step(session, find_reach(session, [OURS], day), 0, day, noon(day))
    books.pay(first.kid, 30_000, DUE + DAY, read_on=day + DAY)
    assert (books.open_ore(second), books.standing(agreement)) == (0, "awaiting_reopen")


@pytest.mark.parametrize(("late", "standing"), [(0, "open"), (1, "awaiting_reopen")])
def test_a_payment_placed_on_the_agreement_counts_from_its_value_date(
    books: Books, session: Session, late: int, standing: str
) -> None:
    agreement = books.agreement()
    invoice = books.invoice(agreement, 10_000)
    books.pay("123456782", 10_000, DUE + late * DAY)
    day = DUE + 10 * DAY
    step(session, find_reach(session, [OURS], day), 0, day, noon(day))
    assert books.standing(agreement) == "blocked"
    assign(session, books.one("SELECT id FROM payments"), agreement, None, noon(day + DAY), "agent")
    assert (books.open_ore(invoice), books.standing(agreement)) == (0, standing)
    books.prove(noon(day + DAY))


def test_the_oldest_credit_is_used_first_each_with_its_own_value_date(books: Books, session: Session) -> None:
    agreement = books.agreement()
    first = books.invoice(agreement, 1_000)
    second_day, taken_day = TODAY + DAY, TODAY + 2 * DAY
    books.pay(first.kid, 1_300, TODAY)
    books.pay(first.kid, 500, second_day)
    third = books.invoice(agreement, 400, run="other", due=DUE + 30 * DAY)

    def settled(invoice: Invoice) -> list[tuple[dt.date, int]]:
        query = "SELECT value_date, amount_ore FROM allocations WHERE claim_id = :c ORDER BY id"
        return [(row[0], row[1]) for row in session.execute(text(query), {"c": invoice.claim})]

    assert settled(third) == [(TODAY, 300), (second_day, 100)]
    # The bank takes back the payment whose credit is spent: what is left of the other stands in.
    back = BankPayment(first.kid, 1_300, taken_day, type=18)
    books.receive(books.file(back, BankPayment("", 5_000, taken_day)), taken_day + DAY)
    assert books.credit(agreement) == 100
    books.prove(noon(taken_day + DAY))
    fourth = books.invoice(agreement, 200, run="again", due=DUE + 30 * DAY)
    assert settled(fourth) == [(second_day, 100)]
    assert (books.open_ore(fourth), books.credit(agreement)) == (100, 0)
    books.prove(noon(taken_day + DAY))


def test_a_write_off_ends_a_claim_and_is_booked(books: Books, session: Session) -> None:
    invoice = books.invoice(books.agreement(), 10_000)
    books.pay(invoice.kid, 9_999, TODAY)
    assert write_off(session, [invoice.claim], TODAY, NOW) == 1
    assert write_off(session, [invoice.claim], TODAY, NOW) == 0
    assert books.open_ore(invoice) == 0
    assert books.one("SELECT sum(amount_ore) FROM transfers WHERE debit = 'write_off'") == 1
    books.prove(NOW)


def test_two_payments_of_one_agreement_at_once_both_count(books: Books, sessions: SessionFactory) -> None:
    """The second waits for the first and sees it: credit is not spent twice, the claim not settled above its sum."""
    import threading

    invoice = books.invoice(books.agreement(), 10_000)
    books.session.commit()
    started = threading.Barrier(2)
    left: list[int] = []

    def pay(source_id: int) -> None:
        with sessions.begin() as session:
            started.wait(10)
            done = settle(session, [Settlement(invoice.claim, "card", source_id, 8_000, TODAY)], TODAY, NOW, "test")
            left.append(sum(x.amount_ore for x in done.leftovers))

    threads = [threading.Thread(target=pay, args=(n,)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(left) == [0, 6_000]
    assert books.open_ore(invoice) == 0
