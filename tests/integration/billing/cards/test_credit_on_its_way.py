"""Credit that is on its way, to a bank account or over another card payment, when a dispute opens and when it ends."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import Engine, text

from billing.cards import dispute, refund, refund_call
from billing.cards.gateway import CardGateway, Declined, DisputeDetails, Outcome, Succeeded
from billing.cards.models import Attempt, Charge, Refund
from billing.collection.overdue import find_reach, step
from billing.payments import payout_orders, payouts
from billing.payments.pain001 import Debtor
from billing.payments.payout_models import Payout
from config.clock import now_utc
from config.database import SessionFactory, session_factory
from config.problems import Conflict
from tests.integration.billing.beside import Beside
from tests.integration.billing.books import DAY, DUE, OURS, SELLER, Books, Invoice, noon
from tests.integration.billing.cards.payer import CHARGED, KARI, NOW, OLA, CardPayer
from tests.integration.billing.cards.test_leaving import back, free, pay_out, slug

LATER = noon(CHARGED + 7 * DAY)
AFTER = noon(CHARGED + 30 * DAY)
NO = Declined(None, "expired_or_canceled_card", "No.", needs_customer=False, retry="never")


def ordered(payer: CardPayer, ore: int) -> Payout:
    """A payout that the bank has the order for."""
    row = pay_out(payer, ore)
    made = payout_orders.order(payer.books.session, debtor=Debtor("Brikke", OURS), now=NOW)
    assert made is not None
    made.written_at = NOW
    payer.books.session.flush()
    payer.books.session.refresh(row)
    return row


def placed(payer: CardPayer, ref: str = "dp_1") -> tuple[int, int, int]:
    """What of a dispute is owed again, came of the credit, and is ours to bear (øre)."""
    one = payer.the_dispute(ref)
    return one.claim_ore, one.credit_ore, one.written_off_ore


def over_another(payer: CardPayer, ore: int) -> tuple[Charge, Refund]:
    """A charge of NOK 200 of which a passage is credited, and the refund of that much over the next charge."""
    first = payer.paid(20_000 - ore, ore)
    free(payer, first, 1)
    second = payer.paid(20_000, now=LATER)
    row = refund.request(payer.books.session, second.id, amount_ore=ore, reason="x", actor=KARI, now=LATER)
    return first, row


def test_a_payout_that_the_bank_refuses_after_the_loss_gives_nothing_twice(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    free(payer, charge, 1)
    row = ordered(payer, 5_000)
    payer.dispute(charge, "lost", 20_000)
    assert placed(payer) == (15_000, 0, 5_000)
    payouts.rejected(books.session, row.id, why="closed", actor=KARI, now=LATER)
    assert placed(payer) == (15_000, 5_000, 0), "the customer has had it of the card's bank"
    assert (books.credit(payer.agreement), payer.account("write_off")) == (0, 5_000), "the passage that was credited"
    books.prove(LATER)
    with pytest.raises(Conflict) as gone:
        pay_out(payer, None, now=LATER)
    assert slug(gone) == "not-enough-credit"
    payer.dispute(charge, "won", 20_000, 20_000, now=AFTER)
    assert (payer.claim(charge), books.credit(payer.agreement)) == ((15_000, 0, 15_000), 5_000)
    books.prove(AFTER)


def test_a_payout_that_was_asked_for_after_the_loss_is_the_customers(books: Books) -> None:
    """What we bore of the loss was of credit that had left before; this credit came later."""
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    free(payer, charge, 1)
    pay_out(payer, 5_000)
    assert payout_orders.order(books.session, debtor=Debtor("Brikke", OURS), now=NOW) is not None
    payer.dispute(charge, "lost", 20_000)
    other = books.invoice(payer.agreement, 9_000)
    books.pay(other.kid, 10_000, CHARGED + DAY)
    row = pay_out(payer, 1_000, now=LATER)
    payouts.cancel(books.session, row.id, actor=KARI, now=LATER)
    assert (placed(payer), books.credit(payer.agreement)) == ((15_000, 0, 5_000), 1_000)
    books.prove(LATER)


@pytest.mark.parametrize("way", ["payout", "refund"])
def test_of_several_losses_what_we_bore_is_taken_as_far_as_it_goes(books: Books, way: str) -> None:
    payer = CardPayer(books)
    first = payer.paid(15_000, 5_000)
    if way == "payout":
        free(payer, first, 1)
        number = ordered(payer, 5_000).id
    else:
        asked = payer.ask_back(first, 1)
        payer.call(asked)
    second = payer.paid(20_000, now=LATER)
    payer.dispute(first, "lost", 17_000, now=LATER)
    payer.dispute(second, "lost", 20_000, ref="dp_2", now=LATER)
    assert (placed(payer), placed(payer, "dp_2")) == ((15_000, 0, 2_000), (20_000, 0, 0))
    if way == "payout":
        payouts.rejected(books.session, number, why="closed", actor=KARI, now=LATER)
    else:
        assert payer.tell(asked, NO, LATER) == "failed"
    assert (placed(payer), books.credit(payer.agreement)) == ((15_000, 2_000, 0), 3_000)
    books.prove(LATER)


def test_what_a_bank_takes_beyond_a_payment_is_not_taken_of_what_comes_back(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    other = payer.paid(20_000, 5_000, now=LATER)
    free(payer, other, 1)
    row = refund.request(books.session, other.id, amount_ore=5_000, reason="x", actor=KARI, now=LATER)
    payer.call(row, LATER)
    payer.dispute(charge, "lost", 22_000, now=LATER)
    assert placed(payer) == (20_000, 0, 2_000)
    payer.tell(row, Declined(None, "expired_or_canceled_card", "No.", needs_customer=False, retry="never"), LATER)
    assert placed(payer) == (20_000, 0, 2_000)
    assert row.state == "failed"
    books.prove(LATER)


def test_the_invoice_of_one_loss_does_not_spend_what_another_dispute_holds(books: Books) -> None:
    """200 and 150 + 50 are disputed, the 50 are in credit; the first is lost, then the other."""
    payer = CardPayer(books)
    first, second = payer.paid(20_000), payer.paid(15_000, 5_000, now=LATER)
    free(payer, second, 1)
    payer.dispute(first, "open", 20_000, ref="dp_1", now=LATER)
    payer.dispute(second, "open", 20_000, ref="dp_2", now=LATER)
    payer.dispute(first, "lost", 20_000, ref="dp_1", now=LATER)
    assert (placed(payer, "dp_1"), books.credit(payer.agreement)) == ((20_000, 0, 0), 5_000)
    payer.dispute(second, "lost", 20_000, ref="dp_2", now=LATER)
    assert (placed(payer, "dp_2"), books.credit(payer.agreement)) == ((15_000, 5_000, 0), 0)
    books.prove(LATER)


def test_no_more_is_taken_than_came_back(books: Books) -> None:
    """Of two payouts one is refused; the other was paid, and what the holder has in credit otherwise is theirs."""
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    free(payer, charge, 1)
    pay_out(payer, 3_000)
    row = ordered(payer, 2_000)
    payer.dispute(charge, "lost", 20_000)
    other = books.invoice(payer.agreement, 9_000)
    books.pay(other.kid, 13_000, CHARGED + DAY)
    payouts.rejected(books.session, row.id, why="closed", actor=KARI, now=LATER)
    assert (placed(payer), books.credit(payer.agreement)) == ((15_000, 2_000, 3_000), 4_000)
    books.prove(LATER)


def test_a_payout_that_the_bank_refuses_during_the_dispute_pays_nothing_past_due(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    free(payer, charge, 1)
    row = ordered(payer, 5_000)
    due = books.invoice(payer.agreement, 4_000, due=CHARGED - DAY)
    payer.dispute(charge, "open", 20_000)
    payouts.rejected(books.session, row.id, why="closed", actor=KARI, now=NOW)
    assert (books.open_ore(due), books.credit(payer.agreement)) == (4_000, 5_000)
    books.prove(NOW)
    payer.dispute(charge, "lost", 20_000)
    assert (placed(payer), books.open_ore(due)) == ((15_000, 5_000, 0), 4_000)
    books.prove(NOW)


def test_what_was_withheld_pays_what_is_past_due_when_the_dispute_is_won(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    back(payer, charge, 1)
    due = books.invoice(payer.agreement, 4_000, due=CHARGED - DAY)
    payer.dispute(charge, "open", 20_000)
    assert (books.open_ore(due), books.credit(payer.agreement)) == (4_000, 5_000)
    payer.dispute(charge, "won", 20_000, 20_000)
    assert (books.open_ore(due), books.credit(payer.agreement)) == (0, 1_000)
    books.prove(NOW)


def test_what_a_loss_leaves_of_what_was_withheld_pays_what_is_past_due(books: Books) -> None:
    """All of it was to be refunded, and the bank takes only a part."""
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    payer.ask_back(charge)
    due = books.invoice(payer.agreement, 4_000, due=CHARGED - DAY)
    payer.dispute(charge, "open", 15_000)
    assert (books.open_ore(due), books.credit(payer.agreement)) == (0, 16_000), "what is free of it pays at once"
    payer.dispute(charge, "lost", 15_000)
    assert placed(payer) == (0, 15_000, 0)
    assert (books.open_ore(due), books.credit(payer.agreement)) == (0, 1_000)
    books.prove(NOW)


def test_what_another_dispute_would_take_of_its_own_claim_is_free(books: Books) -> None:
    payer = CardPayer(books)
    first = payer.paid(15_000, 5_000)
    free(payer, first, 1)
    row = ordered(payer, 5_000)
    due = books.invoice(payer.agreement, 4_000, due=CHARGED - DAY)
    second = payer.paid(20_000, now=LATER)
    payer.dispute(first, "open", 20_000, now=LATER)
    payer.dispute(second, "open", 20_000, ref="dp_2", now=LATER)
    payouts.rejected(books.session, row.id, why="closed", actor=KARI, now=LATER)
    assert (books.open_ore(due), books.credit(payer.agreement)) == (4_000, 5_000)
    payer.dispute(first, "won", 20_000, 20_000, now=LATER)
    assert (books.open_ore(due), books.credit(payer.agreement)) == (0, 1_000), "the second would be owed again"
    payer.dispute(second, "won", 20_000, 20_000, ref="dp_2", now=LATER)
    assert (books.open_ore(due), books.credit(payer.agreement)) == (0, 1_000)
    books.prove(LATER)


def overdue(books: Books, payer: CardPayer) -> Invoice:
    """An invoice that nobody pays; the bank's files are read and the agreement is blocked for it."""
    due = books.invoice(payer.agreement, 4_000)
    other = books.invoice(books.agreement(), 9_000)
    books.pay(other.kid, 9_000, DUE + 3 * DAY)
    today = DUE + 4 * DAY
    step(books.session, find_reach(books.session, [OURS], today), 0, today, noon(today))
    assert books.standing(payer.agreement) == "blocked"
    return due


