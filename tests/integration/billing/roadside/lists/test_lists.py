"""Status lists: what they say, and that nothing is lost on the way."""

from __future__ import annotations

import gzip
import json

import pytest
from sqlalchemy import Engine, select

from accounts.agreements.close import close
from accounts.chargers.models import Charger, ListVersion
from accounts.chargers.publish import Notice, publish
from accounts.vehicles.register import register
from accounts.vehicles.remove import remove
from accounts.vehicles.tags import issue, mount, set_state
from billing.roadside.lists import jobs, send
from billing.roadside.lists.cut import cut
from billing.roadside.lists.release import highest, release
from config.database import SessionFactory
from tests.integration.billing.beside import Beside
from tests.integration.billing.passages.conftest import HOUR, pan
from tests.integration.billing.roadside.lists.conftest import DAY, MINUTE, NOW, World


def test_a_newcomer_gets_full_lists_first_and_then_what_changes(world: World) -> None:
    assert world.minute()["lists"] == 0  # nothing to build on yet
    assert world.minute(full=True) == {"lists": 2, "sent": 2, "offered": 0, "failed": 0, "forgotten": 0}
    assert world.rows(1) == [{"pan": pan(1), "country": "NO", "plate": "EV10001", "state": "valid"}]
    assert world.rows(1, "plates") == [{"country": "NO", "plate": "EV10001", "state": "valid"}]
    assert world.minute()["lists"] == 0  # nothing has changed
    world.block()
    assert world.minute() == {"changes": 1, "lists": 2, "sent": 2, "offered": 0, "failed": 0}
    blocked = {"state": "blocked", "reason": "latePayment"}
    assert world.rows(2) == [{"pan": pan(1), "country": "NO", "plate": "EV10001", **blocked}]
    assert world.rows(2, "plates") == [{"country": "NO", "plate": "EV10001", **blocked}]
    assert [one[:2] for one in world.versions()] == [(1, "full"), (2, "incremental")]
    assert "FJELL-tags-000002-incremental.jsonl.gz" in world.out()
    assert world.version(2).made_at - NOW <= 5 * MINUTE
    assert world.minute(full=True)["lists"] == 0
    world.at(world.now + 7 * DAY)
    assert world.minute(full=True)["lists"] == 2  # the week's
    assert world.rows(3) == world.rows(2)
    world.prove()


def test_everything_that_changes_is_on_the_next_list(world: World) -> None:
    session = world.session
    world.minute(full=True)
    row = register(
        session, world.agreement, "NO", "EV20002", valid_from=world.now, now=world.now, actor="t"
    ).registration
    tag = issue(session, world.agreement, "T0002", pan(2), None, now=world.now).tag
    world.minute()
    assert world.rows(2) == [
        {"pan": pan(2), "country": None, "plate": None, "state": "blocked", "reason": "deactivated"}
    ]
    assert world.rows(2, "plates") == [{"country": "NO", "plate": "EV20002", "state": "valid"}]
    mount(session, tag.id, row.id, at=world.now, now=world.now)
    world.minute()
    assert [one["state"] for one in world.rows(3)] == ["valid"]
    set_state(session, tag.id, "stolen", now=world.now)
    world.minute()
    assert [(one["pan"], one["reason"]) for one in world.rows(4)] == [(pan(2), "stolen")]
    assert world.rows(4, "plates") == []  # an empty list, with its number
    remove(session, world.agreement, world.vehicle, ends_at=world.now, reason=None, now=world.now, actor="t")
    world.minute()
    assert [(one["pan"], one["state"]) for one in world.rows(5)] == [(pan(1), "blocked")]
    assert world.rows(5, "plates") == [{"country": "NO", "plate": "EV10001", "state": "removed"}]
    close(session, world.agreement, at=world.now + HOUR, now=world.now, actor="t")
    assert world.minute()["changes"] == 0  # it lies ahead
    world.at(world.now + HOUR)
    world.minute()
    assert {one["plate"]: one["state"] for one in world.rows(6, "plates")} == {"EV20002": "removed"}
    assert {one["reason"] for one in world.rows(6)} == {"deactivated", "stolen"}
    world.prove()


