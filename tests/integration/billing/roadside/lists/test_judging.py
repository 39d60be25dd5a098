"""A passage is judged by what its charger knew when it happened."""

from __future__ import annotations

import datetime as dt

import pytest

from accounts.agreements.block import block, void
from accounts.agreements.standing import apply
from accounts.chargers.keep import ChargerGiven, keep_charger
from accounts.chargers.publish import Notice, publish
from billing.audit.publications import RULES
from billing.roadside.lists.validity import knew
from config.problems import Invalid
from tests.integration.billing.passages.conftest import HOUR, pan
from tests.integration.billing.roadside.lists.conftest import DAY, MINUTE, World


def test_blocked_then_told_an_hour_later(world: World) -> None:
    """The race: what happened in that hour is accepted, what happened after it is refused and says why."""
    road, session = world.road, world.session
    world.minute(full=True)
    for list_type in ("tags", "plates"):
        world.ack(list_type, 1)
    block(session, {world.agreement: [1]}, world.now)
    apply(session, {world.agreement: 10_000}, world.now, "overdue", "system")
    session.commit()
    world.minute()
    sent = world.version(2).sent_at
    assert sent is not None
    assert sent - world.now <= 5 * MINUTE
    world.at(sent + HOUR)
    world.ack("tags", 2)
    told = world.now
    between = road.record("between", pan=pan(1), passed_at=told - MINUTE)
    after = road.record("after", pan=pan(1), passed_at=told)
    by_plate = road.record("plate", plate="EV10001", passed_at=told + MINUTE)
    answers = road.send([between, after, by_plate], now=told + DAY)
    assert [(one.code, one.detail) for one in answers] == [
        ("accepted", None),
        ("not_valid", f"blocked, list 2 acknowledged {told:%Y-%m-%dT%H:%MZ}"),
        ("accepted", None),  # its list of plates was never acknowledged
    ]


def test_switched_off_it_knows_everything_from_then_on(world: World) -> None:
    road = world.road
    world.minute(full=True)
    world.block()
    world.minute()
    world.at(world.now + HOUR)
    off = world.now
    world.take("none")
    road.toll = world.charger()
    assert road.one(road.record("A", pan=pan(1), passed_at=off - MINUTE)).code == "accepted"
    refused = road.one(road.record("B", pan=pan(1), passed_at=off))
    assert (refused.code, str(refused.detail).split(" 20")[0]) == ("not_valid", "blocked, published")
    publish(world.session, [Notice(world.agreement, "valid", "paid")], off + MINUTE)
    assert road.one(road.record("C", pan=pan(1), passed_at=off + 2 * MINUTE)).code == "accepted"
    world.at(off + HOUR)
    world.take("pull")
    world.prove()


def test_a_name_changed_leaves_the_lists_on(world: World) -> None:
    keep_charger(world.session, ChargerGiven("FJELL", "Fjell AS", "toll"), world.now)
    assert world.charger().lists == "push"
    with pytest.raises(Invalid) as caught:
        keep_charger(world.session, ChargerGiven("FJELL", "F", "toll", lists="fax", latency_minutes=-1), world.now)
    assert {one["field"] for one in caught.value.errors} == {"lists", "latency_minutes"}


def test_who_writes_last_is_right_though_its_clock_was_read_earlier(world: World) -> None:
    """A bank file that began first gets the lock last, and takes back the block that overdue made meanwhile."""
    road, session = world.road, world.session
    world.take("none")
    world.at(world.now + HOUR)
    early, late = world.now, world.now + dt.timedelta(seconds=5)
    block(session, {world.agreement: [1]}, late)
    apply(session, {world.agreement: 10_000}, late, "overdue", "system")
    void(session, [world.agreement], early)
    apply(session, {world.agreement: 0}, early, "paid_in_time", "system")
    session.commit()
    last = road.ask("SELECT status, effective_at FROM publications ORDER BY effective_at, id")[-2:]
    assert last == [("blocked", late), ("valid", late)]
    assert road.ask("SELECT status FROM publications ORDER BY id DESC LIMIT 1") == [("valid",)]
    assert [row[0] for row in road.ask(_AUDITED, now=late)] == []
    road.toll = world.charger()
    at = late + DAY
    assert road.one(road.record(pan=pan(1), passed_at=at)).code == "accepted"
    assert not any(one.refused for one in knew(session, world.agreement, at))


_AUDITED = next(rule.sql for rule in RULES if rule.name == "publications_standings")
