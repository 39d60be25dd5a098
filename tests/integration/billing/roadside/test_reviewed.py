"""What a review found: contests beside corrections, files that could not be booked, orders that must not matter."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from billing.passages.batches import open_batch
from billing.passages.incoming import Item, limits_at, prepare
from billing.passages.rules import Cancel
from billing.roadside import listed
from billing.roadside.chunk import book
from billing.roadside.contest import contest
from billing.roadside.formats.iso12855.names import Header, Provider
from billing.roadside.formats.iso12855.write import write_details
from billing.roadside.ingest_file import ingest_file
from billing.roadside.waiting import job_batches, job_corrections
from config.clock import move_clock
from config.database import SessionFactory
from config.jobs import JobContext
from config.problems import Invalid
from config.settings import Settings
from tests.integration.billing.beside import Beside
from tests.integration.billing.passages.conftest import HOUR, NOW, Road, road
from tests.integration.billing.roadside.test_receive import agreement, record, write
from tests.integration.conftest import Bearer

__all__ = ["agreement", "road"]

DAY = dt.timedelta(days=1)


def send(session: Session, road: Road, records: Sequence[Any], name: str, now: dt.datetime = NOW) -> list[str]:
    batch = open_batch(session, road.toll, name=name, form="jsonl", sha256=name.encode(), now=now)
    items = [Item(number, msgspec.json.encode(one), one) for number, one in enumerate(records, 1)]
    return [one.code for one in book(session, batch, prepare(1, items, limits_at(now)), now=now).answers]


def cancel(name: str, original: str, version: int = 1) -> Cancel:
    return Cancel(id=name, action="cancel", original=original, version=version)


def booked(road: Road) -> int:
    return int(road.ask("SELECT coalesce(sum(amount_ore), 0) FROM passages")[0][0])


@pytest.mark.parametrize("adjusted", [False, True])
def test_a_contest_waits_for_the_cancellation_that_is_being_booked(
    road: Road, agreement: int, sessions: SessionFactory, engine: Engine, adjusted: bool
) -> None:
    first = [road.record("A", plate="EV10001" if adjusted else "EV20002")]
    if adjusted:
        first.append(road.record("X", plate="EV20002", action="adjust", original="A", version=1))
    with sessions.begin() as session:
        send(session, road, first, "one")
    road.vehicle(agreement, "EV20002")
    road.session.commit()
    contested = "X" if adjusted else "A"

    def again() -> Any:
        with sessions.begin() as session:
            return contest(session, road.toll, contested, reason="they say", actor="agent:1", now=NOW)

    with sessions() as session:
        assert send(session, road, [cancel("C", contested, 2)], "two") == ["accepted"]
        beside = Beside(engine, again)
        assert beside.waited
        session.commit()
    beside.result()
    assert booked(road) == 0
    road.check_books()


def test_two_of_one_id_and_its_cancellation_in_one_file(
    road: Road, agreement: int, sessions: SessionFactory, tmp_path: Path
) -> None:
    both = [record("A", plate="EV99999"), record("A"), {"id": "C", "action": "cancel", "original": "A", "version": 1}]
    done = ingest_file(sessions, write(tmp_path / "in.jsonl", both), "FJELL")
    assert done.tally.counts == {"unknown_vehicle": 1, "conflict": 1, "accepted": 1}
    assert booked(road) == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [("bad.jsonl", b'{"file":{"number":1,"sender":"a\\u0000b"}}\n'), ("bad.csv", b"#file,\x00=1\nid\n")],
)
def test_a_head_that_no_column_can_hold_is_a_broken_file(
    road: Road, agreement: int, sessions: SessionFactory, settings: Settings, tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(Invalid):
        ingest_file(sessions, path, "FJELL")
    assert road.ask("SELECT state FROM batches") == [("refused",)]
    assert job_batches(JobContext(sessions, settings), NOW) == {"resumed": 0, "refused": 0}


def test_one_batch_that_is_stuck_keeps_no_other_waiting(
    road: Road, agreement: int, sessions: SessionFactory, settings: Settings, tmp_path: Path
) -> None:
    for name in "AB":
        ingest_file(sessions, write(tmp_path / f"{name}.jsonl", [record(name)]), "FJELL")
    road.session.execute(text("UPDATE batches SET state = 'receiving', finished_at = NULL"))
    road.session.execute(text("UPDATE batches SET format = 'none' WHERE id = 1"))
    road.session.commit()
    with pytest.raises(RuntimeError, match="cannot be gone on with: 1;"):
        job_batches(JobContext(sessions, settings), NOW)
    assert road.ask("SELECT id, state FROM batches ORDER BY id") == [(1, "receiving"), (2, "done")]


def test_a_numbered_request_again_is_the_same_file(
    road: Road, agreement: int, client: FlaskClient, bearer: Bearer
) -> None:
    lines = '{"file":{"number":1,"sender":"FJELL"}}\n' + json.dumps(record("B")) + "\n"
    here = Provider.read("FJELL")
    header = Header(here, here, Provider.read("BRIKKE"), 7, "BillingDetails", 1, NOW)
    message = b"".join(write_details([road.record("C", plate="EV10001", country="NO")], header))
    for content, kind in ((lines, "application/x-ndjson"), (message, "application/xml")):
        head = bearer("charger", charger="FJELL") | {"Content-Type": kind}
        first, again = (client.post("/v1/passages", data=content, headers=head) for _ in range(2))
        assert (first.status_code, again.status_code) == (200, 200), again.text
        assert first.data == again.data
    assert road.ask("SELECT state, count(*) FROM batches GROUP BY 1 ORDER BY 1") == [("done", 2), ("refused", 2)]


def test_a_read_after_one_that_was_cancelled_is_a_passing(road: Road, agreement: int, sessions: SessionFactory) -> None:
    lane = {"plate": "EV10001", "lane": "1"}
    with sessions.begin() as session:
        assert send(session, road, [road.record("A", **lane)], "one") == ["accepted"]
        assert send(session, road, [cancel("C", "A")], "two") == ["accepted"]
        assert send(session, road, [road.record("B", **lane)], "three") == ["accepted"]
        other = {"plate": "EV10001", "lane": "2"}
        at_once = [road.record("D", **other), cancel("E", "D"), road.record("F", **other)]
        assert send(session, road, at_once, "four") == ["accepted"] * 3
    assert booked(road) == 2 * 2480


def test_what_came_in_time_is_applied_however_late_the_worker_is(
    road: Road, agreement: int, sessions: SessionFactory, settings: Settings
) -> None:
    with sessions.begin() as session:
        send(session, road, [cancel("C", "A")], "one")
        send(session, road, [road.record("A", plate="EV10001")], "two", NOW + 30 * DAY - HOUR)
    move_clock(road.session, NOW + 30 * DAY + HOUR, running=False)
    road.session.commit()
    assert job_corrections(JobContext(sessions, settings), NOW)["decided"] == 1
    assert booked(road) == 0


@pytest.mark.parametrize("oddity", ["wrong_class", "too_old"])
@pytest.mark.parametrize("turned", [False, True])
def test_what_is_odd_ends_the_same_in_any_order(
    road: Road, agreement: int, sessions: SessionFactory, settings: Settings, oddity: str, turned: bool
) -> None:
    refused, expected = oddity == "wrong_class", 0 if oddity == "wrong_class" else 100
    with sessions.begin() as session:
        about = {"c": road.toll.id, "o": oddity, "a": not refused}
        session.execute(text("INSERT INTO charger_oddities VALUES (:c, :o, :a)"), about)
        session.execute(text("INSERT INTO vehicle_classes VALUES ('NO', 'EV10001', 'M1', 'x', now())"))
        session.execute(text("UPDATE registrations SET valid_from = '2019-01-01'"))
    when: dict[str, Any] = {} if refused else {"passed_at": dt.datetime(2022, 6, 1, tzinfo=dt.UTC)}
    first = road.record("A", plate="EV10001", vehicle_class="M1", **when)
    second = road.record(
        "B", plate="EV10001", vehicle_class="N3" if refused else "M1", action="adjust", original="A", version=1,
        amount=100, **when,
    )  # fmt: skip
    for number, one in enumerate([second, first] if turned else [first, second]):
        with sessions.begin() as session:
            send(session, road, [one], str(number))
    job_corrections(JobContext(sessions, settings), NOW)
    assert booked(road) == expected


def test_every_refused_record_of_a_file_with_a_head_is_listed(
    road: Road, agreement: int, sessions: SessionFactory, tmp_path: Path
) -> None:
    path = tmp_path / "in.jsonl"
    rows = "".join(json.dumps(record(f"R{n}", plate="EV99999")) + "\n" for n in range(10))
    path.write_text('{"file":{"number":1}}\n\n' + rows)
    done = ingest_file(sessions, path, "FJELL", chunk_size=3)
    for limit in (1, 4, 5, 20):
        found: list[str | None] = []
        after: int | None = 0
        while after is not None:
            said = listed.noteworthy(road.session, done.batch_id, after, limit)
            found += [one.id for one in said.answers]
            after = said.next
        assert found == [f"R{n}" for n in range(10)]
