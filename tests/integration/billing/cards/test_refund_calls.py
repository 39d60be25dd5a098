"""Refunds and disputes against the stand-in gateway: lost answers, forgotten keys, any order of events."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Mapping

import pytest
from sqlalchemy import text

from billing.cards import dispute_sweep, refund, refund_call, webhook
from billing.cards.failures import SomeFailed
from billing.cards.gateway import CardGateway, Event, GatewayUnavailable
from billing.cards.models import Dispute, Refund
from billing.cards.provider import NAME
from billing.cards.stripe.gateway import StripeGateway
from billing.passages.models import Passage
from config.clock import business_now, now_utc
from config.jobs import JobContext
from config.settings import Settings
from simulator.gateway import GatewayServer
from tests.integration.billing.cards.conftest import MONDAY, SELLER, Driver, card_settings

NUMBERS = itertools.count(1)


@pytest.fixture
def asked(driver: Driver, gateway: CardGateway) -> int:
    """A refund of a passage that a card paid: its id. The card paid NOK 300."""
    driver.drive(20_000, MONDAY)
    driver.drive(10_000, MONDAY)
    assert driver.charge(gateway, MONDAY) == ["succeeded"]
    return ask(driver, 10_000)


def ask(driver: Driver, ore: int) -> int:
    """Give the passage of this sum back."""
    with driver.sessions() as session:
        passage = session.query(Passage).filter_by(amount_ore=ore).one().id
        charge = driver.charges()[0].id
        made = refund.give_back(
            session, charge, [passage], reason="x", seller=SELLER, actor="agent:kari", now=MONDAY
        ).refund
        assert made is not None
        number = made.id
        session.commit()
    return number


def state(driver: Driver, number: int) -> str:
    """A refund's state."""
    with driver.sessions() as session:
        return session.get_one(Refund, number).state


def clearing(driver: Driver) -> int:
    """What is in card clearing, øre."""
    with driver.sessions() as session:
        return int(
            session.execute(
                text(
                    "SELECT coalesce(sum(CASE WHEN debit = 'card_clearing' THEN amount_ore ELSE 0 END "
                    "- CASE WHEN credit = 'card_clearing' THEN amount_ore ELSE 0 END), 0) FROM transfers"
                )
            ).scalar_one()
        )


def call(driver: Driver, gateway: CardGateway, number: int) -> str:
    """Call for a refund, as the job does."""
    return refund_call.refund_one(driver.sessions, gateway, number, now=MONDAY)


def sweep(driver: Driver, gateway: CardGateway, number: int) -> str:
    """Ask about a refund, as the sweep does."""
    return refund_call.sweep_one(driver.sessions, gateway, number, now=MONDAY)


def older(driver: Driver, hours: int) -> None:
    """Let so many hours go by since the provider was called."""
    with driver.sessions.begin() as session:
        gone = "make_interval(hours => :h)"
        session.execute(
            text(f"UPDATE card_refunds SET called_at = called_at - {gone}, sent_at = sent_at - {gone}"), {"h": hours}
        )


def tell(driver: Driver, gateway: CardGateway, kind: str, thing: Mapping[str, object]) -> str:
    """Bring an event about an object of the gateway's."""
    given = thing.get("metadata")
    metadata = {str(k): str(v) for k, v in given.items()} if isinstance(given, dict) else {}
    event = Event(f"evt_{next(NUMBERS)}", kind, now_utc(), str(thing["id"]), str(thing["object"]), thing, metadata)
    return webhook.receive(driver.sessions, gateway, event, seller=SELLER, now=MONDAY)


def told_refund(stand_in: GatewayServer) -> dict[str, object]:
    """The gateway's refund as an event shows it."""
    (one,) = stand_in.world.store.everything("refund")
    return dict(one)


def test_it_is_made_once_and_the_books_are_the_gateways(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, asked: int
) -> None:
    assert [call(driver, gateway, asked) for _ in range(2)] == ["succeeded", "skipped"]
    assert sweep(driver, gateway, asked) == "skipped"
    assert tell(driver, gateway, "refund.created", told_refund(stand_in)) == "succeeded"
    assert stand_in.books()["net_ore"] == clearing(driver) == 20_000


@pytest.mark.parametrize("how", ["key", "look_up", "webhook"])
def test_a_lost_answer_is_found_again(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, asked: int, how: str
) -> None:
    stand_in.fault("timeout", on="refund", hold_seconds=1)
    assert call(driver, gateway, asked) == "unknown"
    if how == "webhook":
        assert tell(driver, gateway, "charge.refund.updated", told_refund(stand_in)) == "succeeded"
    else:
        if how == "look_up":
            older(driver, 30)
            stand_in.forget_keys()
        assert sweep(driver, gateway, asked) == "succeeded"
    assert stand_in.books()["refunded_ore"] == 10_000
    assert stand_in.books()["net_ore"] == clearing(driver) == 20_000


