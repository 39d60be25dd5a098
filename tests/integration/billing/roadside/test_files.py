"""Files: kept as received, the same again, their numbers, cut ones, and going on where one was cut short."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from accounts.chargers.models import Charger
from billing.passages import batches
from billing.roadside import files, waiting
from billing.roadside import receive as receiving
from billing.roadside.chunk import book
from billing.roadside.formats import FORMATS
from billing.roadside.ingest_file import ingest_file, write_answers
from billing.roadside.receive import Origin, receive, resume
from config.clock import move_clock
from config.database import SessionFactory
from config.jobs import JobContext
from config.problems import Conflict, Invalid
from config.settings import load
from tests.integration.billing.passages.conftest import NOW, Road, road
from tests.integration.billing.roadside.test_receive import agreement, record, write
from tests.integration.conftest import Bearer

__all__ = ["agreement", "road"]


def numbered(path: Path, number: int, names: list[str], *, sender: str = "HUB", **more: Any) -> Path:
    head = {"file": {"number": number, "sender": sender, "records": len(names), **more}}
    path.write_text("".join(json.dumps(one) + "\n" for one in [head, *(record(name) for name in names)]))
    return path


def context(sessions: SessionFactory, tmp_path: Path) -> JobContext:
    return JobContext(sessions, load({"BRIKKE_VAR": str(tmp_path)}, tmp_path / ".env"))


def test_a_file_is_kept_as_it_was_received(
    road: Road, agreement: int, sessions: SessionFactory, tmp_path: Path
) -> None:
    path = write(tmp_path / "in.jsonl", [record(f"R{n}") for n in range(20_000)])
    assert path.stat().st_size > 2 * batches.PIECE
    done = ingest_file(sessions, path, "FJELL", chunk_size=7_000)
    with sessions() as session:
        assert b"".join(batches.kept_bytes(session, done.batch_id)) == path.read_bytes()
    assert road.ask("SELECT bytes, way, is_file, done FROM batches") == [(path.stat().st_size, "file", True, 20_000)]
    assert road.ask("SELECT count(*) FROM batch_answers") == [(3,)]


def test_the_same_file_again_gets_the_same_answers(
    road: Road, agreement: int, sessions: SessionFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "in.jsonl", [record("A"), record("B", amount=-1), record("C", plate="EV1")])
    first = ingest_file(sessions, path, "FJELL", answers=tmp_path / "first.jsonl", chunk_size=2)
    monkeypatch.setattr(receiving, "book", None)  # nothing is booked
    other = path.rename(tmp_path / "renamed.jsonl")
    again = ingest_file(sessions, other, "FJELL", answers=tmp_path / "again.jsonl")
    assert (again.batch_id, again.tally, again.again, first.again) == (first.batch_id, first.tally, True, False)
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "first.jsonl").read_bytes()
    for form in ("csv", "json", "iso12855"):
        write_answers(sessions, first.batch_id, tmp_path / "one", form)
        write_answers(sessions, first.batch_id, tmp_path / "two", form)
        assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes() != b""
    assert road.ask("SELECT count(*) FROM batches") == [(1,)]


def test_the_same_records_in_another_file_are_duplicates(
    road: Road, agreement: int, sessions: SessionFactory, tmp_path: Path
) -> None:
    records = [record("A"), record("B")]
    ingest_file(sessions, write(tmp_path / "a.jsonl", records), "FJELL")
    other = ingest_file(sessions, write(tmp_path / "b.jsonl", records[::-1]), "FJELL")
    assert other.tally.counts == {"duplicate": 2}


def test_the_same_bytes_of_another_charger_are_another_file(
    road: Road, agreement: int, sessions: SessionFactory, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.jsonl", [record("A")])
    ingest_file(sessions, path, "FJELL")
    assert ingest_file(sessions, path, "FJORD").tally.counts == {"unknown_station": 1}


def test_file_numbers(road: Road, agreement: int, sessions: SessionFactory, tmp_path: Path) -> None:
    def gaps() -> list[tuple[str, str, int, int]]:
        with sessions() as session:
            return [(one.charger, one.sender, one.first, one.last) for one in files.gaps(session)]

    for number in (7, 8, 12):
        ingest_file(sessions, numbered(tmp_path / f"{number}.jsonl", number, [f"R{number}"]), "FJELL")
    ingest_file(sessions, numbered(tmp_path / "other.jsonl", 3, ["R3"], sender="OTHER"), "FJELL")
    assert gaps() == [("FJELL", "HUB", 9, 11)]
    late = ingest_file(sessions, numbered(tmp_path / "10.jsonl", 10, ["R10"]), "FJELL")
    assert gaps() == [("FJELL", "HUB", 9, 9), ("FJELL", "HUB", 11, 11)]
    with sessions() as session:
        assert files.out_of_order(session, late.batch_id)
        assert not files.out_of_order(session, 1)
    for number in (9, 11):
        ingest_file(sessions, numbered(tmp_path / f"{number}.jsonl", number, [f"R{number}"]), "FJELL")
    assert gaps() == []
    with pytest.raises(Conflict, match="file number 9 came before with other contents"):
        ingest_file(sessions, numbered(tmp_path / "9b.jsonl", 9, ["R9b"]), "FJELL")
    assert road.ask("SELECT count(*) FROM records WHERE source_id = 'R9b'") == [(0,)]
    assert ingest_file(sessions, tmp_path / "9.jsonl", "FJELL").again


def test_originator_and_sender_are_both_kept(
    road: Road, agreement: int, sessions: SessionFactory, tmp_path: Path
) -> None:
    ingest_file(sessions, numbered(tmp_path / "a.jsonl", 1, ["A"], originator="FJELL"), "FJELL")
    assert road.ask("SELECT file_number, sender, originator, records FROM batches") == [(1, "HUB", "FJELL", 1)]
    with pytest.raises(Invalid, match="the file is FJORD's, and came as FJELL's"):
        ingest_file(sessions, numbered(tmp_path / "b.jsonl", 2, ["B"], originator="FJORD"), "FJELL")
    assert road.ask("SELECT count(*) FROM records") == [(1,)]


def test_a_file_that_is_cut_off_is_refused_whole_and_comes_again(
    road: Road, agreement: int, sessions: SessionFactory, tmp_path: Path
) -> None:
    path = numbered(tmp_path / "1.jsonl", 1, [f"R{n}" for n in range(30)])
    whole = path.read_bytes()
    for cut in (len(whole) - 5, whole.rindex(b"\n", 0, -1) + 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(Invalid, match="cannot be read"):
            ingest_file(sessions, path, "FJELL", chunk_size=10)
    assert road.ask("SELECT state, done FROM batches ORDER BY id") == [("refused", 0)] * 2
    assert road.ask("SELECT count(*) FROM records") == [(0,)]
    path.write_bytes(whole)
    assert ingest_file(sessions, path, "FJELL", chunk_size=10).tally.counts == {"accepted": 30}


def test_a_whole_file_with_bad_records_books_the_good_ones(
    road: Road, agreement: int, sessions: SessionFactory, tmp_path: Path
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(
        f"{json.dumps(record('A'))}\nrubbish\n{json.dumps(record('B', amount=-1))}\n{json.dumps(record('C'))}"
    )
    done = ingest_file(sessions, path, "FJELL")
    assert done.tally.counts == {"accepted": 2, "invalid_record": 1, "invalid_amount": 1}


def test_two_that_bring_the_same_file_at_once(
    road: Road, agreement: int, sessions: SessionFactory, tmp_path: Path
) -> None:
    content = write(tmp_path / "in.jsonl", [record(f"R{n}") for n in range(40)]).read_bytes()

    def bring() -> receiving.Received:
        return receive(sessions, "FJELL", io.BytesIO(content), form="jsonl", origin=Origin("x"), chunk_size=10)

    with ThreadPoolExecutor(2) as both:
        done = [one.result(30) for one in [both.submit(bring), both.submit(bring)]]
    assert {one.batch_id for one in done} == {done[0].batch_id}
    assert [one.tally.counts for one in done] == [{"accepted": 40}] * 2
    assert road.ask("SELECT count(*) FROM passages") == [(40,)]
    road.check_books()


def test_what_was_cut_short_goes_on_by_itself(
    road: Road, agreement: int, sessions: SessionFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "in.jsonl", [record(f"R{n}", plate="EV1" if n % 7 else "EV10001") for n in range(45)])
    real: Any = book
    seen: list[int] = []

    def dies(*args: Any, **kwargs: Any) -> Any:
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(receiving, "book", dies)
    with pytest.raises(KeyboardInterrupt):
        ingest_file(sessions, path, "FJELL", chunk_size=10)
    monkeypatch.undo()
    path.unlink()
    move_clock(road.session, NOW.replace(year=2030), running=False)  # long after; the age is judged as of its arrival
    road.session.commit()
    assert waiting.job_batches(context(sessions, tmp_path), NOW) == {"resumed": 1, "refused": 0}
    assert road.ask("SELECT state, done, counts FROM batches") == [("done", 45, {"accepted": 7, "unknown_vehicle": 38})]
    with sessions() as session:
        told = [one for lines in batches.kept_answers(session, 1) for one in batches.read_answers(lines)]
    assert [one.position for one in told] == list(range(1, 46))
    assert waiting.job_batches(context(sessions, tmp_path), NOW) == {"resumed": 0, "refused": 0}
    road.check_books()


def test_what_another_process_books_is_left_to_it(
    road: Road, agreement: int, sessions: SessionFactory, tmp_path: Path
) -> None:
    path = write(tmp_path / "in.jsonl", [record("A")])
    done = ingest_file(sessions, path, "FJELL")
    road.session.execute(text("UPDATE batches SET state = 'receiving', finished_at = NULL"))
    road.session.commit()
    with receiving._alone(sessions, done.batch_id, wait=True):
        assert resume(sessions, done.batch_id) is None
    assert resume(sessions, done.batch_id) is not None
    with sessions() as session:
        behind = batches.Receiving(done.batch_id, session.get_one(Charger, road.toll.id), NOW)
        with pytest.raises(batches.AnotherProcess):
            batches.count_chunk(session, behind, behind)


def test_corrections_that_wait_are_applied_by_the_job(
    road: Road, agreement: int, sessions: SessionFactory, tmp_path: Path
) -> None:
    cancel = {"id": "C", "action": "cancel", "original": "A", "version": 1}
    waits = ingest_file(sessions, write(tmp_path / "c.jsonl", [cancel]), "FJELL", answers=tmp_path / "c.out")
    assert waits.tally.counts == {"deferred_original_missing": 1}
    told = (tmp_path / "c.out").read_bytes()
    ctx = context(sessions, tmp_path)
    assert waiting.job_corrections(ctx, NOW) == {"looked_at": 0, "decided": 0, "given_up": 0}
    ingest_file(sessions, write(tmp_path / "a.jsonl", [record("A"), record("B")]), "FJELL")
    assert waiting.job_corrections(ctx, NOW) == {"looked_at": 1, "decided": 1, "given_up": 0}
    assert road.ask("SELECT unbilled_ore FROM balances") == [(100,)]
    assert road.ask("SELECT was_code, code, batch_id, position FROM amendments") == [
        ("deferred_original_missing", "accepted", waits.batch_id, 1)
    ]
    ingest_file(sessions, tmp_path / "c.jsonl", "FJELL", answers=tmp_path / "c2.out")
    assert (tmp_path / "c2.out").read_bytes() == told  # what was answered stays; the amendment is told beside it
    road.check_books()


def test_a_file_of_which_not_as_many_are_read_as_were_counted_is_never_done(
    road: Road, agreement: int, sessions: SessionFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = numbered(tmp_path / "in.jsonl", 1, ["A", "B", "C"])
    usual = FORMATS["jsonl"]
    fewer = dataclasses.replace(usual, parse=lambda stream: itertools.islice(usual.parse(stream), 2))
    with monkeypatch.context() as patch:
        patch.setitem(FORMATS, "jsonl", fewer)
        with pytest.raises(receiving.NotAsAnnounced, match="2 of 3 records"):
            ingest_file(sessions, path, "FJELL", chunk_size=2)
        assert road.ask("SELECT state, done FROM batches") == [("receiving", 2)]
        with pytest.raises(waiting.StuckBatches):
            waiting.job_batches(context(sessions, tmp_path), NOW)
    assert ingest_file(sessions, path, "FJELL").tally.counts == {"accepted": 3}
    assert road.ask("SELECT state, done FROM batches") == [("done", 3)]


class TestHttp:
    """POST /v1/passages: with a name it is a file, without one a request."""

    def test_named_it_is_a_file(self, road: Road, agreement: int, client: FlaskClient, bearer: Bearer) -> None:
        head = bearer("charger", charger="FJELL")
        first = client.post("/v1/passages?name=a.json", json=[record("A")], headers=head)
        again = client.post("/v1/passages?name=a.json", json=[record("A")], headers=head)
        assert (first.status_code, first.data) == (200, again.data)
        assert [one["code"] for one in again.get_json()["answers"]] == ["accepted"]

    def test_without_a_name_it_is_a_request(
        self, road: Road, agreement: int, client: FlaskClient, bearer: Bearer
    ) -> None:
        head = bearer("charger", charger="FJELL")
        codes = [
            client.post("/v1/passages", json=[record("A")], headers=head).get_json()["answers"][0]["code"]
            for _ in range(2)
        ]
        assert codes == ["accepted", "duplicate"]

    def test_corrections_over_http(self, road: Road, agreement: int, client: FlaskClient, bearer: Bearer) -> None:
        head = bearer("charger", charger="FJELL")
        body = [record("A"), {"id": "C", "action": "cancel", "original": "A", "version": 1}, record("B")]
        answer = client.post("/v1/passages", json=body, headers=head).get_json()
        assert [one["code"] for one in answer["answers"]] == ["accepted"] * 3
        assert road.ask("SELECT unbilled_ore FROM balances") == [(100,)]

    def test_a_cut_file_is_refused_whole(self, road: Road, agreement: int, client: FlaskClient, bearer: Bearer) -> None:
        head = {**bearer("charger", charger="FJELL"), "Content-Type": "application/x-ndjson"}
        body = json.dumps(record("A")) + "\n" + json.dumps(record("B"))[:-9]
        answer = client.post("/v1/passages", data=body, headers=head)
        assert (answer.status_code, answer.get_json()["type"]) == (422, "/problems/broken-file")
        assert road.ask("SELECT count(*) FROM records") == [(0,)]
