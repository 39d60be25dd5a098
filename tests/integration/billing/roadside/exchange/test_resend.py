"""The answers of a batch put out again on demand: who may, of whose, and the same bytes for ever."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from accounts.access.models import TrailEntry
from billing.passages.models import Batch
from tests.integration.billing.roadside.exchange.conftest import Party, lines, record
from tests.integration.conftest import Bearer


class Asker:
    """Asks for the answers of a batch again."""

    def __init__(self, client: FlaskClient, bearer: Bearer) -> None:
        self.client, self.bearer = client, bearer

    def __call__(self, batch: int, role: str = "charger", *, code: str = "FJELL", key: str = "") -> TestResponse:
        who = self.bearer(role, charger=code) if role == "charger" else self.bearer(role)
        headers = {**who, "Idempotency-Key": key or uuid.uuid4().hex}
        return self.client.post(f"/v1/chargers/FJELL/files/{batch}/resend", headers=headers)


@pytest.fixture
def again(client: FlaskClient, bearer: Bearer) -> Asker:
    return Asker(client, bearer)


def answered(party: Party) -> tuple[int, Path, bytes]:
    """A batch that came as a file, its answer file, and what is in it."""
    party.put("a.jsonl", lines("A") + lines("B", plate="EV9"))
    party.look()
    ((batch,),) = party.ask("SELECT id FROM batches")
    return batch, party.folder / "out" / "a.answers.jsonl", party.out("a.answers.jsonl")


def test_the_same_bytes_again_whatever_was_decided_since(
    party: Party, again: Asker, client: FlaskClient, bearer: Bearer
) -> None:
    batch, file, first = answered(party)
    party.road.vehicle(party.road.agreement(), "EV9")
    party.road.session.commit()
    headers = {**bearer("agent"), "Idempotency-Key": "1"}
    decide = "/v1/chargers/FJELL/records/B/decide-again"
    assert client.post(decide, json={"reason": "Var registrert"}, headers=headers).get_json()["code"] == "accepted"
    file.unlink()
    done = again(batch)
    assert (done.status_code, done.get_json()["state"], done.get_json()["kind"]) == (200, "waiting", "answers")
    assert party.look()["sent"] == 2  # and the amended answer
    assert file.read_bytes() == first
    assert party.ask("SELECT sends FROM outgoing_files WHERE kind = 'answers'") == [(2,)]


def test_once_for_a_key_and_it_is_in_the_trail(party: Party, again: Asker) -> None:
    batch, _, _ = answered(party)
    first = again(batch, "lead", key="k")
    party.look()
    assert again(batch, "lead", key="k").get_json() == first.get_json()
    assert party.look() == {}  # the repeat put nothing out
    assert again(batch, "lead").status_code == 200
    assert party.look() == {"sent": 1}
    with party.sessions() as session:
        entries = session.scalars(select(TrailEntry).where(TrailEntry.action == "exchange.resend")).all()
        assert [(one.subject, one.role) for one in entries] == [("charger:FJELL", "lead")] * 2


def test_what_came_over_http_can_be_had_as_a_file(
    party: Party, again: Asker, client: FlaskClient, bearer: Bearer
) -> None:
    given = client.post("/v1/passages", json=[record("H")], headers=bearer("charger", charger="FJELL"))
    assert given.status_code == 200, given.text
    ((batch,),) = party.ask("SELECT id FROM batches")
    name = again(batch).get_json()["name"]
    assert party.look() == {"sent": 1}
    assert b'"accepted"' in party.out(name)
    assert again(batch).get_json()["name"] == name


def test_for_its_charger_operators_and_leads(party: Party, again: Asker) -> None:
    batch, _, _ = answered(party)
    for role in ("charger", "operator", "lead"):
        assert again(batch, role).status_code == 200, role
    for role in ("agent", "accountant"):
        assert again(batch, role).status_code == 403, role
    assert again(batch, code="FJORD").status_code == 404
    assert again(batch + 1, "operator").status_code == 404
    with party.sessions.begin() as session:
        session.execute(update(Batch).values(charger_id=party.road.ferry.id))
    assert again(batch, "operator").status_code == 404  # FJORD's is not FJELL's, whoever asks
    assert again(batch).status_code == 404


def test_not_before_there_are_answers(party: Party, again: Asker) -> None:
    party.put("b.jsonl", lines("B")[:-20])
    party.look()
    ((batch,),) = party.ask("SELECT id FROM batches")
    with party.sessions.begin() as session:
        assert session.get_one(Batch, batch).state == "refused"
    assert again(batch).get_json()["type"] == "/problems/file-refused"
    with party.sessions.begin() as session:
        session.execute(update(Batch).values(state="receiving", finished_at=None, error=None))
    assert again(batch).get_json()["type"] == "/problems/being-booked"
    with party.sessions.begin() as session:
        session.execute(update(Batch).values(state="done", bytes=None, done=1))
    assert again(batch).get_json()["type"] == "/problems/not-kept"
    assert party.ask("SELECT count(*) FROM outgoing_files WHERE kind = 'answers'") == [(0,)]


def test_a_key_is_needed(party: Party, client: FlaskClient, bearer: Bearer) -> None:
    batch, _, _ = answered(party)
    answer = client.post(f"/v1/chargers/FJELL/files/{batch}/resend", headers=bearer("operator"))
    assert answer.status_code == 428
