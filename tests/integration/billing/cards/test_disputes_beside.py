"""Disputes that meet refunds and corrections: nothing goes back twice, and what did is ours to bear."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from billing.audit.audit import audit
from billing.cards import dispute, refund
from billing.cards.gateway import Declined, DisputeDetails, Succeeded
from billing.cards.models import Attempt, Charge
from billing.invoices.reissue import reissue
from billing.passages.credit import credit
from billing.payments import payouts
from config.clock import now_utc
from config.database import session_factory
from config.problems import Conflict
from tests.integration.billing.beside import Beside
from tests.integration.billing.books import DAY, SELLER, Books, noon
from tests.integration.billing.cards.payer import CHARGED, KARI, NOW, CardPayer


def test_a_refund_asked_for_at_the_same_moment_is_stopped(books: Books, engine: Engine) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    attempt = books.session.query(Attempt).filter_by(charge_id=charge.id).one()
    told = DisputeDetails("dp_1", str(attempt.provider_ref), 20_000, "open", "fraudulent", 20_000)
    books.session.commit()

    def other() -> str:
        with session_factory(engine).begin() as session:
            return dispute.apply(session, dispute.Look(told), seller=SELLER, now=NOW)

    row = payer.ask_back(charge)
    beside = Beside(engine, other)
    assert beside.waited
    books.session.commit()
    assert beside.result() == "opened"
    books.session.refresh(row)
    assert (row.state, books.credit(payer.agreement)) == ("cancelled", 20_000)
    books.prove(NOW)


def test_a_refund_under_way_when_it_is_opened_fails_and_its_credit_bears_the_loss(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    row = payer.ask_back(charge, 1)
    payer.call(row)
    payer.dispute(charge, "open", 20_000)
    assert row.state == "unknown"
    books.prove(NOW)
    no = Declined(None, "charge_disputed", "No.", needs_customer=False, retry="never")
    assert payer.tell(row, no) == "failed"
    books.prove(NOW)
    payer.dispute(charge, "lost", 20_000)
    one = payer.the_dispute()
    assert (one.claim_ore, one.credit_ore, one.written_off_ore) == (15_000, 5_000, 0)
    books.prove(NOW)


def test_what_was_given_away_twice_is_written_off(books: Books) -> None:
    """A refund that was made, and a bank that takes all of it back as well: the loss is ours."""
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    row = payer.ask_back(charge, 1)
    payer.give(row)
    payer.dispute(charge, "lost", 20_000)
    one = payer.the_dispute()
    assert (one.claim_ore, one.credit_ore, one.written_off_ore) == (15_000, 0, 5_000)
    assert payer.account("card_clearing") == -5_000
    books.prove(NOW)


def test_what_a_bank_took_for_good_is_not_refunded_as_well(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    payer.dispute(charge, "lost", 10_000)
    done = refund.give_back(
        books.session, charge.id, [payer.passages[1]], reason="x", seller=SELLER, actor=KARI, now=NOW
    )
    assert done.refund is None, "less is owed, and nothing of it was paid too much"
    assert payer.claim(charge) == (15_000, 0, 10_000)
    books.prove(NOW)
    other = books.invoice(payer.agreement, 9_000)
    books.pay(other.kid, 30_000, CHARGED)
    with pytest.raises(Conflict) as over:
        refund.request(books.session, charge.id, amount_ore=10_001, reason="x", actor=KARI, now=noon(CHARGED + DAY))
    assert over.value.extra["left_ore"] == 10_000
    row = refund.request(books.session, charge.id, amount_ore=None, reason="x", actor=KARI, now=noon(CHARGED + DAY))
    assert row.amount_ore == 10_000
    books.prove(noon(CHARGED + DAY))


@pytest.mark.parametrize(
    ("credited", "withdrawn", "claim", "in_credit"),
    [
        ([1], 20_450, (15_000, 0, 0), 0),
        ([1], 2_000, (15_338, 338, 15_338), 3_112),
        ([0, 1], 20_450, (0, 0, 0), 0),
        ([0, 1], 2_000, (0, 0, 0), 18_450),
    ],
)
def test_what_was_credited_and_not_yet_issued_joins(
    books: Books, credited: list[int], withdrawn: int, claim: tuple[int, int, int], in_credit: int
) -> None:
    payer = CardPayer(books, "commercial")
    charge = payer.paid(15_000, 5_000)
    for one in credited:
        credit(books.session, payer.agreement, payer.passages[one], reason="x", actor=KARI, now=NOW)
    payer.dispute(charge, "lost", withdrawn)
    assert (payer.claim(charge), books.credit(payer.agreement)) == (claim, in_credit)
    books.prove(NOW)


def test_a_fee_that_is_gone_does_not_come_back(books: Books) -> None:
    """The claim is on an invoice now: issued anew once more, it owes no card's fee again."""
    payer = CardPayer(books, "commercial")
    charge = payer.paid(15_000, 5_000)
    payer.dispute(charge, "lost", 20_450)
    credit(books.session, payer.agreement, payer.passages[1], reason="x", actor=KARI, now=NOW)
    number = books.one("SELECT max(number) FROM documents WHERE claim_id = :c AND kind = 'invoice'", c=charge.claim_id)
    reissue(books.session, number, reason="x", seller=SELLER, now=NOW, actor=KARI)
    assert payer.claim(charge) == (15_000, 0, 0)
    assert payer.account("card_fees") == 0
    books.prove(NOW)


