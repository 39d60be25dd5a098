"""What a dispute holds of the credit stays until it is decided; the order of two disputes decides nothing."""

from __future__ import annotations

import datetime as dt

import pytest

from billing.cards import dispute, left, outcome, refund
from billing.cards.gateway import DisputeDetails, Succeeded
from billing.collection.overdue import find_reach, step
from config.clock import now_utc
from tests.integration.billing.books import DAY, DUE, OURS, SELLER, Books, noon
from tests.integration.billing.cards.payer import CHARGED, KARI, NOW, CardPayer

SECOND = dt.timedelta(seconds=1)


@pytest.mark.parametrize("back_first", [True, False])
def test_of_two_that_take_all_one_comes_back(books: Books, back_first: bool) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    payer.dispute(charge, "lost", 20_000)
    if back_first:
        payer.dispute(charge, "won", 20_000, 20_000)
    payer.dispute(charge, "lost", 20_000, ref="dp_2")
    if not back_first:
        assert payer.account("write_off") == 20_000, "both had it of their bank, and paid nothing"
        payer.dispute(charge, "won", 20_000, 20_000)
    one = payer.the_dispute("dp_2")
    assert one.written_off_ore == payer.account("write_off") == 0
    assert (payer.claim(charge), books.credit(payer.agreement)) == ((20_000, 0, 0), 0)
    books.prove(NOW)
    later = noon(CHARGED + DAY)
    payer.dispute(charge, "won", 20_000, 20_000, ref="dp_2", now=later)
    assert (payer.claim(charge), payer.account("card_clearing")) == ((20_000, 0, 20_000), 20_000)
    books.prove(later)


@pytest.mark.parametrize("meanwhile", ["overdue", "issued", "credited", "paid too much"])
def test_held_credit_pays_nothing(books: Books, meanwhile: str) -> None:
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    payer.ask_back(charge, 1)
    second = payer.paid(19_000, 1_000, now=noon(CHARGED + 8 * DAY)) if meanwhile == "credited" else charge
    due = None if meanwhile == "issued" else books.invoice(payer.agreement, 4_000, due=CHARGED - DAY)
    payer.dispute(charge, "open", 20_000)
    held = books.credit(payer.agreement)
    assert held == 5_000
    today = CHARGED + 20 * DAY
    if meanwhile == "overdue":
        step(books.session, find_reach(books.session, [OURS], today), 0, today, noon(today))
    elif meanwhile == "issued":
        due = books.invoice(payer.agreement, 4_000, due=today)
    elif meanwhile == "credited":  # what that gives back is free, and pays a part of the invoice
        refund.give_back(books.session, second.id, [payer.passages[1]], reason="x", seller=SELLER, actor=KARI,
                         now=noon(CHARGED + 8 * DAY))  # fmt: skip
    else:
        assert due is not None
        books.pay(due.kid, 4_100, CHARGED)
        held += 100
    assert books.credit(payer.agreement) == held
    payer.dispute(charge, "lost", 20_000, now=noon(today))
    one = payer.the_dispute()
    assert (one.claim_ore, one.credit_ore, one.written_off_ore) == (15_000, 5_000, 0)
    books.prove(noon(today))


def test_what_it_does_not_hold_is_used(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    payer.ask_back(charge, 1)
    payer.dispute(charge, "open", 17_000)
    due = books.invoice(payer.agreement, 4_000)
    assert (books.credit(payer.agreement), books.open_ore(due)) == (2_000, 1_000), "15,000 of it are on the claim"
    payer.dispute(charge, "won", 17_000, 17_000)
    assert (books.credit(payer.agreement), books.open_ore(due)) == (1_000, 0), "then the rest of it pays"
    books.prove(NOW)


def test_what_would_be_owed_again_holds_nothing(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    one, two = books.invoice(payer.agreement, 4_000), books.invoice(payer.agreement, 4_000, run="b")
    payer.dispute(charge, "open", 20_000, now=noon(CHARGED + DAY))
    books.pay(one.kid, 8_000, DUE - DAY)
    today = DUE + 20 * DAY
    step(books.session, find_reach(books.session, [OURS], today), 0, today, noon(today))
    assert (books.open_ore(two), books.standing(payer.agreement)) == (0, "open")
    books.prove(noon(today))


def test_late_money_that_a_dispute_tells_of_is_not_spent_before_it_is_lost(books: Books) -> None:
    payer = CardPayer(books)
    session, charge = books.session, payer.charge(20_000)
    attempt = payer.attempt(charge)
    outcome.forget(session, attempt.id, now=NOW)
    session.refresh(attempt)
    session.refresh(charge)
    left.invoice_charge(session, charge, seller=SELLER, now=NOW)
    kid = str(books.value("SELECT kid FROM documents WHERE claim_id = :c", c=charge.claim_id))
    books.pay(kid, 20_000, CHARGED + DAY)
    due = books.invoice(payer.agreement, 4_000, due=CHARGED - DAY)
    paid = Succeeded(f"pi_{attempt.id}", attempt.amount_ore, now_utc())
    told = DisputeDetails(
        ref="dp_1", payment=paid.ref, amount_ore=20_000, status="lost", reason="fraudulent", withdrawn_ore=20_000,
        returned_ore=0, evidence_due_at=None, charge=str(charge.id), attempt=str(attempt.id),
        customer=f"cus_{payer.agreement}",
    )  # fmt: skip
    later = noon(CHARGED + 3 * DAY)
    assert dispute.apply(session, dispute.Look(told, paid), seller=SELLER, now=later) == "lost"
    one = payer.the_dispute()
    assert (one.claim_ore, one.credit_ore, one.written_off_ore, books.open_ore(due)) == (0, 20_000, 0, 4_000)
    books.prove(later)


def test_an_event_that_waited_opens_it_after_what_was_asked_back_meanwhile(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    row = refund.give_back(
        books.session, charge.id, [payer.passages[1]], reason="x", seller=SELLER, actor=KARI, now=NOW + 2 * SECOND
    ).refund
    assert row is not None
    payer.give(row, NOW + 2 * SECOND)
    payer.dispute(charge, "open", 15_000, now=NOW + SECOND)
    books.prove(NOW + 5 * SECOND)
    payer.dispute(charge, "lost", 15_000, now=NOW + SECOND)
    books.prove(NOW + 5 * SECOND)
