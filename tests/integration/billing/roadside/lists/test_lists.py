"""Status lists: made, sent, sent again, acknowledged, and nothing lost on the way."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from typing import Any

import pytest
from sqlalchemy import Engine, select, text

from accounts.agreements.block import block
from accounts.agreements.close import close
from accounts.agreements.standing import apply
from accounts.chargers.keep import ChargerGiven, keep_charger
from accounts.chargers.models import Charger, ListPart, ListVersion, Publication
from accounts.chargers.publish import Notice, publish
from accounts.vehicles.register import register
from accounts.vehicles.remove import remove
from accounts.vehicles.tags import issue, mount, set_state
from billing.audit.publications import RULES
from billing.roadside.lists import jobs, send
from billing.roadside.lists.acknowledge import acknowledge
from billing.roadside.lists.cut import cut
from billing.roadside.lists.queries import figures, stands, troubled
from billing.roadside.lists.release import highest, release
from config.clock import move_clock
from config.database import SessionFactory
from config.jobs import JobContext
from config.problems import Conflict, Invalid, NotFound
from config.settings import Settings
from migrations.run import migrate
from tests.integration.billing.beside import Beside
from tests.integration.billing.passages.conftest import HOUR, PASSED, Road, pan, road

__all__ = ["road"]
MINUTE, DAY = dt.timedelta(minutes=1), dt.timedelta(days=1)
NOW = PASSED - 2 * DAY


class World:
    """FJELL takes both lists, pushed; Kari's agreement has EV10001 with a tag in it. The clock is moved by hand."""

    def __init__(self, road: Road, ctx: JobContext) -> None:
        self.road, self.session, self.ctx, self.now = road, road.session, ctx, NOW
        self.agreement = road.agreement()
        self.vehicle = road.vehicle(self.agreement)
        road.tag(self.agreement, 1, "EV10001")
        publish(self.session, [Notice(self.agreement, "valid", "opened")], NOW)
        self.take("push")

    def take(self, lists: str, code: str = "FJELL", **more: Any) -> Charger:
        given = ChargerGiven(code, f"{code.title()} AS", "ferry" if code == "FJORD" else "toll", lists=lists, **more)
        charger, _ = keep_charger(self.session, given, self.now)
        self.at(self.now)
        return charger

    def at(self, now: dt.datetime) -> None:
        self.now = now
        move_clock(self.session, now, running=False)
        self.session.commit()

    def minute(self, full: bool = False) -> dict[str, int | str]:
        """A minute passes, and the job runs."""
        self.at(self.now + MINUTE)
        done = (jobs.job_full if full else jobs.job)(self.ctx, self.now)
        self.session.expire_all()
        self.session.rollback()
        return done

    def block(self, status: str = "blocked") -> None:
        publish(self.session, [Notice(self.agreement, status, "overdue" if status == "blocked" else "paid")], self.now)
        self.session.commit()

    def ack(self, list_type: str, version: int, *, accepted: bool = True, reason: str | None = None) -> bool:
        self.session.rollback()
        done = acknowledge(
            self.session, self.charger(), list_type, version, accepted=accepted, now=self.now, reason=reason
        )
        self.session.commit()
        return done.already

    def charger(self, code: str = "FJELL") -> Charger:
        return self.session.scalars(select(Charger).where(Charger.code == code)).one()

    def versions(self, list_type: str = "tags") -> list[tuple[int, str, str]]:
        rows = self.session.scalars(
            select(ListVersion).where(ListVersion.list_type == list_type).order_by(ListVersion.id)
        )
        return [(row.version, row.kind, row.state) for row in rows]

    def version(self, number: int, list_type: str = "tags") -> ListVersion:
        query = select(ListVersion).filter_by(charger_id=self.charger().id, version=number, list_type=list_type)
        return self.session.scalars(query.execution_options(populate_existing=True)).one()

    def rows(self, number: int, list_type: str = "tags") -> list[dict[str, Any]]:
        """The rows of a version, by its bytes."""
        body = b"".join(send.content(self.ctx.sessions, self.version(number, list_type).id))
        lines = [json.loads(line) for line in gzip.decompress(body).splitlines()]
        assert (lines[0]["version"], lines[0]["list"], lines[-1]) == (
            number, list_type, {"end": True, "rows": len(lines) - 2},
        )  # fmt: skip
        return lines[1:-1]

    def out(self) -> list[str]:
        folder = self.ctx.settings.var / "roadside" / "FJELL" / "out"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    def prove(self) -> None:
        for rule in RULES:
            if rule.name not in ("publications_changes", "publications_causes"):  # this world's are made by hand
                assert self.road.ask(rule.sql) == [], rule.name


@pytest.fixture
def ctx(sessions: SessionFactory, settings: Settings) -> JobContext:
    return JobContext(sessions, settings)


@pytest.fixture
def world(road: Road, ctx: JobContext) -> World:
    return World(road, ctx)


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


