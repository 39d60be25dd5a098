"""Another card: it takes over when the default is refused for good; one that was removed is charged no more."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import select, text, update

from accounts.agreements.models import Agreement
from billing.cards import acts, charge, closings, due, forgotten, register, sweep
from billing.cards.cards import remove
from billing.cards.gateway import CardGateway, Outcome
from billing.cards.line import Line
from billing.cards.models import Card, CardSetup
from billing.cards.queries import forgettable
from billing.passages import held
from billing.passages.models import Passage
from config.clock import move_clock
from config.jobs import JobContext
from config.problems import Conflict
from simulator.gateway import GatewayServer
from tests.integration.billing.cards.conftest import MONDAY, SELLER, Driver, card_settings
from tests.integration.billing.cards.test_causes import another_card, documents

DAY = dt.timedelta(days=1)
BACK = "http://localhost/mypage/10000001/card"


def adopted(driver: Driver, gateway: CardGateway, stand_in: GatewayServer, kind: str = "mastercard") -> int:
    """Register one more card, as a customer does; it is the default then. Returns its id."""
    method = stand_in.add_card(driver.provider_customer, kind)
    details = gateway.card(method)
    assert details is not None
    with driver.sessions.begin() as session:
        setup = CardSetup(agreement_id=driver.agreement_id, declared_commercial=False, started_at=MONDAY)
        session.add(setup)
        session.flush()
        return register.adopt(session, setup, details, now=MONDAY).id


def default(driver: Driver) -> int | None:
    """Return the id of the card that is charged."""
    with driver.sessions() as session:
        return session.scalar(select(Card.id).where(Card.is_default))


def told(driver: Driver) -> list[tuple[str, str | None]]:
    """Return the letters: which, and why where it says so."""
    with driver.sessions() as session:
        rows = session.execute(text("SELECT template, data #>> '{facts,why}' FROM messages ORDER BY id"))
        return [(row[0], row[1]) for row in rows]


def test_the_other_card_pays_at_once_when_the_default_is_refused_for_good(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    oldest = another_card(driver, stand_in, "consumer", default=False)
    newest = another_card(driver, stand_in, "mastercard", default=False)
    driver.drive(20_000, MONDAY)
    stand_in.fault("decline", code="stolen_card")
    assert driver.charge(gateway, MONDAY) == ["declined"]
    assert default(driver) == newest > oldest
    assert told(driver) == [("card_next", None)]
    assert driver.charge(gateway, MONDAY) == ["succeeded"]
    assert [attempt.card_id for attempt in driver.attempts()][-1] == newest
    assert documents(driver) == [(20_000, 0, True)]
    assert driver.drive(20_000, MONDAY + 8 * DAY) == 1
    assert driver.charge(gateway, MONDAY + 8 * DAY) == ["succeeded"]


def test_each_card_is_tried_until_none_works_and_the_letter_is_true(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    another_card(driver, stand_in, "expired_card", default=False)
    driver.drive(20_000, MONDAY)
    stand_in.fault("decline", code="stolen_card")
    assert driver.charge(gateway, MONDAY) == ["declined"]
    assert driver.charge(gateway, MONDAY) == ["declined"]
    assert driver.charges()[0].state == "invoiced"
    driver.drive(20_000, MONDAY)
    assert driver.charge(gateway, MONDAY) == ["skipped"]
    assert told(driver) == [("card_next", None), ("card_failed", "expired"), ("card_failed", "no_card")]


def test_a_chosen_card_that_is_refused_leaves_the_default_its_days(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    chosen, first = another_card(driver, stand_in, "lost_card", default=False), default(driver)
    driver.drive(20_000, MONDAY)
    stand_in.fault("decline", code="insufficient_funds")
    assert driver.charge(gateway, MONDAY) == ["declined"]
    with driver.sessions.begin() as session:
        acts.by_card(session, driver.charges()[0].id, chosen, now=MONDAY)
    assert driver.charge(gateway, MONDAY) == ["declined"]
    [found] = driver.charges()
    assert (found.state, found.next_at) == ("claimed", dt.datetime(2026, 3, 3, 5, tzinfo=dt.UTC))
    assert (default(driver), told(driver)) == (first, [])
    assert driver.charge(gateway, found.next_at) == ["succeeded"]


@pytest.mark.parametrize("code", ["insufficient_funds", "authentication_required"])
def test_a_card_given_while_the_answer_was_lost_is_tried_at_once(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, code: str
) -> None:
    driver.drive(20_000, MONDAY)
    stand_in.fault("timeout", when="before", hold_seconds=0.7)
    assert driver.charge(gateway, MONDAY) == ["unknown"]
    adopted(driver, gateway, stand_in)
    stand_in.fault("decline", code=code)
    assert ask(driver, gateway, driver.attempts()[0].id) == "declined"
    assert driver.charge(gateway, MONDAY) == ["succeeded"]
    assert len({attempt.card_id for attempt in driver.attempts()}) == 2
    assert told(driver) == [("receipt", None)], "they know of the card that they gave"


@pytest.mark.parametrize("how", ["threshold", "agent"])
def test_a_default_that_was_refused_another_way_is_passed_over(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, how: str
) -> None:
    """By a dispute, say, or since the provider has let go of it."""
    other = another_card(driver, stand_in, "mastercard", default=False)
    with driver.sessions.begin() as session:
        session.execute(update(Card).where(Card.is_default).values(refused_code="disputed"))
    driver.drive(20_000 if how == "threshold" else 700, MONDAY)
    if how == "agent":
        with driver.sessions.begin() as session:
            assert due.open_now(session, driver.agreement_id, cause="agent", now=MONDAY)
    assert driver.charge(gateway, MONDAY) == ["succeeded"]
    assert (default(driver), told(driver)[0]) == (other, ("card_next", None))


def removed(driver: Driver, card_id: int) -> list[str]:
    """Remove a card; return what the provider may forget at once."""
    with driver.sessions.begin() as session:
        return forgettable(session, [remove(session, driver.agreement_id, card_id, seller=SELLER, now=MONDAY)])


def test_a_removed_card_that_is_brought_again_is_none(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    """By the browser's way back, or a late event: nothing may say that it pays from now on."""
    setup = begin(driver, gateway)
    stand_in.give_card(setup, "mastercard")
    finish(driver, gateway, setup)
    removed(driver, default(driver) or 0)
    for _ in range(2):
        assert register.finish(driver.sessions, gateway, setup, now=MONDAY + DAY) is None
    with driver.sessions() as session:
        assert session.scalars(select(Card.last4).where(Card.removed_at.is_(None))).all() == ["4242"]