def test_one_that_never_arrived_is_called_for_anew(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, asked: int
) -> None:
    stand_in.fault("error", on="refund", when="before", stored=True)
    assert call(driver, gateway, asked) == "unknown"
    assert sweep(driver, gateway, asked) == "unknown", "the key only repeats the failure"
    assert sweep(driver, gateway, asked) == "unknown", "it may be under way still"
    older(driver, 2)
    assert sweep(driver, gateway, asked) == "approved"
    assert call(driver, gateway, asked) == "succeeded"
    assert stand_in.books()["refunded_ore"] == 10_000


def test_one_that_was_made_at_once_is_found_by_the_look_up(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, asked: int
) -> None:
    """It was made within a second of being called for: the look-up begins before that, clocks may differ."""
    stand_in.move_clock(now_utc() - dt.timedelta(minutes=30), running=True)
    stand_in.fault("error", on="refund", when="after", stored=True)
    assert call(driver, gateway, asked) == "unknown"
    assert sweep(driver, gateway, asked) == "unknown", "the key only repeats the failure"
    assert sweep(driver, gateway, asked) == "succeeded"
    assert stand_in.books()["refunded_ore"] == 10_000
    assert stand_in.books()["net_ore"] == clearing(driver) == 20_000


def test_turned_away_is_asked_again_with_the_same_key(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, asked: int
) -> None:
    stand_in.fault("rate_limit", on="refund")
    assert call(driver, gateway, asked) == "unknown"
    assert sweep(driver, gateway, asked) == "succeeded"
    assert stand_in.books()["refunded_ore"] == 10_000


@pytest.mark.parametrize(("end", "then"), [("succeed", "succeeded"), ("fail", "failed"), ("cancel", "failed")])
def test_a_pending_one_is_read_until_it_has_ended(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, asked: int, end: str, then: str
) -> None:
    stand_in.fault("pending")
    assert call(driver, gateway, asked) == "unknown"
    older(driver, 48)
    stand_in.forget_keys()
    assert sweep(driver, gateway, asked) == "unknown", "it is never sent again: it is known by its reference"
    stand_in.end_refund(str(told_refund(stand_in)["id"]), end)
    assert sweep(driver, gateway, asked) == then
    assert len(stand_in.books()["refunds"]) == 1
    assert stand_in.books()["net_ore"] == clearing(driver)


def test_one_may_fail_days_after_it_had_succeeded(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, asked: int
) -> None:
    assert call(driver, gateway, asked) == "succeeded"
    before = told_refund(stand_in)
    stand_in.end_refund(str(before["id"]), "fail")
    assert tell(driver, gateway, "refund.created", before) == "failed", "what an old event says does not count"
    assert tell(driver, gateway, "refund.failed", told_refund(stand_in)) == "failed"
    assert stand_in.books()["net_ore"] == clearing(driver) == 30_000


def test_a_refund_of_somebody_elses_is_ignored(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, asked: int
) -> None:
    assert call(driver, gateway, asked) == "succeeded"
    one = told_refund(stand_in)
    for metadata in ({}, {"refund": "4711"}, {"refund": "x"}, {"refund": "9" * 40}):
        assert tell(driver, gateway, "refund.updated", one | {"metadata": metadata}) == "ignored"
    assert tell(driver, gateway, "refund.updated", one | {"payment_intent": "pi_other"}) == "ignored"


def test_the_gateway_refuses_what_is_disputed(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, asked: int
) -> None:
    """The dispute is not known here yet: the refund fails, and its sum is credit again."""
    stand_in.open_dispute(str(driver.attempts()[0].provider_ref))
    assert call(driver, gateway, asked) == "failed"
    with driver.sessions() as session:
        assert session.get_one(Refund, asked).code == "charge_disputed"
        assert session.scalar(text("SELECT sum(amount_ore) FROM credit_entries")) == 10_000


@pytest.fixture
def ctx(driver: Driver, stand_in: GatewayServer, tmp_path: object) -> JobContext:
    """What the jobs get."""
    given: Settings = card_settings(tmp_path, stand_in)
    return JobContext(driver.sessions, given, "card_refunds")


