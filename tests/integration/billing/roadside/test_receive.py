"""Batches as files and over HTTP: answers in order, resumed where they were cut, charges decided with them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.passages.models import Batch
from billing.roadside import receive as receiving
from billing.roadside.chunk import book
from billing.roadside.ingest_file import ingest_file
from config.clock import move_clock
from config.database import SessionFactory
from config.problems import Invalid, NotFound, TooLarge
from tests.integration.billing.passages.conftest import NOW, PASSED, Road, road
from tests.integration.conftest import Bearer

__all__ = ["road"]


def record(name: str, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": name, "passed_at": PASSED.isoformat(), "station": "S1", "service": "toll", "list_price": 3100,
        "amount": 100, "vat_rate": 0, "plate": "EV10001",
    }  # fmt: skip
    return fields | changes


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    return path


@pytest.fixture
def agreement(road: Road) -> int:
    """An agreement that pays by card and has EV10001; the business clock stands at NOW. Committed."""
    made = road.agreement(payment_method="card")
    road.vehicle(made)
    move_clock(road.session, NOW, running=False)
    road.session.commit()
    return made


def test_a_file_is_booked_and_answered_in_order(
    road: Road, agreement: int, sessions: SessionFactory, tmp_path: Path
) -> None:
    names = [f"R{n}" for n in range(25)]
    path = write(tmp_path / "in.jsonl", [record(name, plate="EV1" if name == "R7" else "EV10001") for name in names])
    out = tmp_path / "out.jsonl"
    done = ingest_file(sessions, path, "FJELL", answers=out, chunk_size=10)
    answers = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(one["position"], one["id"]) for one in answers] == list(enumerate(names, 1))
    assert [one["code"] for one in answers if one["id"] == "R7"] == ["unknown_vehicle"]
    assert done.as_dict()["counts"] == {"accepted": 24, "unknown_vehicle": 1}
    assert done.as_dict()["sums_ore"] == {"accepted": 2400, "unknown_vehicle": 100}
    batch = road.session.get_one(Batch, done.batch_id)
    assert (batch.state, batch.done, batch.name, batch.format) == ("done", 25, "in.jsonl", "jsonl")
    assert len(batch.sha256) == 32
    assert road.ask("SELECT unbilled_ore FROM balances") == [(2400,)]
    road.check_books()


def test_answers_as_csv(agreement: int, sessions: SessionFactory, tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", [record("A"), record("B", amount=-1)])
    ingest_file(sessions, path, "FJELL", answers=tmp_path / "out.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    assert [(row["id"], row["code"], row["flags"], row["field"]) for row in rows] == [
        ("A", "accepted", "by_plate", ""), ("B", "invalid_amount", "", "amount"),
    ]  # fmt: skip


def test_the_charge_falls_due_in_the_same_commit(
    road: Road, agreement: int, sessions: SessionFactory, tmp_path: Path
) -> None:
    ingest_file(sessions, write(tmp_path / "a.jsonl", [record("A", amount=19_999)]), "FJELL")
    assert road.ask("SELECT count(*) FROM charges") == [(0,)]
    ingest_file(sessions, write(tmp_path / "b.jsonl", [record("B", amount=1)]), "FJELL")
    assert road.ask("SELECT agreement_id, state FROM charges") == [(agreement, "due")]


def test_a_batch_that_was_cut_goes_on_where_it_was(
    road: Road, agreement: int, sessions: SessionFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "in.jsonl", [record(f"R{n}") for n in range(25)])
    real, seen = book, []

    def dies_after_two(*args: Any, **kwargs: Any) -> Any:
        seen.append(1)
        booked = real(*args, **kwargs)
        if len(seen) == 3:
            raise KeyboardInterrupt  # after the work of the third chunk, before its commit
        return booked

    monkeypatch.setattr(receiving, "book", dies_after_two)
    with pytest.raises(KeyboardInterrupt):
        ingest_file(sessions, path, "FJELL", chunk_size=10)
    assert road.ask("SELECT count(*) FROM passages") == [(20,)]
    assert road.ask("SELECT state, done FROM batches") == [("receiving", 20)]
    road.check_books()
    monkeypatch.undo()
    done = ingest_file(sessions, path, "FJELL", chunk_size=10)
    assert (done.tally.counts, done.again) == ({"accepted": 25}, True)
    assert road.ask("SELECT count(*) FROM passages") == [(25,)]
    road.check_books()


def test_a_broken_file_changes_nothing_and_says_where(
    road: Road, agreement: int, sessions: SessionFactory, tmp_path: Path
) -> None:
    path = tmp_path / "in.json"
    path.write_text(f"[{json.dumps(record('A'))},\n oops]")
    with pytest.raises(Invalid) as caught:
        ingest_file(sessions, path, "FJELL")
    assert caught.value.errors[0]["line"] == 2
    assert road.ask("SELECT state, done FROM batches") == [("refused", 0)]
    assert road.ask("SELECT count(*) FROM records") == [(0,)]


def test_files_that_are_not_taken(agreement: int, sessions: SessionFactory, tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", [record("A")])
    with pytest.raises(NotFound):
        ingest_file(sessions, path, "NOBODY")
    with pytest.raises(TooLarge):
        ingest_file(sessions, path, "FJELL", max_bytes=10)
    with pytest.raises(Invalid, match="format"):
        ingest_file(sessions, path.rename(tmp_path / "in.txt"), "FJELL")
    with pytest.raises(Invalid, match="no file"):
        ingest_file(sessions, tmp_path / "none.csv", "FJELL")


class TestHttp:
    """POST /v1/passages."""

    def test_an_array_is_answered_with_an_object(self, agreement: int, client: FlaskClient, bearer: Bearer) -> None:
        body = [record("A"), record("B", amount="x"), record("A")]
        answer = client.post("/v1/passages?name=x.json", json=body, headers=bearer("charger", charger="FJELL"))
        assert answer.status_code == 200, answer.text
        found = answer.get_json()
        assert [one["code"] for one in found["answers"]] == ["accepted", "invalid_record", "duplicate"]
        assert found["answers"][1]["field"] == "amount"
        assert "(x.json), line 1" in found["answers"][2]["detail"]
        assert found["counts"] == {"accepted": 1, "invalid_record": 1, "duplicate": 1}

    def test_lines_are_answered_with_lines(self, agreement: int, client: FlaskClient, bearer: Bearer) -> None:
        body = json.dumps(record("A")) + "\n{\n" + json.dumps(record("B"))
        head = {**bearer("operator"), "Content-Type": "application/x-ndjson"}
        answer = client.post("/v1/passages?charger=FJELL", data=body, headers=head)
        assert answer.status_code == 200, answer.text
        found = [json.loads(line) for line in answer.text.splitlines()]
        assert [(one["position"], one["code"]) for one in found] == [
            (1, "accepted"), (2, "invalid_record"), (3, "accepted"),
        ]  # fmt: skip
        assert int(answer.headers["X-Batch"]) > 0

    def test_csv_too(self, agreement: int, client: FlaskClient, bearer: Bearer) -> None:
        fields = record("A")
        body = f"{','.join(fields)}\n{','.join(str(value) for value in fields.values())}\n"
        head = {**bearer("charger", charger="FJELL"), "Content-Type": "text/csv"}
        answer = client.post("/v1/passages", data=body, headers=head)
        assert [json.loads(line)["code"] for line in answer.text.splitlines()] == ["accepted"]

    @pytest.mark.parametrize(
        ("role", "about", "query", "status"),
        [
            ("charger", {"charger": "FJORD"}, "?charger=FJELL", 403),
            ("charger", {"charger": "FJELL"}, "?charger=FJELL", 200),
            ("operator", {}, "", 422),
            ("operator", {}, "?charger=NOBODY", 404),
            ("agent", {}, "?charger=FJELL", 403),
        ],
    )
    def test_whose_records(
        self,
        agreement: int,
        client: FlaskClient,
        bearer: Bearer,
        role: str,
        about: dict[str, str],
        query: str,
        status: int,
    ) -> None:
        answer = client.post(f"/v1/passages{query}", json=[record("A")], headers=bearer(role, **about))
        assert answer.status_code == status, answer.text

    def test_limits(self, road: Road, agreement: int, client: FlaskClient, bearer: Bearer) -> None:
        head = bearer("charger", charger="FJELL")
        assert client.post("/v1/passages", json=[record("A")] * 1001, headers=head).status_code == 413
        lined = {**head, "Content-Type": "application/x-ndjson"}
        assert client.post("/v1/passages", data="{}\n" * 100_001, headers=lined).status_code == 413
        assert client.post("/v1/passages", data="x", headers={**head, "Content-Type": "text/plain"}).status_code == 415
        broken = client.post("/v1/passages", data="[1", headers={**head, "Content-Type": "application/json"})
        assert (broken.status_code, broken.get_json()["type"]) == (422, "/problems/broken-file")
        assert road.ask("SELECT count(*) FROM records") == [(0,)]

    def test_one_broken_element_costs_the_others_nothing(
        self, road: Road, agreement: int, client: FlaskClient, bearer: Bearer
    ) -> None:
        body = "[" + ",".join([json.dumps(record("A")), '{"id":"bad\\ud83d"}', json.dumps(record("B"))]) + "]"
        head = {**bearer("charger", charger="FJELL"), "Content-Type": "application/json"}
        answer = client.post("/v1/passages", data=body, headers=head)
        assert answer.status_code == 200, answer.text
        assert [one["code"] for one in answer.get_json()["answers"]] == ["accepted", "invalid_record", "accepted"]
        assert road.ask("SELECT count(*) FROM passages") == [(2,)]

    @pytest.mark.parametrize("prefix", ["", "\ufeff"])
    def test_a_broken_element_does_not_hide_how_many_there_are(
        self, road: Road, agreement: int, client: FlaskClient, bearer: Bearer, prefix: str
    ) -> None:
        body = prefix + "[" + ",".join(['"\\ud83d"', *[json.dumps(record("A"))] * 1000]) + "]"
        head = {**bearer("charger", charger="FJELL"), "Content-Type": "application/json"}
        assert client.post("/v1/passages", data=body.encode(), headers=head).status_code == 413
        assert road.ask("SELECT count(*) FROM batches") == [(0,)]

    def test_brackets_without_end_are_a_broken_file(self, agreement: int, client: FlaskClient, bearer: Bearer) -> None:
        head = {**bearer("charger", charger="FJELL"), "Content-Type": "application/json"}
        answer = client.post("/v1/passages", data="[" * 100_000, headers=head)
        assert (answer.status_code, answer.get_json()["type"]) == (422, "/problems/broken-file")

    def test_passages_are_listed_and_credited(
        self, road: Road, agreement: int, client: FlaskClient, bearer: Bearer, session: Session
    ) -> None:
        winter = record("W", passed_at="2026-03-01T13:00:00+01:00", flags=["hour_rule"])
        records = [record("A", passed_at="2026-02-28T23:30:00+00:00"), winter]
        client.post("/v1/passages", json=records, headers=bearer("charger", charger="FJELL"))
        ((number,),) = road.ask("SELECT number FROM agreements WHERE id = :id", id=agreement)
        base = f"/v1/agreements/{number}/passages"
        page = client.get(f"{base}?limit=1", headers=bearer("agent")).get_json()
        rest = client.get(f"{base}?after={page['next']}", headers=bearer("agent")).get_json()
        assert [page["items"][0]["station_name"], rest["items"][0]["flags"]] == ["Sør", ["by_plate", "hour_rule"]]
        march = client.get(f"{base}?since=2026-03-01&until=2026-03-01", headers=bearer("agent")).get_json()
        assert len(march["items"]) == 2  # 23:30Z on 28 February is March in Oslo
        assert client.get(f"{base}?until=2026-02-28", headers=bearer("agent")).get_json()["items"] == []
        passage = page["items"][0]["id"]
        head = {**bearer("agent"), "Idempotency-Key": "k1"}
        done = client.post(f"{base}/{passage}/credit", json={"reason": "scrapped"}, headers=head)
        assert done.status_code == 200, done.text
        shown = client.get(base, headers=bearer("agent")).get_json()["items"]
        assert [(one["amount_ore"], one["reversed"]) for one in shown if one["reverses_id"] in (None, passage)] == [
            (100, True), (-100, False), (100, False),
        ]  # fmt: skip
        other = bearer("customer", customer_id=999_999)
        assert client.get(base, headers=other).status_code == 404
        session.execute(text("SELECT 1"))
        road.check_books()