def test_not_acknowledged_it_is_sent_again_and_alarms(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []

    class Log:
        def warning(self, event: str, **about: object) -> None:
            warned.append(f"{event} {about['charger']} {about['list']} {about['version']}")

    monkeypatch.setattr(send, "log", Log())
    world.minute(full=True)
    world.ack("plates", 1)
    before = world.version(1)
    name, digest, folder = before.name, before.sha256, world.ctx.settings.var / "roadside" / "FJELL" / "out"
    (folder / name).unlink()  # taken away by the transfer
    world.at(world.now + HOUR - 2 * MINUTE)
    assert world.minute()["sent"] == 0  # not yet an hour
    assert world.minute()["sent"] == 1
    row = world.version(1)
    assert row.attempts == 2
    assert row.sha256 == digest
    assert gzip.decompress((folder / name).read_bytes()).endswith(b'"rows":1}\n')
    assert row.sent_at == before.sent_at
    (trouble,) = troubled(world.session, world.now, 60, 10)
    assert (trouble.charger, trouble.row.version, trouble.row.list_type) == ("FJELL", 1, "tags")
    assert 'brikke_status_lists{charger="FJELL",list="tags",state="waiting"} 1' in figures(world.session, world.now)
    assert warned == ["status_list.not_acknowledged FJELL tags 1"]
    world.ack("tags", 1)
    assert troubled(world.session, world.now, 60, 10) == []
    assert world.minute()["sent"] == 0
    assert [(one.list_type, one.acknowledged) for one in stands(world.session)] == [("plates", 1), ("tags", 1)]


def test_what_cannot_be_delivered_is_tried_again(world: World) -> None:
    blocked = world.ctx.settings.var / "roadside"
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("in the way")
    assert world.minute(full=True)["failed"] == 2
    row = world.version(1)
    assert (row.state, row.attempts, row.sent_at) == ("made", 1, None)
    assert "Error: " in str(row.error)
    blocked.unlink()
    world.at(world.now + HOUR)
    assert world.minute()["sent"] == 2
    assert (world.version(1).state, world.version(1).error) == ("sent", None)
    world.prove()


def test_acknowledged_while_it_was_being_sent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    class Quick:
        def deliver(self, name: str, content: object) -> None:
            world.ack("tags" if "tags" in name else "plates", 1)

    monkeypatch.setattr(jobs, "outbox_of", lambda sessions, settings, code: Quick())
    world.minute(full=True)
    assert world.versions() == [(1, "full", "acknowledged")]
    world.prove()


def test_acknowledgements_are_repeated_and_stand(world: World) -> None:
    world.minute(full=True)
    assert not world.ack("tags", 1)
    first = world.version(1).acknowledged_at
    world.at(world.now + DAY)
    assert world.ack("tags", 1)
    assert world.version(1).acknowledged_at == first
    with pytest.raises(Conflict):
        world.ack("tags", 1, accepted=False, reason="too late")
    with pytest.raises(Invalid):
        world.ack("plates", 1, accepted=False)
    with pytest.raises(NotFound):
        world.ack("plates", 2)


def test_a_rejected_list_is_made_good_by_a_full_one(world: World) -> None:
    world.minute(full=True)
    world.ack("tags", 1)
    world.block()
    world.minute()
    world.ack("tags", 2, accepted=False, reason="line 2 cannot be read")
    assert world.ack("tags", 2, accepted=False, reason="again")
    (trouble,) = [one for one in troubled(world.session, world.now, 60, 9) if one.row.state == "rejected"]
    assert trouble.row.error == "line 2 cannot be read"
    assert world.minute(full=True)["lists"] == 1
    assert world.versions()[-1] == (3, "full", "sent")
    world.ack("tags", 3)
    assert [one[2] for one in world.versions()] == ["acknowledged", "superseded", "acknowledged"]
    assert world.minute(full=True)["lists"] == 0
    world.prove()


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


def test_old_bytes_are_forgotten_and_the_newest_full_ones_kept(world: World) -> None:
    world.minute(full=True)
    for list_type in ("tags", "plates"):
        world.ack(list_type, 1)
    world.block()
    world.minute()
    for list_type in ("tags", "plates"):
        world.ack(list_type, 2)
    world.at(world.now + 36 * DAY)
    assert world.minute(full=True)["forgotten"] == 2  # the changes; the full ones are still the newest
    world.ack("tags", 3)
    world.at(world.now + 36 * DAY)
    world.minute(full=True)
    kept = world.session.scalars(
        select(ListVersion.version).join(ListPart, ListPart.version_id == ListVersion.id).filter_by(list_type="tags")
    ).all()
    assert sorted(kept) == [3, 4]


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


def test_in_xml_for_who_takes_that(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.take("push", list_format="iso12855")
    world.minute(full=True)
    row = world.version(1)
    body = gzip.decompress(b"".join(send.content(world.ctx.sessions, row.id)))
    assert row.name.endswith(".xml.gz")
    assert b"<version>1</version>" in body
    assert pan(1).encode() in body


def test_a_step_down_and_up_keeps_what_was_told(world: World, engine: Engine) -> None:
    road, session = world.road, world.session
    block(session, {world.agreement: [1]}, NOW)
    apply(session, {world.agreement: 10_000}, NOW, "overdue", "system")
    keep_charger(session, ChargerGiven("NY", "Ny AS", "toll"), NOW + DAY)
    world.minute(full=True)
    world.minute()
    world.ack("tags", 1)
    acknowledged = world.version(1).acknowledged_at
    session.commit()
    migrate(engine, down_to="0009")
    told = road.ask(
        "SELECT c.code, p.status, p.acknowledged_at FROM publications AS p JOIN chargers AS c ON c.id = p.charger_id "
        "WHERE p.status = 'blocked' ORDER BY c.code"
    )
    assert told == [
        ("FJELL", "blocked", acknowledged), ("FJORD", "blocked", NOW), ("NY", "blocked", NOW + DAY),
    ]  # fmt: skip
    session.commit()
    migrate(engine)
    again = session.scalars(select(Publication).where(Publication.status == "blocked")).all()
    assert len(again) == 1
    assert session.scalar(text("SELECT told_from FROM chargers WHERE code = 'NY'")) == NOW + DAY