def last_kid(books: Books, charge: Charge) -> str:
    """The KID of the invoice that presents the charge's claim now."""
    query = "SELECT kid FROM documents WHERE claim_id = :c AND due_on IS NOT NULL ORDER BY number DESC LIMIT 1"
    return str(books.value(query, c=charge.claim_id))


@pytest.mark.parametrize("way", ["card", "bank"])
def test_money_that_was_let_go_again_does_not_pay_instead_of_the_card(books: Books, way: str) -> None:
    """50 of 200 are lost and paid by bank; a passage of 50 goes back; then the card's bank takes all that is left."""
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    payer.dispute(charge, "lost", 5_000)
    books.pay(last_kid(books, charge), 5_000, CHARGED + DAY)
    assert payer.claim(charge) == (20_000, 0, 20_000)
    if way == "card":
        payer.give(payer.ask_back(charge, 1))
    else:
        credit(books.session, payer.agreement, payer.passages[1], reason="x", actor=KARI, now=NOW)
        number = books.one("SELECT max(number) FROM documents WHERE claim_id = :c AND kind = 'invoice'",
                           c=charge.claim_id)  # fmt: skip
        reissue(books.session, number, reason="x", seller=SELLER, now=NOW, actor=KARI)
        payouts.request(
            books.session, payer.agreement, amount_ore=5_000, account="15030054323", reason="x", actor=KARI, now=NOW
        )
    left = 10_000 if way == "card" else 15_000
    assert payer.claim(charge) == (15_000, 0, 15_000)
    payer.dispute(charge, "lost", left, ref="dp_2")
    one = payer.the_dispute("dp_2")
    assert (one.claim_ore, one.credit_ore, one.written_off_ore) == (left, 0, 0)
    books.prove(noon(CHARGED + 3 * DAY))


@pytest.mark.parametrize("had_credit", [0, 1_000])
@pytest.mark.parametrize("after_success", [True, False])
def test_a_refund_that_fails_after_its_payment_was_lost_gives_nothing_twice(
    books: Books, after_success: bool, had_credit: int
) -> None:
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    row = payer.ask_back(charge, 1)
    payer.call(row)
    if after_success:
        payer.tell(row, Succeeded("re_1", 5_000, now_utc()))
    if had_credit:
        other = books.invoice(payer.agreement, 9_000)
        books.pay(other.kid, 9_000 + had_credit, CHARGED)
    payer.dispute(charge, "lost", 20_000)
    one = payer.the_dispute()
    assert (one.claim_ore, one.credit_ore, one.written_off_ore) == (15_000, had_credit, 5_000 - had_credit)
    no = Declined("re_1", "expired_or_canceled_card", "No.", needs_customer=False, retry="later")
    later = noon(CHARGED + DAY)
    assert payer.tell(row, no, later) == "failed"
    one = payer.the_dispute()
    assert (one.claim_ore, one.credit_ore, one.written_off_ore) == (15_000, 5_000, 0)
    assert books.credit(payer.agreement) == had_credit, "the bank has given that money; what was taken for it is free"
    assert payer.account("write_off") == 5_000, "the passage that was credited"
    books.prove(later)
    payer.dispute(charge, "won", 20_000, 20_000, now=later)
    assert (payer.claim(charge), books.credit(payer.agreement)) == ((15_000, 0, 15_000), 5_000 + had_credit)
    books.prove(later)


