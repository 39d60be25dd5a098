"""Refunds over Vipps: never more than there is, a second person above the figure, and every answer Vipps can give."""

from __future__ import annotations

import datetime as dt

import pytest

from billing.payments.vipps import refund
from billing.payments.vipps.refund_call import refund_one
from config.problems import Conflict, Forbidden, Invalid, NotFound
from config.rates import whole
from simulator.vipps import VippsServer
from tests.integration.billing.books import DAY
from tests.integration.billing.payments.vipps.payer import KARI, NOW, OLA, PAID, Payer


@pytest.fixture
def reference(payer: Payer) -> str:
    """A payment of 12,345 øre by Vipps, of an agreement that has 12,345 øre in credit beside."""
    made = payer.begin()
    payer.server.do(made.reference, "approve")
    assert payer.carry() == "captured"
    payer.overpaid(12_345)
    return made.reference


def test_credit_goes_back_the_way_it_came(payer: Payer, vipps: VippsServer, reference: str) -> None:
    row = payer.ask_back(reference, 2_345)
    assert row.state == "approved"
    assert payer.give(row) == "succeeded"
    assert payer.give(row) == "skipped"
    assert vipps.books()["refunded_ore"] == 2_345
    assert payer.books.credit(payer.invoice.agreement) == 10_000
    assert payer.books.told(payer.invoice.agreement).count("vipps_refunded") == 1
    payer.prove()


def test_never_more_than_was_captured_nor_than_there_is(payer: Payer, reference: str) -> None:
    payer.ask_back(reference, 12_000)
    with pytest.raises(Conflict) as over:
        payer.ask_back(reference, 346)
    assert over.value.type.endswith("over-payment")
    assert over.value.extra["left_ore"] == 345
    rest = payer.ask_back(reference, None)
    assert rest.amount_ore == 345
    with pytest.raises(Conflict):
        payer.ask_back(reference, None)
    payer.prove()


def test_credit_that_is_not_there_does_not_leave(payer: Payer, vipps: VippsServer) -> None:
    reference = payer.pay()
    with pytest.raises(Conflict) as none:
        payer.ask_back(reference, 100)
    assert none.value.type.endswith("not-enough-credit")


@pytest.mark.parametrize(("ore", "reason"), [(0, "x"), (-5, "x"), (5, " "), (5, "x" * 301)])
def test_wrong_questions_are_refused(payer: Payer, reference: str, ore: int, reason: str) -> None:
    session = payer.books.session
    session.rollback()
    with pytest.raises(Invalid):
        refund.request(session, reference, amount_ore=ore, reason=reason, actor=KARI, now=NOW)
    with pytest.raises(NotFound):
        refund.request(session, "brikke-none-0000", amount_ore=5, reason="x", actor=KARI, now=NOW)


def test_after_a_year_it_is_too_late(payer: Payer, vipps: VippsServer, reference: str) -> None:
    late = NOW + dt.timedelta(days=365, minutes=1)
    with pytest.raises(Conflict) as old:
        payer.ask_back(reference, 100, late)
    assert old.value.type.endswith("too-old")
    row = payer.ask_back(reference, 100)
    assert payer.give(row, late) == "skipped"  # asked for in time, and not called for in time
    payer.books.session.rollback()
    assert refund.locked(payer.books.session, row.id).state == "cancelled"
    assert vipps.books()["refunded_ore"] == 0
    payer.prove(late)


def test_above_the_figure_a_second_person_approves(payer: Payer, vipps: VippsServer) -> None:
    figure = whole("card_refund_second_approver_ore", PAID)
    payer.invoice = payer.books.invoice(payer.books.agreement(), figure + 5_000)
    payer.books.session.commit()
    reference = payer.pay()
    payer.overpaid(figure + 5_000)
    assert payer.ask_back(reference, figure).state == "approved"
    second = payer.ask_back(reference, 1)  # together they pass the figure
    assert second.state == "requested"
    session = payer.books.session
    with pytest.raises(Forbidden):
        refund.approve(session, second.id, actor=KARI, now=NOW)
    session.rollback()
    assert payer.give(second) == "skipped"
    session.rollback()
    assert refund.approve(session, second.id, actor=OLA, now=NOW).state == "approved"
    session.commit()
    assert payer.give(second) == "succeeded"
    payer.prove()


def test_what_is_stopped_is_credit_again(payer: Payer, vipps: VippsServer, reference: str) -> None:
    row, session = payer.ask_back(reference, 1_000), payer.books.session
    assert refund.cancel(session, row.id, actor=OLA, now=NOW).state == "cancelled"
    assert refund.cancel(session, row.id, actor=OLA, now=NOW).state == "cancelled"
    session.commit()
    assert payer.books.credit(payer.invoice.agreement) == 12_345
    assert payer.give(row) == "skipped"
    done = payer.ask_back(reference, 1_000)
    payer.give(done)
    session.rollback()
    with pytest.raises(Conflict):
        refund.cancel(session, done.id, actor=OLA, now=NOW)
    session.rollback()
    payer.prove()