@pytest.mark.parametrize("made", [False, True])
def test_a_card_that_was_removed_is_not_sent_again_and_is_forgotten_in_the_end(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, tmp_path: object, made: bool
) -> None:
    gone = adopted(driver, gateway, stand_in)
    driver.drive(20_000, MONDAY)
    stand_in.fault("timeout", when="after" if made else "before", hold_seconds=0.7)
    assert driver.charge(gateway, MONDAY) == ["unknown"]
    assert removed(driver, gone) == [], "its payment may have to be found"
    [attempt] = driver.attempts()
    if not made:
        ask(driver, gateway, attempt.id)
        assert driver.attempts()[0].state == "unknown", "not found yet"
        assert stand_in.books()["count"] == 0
        with driver.sessions.begin() as session:
            session.execute(text("UPDATE attempts SET called_at = called_at - interval '2 hours'"))
    assert ask(driver, gateway, attempt.id) == ("succeeded" if made else "nothing")
    driver.charge(gateway, MONDAY)
    assert [one.card_id == gone for one in driver.attempts()] == ([True] if made else [True, False])
    assert driver.charges()[0].state == "succeeded"
    with driver.sessions() as session:
        method = session.get_one(Card, gone).payment_method
        assert forgotten.waiting(session, now=MONDAY) == [method]
    with driver.sessions.begin() as session:
        move_clock(session, MONDAY + DAY, running=False)
    nobody = replace(card_settings(tmp_path, stand_in), stripe_api_base="http://127.0.0.1:9")
    assert forgotten.job(JobContext(driver.sessions, nobody), MONDAY) == {"forgotten": 0, "unanswered": 1}
    assert gateway.card(method) is not None
    ctx = JobContext(driver.sessions, card_settings(tmp_path, stand_in))
    for _ in range(2):  # again is harmless
        assert forgotten.job(ctx, MONDAY + DAY) == {"forgotten": 1, "unanswered": 0}
    assert gateway.card(method) is None, "the provider has let go of it"