def test_an_agreement_that_is_blocked_is_so_no_more_when_what_was_withheld_has_paid(books: Books) -> None:
    """Its credit was on its way to the card when the invoice fell due; nobody looks at a blocked agreement again."""
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    row = back(payer, charge, 1)
    due = overdue(books, payer)
    opened, ended = noon(DUE + 5 * DAY), noon(DUE + 20 * DAY)
    payer.dispute(charge, "open", 20_000, now=opened)
    books.session.refresh(row)
    assert (row.state, books.open_ore(due), books.standing(payer.agreement)) == ("cancelled", 4_000, "blocked")
    payer.dispute(charge, "won", 20_000, 20_000, now=ended)
    assert (books.open_ore(due), books.credit(payer.agreement)) == (0, 1_000)
    assert books.standing(payer.agreement) == "awaiting_reopen"
    books.prove(ended)


@pytest.mark.parametrize("approved", [True, False])
def test_a_refund_over_another_payment_is_stopped_when_a_dispute_opens(books: Books, approved: bool) -> None:
    payer = CardPayer(books)
    first, row = over_another(payer, 5_000)
    if not approved:
        row.state, row.approved_at = "requested", None
    payer.dispute(first, "open", 20_000, now=LATER)
    books.session.refresh(row)
    assert (row.state, row.ended_by, books.credit(payer.agreement)) == ("cancelled", "card gateway", 5_000)
    with pytest.raises(Conflict):
        refund.approve(books.session, row.id, actor=OLA, now=AFTER)
    payer.dispute(first, "lost", 20_000, now=AFTER)
    assert placed(payer) == (15_000, 5_000, 0)
    books.prove(AFTER)