def test_a_ferry_operators_list_knows_additional_agreements(world: World) -> None:
    road, session = world.road, world.session
    own = road.agreement(kind="ferry", operator="FJORD", parent_id=world.agreement)
    road.vehicle(own, None, pan=pan(1), scope="FJORD")
    world.take("pull", "FJORD", list_types="tags")
    world.block()
    world.minute(full=True)
    ferry = session.scalars(select(ListVersion).where(ListVersion.charger_id == road.ferry.id)).one()
    body = gzip.decompress(b"".join(send.content(world.ctx.sessions, ferry.id)))
    assert json.loads(body.splitlines()[1])["state"] == "valid"  # there, by the additional agreement
    assert world.rows(1)[0]["state"] == "blocked"  # FJELL, which takes tolls
    publish(session, [Notice(own, "blocked", "overdue")], world.now)
    session.commit()
    world.minute()
    ferry = session.scalars(
        select(ListVersion).where(ListVersion.charger_id == road.ferry.id, ListVersion.version == 2)
    ).one()
    body = gzip.decompress(b"".join(send.content(world.ctx.sessions, ferry.id)))
    assert json.loads(body.splitlines()[1])["state"] == "blocked"


def test_a_change_that_commits_after_a_higher_one_is_on_the_next_list(
    world: World, sessions: SessionFactory, engine: Engine
) -> None:
    """Two write; the one that began first commits last, after a list was cut."""
    world.minute(full=True)
    other = world.road.agreement()
    world.session.commit()
    slow, quick = sessions(), sessions()
    publish(slow, [Notice(world.agreement, "blocked", "overdue")], world.now)  # the lower id
    publish(quick, [Notice(other, "blocked", "overdue")], world.now)
    quick.commit()
    world.minute()
    slow.commit()
    ids = [
        row[0] for row in world.road.ask("SELECT agreement_id FROM publications WHERE status = 'blocked' ORDER BY id")
    ]
    assert ids == [world.agreement, other]
    assert world.rows(2) == []  # the other has no tags
    world.minute()
    assert [one["state"] for one in world.rows(3)] == ["blocked"]
    positions = world.road.ask("SELECT agreement_id FROM publications WHERE status = 'blocked' ORDER BY position")
    assert [row[0] for row in positions] == [other, world.agreement]
    world.prove()


def test_places_are_given_one_at_a_time(world: World, sessions: SessionFactory, engine: Engine) -> None:
    """Who gives places waits for who is giving some, and goes on from there: no hole, no place twice."""
    publish(world.session, [Notice(world.agreement, "blocked", "overdue")], world.now)
    world.session.commit()
    first = sessions()
    assert release(first, world.now) == 2

    def later() -> int:
        with sessions.begin() as session:
            publish(session, [Notice(world.agreement, "valid", "paid")], world.now)
            return release(session, world.now)

    beside = Beside(engine, later)
    assert beside.waited
    assert highest(world.session) == 0
    first.commit()
    assert beside.result() == 1
    world.session.rollback()
    assert world.road.ask("SELECT position FROM publications ORDER BY position") == [(1,), (2,), (3,)]


def test_two_that_make_the_same_list_make_one(world: World, sessions: SessionFactory) -> None:
    jobs.release_all(sessions)
    with sessions() as one, sessions() as two:
        charger = one.get_one(Charger, world.road.toll.id)
        assert cut(one, charger, "tags", "full", world.now) is not None
        assert cut(two, two.get_one(Charger, charger.id), "tags", "full", world.now) is None
        one.commit()
    assert world.versions() == [(1, "full", "made")]


def test_in_xml_for_who_takes_that(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.take("push", list_format="iso12855")
    world.minute(full=True)
    row = world.version(1)
    body = gzip.decompress(b"".join(send.content(world.ctx.sessions, row.id)))
    assert row.name.endswith(".xml.gz")
    assert b"<version>1</version>" in body
    assert pan(1).encode() in body
