"""Files over HTTP: what came, what was answered, what is missing and waits; records decided anew."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from sqlalchemy import update
from werkzeug.test import TestResponse

import commands.base
from billing.passages.models import Batch
from billing.roadside.ingest_file import ingest_file
from commands.roadside import answers as answers_command
from config.clock import move_clock
from config.database import SessionFactory
from config.runtime import Runtime
from tests.integration.billing.passages.conftest import HOUR, NOW, PASSED, Road, road
from tests.integration.conftest import Bearer

__all__ = ["road"]

Ask = Callable[..., TestResponse]


def record(name: str, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": name, "passed_at": PASSED.isoformat(), "station": "S1", "service": "toll", "list_price": 3100,
        "amount": 100, "vat_rate": 0, "plate": "EV10001",
    }  # fmt: skip
    return fields | changes


@pytest.fixture
def agreement(road: Road) -> int:
    made = road.agreement()
    road.vehicle(made)
    move_clock(road.session, NOW, running=False)
    road.session.commit()
    return made


@pytest.fixture
def send(sessions: SessionFactory, tmp_path: Path, agreement: int) -> Callable[..., int]:
    """Book records as a file of a name; returns the batch."""

    def sent(*records: dict[str, Any], name: str = "in.jsonl", charger: str = "FJELL") -> int:
        path = tmp_path / name
        path.write_text("".join(json.dumps(one) + "\n" for one in records))
        return ingest_file(sessions, path, charger).batch_id

    return sent


@pytest.fixture
def ask(client: FlaskClient, bearer: Bearer) -> Ask:
    """Ask something of FJELL's, as FJELL unless a role is given."""

    def asked(path: str, role: str = "charger", charger: str = "FJELL", **more: Any) -> TestResponse:
        who = bearer(role, charger=charger) if role == "charger" else bearer(role)
        if "json" in more:
            who = {**who, "Idempotency-Key": uuid.uuid4().hex}
            return client.post(f"/v1/chargers/FJELL/{path}", headers=who, **more)
        return client.get(f"/v1/chargers/FJELL/{path}", headers=who, **more)

    return asked


def body(answer: TestResponse) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json


def test_files_are_listed_newest_first_with_what_came_of_them(ask: Ask, send: Callable[..., int]) -> None:
    first = send(record("A"), record("B", plate="EV9"))
    second = send(record("C"), name="two.jsonl")
    other = send(record("D"), name="three.jsonl", charger="FJORD")
    page = body(ask("files?limit=1"))
    assert [one["batch"] for one in page["items"]] == [second]
    (shown,) = body(ask(f"files?limit=1&after={page['next']}"))["items"]
    names = ("batch", "name", "way", "state", "records", "counts", "sums_ore", "error")
    assert {name: shown[name] for name in names} == {
        "batch": first, "name": "in.jsonl", "way": "file", "state": "done", "records": 2,
        "counts": {"accepted": 1, "unknown_vehicle": 1}, "sums_ore": {"accepted": 100, "unknown_vehicle": 100},
        "error": None,
    }  # fmt: skip
    assert body(ask(f"files/{first}", "accountant"))["batch"] == first
    assert body(ask("files?state=refused"))["items"] == []
    assert ask(f"files/{other}").status_code == 404
    for path in ("files", f"files/{first}", f"files/{first}/content", f"files/{first}/answers", "file-gaps", "waiting",
                 "amendments"):  # fmt: skip
        assert ask(path, charger="FJORD").status_code == 404, path
        assert ask(path, "operator").status_code == 200, path