def test_the_jobs_take_all_of_them(driver: Driver, stand_in: GatewayServer, asked: int, ctx: JobContext) -> None:
    more = ask(driver, 20_000)
    stand_in.fault("error", on="refund", when="after", stored=False)
    assert refund_call.job(ctx, MONDAY) == {"succeeded": 1, "failed": 0, "unknown": 1}
    assert refund_call.job_sweep(ctx, MONDAY)["succeeded"] == 0, "not before a while has gone by"
    with driver.sessions.begin() as session:
        session.execute(text("UPDATE card_refunds SET asked_at = asked_at - interval '5 minutes'"))
    assert refund_call.job_sweep(ctx, MONDAY) == {"succeeded": 1, "failed": 0, "unknown": 0}
    assert {state(driver, one) for one in (asked, more)} == {"succeeded"}
    assert stand_in.books()["net_ore"] == clearing(driver) == 0


KINDS = ("created", "funds_withdrawn", "updated", "funds_reinstated", "closed")


@pytest.mark.parametrize("end", ["win", "lose"])
@pytest.mark.parametrize("order", [KINDS, KINDS[::-1], ("closed", "created", "closed")])
def test_events_of_a_dispute_in_any_order(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, end: str, order: tuple[str, ...]
) -> None:
    driver.drive(20_000, MONDAY)
    driver.charge(gateway, MONDAY)
    number = stand_in.open_dispute(str(driver.attempts()[0].provider_ref))
    stand_in.end_dispute(number, "update")
    before = {"id": number, "object": "dispute"}
    if order[0] == "created":
        assert tell(driver, gateway, "charge.dispute.created", before) == "opened"
        assert clearing(driver) == 0
    stand_in.end_dispute(number, end)
    words = {tell(driver, gateway, f"charge.dispute.{kind}", before) for kind in order}
    assert words == {"won" if end == "win" else "lost"}
    assert stand_in.books()["net_ore"] == clearing(driver) == (20_000 if end == "win" else 0)


BACK = ("funds_reinstated", "updated", "funds_reinstated", "closed", "created")


@pytest.mark.parametrize("order", [BACK, BACK[::-1]])
@pytest.mark.parametrize("heard", [True, False])
def test_events_of_a_lost_one_whose_money_comes_back(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, order: tuple[str, ...], heard: bool
) -> None:
    driver.drive(20_000, MONDAY)
    driver.charge(gateway, MONDAY)
    number = stand_in.open_dispute(str(driver.attempts()[0].provider_ref))
    about = {"id": number, "object": "dispute"}
    stand_in.end_dispute(number, "lose")
    if heard:
        assert tell(driver, gateway, "charge.dispute.closed", about) == "lost"
        assert stand_in.books()["net_ore"] == clearing(driver) == 0
    stand_in.end_dispute(number, "reverse")
    assert {tell(driver, gateway, f"charge.dispute.{kind}", about) for kind in order} == {"won"}
    assert stand_in.books()["net_ore"] == clearing(driver) == 20_000
    with driver.sessions() as session:
        assert session.execute(text("SELECT amount_ore - settled_ore FROM claims")).scalar_one() == 0


def test_what_came_back_of_a_lost_one_and_no_event_told_is_found(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, ctx: JobContext
) -> None:
    driver.drive(20_000, MONDAY)
    driver.charge(gateway, MONDAY)
    number = stand_in.open_dispute(str(driver.attempts()[0].provider_ref))
    stand_in.end_dispute(number, "lose")
    assert dispute_sweep.job(ctx, MONDAY)["lost"] == 1
    stand_in.end_dispute(number, "reverse")
    assert dispute_sweep.job(ctx, MONDAY)["won"] == 1
    assert sum(int(one) for one in dispute_sweep.job(ctx, MONDAY).values()) == 0
    assert stand_in.books()["net_ore"] == clearing(driver) == 20_000


def opened_weeks_ago(driver: Driver, stand_in: GatewayServer) -> str:
    """Open a dispute that is older than what the provider is asked to list; return its id."""
    stand_in.move_clock(now_utc() - 5 * dispute_sweep.LOOK_BACK, running=True)
    number = stand_in.open_dispute(str(driver.attempts()[0].provider_ref))
    stand_in.move_clock(None)
    return number