def test_what_a_bank_takes_once_more_is_booked(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    for taken in (8_000, 8_000, 20_000):
        payer.dispute(charge, "open", taken, amount=20_000)
        assert (payer.account("disputes"), payer.account("card_clearing")) == (taken, 20_000 - taken)
        books.prove(NOW)
    payer.dispute(charge, "won", 20_000, 20_000)
    assert (payer.account("disputes"), payer.account("card_clearing")) == (0, 20_000)
    books.prove(NOW)


@pytest.mark.parametrize("parts", [[20_300], [15_000, 5_300]])
def test_what_a_bank_takes_beyond_the_payment_is_ours_to_bear(books: Books, parts: list[int]) -> None:
    """A dispute is usually of the payment's sum, but may differ; together they may be more than it was."""
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    other = books.invoice(payer.agreement, 9_000)
    for number, ore in enumerate(parts):
        if number + 1 == len(parts):
            books.pay(other.kid, 10_000, CHARGED)
        payer.dispute(charge, "lost", ore, ref=f"dp_{number}")
        books.prove(noon(CHARGED + DAY))
    of_each = [payer.the_dispute(f"dp_{number}") for number in range(len(parts))]
    assert sum(one.claim_ore for one in of_each) == 20_000
    assert [one.credit_ore for one in of_each] == [0] * len(parts), "the customer's other money is not touched"
    assert of_each[-1].written_off_ore == payer.account("write_off") == 300


def test_what_was_taken_once_more_and_came_back_unheard_of_is_not_booked(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    payer.dispute(charge, "lost", 20_000)
    later = noon(CHARGED + DAY)
    assert payer.dispute(charge, "won", 40_000, 40_000, amount=20_000, now=later) == "won"
    assert (payer.account("disputes"), payer.account("card_clearing")) == (0, 20_000)
    assert (payer.claim(charge), payer.the_dispute().withdrawn_ore) == ((20_000, 0, 20_000), 20_000)
    books.prove(later)


@pytest.mark.parametrize("paid_otherwise", [0, 5_000])
def test_the_audit_sees_what_a_second_dispute_left_of_money_that_had_come_back(
    books: Books, paid_otherwise: int
) -> None:
    """The first came back, and pays the claim as credit: the second takes it off the claim, not of other credit."""
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    second, third = noon(CHARGED + 2 * DAY), noon(CHARGED + 3 * DAY)
    payer.dispute(charge, "lost", 20_000)
    if paid_otherwise:
        books.pay(last_kid(books, charge), paid_otherwise, CHARGED + DAY)
    payer.dispute(charge, "won", 20_000, 20_000, now=second)
    other = books.invoice(payer.agreement, 9_000)
    books.pay(other.kid, 15_000, CHARGED + DAY)
    payer.dispute(charge, "lost", 20_000, ref="dp_2", now=third)
    one, left = payer.the_dispute("dp_2"), 20_000 - paid_otherwise
    assert (one.claim_ore, one.credit_ore, one.written_off_ore) == (left, paid_otherwise, 0)
    books.prove(third)
    books.session.execute(text("SET LOCAL session_replication_role = replica"))
    books.session.execute(text("DELETE FROM allocations WHERE source = 'dispute' AND source_id = :d"), {"d": one.id})
    one.claim_ore, one.written_off_ore = 0, left
    books.session.flush()
    assert [check.name for check in audit(books.session, ["disputes_claims"]).checks if not check.ok]