def test_no_more_is_stopped_than_is_disputed_and_the_last_first(books: Books) -> None:
    payer = CardPayer(books)
    first = payer.paid(15_000, 5_000)
    free(payer, first, 1)
    second = payer.paid(20_000, now=LATER)
    rows = [
        refund.request(books.session, second.id, amount_ore=ore, reason="x", actor=KARI, now=LATER)
        for ore in (1_000, 2_000, 2_000)
    ]
    payer.dispute(first, "open", 1_500, now=LATER)
    for row in rows:
        books.session.refresh(row)
    assert [row.state for row in rows] == ["approved", "approved", "cancelled"]
    payer.dispute(first, "open", 3_000, now=LATER)
    for row in rows:
        books.session.refresh(row)
    assert [row.state for row in rows] == ["approved", "cancelled", "cancelled"], "the bank took more"
    payer.give(rows[0], LATER)
    books.prove(LATER)


class Counting:
    """A gateway that makes every refund, and counts them."""

    def __init__(self) -> None:
        self.made = 0

    def refund(self, *, amount_ore: int, **_asked: object) -> Outcome:
        """Make it."""
        self.made += 1
        return Succeeded(f"re_{self.made}", amount_ore, now_utc())


@pytest.mark.parametrize("disputed", [True, False])
def test_a_refund_over_another_payment_is_not_sent_when_the_dispute_opens_at_that_moment(
    books: Books, sessions: SessionFactory, disputed: bool
) -> None:
    payer = CardPayer(books)
    first, row = over_another(payer, 5_000)
    ready = refund_call.prepare(books.session, row.id, now=LATER, real=now_utc())
    assert ready is not None
    if disputed:
        payer.dispute(first, "open", 20_000, now=LATER)
    assert row.state == "unknown"
    books.session.commit()
    counting = Counting()
    as_gateway: CardGateway = counting  # type: ignore[assignment]
    told = refund_call.send(sessions, as_gateway, ready)
    assert counting.made == (not disputed)
    assert payer.tell(row, told, LATER) == ("unknown" if disputed else "succeeded")
    if disputed:
        assert refund_call.forget(books.session, row.id, real=now_utc() + dt.timedelta(hours=3)) == "approved"
        assert refund_call.prepare(books.session, row.id, now=LATER, real=now_utc()) is None
        assert (row.state, books.credit(payer.agreement)) == ("cancelled", 5_000)
    books.prove(LATER)


def test_a_dispute_that_opens_waits_for_a_payout_of_its_agreement_and_holds_no_other(
    books: Books, engine: Engine
) -> None:
    """It locks them in the order of their ids, as an order to the bank does: neither waits for the other for ever."""
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    free(payer, charge, 1)
    first, last = pay_out(payer, 1_000), pay_out(payer, 2_000)
    attempt = books.session.query(Attempt).filter_by(charge_id=charge.id).one()
    told = DisputeDetails("dp_1", str(attempt.provider_ref), 20_000, "open", "fraudulent", 20_000)
    books.session.commit()

    def other() -> str:
        with session_factory(engine).begin() as session:
            return dispute.apply(session, dispute.Look(told), seller=SELLER, now=NOW)

    one = "SELECT id FROM payouts WHERE id = :id FOR NO KEY UPDATE NOWAIT"
    books.session.execute(text(one), {"id": first.id})
    beside = Beside(engine, other)
    assert beside.waited
    assert books.one(one, id=last.id) == last.id
    books.session.commit()
    assert beside.result() == "opened"
    for row in (first, last):
        books.session.refresh(row)
    assert [first.state, last.state] == ["cancelled", "cancelled"]
    books.prove(NOW)