def test_a_file_and_its_answers_are_given_again_byte_for_byte(
    road: Road, ask: Ask, send: Callable[..., int], tmp_path: Path
) -> None:
    batch = send(record("A"), record("B", plate="EV9"))
    assert ask(f"files/{batch}/content").data == (tmp_path / "in.jsonl").read_bytes()
    assert ask(f"files/{batch}/content", "agent").status_code == 403
    before = ask(f"files/{batch}/answers").data
    assert [json.loads(line)["code"] for line in before.splitlines()] == ["accepted", "unknown_vehicle"]
    road.vehicle(road.agreement(), "EV9")
    road.session.commit()
    again = ask("records/B/decide-again", "agent", json={"reason": "Var registrert"})
    assert body(again)["code"] == "accepted"
    assert ask(f"files/{batch}/answers").data == before
    as_csv = ask(f"files/{batch}/answers?format=csv", "agent")
    assert as_csv.data.splitlines()[0].startswith(b"position,")
    assert f"batch-{batch}" in as_csv.headers["Content-Disposition"]
    assert ask(f"files/{batch}/answers?format=yaml").status_code == 422


def test_the_command_gives_answers_again(
    sessions: SessionFactory, send: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Ask
) -> None:
    batch = send(record("A"))

    class Opened:
        def __init__(self) -> None:
            self.sessions = sessions

        def close(self) -> None:
            """Nothing to close."""

    monkeypatch.setattr(commands.base, "open_runtime", lambda _loaded: Opened())
    assert Runtime is not None
    run = CliRunner().invoke(answers_command, [str(batch)])
    assert run.stdout_bytes == ask(f"files/{batch}/answers").data
    out = tmp_path / "again.csv"
    assert CliRunner().invoke(answers_command, [str(batch), "--out", str(out), "--format", "csv"]).exit_code == 0
    assert out.read_bytes() == ask(f"files/{batch}/answers?format=csv").data
    assert CliRunner().invoke(answers_command, ["4711"]).exit_code == 1


def test_what_is_being_booked_or_was_refused_has_no_answers(road: Road, ask: Ask, send: Callable[..., int]) -> None:
    batch = send(record("A"))
    road.session.execute(update(Batch).values(state="receiving", finished_at=None))
    road.session.commit()
    assert ask(f"files/{batch}/answers").status_code == 409
    road.session.execute(update(Batch).values(state="refused", done=0, error="line 2: is cut off", finished_at=NOW))
    road.session.commit()
    refused = ask(f"files/{batch}/answers")
    assert refused.status_code == 409
    assert "line 2: is cut off" in refused.text


def test_gaps_are_shown_until_they_are_filled_and_late_files_say_so(
    road: Road, ask: Ask, send: Callable[..., int]
) -> None:
    numbered = {number: send(record(f"R{number}"), name=f"{number}.jsonl") for number in (3, 1)}
    for number, batch in numbered.items():
        road.session.execute(update(Batch).where(Batch.id == batch).values(file_number=number, sender="HUB"))
    road.session.commit()
    assert body(ask("file-gaps"))["items"] == [{"sender": "HUB", "first": 2, "last": 2}]
    shown = {one["file_number"]: one["out_of_order"] for one in body(ask("files"))["items"]}
    assert shown == {3: False, 1: True}
    batch = send(record("R2"), name="2.jsonl")
    road.session.execute(update(Batch).where(Batch.id == batch).values(file_number=2, sender="HUB"))
    road.session.commit()
    assert body(ask("file-gaps"))["items"] == []


def test_corrections_that_wait_are_listed_with_until_when(ask: Ask, send: Callable[..., int]) -> None:
    send({"id": "K", "action": "cancel", "original": "NONE", "version": 2})
    (shown,) = body(ask("waiting"))["items"]
    assert (shown["id"], shown["action"], shown["original"], shown["version"], shown["issued_at"]) == (
        "K", "cancel", "NONE", 2, None
    )  # fmt: skip
    assert (shown["since"], shown["until"]) == ("2026-03-02T09:00:00Z", "2026-04-01T09:00:00Z")
    send(record("NONE"), name="late.jsonl")


