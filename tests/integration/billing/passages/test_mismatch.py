"""Tags that are read in other vehicles: their holders are told, once in some days, of all that is committed by then."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import text

from accounts.chargers.oddities import keep_oddities
from billing.audit.complaints import RULES as COMPLAINTS
from billing.passages.mismatch import job, look, look_at_refused, of_agreement
from billing.passages.models import PASSAGE_IDS
from billing.roadside.contest import contest
from config.clock import move_clock
from config.database import SessionFactory
from config.jobs import JobContext
from config.settings import Settings
from tests.integration.billing.passages.conftest import HOUR, NOW, Road, pan, road
from tests.integration.billing.passages.test_corrections import adjust, retry

__all__ = ["road"]
DAY = dt.timedelta(days=1)


@pytest.fixture
def agreement(road: Road) -> int:
    """An agreement with EV10001, and tag 1 in it."""
    made = road.agreement()
    road.vehicle(made)
    road.tag(made, 1, "EV10001")
    move_clock(road.session, NOW, running=False)
    road.session.commit()
    return made


@pytest.fixture
def ctx(sessions: SessionFactory, settings: Settings) -> JobContext:
    return JobContext(sessions=sessions, settings=settings)


def drive(road: Road, name: str, plate: str | None = "EV99999", tag: int = 1, now: dt.datetime = NOW) -> None:
    flags = road.one(road.record(name, plate=plate, pan=pan(tag)), now=now).flags
    assert ("tag_plate_mismatch" in flags) == (plate == "EV99999")
    road.session.commit()


def messages(road: Road) -> list[tuple[int, dict[str, object]]]:
    rows = road.ask("SELECT agreement_id, data FROM messages WHERE template = 'tag_mismatch' ORDER BY id")
    road.session.rollback()
    return [(row[0], row[1]) for row in rows]


def test_the_holder_is_told_once_and_which_vehicle_is_kept(road: Road, agreement: int, ctx: JobContext) -> None:
    drive(road, "A")
    drive(road, "B")
    drive(road, "C", plate="EV10001")
    assert job(ctx, NOW) == {"seen": 2, "told": 1}
    assert messages(road) == [(agreement, {"facts": {"tag": "T1"}})]
    (kept,) = of_agreement(road.session, agreement, NOW - DAY)
    assert (kept.pan, kept.mounted_plate, kept.read_plate, kept.read_country, kept.times) == (
        pan(1), "EV10001", "EV99999", "NO", 2
    )  # fmt: skip
    assert job(ctx, NOW) == {"seen": 0, "told": 0}


def test_he_is_told_again_after_some_days(road: Road, agreement: int, ctx: JobContext) -> None:
    drive(road, "A")
    job(ctx, NOW)
    for days, told in ((29, 1), (30, 2)):
        move_clock(road.session, NOW + days * DAY, running=False)
        road.session.commit()
        drive(road, f"B{days}", now=NOW + days * DAY)
        job(ctx, NOW)
        assert len(messages(road)) == told, days


def test_each_tag_for_itself(road: Road, agreement: int, ctx: JobContext) -> None:
    road.tag(agreement, 2, "EV10001")
    road.session.commit()
    drive(road, "A")
    drive(road, "B", tag=2)
    assert job(ctx, NOW) == {"seen": 2, "told": 2}


def test_what_was_there_before_is_not_told(road: Road, agreement: int, ctx: JobContext) -> None:
    drive(road, "A")
    road.session.execute(text("UPDATE mismatch_position SET passage_id = (SELECT last_value FROM passage_ids)"))
    road.session.commit()
    assert job(ctx, NOW)["told"] == 0


def test_one_that_commits_late_is_not_passed_over(
    road: Road, agreement: int, ctx: JobContext, sessions: SessionFactory
) -> None:
    """Somebody has drawn an id, and is still at it while others have drawn and committed theirs."""
    with sessions() as slow:
        slow.execute(text("UPDATE mismatch_position SET one = one WHERE false"))
        slow.execute(text("CREATE TEMP TABLE writes_something (n integer)"))
        mine = slow.execute(PASSAGE_IDS.next_value().select()).scalar_one()
        drive(road, "A")
        assert job(ctx, NOW)["seen"] == 0
        assert road.ask("SELECT passage_id < :mine FROM mismatch_position", mine=mine) == [(True,)]
        road.session.rollback()
        slow.rollback()
    assert job(ctx, NOW) == {"seen": 1, "told": 1}


def test_what_was_taken_back_is_no_mismatch(road: Road, agreement: int, ctx: JobContext) -> None:
    from billing.passages.credit import credit

    drive(road, "A")
    ((passage,),) = road.ask("SELECT id FROM passages")
    credit(road.session, agreement, passage, reason="Feil", actor="agent:a", now=NOW + HOUR)
    road.session.commit()
    assert job(ctx, NOW) == {"seen": 0, "told": 0}


def test_a_pages_end_is_where_it_goes_on(
    road: Road, agreement: int, ctx: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.passages.mismatch.CHUNK", 2)
    for number in range(5):
        drive(road, f"A{number}")
    assert job(ctx, NOW) == {"seen": 5, "told": 1}
    assert road.ask("SELECT times FROM tag_mismatches") == [(5,)]


def test_nothing_is_told_twice_when_the_first_try_was_lost(
    road: Road, agreement: int, ctx: JobContext, sessions: SessionFactory
) -> None:
    drive(road, "A")
    with sessions() as session:
        look(session, NOW)
        session.commit()
        assert look(session, NOW).told == 1
        session.rollback()  # killed
    assert job(ctx, NOW)["told"] == 1
    assert len(messages(road)) == 1


def refused(road: Road, name: str, now: dt.datetime = NOW) -> None:
    assert road.one(road.record(name, plate="EV99999", pan=pan(1)), now=now).code == "tag_plate_mismatch"
    road.session.commit()


def test_where_such_records_are_refused_he_is_told_too(
    road: Road, agreement: int, ctx: JobContext, sessions: SessionFactory
) -> None:
    keep_oddities(road.session, road.toll, {"tag_plate_mismatch": False})
    refused(road, "A")
    with sessions() as session:
        assert look_at_refused(session, NOW).told == 1
        session.rollback()  # killed
    assert job(ctx, NOW) == {"seen": 1, "told": 1}
    refused(road, "B")
    assert road.one(road.record("B", plate="EV99999", pan=pan(1))).code == "duplicate"
    road.session.commit()
    assert job(ctx, NOW) == {"seen": 1, "told": 0}
    (kept,) = of_agreement(road.session, agreement, NOW - DAY)
    assert (kept.pan, kept.mounted_plate, kept.read_plate, kept.times, kept.passage_id) == (
        pan(1), "EV10001", "EV99999", 2, None
    )  # fmt: skip
    said = road.ask("SELECT agreement_id, template, data FROM messages ORDER BY id")
    assert said == [(agreement, "tag_mismatch_refused", {"facts": {"tag": "T1"}})]
    assert road.ask("SELECT count(*) FROM refused_mismatches") == [(0,)]
    for rule in COMPLAINTS:
        if rule.name == "tag_mismatches_told":
            assert road.ask(rule.sql) == []
            road.session.execute(text("DELETE FROM messages"))
            assert len(road.ask(rule.sql)) == 1
            return
    pytest.fail("no such rule")


def test_an_adjustment_that_waited_is_told_when_it_is_refused(road: Road, agreement: int, ctx: JobContext) -> None:
    keep_oddities(road.session, road.toll, {"tag_plate_mismatch": False})
    assert road.one(adjust(road, "X", "A", 1, plate="EV99999", pan=pan(1))).code == "deferred_original_missing"
    assert road.one(road.record("A", plate="EV10001", pan=pan(1))).code == "accepted"
    road.session.commit()
    assert job(ctx, NOW) == {"seen": 0, "told": 0}
    retry(road)
    assert road.ask("SELECT code FROM records WHERE source_id = 'X'") == [("tag_plate_mismatch",)]
    road.session.commit()
    assert job(ctx, NOW) == {"seen": 1, "told": 1}
    retry(road)
    road.session.commit()
    assert job(ctx, NOW) == {"seen": 0, "told": 0}


def test_of_refused_ones_all_pages_are_taken(
    road: Road, agreement: int, ctx: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.passages.mismatch.CHUNK", 2)
    keep_oddities(road.session, road.toll, {"tag_plate_mismatch": False})
    for number in range(5):
        refused(road, f"A{number}")
    assert job(ctx, NOW) == {"seen": 5, "told": 1}
    assert road.ask("SELECT times FROM tag_mismatches") == [(5,)]


def test_one_that_is_booked_by_then_is_told_as_a_passage(road: Road, agreement: int, ctx: JobContext) -> None:
    keep_oddities(road.session, road.toll, {"tag_plate_mismatch": False})
    refused(road, "A")
    contest(road.session, road.toll, "A", reason="they say so", actor="agent:1", now=NOW)
    road.session.commit()
    assert job(ctx, NOW) == {"seen": 1, "told": 1}
    assert [data for _, data in messages(road)] == [{"facts": {"tag": "T1"}}]
    assert road.ask("SELECT count(*) FROM refused_mismatches") == [(0,)]
