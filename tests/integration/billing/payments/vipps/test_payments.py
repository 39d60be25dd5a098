"""A payment by Vipps from the button to the books, and every way in which it can go otherwise."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest

from billing.claims.settle import Settlement, settle
from billing.payments.vipps.carry import carry_on
from billing.payments.vipps.client import VippsUnavailable
from billing.payments.vipps.record import record
from config.problems import Conflict, Invalid, NotFound
from simulator.vipps import VippsServer
from tests.integration.billing.books import DAY, DUE
from tests.integration.billing.payments.vipps.payer import NOW, PAID, Payer


def test_what_is_open_is_reserved_captured_and_booked_once(payer: Payer, vipps: VippsServer) -> None:
    made = payer.begin()
    assert (made.amount_ore, made.url.startswith(vipps.url)) == (12_345, True)
    assert payer.carry() == "created"
    vipps.do(made.reference, "approve")
    assert payer.carry() == "captured"
    assert payer.carry() == "captured"
    row = payer.row()
    assert (row.captured_ore, row.refunded_ore, row.ended_at is not None) == (12_345, 0, True)
    assert payer.books.open_ore(payer.invoice) == 0
    assert payer.account("vipps_clearing") == 12_345
    assert payer.books.one("SELECT count(*) FROM allocations WHERE source = 'vipps'") == 1
    payer.prove()


def test_it_counts_as_paid_on_the_day_that_they_began(payer: Payer, vipps: VippsServer) -> None:
    made = payer.begin()
    vipps.do(made.reference, "approve")
    payer.carry(NOW + 3 * DAY)
    assert payer.books.value("SELECT value_date FROM allocations WHERE source = 'vipps'") == PAID
    payer.prove(NOW + 3 * DAY)


def test_paying_what_is_overdue_lets_the_agreement_wait_for_reopening(payer: Payer, vipps: VippsServer) -> None:
    from billing.collection.overdue import find_reach, step
    from tests.integration.billing.books import OURS, noon

    session, today = payer.books.session, DUE + 4 * DAY
    step(session, find_reach(session, [OURS], today), 0, today, noon(today))
    session.commit()
    assert payer.books.standing(payer.invoice.agreement) == "blocked"
    payer.pay(noon(today))
    session.rollback()
    assert payer.books.standing(payer.invoice.agreement) == "awaiting_reopen"
    payer.prove(noon(today))


def test_pressed_twice_it_is_the_same_page(payer: Payer) -> None:
    assert payer.begin() == payer.begin()
    assert payer.books.one("SELECT count(*) FROM vipps_payments") == 1


def test_the_same_key_is_the_same_payment_even_when_it_has_ended(payer: Payer, vipps: VippsServer) -> None:
    made = payer.begin(key="k1")
    vipps.do(made.reference, "approve")
    assert payer.carry() == "captured"
    assert payer.begin(key="k1").reference == made.reference
    other = payer.books.invoice(payer.invoice.agreement, 700, run="other")
    payer.books.session.commit()
    payer.invoice = other
    with pytest.raises(Invalid):
        payer.begin(key="k1")


@pytest.mark.parametrize(("do", "state"), [("abort", "aborted"), ("expire", "expired")])
def test_a_customer_who_does_not_pay_may_begin_anew(payer: Payer, vipps: VippsServer, do: str, state: str) -> None:
    made = payer.begin()
    vipps.do(made.reference, do)
    assert payer.carry() == state
    again = payer.begin()
    assert again.reference != made.reference
    vipps.do(again.reference, "approve")
    assert payer.carry() == "captured"
    payer.prove()


def test_nothing_is_begun_of_a_paid_invoice_nor_of_anothers(payer: Payer) -> None:
    other = payer.books.agreement()
    payer.settle(12_345)
    with pytest.raises(Conflict) as refused:
        payer.begin()
    assert refused.value.type.endswith("nothing-to-pay")
    payer.invoice = type(payer.invoice)(other, 0, 0, payer.invoice.number, "", 0)
    with pytest.raises(NotFound):
        payer.begin()


def test_only_the_rest_is_captured_of_what_was_paid_meanwhile(payer: Payer, vipps: VippsServer) -> None:
    made = payer.begin()
    payer.settle(10_000)
    vipps.do(made.reference, "approve")
    assert payer.carry() == "captured"
    one = vipps.books()["payments"][made.reference]
    assert (one["captured"], one["cancelled"]) == (2_345, 10_000)
    assert payer.books.credit(payer.invoice.agreement) == 0
    payer.prove()


def test_nothing_is_captured_when_nothing_is_open_any_more(payer: Payer, vipps: VippsServer) -> None:
    made = payer.begin()
    vipps.do(made.reference, "approve")
    payer.settle(12_345)
    assert payer.carry() == "cancelled"
    one = vipps.books()["payments"][made.reference]
    assert (one["captured"], one["cancelled"]) == (0, 12_345)
    payer.prove()


def test_a_page_of_what_is_paid_is_ended(payer: Payer, vipps: VippsServer) -> None:
    made = payer.begin()
    payer.settle(12_345)
    assert payer.carry() == "cancelled"
    assert vipps.books()["payments"][made.reference]["state"] == "TERMINATED"


def test_a_page_of_another_sum_makes_room_for_one_of_what_is_open(payer: Payer, vipps: VippsServer) -> None:
    first = payer.begin()
    payer.settle(10_000)
    second = payer.begin()
    assert (second.amount_ore, second.reference != first.reference) == (2_345, True)
    assert vipps.books()["payments"][first.reference]["state"] == "TERMINATED"


def test_money_that_came_too_late_is_credit_and_the_customer_is_told(payer: Payer, vipps: VippsServer) -> None:
    """The capture is made, its answer lost, and the invoice is paid by bank before anybody asks."""
    made = payer.begin()
    vipps.do(made.reference, "approve")
    vipps.fault("timeout", on="capture", hold_seconds=3)
    with pytest.raises(VippsUnavailable):
        payer.carry()
    assert payer.row().state == "capturing"
    payer.settle(12_345)
    assert payer.carry() == "captured"
    assert payer.books.credit(payer.invoice.agreement) == 12_345
    assert payer.books.told(payer.invoice.agreement).count("vipps_credit") == 1
    payer.prove()


def test_late_money_pays_what_is_past_due(payer: Payer, vipps: VippsServer) -> None:
    made = payer.begin()
    vipps.do(made.reference, "approve")
    vipps.fault("error", on="capture")
    with pytest.raises(VippsUnavailable):
        payer.carry()
    old = payer.books.invoice(payer.invoice.agreement, 5_000, run="old", due=PAID - DAY)
    payer.settle(12_345)
    assert payer.carry() == "captured"
    payer.books.session.rollback()
    assert payer.books.open_ore(old) == 0
    assert payer.books.credit(payer.invoice.agreement) == 7_345
    payer.prove()


class TestUnknown:
    """An answer that is lost leaves a state that says so, and is asked about."""

    def test_the_page_was_made_and_its_answer_lost(self, payer: Payer, vipps: VippsServer) -> None:
        vipps.fault("error", on="create")
        with pytest.raises(VippsUnavailable):
            payer.begin()
        assert payer.row().state == "unknown"
        made = payer.begin()
        assert made.url
        assert len(vipps.books()["payments"]) == 1

    def test_the_job_finds_what_was_made(self, payer: Payer, vipps: VippsServer) -> None:
        vipps.fault("error", on="create")
        with pytest.raises(VippsUnavailable):
            payer.begin()
        assert payer.carry() == "created"
        vipps.do(payer.row().reference, "approve")
        assert payer.carry() == "captured"

    def test_what_was_never_made_is_nothing_after_a_while(self, payer: Payer, vipps: VippsServer) -> None:
        vipps.fault("error", on="create", when="before")
        with pytest.raises(VippsUnavailable):
            payer.begin()
        assert payer.carry() == "unknown"
        payer.hour_later()
        assert payer.carry() == "nothing"
        assert payer.begin().url

    def test_what_vipps_refuses_to_make_is_nothing_at_once(self, payer: Payer, vipps: VippsServer) -> None:
        vipps.fault("refuse", on="create", times=2, title="Amount too small")
        with pytest.raises(VippsUnavailable):
            payer.begin()
        assert (payer.row().state, payer.row().code) == ("nothing", "Amount too small")
        assert payer.begin().url

    @pytest.mark.parametrize("fault", [("error", "before"), ("error", "after"), ("rate_limit", "after"),
                                       ("garbage", "after"), ("timeout", "before")])  # fmt: skip
    def test_a_capture_without_an_answer_is_asked_about(
        self, payer: Payer, vipps: VippsServer, fault: tuple[str, str]
    ) -> None:
        made = payer.begin()
        vipps.do(made.reference, "approve")
        vipps.fault(fault[0], on="capture", when=fault[1], hold_seconds=3)
        with pytest.raises(VippsUnavailable):
            payer.carry()
        assert payer.row().state == "capturing"
        assert payer.carry() == "captured"
        assert vipps.books()["captured_ore"] == 12_345
        payer.prove()

    def test_a_capture_is_not_sent_again_when_its_claim_is_paid(self, payer: Payer, vipps: VippsServer) -> None:
        made = payer.begin()
        vipps.do(made.reference, "approve")
        vipps.fault("error", on="capture", when="before")
        with pytest.raises(VippsUnavailable):
            payer.carry()
        payer.settle(12_345)
        assert payer.carry() == "capturing"  # it may still be under way
        payer.hour_later()
        assert payer.carry() == "cancelled"
        assert vipps.books()["captured_ore"] == 0
        payer.prove()

    def test_what_vipps_will_not_capture_is_released(self, payer: Payer, vipps: VippsServer) -> None:
        made = payer.begin()
        vipps.do(made.reference, "approve")
        vipps.fault("refuse", on="capture", title="Not allowed today")
        assert payer.carry() == "cancelled"
        assert payer.row().code == "Not allowed today"
        assert payer.begin().reference != made.reference

    def test_a_release_without_an_answer_is_asked_about(self, payer: Payer, vipps: VippsServer) -> None:
        made = payer.begin()
        payer.settle(10_000)
        vipps.do(made.reference, "approve")
        vipps.fault("timeout", on="cancel", when="before", hold_seconds=3)
        with pytest.raises(VippsUnavailable):
            payer.carry()
        assert (payer.row().state, payer.row().captured_ore) == ("cancelling", 2_345)
        assert payer.carry() == "captured"
        payer.prove()

    def test_keys_that_vipps_forgot_change_nothing(self, payer: Payer, vipps: VippsServer) -> None:
        made = payer.begin()
        vipps.do(made.reference, "approve")
        vipps.fault("error", on="capture")
        with pytest.raises(VippsUnavailable):
            payer.carry()
        vipps.world.books.keys.clear()
        assert payer.carry() == "captured"
        assert vipps.books()["captured_ore"] == 12_345


def test_what_ended_here_and_is_approved_after_all_is_released(payer: Payer, vipps: VippsServer) -> None:
    made = payer.begin()
    seen = payer.client.get(made.reference)
    session = payer.books.session
    payer.row()
    from dataclasses import replace

    assert seen is not None
    assert record(session, payer.row().id, replace(seen, state="EXPIRED"), now=NOW) == "expired"
    session.commit()
    vipps.do(made.reference, "approve")
    assert payer.carry() == "cancelled"
    assert vipps.books()["captured_ore"] == 0


def test_an_older_look_undoes_nothing(payer: Payer, vipps: VippsServer) -> None:
    made = payer.begin()
    before = payer.client.get(made.reference)
    vipps.do(made.reference, "approve")
    reserved = payer.client.get(made.reference)
    assert payer.carry() == "captured"
    session = payer.books.session
    for old in (before, reserved):
        row = payer.row()
        record(session, row.id, old, now=NOW)
        session.commit()
        assert payer.carry() == "captured"
    assert vipps.books()["payments"][made.reference]["captured"] == 12_345
    payer.prove()


def test_the_agreements_lock_lets_only_what_is_open_be_captured(payer: Payer, vipps: VippsServer) -> None:
    """Credit that settles the claim between the approval and the look is seen."""
    made = payer.begin()
    vipps.do(made.reference, "approve")
    session = payer.books.session
    session.rollback()
    settle(session, [Settlement(payer.invoice.claim, "write_off", 1, 345, PAID)], PAID, NOW, "test")
    session.commit()
    assert payer.carry() == "captured"
    assert vipps.books()["captured_ore"] == 12_000
    assert dt.timedelta() <= NOW - payer.row().started_at


def test_many_at_once_capture_it_once(payer: Payer, vipps: VippsServer) -> None:
    """The browser, the webhook and the job, all at the same moment."""
    made = payer.begin()
    vipps.do(made.reference, "approve")
    number = payer.row().id
    payer.books.session.rollback()
    with ThreadPoolExecutor(6) as pool:
        words = list(pool.map(lambda _: carry_on(payer.sessions, payer.client, number, now=NOW), range(6)))
    assert set(words) <= {"captured", "capturing"}
    assert payer.carry() == "captured"
    assert vipps.books()["payments"][made.reference]["captured"] == 12_345
    assert payer.books.one("SELECT count(*) FROM vipps_captures") == 1
    payer.prove()


def test_many_presses_at_once_are_one_payment(payer: Payer, vipps: VippsServer) -> None:
    payer.books.session.rollback()
    with ThreadPoolExecutor(6) as pool:
        made = set(pool.map(lambda _: payer.begin(), range(6)))
    assert len(made) == 1
    assert len(vipps.books()["payments"]) == 1


def test_less_than_a_krone_is_paid_by_bank(payer: Payer) -> None:
    payer.settle(12_300)
    with pytest.raises(Conflict) as refused:
        payer.begin()
    assert refused.value.type.endswith("too-little")