def test_a_card_that_is_removed_while_its_attempt_waits_for_its_turn_is_not_charged(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, turn = adopted(driver, gateway, stand_in), Line.ask
    driver.drive(20_000, MONDAY)
    with driver.sessions.begin() as session:
        move_clock(session, MONDAY, running=False)

    def wait(self: Line, call: Callable[[], Outcome]) -> Outcome:
        monkeypatch.setattr(Line, "ask", turn)
        removed(driver, gone)
        return turn(self, call)

    monkeypatch.setattr(Line, "ask", wait)
    ctx = JobContext(driver.sessions, card_settings(tmp_path, stand_in))
    assert charge.job(ctx, MONDAY)["unknown"] == 1
    assert stand_in.books()["count"] == 0
    with driver.sessions.begin() as session:
        session.execute(text("UPDATE attempts SET called_at = called_at - interval '2 hours'"))
    assert ask(driver, gateway, driver.attempts()[0].id) == "nothing"
    assert charge.job(ctx, MONDAY)["succeeded"] == 1
    assert [one.card_id == gone for one in driver.attempts()] == [True, False]


def test_what_is_unknown_on_a_removed_card_waits_and_a_card_in_use_is_not_forgotten(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    gone = adopted(driver, gateway, stand_in)
    driver.drive(20_000, MONDAY)
    stand_in.fault("timeout", when="after", hold_seconds=0.7)
    assert driver.charge(gateway, MONDAY) == ["unknown"]
    removed(driver, gone)
    with driver.sessions() as session:
        assert forgotten.waiting(session, now=MONDAY + DAY) == []
    ask(driver, gateway, driver.attempts()[0].id)
    with driver.sessions() as session:
        method = session.get_one(Card, gone).payment_method
        assert forgotten.waiting(session, now=MONDAY + 2 * DAY) == [method]


DONE = '{"forgotten": 3, "unanswered": 0}'


@pytest.mark.parametrize(
    ("day", "said", "asked"),
    [
        (0, DONE, True),
        (2, DONE, True),
        (3, DONE, False),
        (3, '{"forgotten": 0, "unanswered": 1}', True),
        (3, '{"forgotten": 0, "unanswered": 0, "note": "no card gateway is configured"}', True),
        (3, '{"note": "the schedule begins here"}', True),
        (41, DONE, True),
    ],
)
def test_a_removed_card_is_forgotten_also_after_a_long_outage(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, day: int, said: str, asked: bool
) -> None:
    """The job looks back to when the provider last answered for all, at most sixty days."""
    removed(driver, adopted(driver, gateway, stand_in))
    with driver.sessions.begin() as session:
        ran = "INSERT INTO job_occurrences (job, scheduled_for, state, result) VALUES (:job, :at, 'done', :said)"
        session.execute(text(ran), {"job": forgotten.JOB, "at": MONDAY + day * DAY, "said": said})
        assert bool(forgotten.waiting(session, now=MONDAY + 40 * DAY)) is asked
        assert forgotten.waiting(session, now=MONDAY + 61 * DAY) == []


def test_without_a_gateway_nobody_was_asked(driver: Driver, stand_in: GatewayServer, tmp_path: object) -> None:
    nobody = replace(card_settings(tmp_path, stand_in), stripe_api_key="")
    assert "note" in forgotten.job(JobContext(driver.sessions, nobody), MONDAY)


def ask(driver: Driver, gateway: CardGateway, attempt_id: int) -> str:
    """Have the sweep ask about an attempt."""
    return sweep.sweep_one(driver.sessions, gateway, attempt_id, seller=SELLER, now=MONDAY)


def close(driver: Driver, at: dt.datetime) -> None:
    """Close the agreement."""
    with driver.sessions.begin() as session:
        agreement = session.get_one(Agreement, driver.agreement_id)
        agreement.closed_at, agreement.standing = at, "closed"


def begin(driver: Driver, gateway: CardGateway) -> str:
    """Begin registering a card; returns the provider's id of it."""
    register.begin(
        driver.sessions, gateway, driver.agreement_id, return_url=BACK, declared_commercial=False, now=MONDAY
    )
    with driver.sessions() as session:
        return session.scalars(select(CardSetup.provider_ref).order_by(CardSetup.id.desc())).first() or ""


def finish(driver: Driver, gateway: CardGateway, setup: str) -> None:
    """Come back with a card."""
    assert register.finish(driver.sessions, gateway, setup, now=MONDAY + DAY) is not None


def test_a_new_card_pays_the_open_charge_of_a_closed_agreement(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    driver.drive(700, MONDAY)
    close(driver, MONDAY)
    with driver.sessions.begin() as session:
        assert due.open_now(session, driver.agreement_id, cause="closing", now=MONDAY)
    stand_in.fault("decline", code="insufficient_funds")
    assert driver.charge(gateway, MONDAY) == ["declined"]
    setup = begin(driver, gateway)
    stand_in.give_card(setup, "mastercard")
    finish(driver, gateway, setup)
    assert driver.charge(gateway, MONDAY + DAY) == ["succeeded"]
    assert documents(driver) == [(700, 0, True)]
    with pytest.raises(Conflict):
        begin(driver, gateway)  # nothing is left


def test_a_new_card_pays_what_a_closed_agreement_has_left(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    driver.drive(700, MONDAY)
    with driver.sessions.begin() as session:
        session.execute(update(Card).values(refused_code="lost_card"))
    close(driver, MONDAY)
    setup = begin(driver, gateway)
    stand_in.give_card(setup, "mastercard")
    finish(driver, gateway, setup)
    assert driver.charge(gateway, MONDAY + DAY) == ["succeeded"]
    assert [one.cause for one in driver.charges()] == ["closing"]


def test_an_agreement_that_is_closed_while_the_page_is_open_keeps_its_way_to_pay(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    with driver.sessions.begin() as session:
        session.get_one(Agreement, driver.agreement_id).payment_method = "invoice"
    setup = begin(driver, gateway)
    close(driver, MONDAY)
    stand_in.give_card(setup, "mastercard")
    finish(driver, gateway, setup)
    with driver.sessions() as session:
        assert session.get_one(Agreement, driver.agreement_id).payment_method == "invoice"
        assert session.scalars(select(CardSetup.state)).all() == ["finished"]
    assert driver.charges() == []


@pytest.mark.parametrize("before", [False, True])
def test_no_card_is_asked_for_what_an_ended_agreement_is_invoiced(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, before: bool
) -> None:
    """What came after the end is; and what came after the closing's own charge."""
    if before:
        driver.drive(700, MONDAY)
    close(driver, MONDAY)
    if before:
        with driver.sessions.begin() as session:
            assert closings.close_one(session, driver.agreement_id, now=MONDAY)
        assert driver.charge(gateway, MONDAY) == ["succeeded"]
    driver.drive(9_000, MONDAY + (dt.timedelta(0) if before else DAY))
    with driver.sessions.begin() as session:
        session.execute(update(Card).values(refused_code="lost_card"))
    with pytest.raises(Conflict):
        begin(driver, gateway)
    adopted(driver, gateway, stand_in)
    assert [one.state for one in driver.charges()] == (["succeeded"] if before else [])


def test_what_is_disputed_of_an_ended_agreement_asks_for_no_card(driver: Driver, gateway: CardGateway) -> None:
    driver.drive(700, MONDAY)
    with driver.sessions.begin() as session:
        session.execute(update(Card).values(refused_code="lost_card"))
        assert held.hold(session, session.scalars(select(Passage)).one(), MONDAY)
    close(driver, MONDAY)
    with pytest.raises(Conflict):
        begin(driver, gateway)