@pytest.mark.parametrize(("days", "then"), [(0, "won"), (119, "won"), (121, "lost")])
def test_money_of_one_that_began_weeks_ago_is_found_for_months_after_the_loss(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, ctx: JobContext, days: int, then: str
) -> None:
    driver.drive(20_000, MONDAY)
    driver.charge(gateway, MONDAY)
    number = opened_weeks_ago(driver, stand_in)
    stand_in.end_dispute(number, "lose")
    assert dispute_sweep.job(ctx, MONDAY) == {"opened": 0, "won": 0, "lost": 0, "ignored": 0}, "nobody told of it"
    assert tell(driver, gateway, "charge.dispute.closed", {"id": number, "object": "dispute"}) == "lost"
    with driver.sessions.begin() as session:
        ended = business_now(session) - dt.timedelta(days=days)
        session.execute(text("UPDATE card_disputes SET ended_at = :ended"), {"ended": ended})
    stand_in.end_dispute(number, "reverse")
    dispute_sweep.job(ctx, MONDAY)
    with driver.sessions() as session:
        assert session.query(Dispute).one().state == then
    assert clearing(driver) == (20_000 if then == "won" else 0)


def test_the_job_reads_each_at_the_pace_that_all_share_and_tells_how_the_provider_does(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, ctx: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver.drive(20_000, MONDAY)
    driver.charge(gateway, MONDAY)
    number = opened_weeks_ago(driver, stand_in)
    assert tell(driver, gateway, "charge.dispute.created", {"id": number, "object": "dispute"}) == "opened"
    assert dispute_sweep.job(ctx, MONDAY)["opened"] == 1
    failures = text("SELECT failures FROM card_pace")
    stand_in.fault("error", on="read")
    with pytest.raises(GatewayUnavailable):
        dispute_sweep.job(ctx, MONDAY)
    with driver.sessions() as session:
        assert session.scalar(failures) == 1, "the list"
    monkeypatch.setattr(StripeGateway, "disputes", lambda *_asked, **_when: [])
    stand_in.fault("error", on="read")
    with pytest.raises(SomeFailed):
        dispute_sweep.job(ctx, MONDAY)
    with driver.sessions() as session:
        assert session.scalar(failures) == 1, "the list was answered, the one was not"


def test_a_dispute_that_the_gateway_has_not_is_ignored(driver: Driver, gateway: CardGateway) -> None:
    assert tell(driver, gateway, "charge.dispute.created", {"id": "dp_none", "object": "dispute"}) == "ignored"


def test_an_inquiry_that_is_closed_or_escalated(driver: Driver, gateway: CardGateway, stand_in: GatewayServer) -> None:
    driver.drive(20_000, MONDAY)
    driver.charge(gateway, MONDAY)
    payment = str(driver.attempts()[0].provider_ref)
    first = stand_in.open_dispute(payment, inquiry=True)
    assert tell(driver, gateway, "charge.dispute.created", {"id": first, "object": "dispute"}) == "opened"
    stand_in.end_dispute(first, "close")
    assert tell(driver, gateway, "charge.dispute.closed", {"id": first, "object": "dispute"}) == "won"
    second = stand_in.open_dispute(payment, 5_000, inquiry=True)
    stand_in.end_dispute(second, "escalate")
    stand_in.end_dispute(second, "lose")
    assert tell(driver, gateway, "charge.dispute.closed", {"id": second, "object": "dispute"}) == "lost"
    assert stand_in.books()["net_ore"] == clearing(driver) == 15_000


def test_a_dispute_of_which_no_event_came_is_found(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, ctx: JobContext
) -> None:
    driver.drive(20_000, MONDAY)
    driver.charge(gateway, MONDAY)
    number = stand_in.open_dispute(str(driver.attempts()[0].provider_ref))
    assert dispute_sweep.job(ctx, MONDAY)["opened"] == 1
    stand_in.end_dispute(number, "lose")
    for _ in range(2):  # it is read again for months: its money may come back
        assert dispute_sweep.job(ctx, MONDAY) == {"opened": 0, "won": 0, "lost": 1, "ignored": 0}
    with driver.sessions() as session:
        row = session.query(Dispute).one()
        assert (row.state, row.claim_ore, row.reason) == ("lost", 20_000, "fraudulent")
        assert row.evidence_due_at is not None
        assert row.evidence_due_at > now_utc() + dt.timedelta(days=13)


def test_while_the_provider_is_left_alone_nothing_is_begun(
    driver: Driver, stand_in: GatewayServer, asked: int, ctx: JobContext
) -> None:
    with driver.sessions.begin() as session:
        down = "INSERT INTO card_pace (provider, next_at, failures, down_until) VALUES (:p, now(), 5, now() + '1 hour')"
        session.execute(text(down), {"p": NAME})
    for job in (refund_call.job, refund_call.job_sweep, dispute_sweep.job):
        assert "note" in job(ctx, MONDAY)
    assert (state(driver, asked), stand_in.books()["refunds"]) == ("approved", [])
    with driver.sessions.begin() as session:
        session.execute(text("DELETE FROM card_pace"))
    assert refund_call.job(ctx, MONDAY)["succeeded"] == 1
