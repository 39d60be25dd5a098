"""The jobs come by for what no browser and no webhook has told; the metric says what has been under way for long."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from billing.cards.failures import SomeFailed
from billing.payments.vipps import refund, refund_call, sweep
from billing.payments.vipps.carry import carry_on
from billing.payments.vipps.client import VippsUnavailable
from config.clock import move_clock
from config.jobs import JobContext
from config.settings import load
from simulator.vipps import VippsServer
from tests.integration.billing.payments.vipps.payer import NOW, Payer


@pytest.fixture
def ctx(payer: Payer, vipps: VippsServer, tmp_path: Path) -> JobContext:
    """A worker's, with Vipps set up."""
    ids = vipps.ids
    settings = replace(
        load({"BRIKKE_VAR": str(tmp_path)}, tmp_path / ".env"), vipps_url=vipps.url, vipps_client_id=ids.client_id,
        vipps_client_secret=ids.client_secret, vipps_subscription_key=ids.subscription_key, vipps_msn=ids.msn,
        http_timeout_seconds=2,
    )  # fmt: skip
    move_clock(payer.books.session, NOW, running=False)
    payer.books.session.commit()
    return JobContext(payer.sessions, settings)


def later(payer: Payer) -> None:
    """Let the time of asking again come."""
    session = payer.books.session
    session.rollback()
    session.execute(text("UPDATE vipps_payments SET asked_at = asked_at - interval '2 minutes'"))
    session.execute(text("UPDATE vipps_refunds SET asked_at = asked_at - interval '2 minutes'"))
    session.commit()


def test_an_approval_that_nobody_told_of_is_captured(payer: Payer, vipps: VippsServer, ctx: JobContext) -> None:
    made = payer.begin()
    vipps.do(made.reference, "approve")
    assert sweep.job(ctx, NOW) == {}  # it was asked about just now
    later(payer)
    assert sweep.job(ctx, NOW) == {"captured": 1}
    assert sweep.job(ctx, NOW) == {}
    payer.prove()


def test_what_is_written_and_not_sent_is_sent_at_once(payer: Payer, vipps: VippsServer, ctx: JobContext) -> None:
    """The worker that wrote it is gone: nobody waits for the time of asking again."""
    from billing.payments.vipps.record import record

    made = payer.begin()
    vipps.do(made.reference, "approve")
    session = payer.books.session
    assert record(session, payer.row().id, payer.client.get(made.reference), now=NOW) == "capturing"
    session.commit()
    assert sweep.job(ctx, NOW) == {"captured": 1}


def test_a_silent_vipps_is_left_alone_and_keeps_nothing(payer: Payer, vipps: VippsServer, ctx: JobContext) -> None:
    for _ in range(5):
        payer.invoice = payer.books.invoice(payer.books.agreement(), 1_000)
        payer.books.session.commit()
        payer.begin()
    later(payer)
    vipps.fault("timeout", on="get", when="before", hold_seconds=0, times=None)
    asked = vipps.world.calls.count("get")
    assert sweep.job(ctx, NOW) == {"unanswered": 3}
    assert vipps.world.calls.count("get") - asked == 3
    vipps.faults.clear()
    assert sweep.job(ctx, NOW) == {"created": 5}


def test_one_that_cannot_be_keeps_nobody_waiting(
    payer: Payer, vipps: VippsServer, ctx: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    payer.begin()
    first = payer.row().id
    payer.invoice = payer.books.invoice(payer.books.agreement(), 1_000)
    payer.books.session.commit()
    made = payer.begin()
    vipps.do(made.reference, "approve")
    later(payer)

    def broken(*args: object, **more: object) -> str:
        if args[2] == first:
            raise ValueError("broken")
        return carry_on(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(sweep, "carry_on", broken)
    with pytest.raises(SomeFailed):
        sweep.job(ctx, NOW)
    assert payer.row().state == "captured"


def test_refunds_are_called_for_and_asked_about(payer: Payer, vipps: VippsServer, ctx: JobContext) -> None:
    reference = payer.pay()
    payer.overpaid(5_000)
    first, second = payer.ask_back(reference, 1_000), payer.ask_back(reference, 2_000)
    vipps.fault("error", on="refund", when="before")
    counts = refund_call.job(ctx, NOW)
    assert (counts["unknown"], counts["skipped"]) == (1, 1)
    later(payer)
    assert refund_call.job(ctx, NOW)["succeeded"] == 2
    assert vipps.books()["refunded_ore"] == 3_000
    session = payer.books.session
    session.rollback()
    assert {refund.locked(session, one.id).state for one in (first, second)} == {"succeeded"}
    session.rollback()
    payer.prove()


def test_without_vipps_they_say_so(payer: Payer, tmp_path: Path) -> None:
    bare = JobContext(payer.sessions, load({"BRIKKE_VAR": str(tmp_path)}, tmp_path / ".env"))
    assert sweep.job(bare, NOW) == refund_call.job(bare, NOW) == {"note": "Vipps is not set up"}


def test_what_is_under_way_for_an_hour_is_counted(payer: Payer, vipps: VippsServer) -> None:
    session = payer.books.session
    payer.begin()
    assert [line for line in sweep.figures(session) if not line.startswith("#")] == [
        'brikke_vipps_stuck{what="payment"} 0',
        'brikke_vipps_stuck{what="refund"} 0',
    ]
    payer.hour_later()
    assert 'brikke_vipps_stuck{what="payment"} 1' in sweep.figures(session)
    vipps.fault("error", on="get", times=None, when="before")
    with pytest.raises(VippsUnavailable):
        payer.carry()
    assert 'brikke_vipps_stuck{what="payment"} 1' in sweep.figures(session)
    vipps.faults.clear()
    vipps.do(payer.row().reference, "abort")
    payer.carry(NOW + dt.timedelta(hours=1))
    assert 'brikke_vipps_stuck{what="payment"} 0' in sweep.figures(session)
