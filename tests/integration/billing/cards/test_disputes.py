"""Disputes: what a bank takes back, in any order of events; owed again when lost, and the books right at each step."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from billing.cards import dispute, refund
from billing.cards.gateway import DisputeDetails, GatewayUnavailable, Succeeded, Unknown
from billing.cards.models import Attempt, Card, Charge
from billing.cards.outcome import give_up
from billing.collection.overdue import find_reach, step
from config.clock import now_utc
from config.problems import Conflict
from tests.integration.billing.books import DAY, DUE, OURS, SELLER, Books, noon
from tests.integration.billing.cards.payer import CHARGED, KARI, NOW, CardPayer

Reading = tuple[Literal["open", "won", "lost"], int, int]


def refused(payer: CardPayer) -> str | None:
    """Why the card is not charged."""
    session = payer.books.session
    session.expire_all()
    return session.query(Card).filter_by(agreement_id=payer.agreement).one().refused_code


def last_document(books: Books, charge: Charge) -> tuple[int, int, bool, bool]:
    """The document that presents the charge's claim now: total, paid (øre), whether it is due, and a card's receipt."""
    row = books.session.execute(
        text(
            "SELECT total_ore, paid_ore + credit_used_ore AS paid, due_on IS NOT NULL AND kid IS NOT NULL AS due, "
            "paid_by IS NOT NULL AS receipt FROM documents WHERE claim_id = :c AND credits_id IS NULL "
            "ORDER BY version DESC LIMIT 1"
        ),
        {"c": charge.claim_id},
    ).one()
    return row.total_ore, row.paid, row.due, row.receipt


def test_a_lost_one_is_owed_again_on_an_invoice_without_the_fee(books: Books) -> None:
    payer = CardPayer(books, "commercial")
    charge = payer.paid(20_000)
    assert payer.dispute(charge, "open", 20_450) == "opened"
    assert refused(payer) == "disputed"
    assert (payer.account("disputes"), payer.account("card_clearing")) == (20_450, 0)
    books.prove(NOW)
    for _ in range(2):
        assert payer.dispute(charge, "lost", 20_450) == "lost"
    assert payer.claim(charge) == (20_000, 0, 0)
    assert last_document(books, charge) == (20_000, 0, True, False)
    assert (payer.account("disputes"), payer.account("card_fees")) == (0, 0)
    row = payer.the_dispute()
    assert (row.claim_ore, row.credit_ore, row.written_off_ore) == (20_450, 0, 0)
    assert books.told(payer.agreement)[-2:] == ["reissued", "card_dispute_lost"]
    assert refused(payer) == "disputed", "a card whose holder's bank took the money is not charged again"
    books.prove(NOW)
    kid = str(books.value("SELECT kid FROM documents WHERE claim_id = :c AND due_on IS NOT NULL", c=charge.claim_id))
    books.pay(kid, 20_000, CHARGED + DAY)
    assert payer.claim(charge) == (20_000, 0, 20_000)
    books.prove(noon(CHARGED + 3 * DAY))


def test_it_blocks_when_it_is_not_paid_then_either(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    payer.dispute(charge, "lost", 20_000)
    day = CHARGED + 40 * DAY
    step(books.session, find_reach(books.session, [OURS], day), 0, day, noon(day))
    assert books.standing(payer.agreement) == "blocked"
    books.prove(noon(day))


def test_a_won_one_is_as_if_it_had_not_been(books: Books) -> None:
    payer = CardPayer(books, "commercial")
    charge = payer.paid(20_000)
    payer.dispute(charge, "open", 20_450)
    assert payer.dispute(charge, "won", 20_450) == "opened", "the money is not back yet"
    books.prove(NOW)
    for _ in range(2):
        assert payer.dispute(charge, "won", 20_450, 20_450) == "won"
    assert refused(payer) is None
    assert payer.claim(charge) == (20_450, 450, 20_450)
    assert (payer.account("disputes"), payer.account("card_clearing")) == (0, 20_450)
    books.prove(NOW)
    assert payer.dispute(charge, "open", 20_450) == "won", "an old reading undoes nothing"
    assert payer.dispute(charge, "lost", 20_450) == "won"
    books.prove(NOW)


def test_the_first_that_is_heard_may_be_the_end(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    assert payer.dispute(charge, "won", 20_000, 20_000) == "won"
    assert books.one("SELECT count(*) FROM transfers WHERE code LIKE 'card_dispute%'") == 2
    assert refused(payer) is None
    books.prove(NOW)


def test_an_inquiry_takes_nothing(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    assert payer.dispute(charge, "open") == "opened"
    books.prove(NOW)
    assert payer.dispute(charge, "won") == "won"
    assert (payer.account("card_clearing"), refused(payer)) == (20_000, None)
    books.prove(NOW)


def test_an_inquiry_may_become_one_that_takes(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    payer.dispute(charge, "open", amount=20_000)
    assert payer.dispute(charge, "lost", amount=20_000) == "opened", "nothing has been taken yet"
    assert payer.dispute(charge, "lost", 20_000) == "lost"
    books.prove(NOW)


def test_a_lost_one_whose_money_came_back_is_won(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    assert payer.dispute(charge, "lost", 20_000, 20_000) == "won"
    books.prove(NOW)


def test_of_a_lost_one_only_what_is_gone_is_owed(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    assert payer.dispute(charge, "lost", 20_000, 5_000) == "lost"
    assert payer.claim(charge) == (20_000, 0, 5_000)
    assert payer.account("card_clearing") == 5_000
    assert last_document(books, charge) == (20_000, 5_000, True, False)
    books.prove(NOW)


def test_a_part_leaves_the_rest_paid_and_the_fee(books: Books) -> None:
    payer = CardPayer(books, "commercial")
    charge = payer.paid(20_000)
    assert payer.dispute(charge, "lost", 10_000) == "lost"
    assert payer.claim(charge) == (20_450, 450, 10_450)
    assert last_document(books, charge) == (20_450, 10_450, True, False)
    books.prove(NOW)
    assert payer.dispute(charge, "lost", 10_450, ref="dp_2") == "lost"
    assert payer.claim(charge) == (20_000, 0, 0), "nothing is paid by the card any more"
    books.prove(NOW)


def test_what_was_refunded_in_part(books: Books) -> None:
    payer = CardPayer(books, "commercial")
    charge = payer.paid(15_000, 5_000)
    row = payer.ask_back(charge, 1)
    payer.give(row)
    assert payer.dispute(charge, "lost", 15_338) == "lost"
    assert payer.claim(charge) == (15_000, 0, 0)
    assert payer.account("card_clearing") == 0
    books.prove(NOW)


def test_what_was_credited_and_not_refunded_comes_out_of_the_credit(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    row = payer.ask_back(charge, 1)
    payer.dispute(charge, "open", 20_000)
    assert (row.state, books.credit(payer.agreement)) == ("cancelled", 5_000), "what was asked for is stopped"
    with pytest.raises(Conflict) as disputed:
        refund.request(books.session, charge.id, amount_ore=None, reason="x", actor=KARI, now=NOW)
    assert disputed.value.type.endswith("charge-disputed")
    with pytest.raises(Conflict):
        refund.give_back(books.session, charge.id, reason="x", seller=SELLER, actor=KARI, now=NOW)
    payer.dispute(charge, "lost", 20_000)
    one = payer.the_dispute()
    assert (one.claim_ore, one.credit_ore, one.written_off_ore) == (15_000, 5_000, 0)
    assert books.credit(payer.agreement) == 0
    books.prove(NOW)


def test_what_is_spent_is_ours_to_bear(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    due = books.invoice(payer.agreement, 4_000, due=CHARGED - DAY)
    refund.give_back(books.session, charge.id, [payer.passages[1]], reason="x", seller=SELLER, actor=KARI, now=NOW)
    assert books.open_ore(due) == 0
    payer.dispute(charge, "lost", 20_000)
    one = payer.the_dispute()
    assert (one.claim_ore, one.credit_ore, one.written_off_ore) == (15_000, 1_000, 4_000)
    assert payer.account("write_off") == 5_000 + 4_000, "the passage that was credited, and what was used"
    books.prove(NOW)


def test_money_that_was_paid_after_all(books: Books) -> None:
    """Its credit is taken first; what it paid of its own charge's invoice is owed again."""
    payer = CardPayer(books, "commercial")
    charge = payer.charge(20_000)
    first = payer.attempt(charge)
    first.state, first.ended_at = "nothing", NOW
    books.session.flush()
    give_up(books.session, charge, seller=SELLER, now=NOW)
    payer.pay(first)
    assert (payer.claim(charge), books.credit(payer.agreement)) == ((20_000, 0, 20_000), 450)
    assert payer.dispute(charge, "lost", 20_450, attempt=first) == "lost"
    one = payer.the_dispute()
    assert (one.claim_ore, one.credit_ore, one.written_off_ore) == (20_000, 450, 0)
    assert payer.claim(charge) == (20_000, 0, 0)
    assert last_document(books, charge)[2:] == (True, False)
    books.prove(NOW)


