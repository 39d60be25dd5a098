"""How exchanges are kept, shown and looked at from outside: HTTP, the command line, metrics."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from sqlalchemy import select

from accounts.access.models import TrailEntry
from app import main
from billing.roadside.exchange.models import Exchange
from tests.integration.billing.roadside.exchange.conftest import Party, by_sftp, lines
from tests.integration.billing.roadside.exchange.sftp_server import Charger
from tests.integration.conftest import Bearer

URL = "/v1/chargers/FJELL/exchange"
SFTP: dict[str, Any] = {
    "kind": "sftp", "host": "sftp.fjell.example", "username": "brikke", "key_file": "fjell.key",
    "host_key": "SHA256:" + "a" * 43, "remote_in": "in", "remote_out": "out",
}  # fmt: skip


def test_kept_and_shown(party: Party, client: FlaskClient, bearer: Bearer) -> None:
    operator = bearer("operator")
    assert client.get(URL, headers=operator).status_code == 404
    made = client.put(URL, json=SFTP, headers=operator)
    assert (made.status_code, made.get_json()["port"]) == (201, 22)
    shown = client.get(URL, headers=bearer("agent"))
    assert (shown.get_json()["host"], shown.get_json()["waiting"]) == ("sftp.fjell.example", 0)
    assert client.put(URL, json=SFTP, headers=operator).status_code == 428
    matching = {**operator, "If-Match": shown.headers["ETag"]}
    changed = client.put(URL, json={"kind": "folder", "form": "csv"}, headers=matching)
    assert (changed.status_code, changed.get_json()["host"]) == (200, None)
    assert client.put(URL, json=SFTP, headers=matching).status_code == 412
    with party.sessions() as session:
        entries = session.scalars(select(TrailEntry).where(TrailEntry.action == "charger.exchange")).all()
        assert len(entries) == 2


def test_who_may(party: Party, client: FlaskClient, bearer: Bearer) -> None:
    for role in ("agent", "lead", "accountant"):
        assert client.put(URL, json=SFTP, headers=bearer(role)).status_code == 403
    assert client.get(URL, headers=bearer("charger", charger="FJELL")).status_code == 403
    assert client.put("/v1/chargers/NONE/exchange", json=SFTP, headers=bearer("operator")).status_code == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"host_key": None}, "host_key"),
        ({"host_key": "MD5:00:11"}, "host_key"),
        ({"key_file": None}, "key_file"),
        ({"key_file": "../token.key"}, "key_file"),
        ({"key_file": "/etc/passwd"}, "key_file"),
        ({"password_file": ".hidden"}, "password_file"),
        ({"host": "a b"}, "host"),
        ({"username": "-oProxyCommand"}, "username"),
        ({"remote_in": "../elsewhere"}, "remote_in"),
        ({"remote_out": "in"}, "remote_out"),
        ({"kind": "folder"}, "host"),
    ],
)
def test_what_is_not_taken(
    party: Party, client: FlaskClient, bearer: Bearer, change: dict[str, Any], field: str
) -> None:
    answer = client.put(URL, json=SFTP | change, headers=bearer("operator"))
    assert answer.status_code == 422, answer.text
    assert field in [error["field"] for error in answer.get_json()["errors"]]
    with party.sessions() as session:
        assert session.scalars(select(Exchange)).all() == []


def test_what_failed_is_seen(remote: Party, server: Charger, client: FlaskClient, bearer: Bearer) -> None:
    remote.keep(**by_sftp(server, username="nobody"))
    remote.put("a.jsonl", lines("A"))
    remote.look(exchange_alarm_after=1)
    shown = client.get(URL, headers=bearer("operator")).get_json()
    assert (shown["attempts"], shown["waiting"]) == (1, 1)
    assert "not let in" in shown["error"]
    metrics = client.get("/metrics").text
    assert 'brikke_exchange_attempts{charger="FJELL"} 1' in metrics
    assert 'brikke_exchange_out_waiting{charger="FJELL"} 1' in metrics


def test_files_are_listed(party: Party, client: FlaskClient, bearer: Bearer) -> None:
    party.put("a.jsonl", lines("A"))
    party.put("b.jsonl", lines("B")[:-20])
    party.look()
    came = client.get(f"{URL}/in", headers=bearer("agent")).get_json()["items"]
    assert [(one["name"], one["outcome"]) for one in came] == [("a.jsonl", "booked"), ("b.jsonl", "refused")]
    went = client.get(f"{URL}/out?state=sent", headers=bearer("agent")).get_json()["items"]
    assert {one["name"] for one in went} == {"a.answers.jsonl", "b.refused.json"}
    assert client.get(f"{URL}/out?state=failed", headers=bearer("agent")).get_json()["items"] == []


def test_the_command(party: Party, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIKKE_VAR", str(party.settings.var))
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("DEMO", "true")
    party.put("a.jsonl", lines("A"))
    done = CliRunner().invoke(main, ["exchange", "--charger", "FJELL", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout.splitlines()[-1])["booked"] == 1
    assert CliRunner().invoke(main, ["exchange"]).stdout.splitlines()[-1] == "nothing to do"
    assert CliRunner().invoke(main, ["exchange", "--charger", "NONE"]).exit_code == 1