class TestDeciding:
    """A refused record that is contested."""

    def test_it_is_booked_and_says_why(self, road: Road, ask: Ask, send: Callable[..., int]) -> None:
        batch = send(record("A", plate="EV9"))
        other = road.agreement()
        road.vehicle(other, "EV9")
        road.session.commit()
        said = body(ask("records/A/decide-again", "agent", json={"reason": "Registrert dagen før"}))
        assert (said["was_code"], said["code"], said["changed"]) == ("unknown_vehicle", "accepted", True)
        assert road.ask("SELECT agreement_id, amount_ore FROM passages") == [(other, 100)]
        (shown,) = body(ask("amendments"))["items"]
        assert (shown["record"], shown["batch"], shown["position"], shown["reason"], shown["cause"]) == (
            "A", batch, 1, "Registrert dagen før", "contested"
        )  # fmt: skip
        assert road.ask("SELECT role, action, subject, reason FROM audit_trail") == [
            ("agent", "record.decide_again", "charger:FJELL", "Registrert dagen før")
        ]
        road.check_books()
        assert ask("records/A/decide-again", "agent", json={"reason": "Igjen"}).status_code == 409

    def test_what_stays_refused_changes_nothing(self, road: Road, ask: Ask, send: Callable[..., int]) -> None:
        send(record("A", plate="EV9"))
        said = body(ask("records/A/decide-again", "operator", json={"reason": "Se igjen"}))
        assert (said["changed"], said["code"], said["amendment"]) == (False, "unknown_vehicle", None)
        assert road.ask("SELECT count(*) FROM amendments") == [(0,)]

    def test_a_card_that_is_due_by_it_is_charged(self, road: Road, ask: Ask, send: Callable[..., int]) -> None:
        send(record("A", plate="EV9", amount=50_000))
        other = road.agreement(payment_method="card")
        road.vehicle(other, "EV9")
        road.session.commit()
        body(ask("records/A/decide-again", "agent", json={"reason": "Registrert"}))
        assert road.ask("SELECT agreement_id, state FROM charges") == [(other, "due")]

    def test_a_block_is_only_a_leads_to_set_aside(
        self, road: Road, ask: Ask, send: Callable[..., int], agreement: int
    ) -> None:
        road.published(agreement, "blocked", PASSED - HOUR)
        road.session.commit()
        send(record("A"))
        asked = {"reason": "Sperret ved en feil", "despite": True}
        assert ask("records/A/decide-again", "agent", json=asked).status_code == 403
        without = body(ask("records/A/decide-again", "lead", json={"reason": "Sperret ved en feil"}))
        assert (without["code"], without["changed"]) == ("not_valid", False)
        said = body(ask("records/A/decide-again", "lead", json=asked))
        assert (said["was_code"], said["code"]) == ("not_valid", "accepted")
        assert road.ask("SELECT agreement_id FROM passages") == [(agreement,)]
        detail = road.ask("SELECT detail ->> 'despite' FROM audit_trail ORDER BY id DESC LIMIT 1")
        assert detail == [("true",)]
        road.check_books()

    def test_age_is_set_aside_when_asked(self, road: Road, ask: Ask, send: Callable[..., int]) -> None:
        other = road.agreement()
        road.vehicle(other, "EV9", since=PASSED.replace(year=2020))
        road.session.commit()
        send(record("A", plate="EV9", passed_at="2021-03-01T12:00:00+00:00"))
        assert body(ask("records/A/decide-again", "agent", json={"reason": "x"}))["code"] == "too_old"
        assert body(ask("records/A/decide-again", "agent", json={"reason": "x", "any_age": True}))["code"] == "accepted"

    def test_who_may_not_and_what_cannot(self, ask: Ask, send: Callable[..., int]) -> None:
        send(record("A", plate="EV9"))
        for role in ("charger", "accountant"):
            assert ask("records/A/decide-again", role, json={"reason": "x"}).status_code == 403
        assert ask("records/NONE/decide-again", "agent", json={"reason": "x"}).status_code == 404
        assert ask("records/A/decide-again", "agent", json={"reason": " "}).status_code == 422
        assert ask("records/A/decide-again", "agent", json={}).status_code == 422
