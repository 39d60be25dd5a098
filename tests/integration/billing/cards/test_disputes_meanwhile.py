"""While a dispute is open nobody is blocked by what a loss would not take; an event that waited comes last."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import text

from billing.cards import dispute, left, outcome, refund
from billing.cards.gateway import Declined, DisputeDetails, Succeeded
from billing.cards.models import Attempt, Charge
from billing.collection.overdue import find_reach, step
from config.clock import now_utc
from tests.integration.billing.books import DAY, DUE, OURS, SELLER, Books, noon
from tests.integration.billing.cards.payer import CHARGED, KARI, NOW, OLA, CardPayer

SECOND = dt.timedelta(seconds=1)
OVER = noon(DUE + 20 * DAY)
LATER = noon(DUE + 21 * DAY)


def kid_of(books: Books, charge: Charge) -> str:
    query = "SELECT kid FROM documents WHERE claim_id = :c AND due_on IS NOT NULL ORDER BY id DESC LIMIT 1"
    return str(books.value(query, c=charge.claim_id))


def overdue(books: Books, now: dt.datetime = OVER) -> None:
    step(books.session, find_reach(books.session, [OURS], now.date()), 0, now.date(), now)


def pays_two_with_the_kid_of_one(books: Books, payer: CardPayer) -> tuple[int, str]:
    """Return what is open of the other, and how the agreement stands after the overdue step."""
    one, two = books.invoice(payer.agreement, 4_000), books.invoice(payer.agreement, 4_000, run="b")
    books.pay(one.kid, 8_000, DUE - DAY)
    overdue(books)
    return books.open_ore(two), books.standing(payer.agreement)


def given_up(books: Books, payer: CardPayer) -> tuple[Charge, Attempt]:
    """A charge whose attempt was forgotten, so that it is invoiced."""
    charge = payer.charge(20_000)
    attempt = payer.attempt(charge)
    outcome.forget(books.session, attempt.id, now=NOW)
    books.session.refresh(attempt)
    books.session.refresh(charge)
    left.invoice_charge(books.session, charge, seller=SELLER, now=NOW)
    return charge, attempt


@pytest.mark.parametrize("before", ["came back", "paid by bank", "an inquiry", "twice", "late money"])
def test_what_a_loss_would_not_take_is_free(books: Books, before: str) -> None:
    payer = CardPayer(books)
    if before == "late money":
        charge, attempt = given_up(books, payer)
        payer.pay(attempt)
        books.session.refresh(charge)
        payer.dispute(charge, "open", 20_000, ref="dp_2", attempt=attempt)
    else:
        charge, attempt = payer.paid(20_000), None
        if before in ("came back", "paid by bank"):
            payer.dispute(charge, "lost", 20_000)
        if before == "came back":
            payer.dispute(charge, "won", 20_000, 20_000)
        if before == "paid by bank":
            books.pay(kid_of(books, charge), 20_000, CHARGED + DAY)
        if before == "an inquiry":
            payer.dispute(charge, "open", 0, amount=20_000)
        taken = 40_000 if before == "twice" else 20_000
        payer.dispute(charge, "open", taken, ref="dp_2", now=noon(CHARGED + 2 * DAY))
    assert pays_two_with_the_kid_of_one(books, payer) == (0, "open")
    credit = books.credit(payer.agreement)
    payer.dispute(charge, "lost", 40_000 if before == "twice" else 20_000, ref="dp_2", attempt=attempt, now=LATER)
    assert payer.the_dispute("dp_2").credit_ore == 0
    assert books.credit(payer.agreement) == credit
    books.prove(LATER)


@pytest.mark.parametrize("back_first", [True, False])
def test_what_comes_back_pays_its_own_claim_though_another_is_open(books: Books, back_first: bool) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    payer.dispute(charge, "lost", 20_000)
    later = noon(CHARGED + DAY)
    if not back_first:
        payer.dispute(charge, "open", 0, amount=20_000, ref="dp_2", now=later)
    payer.dispute(charge, "won", 20_000, 20_000, now=later)
    if back_first:
        payer.dispute(charge, "open", 0, amount=20_000, ref="dp_2", now=later)
    books.pay(books.invoice(books.agreement(), 9_000).kid, 9_000, DUE + 60 * DAY)
    overdue(books, noon(DUE + 60 * DAY))
    assert (payer.claim(charge), books.standing(payer.agreement)) == ((20_000, 0, 20_000), "open")
    books.prove(noon(DUE + 60 * DAY))


def test_late_money_that_an_inquiry_tells_of_pays_its_claim(books: Books) -> None:
    payer = CardPayer(books)
    charge, attempt = given_up(books, payer)
    paid = Succeeded(f"pi_{attempt.id}", attempt.amount_ore, now_utc())
    told = DisputeDetails(
        ref="dp_1", payment=paid.ref, amount_ore=20_000, status="open", reason="general", withdrawn_ore=0,
        returned_ore=0, evidence_due_at=None, charge=str(charge.id), attempt=str(attempt.id),
        customer=f"cus_{payer.agreement}",
    )  # fmt: skip
    dispute.apply(books.session, dispute.Look(told, paid), seller=SELLER, now=NOW + SECOND)
    books.pay(books.invoice(books.agreement(), 9_000).kid, 9_000, DUE + 3 * DAY)
    overdue(books)
    assert (payer.claim(charge), books.standing(payer.agreement)) == ((20_000, 0, 20_000), "open")
    books.prove(OVER)


def test_what_is_told_when_another_takes_what_came_back(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    payer.dispute(charge, "lost", 20_000)
    payer.dispute(charge, "lost", 20_000, ref="dp_2", now=noon(CHARGED + DAY))
    payer.dispute(charge, "won", 20_000, 20_000, now=noon(CHARGED + 2 * DAY))
    rows = books.session.execute(
        text("SELECT template, data FROM messages WHERE template LIKE 'card_dispute%' ORDER BY id")
    )
    assert [tuple(row) for row in rows] == [("card_dispute_lost", {"amount_ore": 20_000})] * 2


def test_a_loss_whose_event_waited_is_taken_of_a_refund_that_failed(books: Books) -> None:
    payer = CardPayer(books)
    first = payer.paid(20_000)
    later = noon(CHARGED + 8 * DAY)
    second = payer.paid(15_000, 5_000, now=later)
    passages = list(
        books.session.scalars(text("SELECT id FROM passages WHERE claim_id = :c"), {"c": first.claim_id}).all()
    )
    row = refund.give_back(books.session, first.id, passages, reason="x", seller=SELLER, actor=KARI, now=later).refund
    assert row is not None
    refund.cancel(books.session, row.id, actor=KARI, now=later)
    other = refund.request(books.session, second.id, amount_ore=20_000, reason="x", actor=KARI, now=later + 2 * SECOND)
    if other.state == "requested":
        refund.approve(books.session, other.id, actor=OLA, now=later + 2 * SECOND)
    payer.call(other, later + 2 * SECOND)
    borne = payer.account("write_off")
    payer.dispute(first, "lost", 20_000, now=later + SECOND)
    no = Declined(None, "expired", "No.", needs_customer=False, retry="never")
    payer.tell(other, no, later + 9 * SECOND)
    assert (payer.account("write_off"), books.credit(payer.agreement)) == (borne, 0)
    books.prove(later + 9 * SECOND)


def test_an_end_that_waited_comes_after_what_was_withdrawn(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    payer.dispute(charge, "open", 0, amount=20_000, now=NOW + DAY)
    payer.dispute(charge, "open", 20_000, now=NOW + 2 * DAY + SECOND)
    payer.dispute(charge, "lost", 20_000, now=NOW + 2 * DAY)
    payer.dispute(charge, "lost", 5_000, ref="dp_2", now=NOW + 3 * DAY + SECOND)
    payer.dispute(charge, "won", 20_000, 20_000, now=NOW + 3 * DAY)
    books.prove(NOW + 4 * DAY)