def test_what_vipps_refuses_is_credit_again_and_told(payer: Payer, vipps: VippsServer, reference: str) -> None:
    row = payer.ask_back(reference, 1_000)
    vipps.fault("refuse", on="refund", title="No money on your account")
    assert payer.give(row) == "failed"
    payer.books.session.rollback()
    assert refund.locked(payer.books.session, row.id).code == "No money on your account"
    assert payer.books.credit(payer.invoice.agreement) == 12_345
    assert payer.books.told(payer.invoice.agreement)[-1] == "vipps_refund_failed"
    payer.prove()


@pytest.mark.parametrize("fault", [("error", "before"), ("error", "after"), ("timeout", "before"),
                                   ("timeout", "after"), ("rate_limit", "after"), ("garbage", "after")])  # fmt: skip
def test_a_refund_without_an_answer_is_asked_about(
    payer: Payer, vipps: VippsServer, reference: str, fault: tuple[str, str]
) -> None:
    row = payer.ask_back(reference, 1_000)
    vipps.fault(fault[0], on="refund", when=fault[1], hold_seconds=3)
    assert payer.give(row) == "unknown"
    assert payer.give(row) == "skipped"
    assert payer.sweep(row) == "succeeded"
    assert payer.sweep(row) == "skipped"
    assert vipps.books()["refunded_ore"] == 1_000
    payer.prove()


def test_one_that_was_made_and_then_refused_as_too_much_is_made(
    payer: Payer, vipps: VippsServer, reference: str
) -> None:
    """The key is forgotten there: what Vipps says on the second time is no reason to give the credit back."""
    row = payer.ask_back(reference, 12_345)
    vipps.fault("error", on="refund", when="after")
    vipps.fault("error", on="get", when="before")
    assert payer.give(row) == "unknown"
    vipps.world.books.keys.clear()
    assert payer.sweep(row) == "unknown"
    assert payer.sweep(row) == "succeeded"
    assert vipps.books()["refunded_ore"] == 12_345
    payer.prove()


def test_one_that_was_certainly_never_made_is_called_for_anew(payer: Payer, vipps: VippsServer, reference: str) -> None:
    row = payer.ask_back(reference, 1_000)
    vipps.fault("error", on="refund", when="before")
    assert payer.give(row) == "unknown"
    payer.hour_later()
    assert payer.sweep(row) == "unknown"
    payer.books.session.rollback()
    assert refund.locked(payer.books.session, row.id).state == "approved"
    payer.books.session.rollback()
    assert payer.give(row) == "succeeded"
    assert vipps.books()["refunded_ore"] == 1_000
    payer.prove()


def test_one_that_was_made_after_all_is_not_made_twice(payer: Payer, vipps: VippsServer, reference: str) -> None:
    """Its request arrives when nobody believes in it any more, and before it is called for anew."""
    row = payer.ask_back(reference, 1_000)
    vipps.fault("error", on="refund", when="before")
    assert payer.give(row) == "unknown"
    payer.hour_later()
    assert payer.sweep(row) == "unknown"
    vipps.do(reference, "refund", 1_000)
    assert payer.carry() == "captured"
    assert payer.give(row) == "skipped"
    payer.books.session.rollback()
    assert refund.locked(payer.books.session, row.id).state == "succeeded"
    assert vipps.books()["refunded_ore"] == 1_000
    payer.prove()


def test_of_a_payment_one_refund_is_under_way_at_a_time(payer: Payer, vipps: VippsServer, reference: str) -> None:
    first, second = payer.ask_back(reference, 1_000), payer.ask_back(reference, 2_000)
    vipps.fault("error", on="refund", when="before")
    assert payer.give(first) == "unknown"
    assert payer.give(second) == "skipped"
    assert payer.sweep(first) == "succeeded"
    assert payer.give(second) == "succeeded"
    assert vipps.books()["refunded_ore"] == 3_000
    payer.prove()


def test_what_was_given_back_by_hand_is_in_the_books(payer: Payer, vipps: VippsServer, reference: str) -> None:
    """In Vipps's portal: it takes what credit there is; what there is not we bear."""
    payer.give(payer.ask_back(reference, 12_000))
    vipps.do(reference, "refund", 345)
    assert payer.carry() == "captured"
    assert payer.books.credit(payer.invoice.agreement) == 0
    payer.prove()
    other = payer.books.invoice(payer.invoice.agreement, 5_000, run="other", due=PAID + 30 * DAY)
    payer.books.session.commit()
    payer.invoice = other
    second = payer.pay()
    vipps.do(second, "refund", 700)
    assert payer.carry() == "captured"
    assert payer.account("write_off") == 700
    payer.prove()


def test_a_refund_is_for_the_payment_it_is_of(payer: Payer, vipps: VippsServer, reference: str) -> None:
    row = payer.ask_back(reference, 1_000)
    payer.books.session.rollback()
    assert refund_one(payer.sessions, payer.client, row.id, now=NOW) == "succeeded"
    assert vipps.books()["payments"][reference]["refunded"] == 1_000