def test_credit_pays_what_is_owed_again_and_it_is_no_receipt(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    other = books.invoice(payer.agreement, 9_000)
    books.pay(other.kid, 40_000, DUE)
    payer.dispute(charge, "lost", 20_000, now=noon(DUE + DAY))
    assert payer.claim(charge) == (20_000, 0, 20_000)
    assert last_document(books, charge) == (20_000, 20_000, True, False)
    books.prove(noon(DUE + DAY))


def test_of_another_it_is_ignored(books: Books) -> None:
    payer = CardPayer(books)
    payer.paid(20_000)
    told = DisputeDetails("dp_9", "pi_other", 100, "lost", "fraudulent", 100, attempt="7", charge="9" * 30)
    assert dispute.apply(books.session, dispute.Look(told), seller=SELLER, now=NOW) == "ignored"


def test_it_may_be_heard_of_before_the_payment_is(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.charge(20_000)
    attempt = payer.attempt(charge)
    told = DisputeDetails(
        "dp_1", "pi_1", 20_000, "open", "fraudulent", 20_000, attempt=str(attempt.id), charge=str(charge.id),
        customer=f"cus_{payer.agreement}",
    )  # fmt: skip
    with pytest.raises(GatewayUnavailable):
        dispute.apply(books.session, dispute.Look(told, Unknown("?")), seller=SELLER, now=NOW)
    paid = Succeeded("pi_1", 20_000, now_utc())
    assert dispute.apply(books.session, dispute.Look(told, paid), seller=SELLER, now=NOW) == "opened"
    assert (attempt.state, payer.account("disputes")) == ("succeeded", 20_000)
    books.prove(NOW)


def test_two_disputes_of_a_card_and_one_is_won(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    payer.dispute(charge, "open", 8_000)
    payer.dispute(charge, "open", 5_000, ref="dp_2")
    payer.dispute(charge, "won", 8_000, 8_000)
    assert refused(payer) == "disputed"
    payer.dispute(charge, "won", 5_000, 5_000, ref="dp_2")
    assert refused(payer) is None
    books.prove(NOW)


def test_a_lost_card_stays_lost(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    books.session.execute(text("UPDATE cards SET refused_code = 'stolen_card'"))
    payer.dispute(charge, "open", 20_000)
    assert refused(payer) == "stolen_card"
    payer.dispute(charge, "won", 20_000, 20_000)
    assert refused(payer) == "stolen_card"


@settings(max_examples=7, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_order_comes_to_the_same(books: Books, data: st.DataObject) -> None:
    """Readings of a dispute in any order and number, the end among them: the books hold at each, and at the end the
    card clearing is what the provider's books say."""
    with books.session.begin_nested() as all_:
        payer = CardPayer(books, data.draw(st.sampled_from(["consumer", "commercial"])))
        charge = payer.paid(*data.draw(st.sampled_from([(20_000,), (15_000, 5_000)])))
        whole = payer.account("card_clearing")
        if len(payer.passages) == 2 and data.draw(st.sampled_from([True, False])):
            row = refund.give_back(
                books.session, charge.id, [payer.passages[1]], reason="x", seller=SELLER, actor=KARI, now=NOW
            ).refund
            assert row is not None
            payer.give(row)
            whole = payer.account("card_clearing")
        won = data.draw(st.sampled_from([True, False]))
        gone = whole if won else data.draw(st.integers(1, whole))
        end: Reading = ("won", gone, gone) if won else ("lost", gone, 0)
        before: list[Reading] = [("open", 0, 0), ("open", gone, 0), ("open", gone, 0)]
        if won and data.draw(st.booleans()):
            before.append(("lost", gone, 0))  # it was lost first, and came back
        readings = data.draw(st.permutations([*before, end, end]))
        for status, withdrawn, returned in readings:
            payer.dispute(charge, status, withdrawn, returned, amount=gone)
            books.prove(NOW)
        assert payer.the_dispute().state == end[0]
        assert payer.account("disputes") == 0
        assert payer.account("card_clearing") == (whole if won else whole - gone)
        all_.rollback()


def test_the_attempt_is_found_by_its_reference_first(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(20_000)
    ref = books.session.query(Attempt).filter_by(charge_id=charge.id).one().provider_ref
    assert ref is not None
    assert dispute.attempt_of(books.session, DisputeDetails("dp", ref, 1, "open", "x")) is not None
