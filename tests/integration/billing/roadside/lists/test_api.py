"""Lists over HTTP, what chargers knew over HTTP, the command and the support pages."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from sqlalchemy import text

import app as front_door
from accounts.chargers.publish import Notice, publish
from billing.roadside.lists.validity import knew
from config.database import SessionFactory
from config.jobs import JobContext
from config.settings import Settings
from tests.integration.billing.passages.conftest import HOUR, NOW, PASSED, pan
from tests.integration.billing.roadside.lists.conftest import MINUTE, World
from tests.integration.conftest import Bearer

LIST, ACK = "/v1/chargers/FJELL/status-list", "/v1/chargers/FJELL/status-list/tags/{}/acknowledgement"


@pytest.fixture
def pulled(world: World) -> World:
    """FJELL fetches its lists; the first ones are made."""
    world.take("pull")
    world.minute(full=True)
    return world


def test_a_charger_fetches_and_acknowledges_until_there_is_nothing_newer(
    pulled: World, client: FlaskClient, bearer: Bearer
) -> None:
    own = bearer("charger", charger="FJELL")
    assert pulled.version(1).state == "made"
    first = client.get(f"{LIST}?since=0", headers=own)
    assert (first.status_code, first.headers["X-List-Version"], first.headers["X-List-Kind"]) == (200, "1", "full")
    lines = [json.loads(line) for line in first.data.splitlines()]
    assert [lines[0]["version"], lines[1]["pan"], lines[-1]["rows"]] == [1, pan(1), 1]
    zipped = client.get(LIST, headers={**own, "Accept-Encoding": "gzip"})
    assert gzip.decompress(zipped.data) == first.data
    assert zipped.headers["Content-Encoding"] == "gzip"
    pulled.session.rollback()
    assert (pulled.version(1).state, pulled.version(1).sent_at) == ("sent", pulled.now)
    for already in (False, True):
        said = client.post(ACK.format(1), json={"accepted": True}, headers=own)
        assert (said.status_code, said.get_json()["state"]) == (200, "acknowledged"), already
    assert client.get(f"{LIST}?since=1", headers=own).status_code == 204
    pulled.block()
    pulled.minute()
    following = client.get(f"{LIST}?since=1", headers=own)
    assert following.headers["X-List-Version"] == "2"
    assert client.get(f"{LIST}?version=1", headers=own).data == first.data
    listed = client.get("/v1/chargers/FJELL/status-lists?type=tags", headers=own).get_json()["items"]
    assert [(one["version"], one["kind"], one["rows"]) for one in listed] == [(2, "incremental", 1), (1, "full", 1)]


def test_a_gap_is_closed_by_a_full_list(pulled: World, client: FlaskClient, bearer: Bearer) -> None:
    own = bearer("charger", charger="FJELL")
    for status in ("blocked", "valid"):
        pulled.block(status)
        pulled.minute()
    pulled.session.execute(text("DELETE FROM list_parts WHERE version_id = :id"), {"id": pulled.version(2).id})
    pulled.session.commit()
    assert client.get(f"{LIST}?since=1", headers=own).headers["X-List-Version"] == "1"
    assert client.get(f"{LIST}?version=2", headers=own).status_code == 404
    assert client.get(f"{LIST}?since=2", headers=own).headers["X-List-Version"] == "3"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/chargers/FJELL/status-list/tags/2/acknowledgement", {"accepted": True}, 404),
        ("/v1/chargers/FJELL/status-list/boats/1/acknowledgement", {"accepted": True}, 404),
        ("/v1/chargers/FJELL/status-list/tags/99999999999999999999/acknowledgement", {"accepted": True}, 404),
        ("/v1/chargers/FJELL/status-list/tags/1/acknowledgement", {}, 422),
        ("/v1/chargers/FJELL/status-list/tags/1/acknowledgement", {"accepted": "perhaps"}, 422),
        ("/v1/chargers/FJELL/status-list/tags/1/acknowledgement", {"accepted": False}, 422),
        ("/v1/chargers/FJELL/status-list/tags/1/acknowledgement", {"accepted": False, "reason": "\u0007"}, 422),
        ("/v1/chargers/FJELL/status-list/tags/1/acknowledgement", {"accepted": True, "more": 1}, 422),
        ("/v1/chargers/FJORD/status-list/tags/1/acknowledgement", {"accepted": True}, 404),
    ],
)
def test_what_is_wrong_with_an_acknowledgement_is_said_and_changes_nothing(
    pulled: World, client: FlaskClient, bearer: Bearer, path: str, body: dict[str, Any], status: int
) -> None:
    answer = client.post(path, json=body, headers=bearer("charger", charger="FJELL"))
    assert answer.status_code == status, answer.text
    pulled.session.rollback()
    assert pulled.version(1).state == "made"


def test_a_charger_sees_its_own_lists_only(pulled: World, client: FlaskClient, bearer: Bearer) -> None:
    assert client.get(LIST, headers=bearer("charger", charger="FJORD")).status_code == 404
    assert client.get(LIST, headers=bearer("agent")).status_code == 403
    assert client.get(LIST, headers=bearer("operator")).status_code == 200
    pulled.session.rollback()
    assert pulled.version(1).state == "made"  # our own people's look is not its fetching
    assert client.get("/v1/chargers/FJORD/status-list", headers=bearer("operator")).status_code == 404


def test_lists_are_switched_on_over_http(world: World, client: FlaskClient, bearer: Bearer) -> None:
    operator = bearer("operator")
    shown = client.get("/v1/chargers/FJORD", headers=operator)
    assert shown.get_json()["lists"] == "none"
    given = {"name": "Fjordferjer", "kind": "ferry", "lists": "pull", "list_types": "tags", "latency_minutes": 30}
    kept = client.put("/v1/chargers/FJORD", json=given, headers={**operator, "If-Match": shown.headers["ETag"]})
    assert kept.status_code == 200, kept.text
    assert {name: kept.get_json()[name] for name in given} == given
    assert kept.get_json()["list_format"] == "jsonl"
    assert world.minute(full=True)["lists"] == 3


class TestValidity:
    """GET /v1/agreements/{number}/validity."""

    def ask(self, client: FlaskClient, world: World, headers: dict[str, str], **query: str) -> Any:
        (number,) = world.road.ask("SELECT number FROM agreements WHERE id = :id", id=world.agreement)[0]
        answer = client.get(f"/v1/agreements/{number}/validity", query_string=query, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    def test_says_what_each_charger_knew(self, world: World, client: FlaskClient, bearer: Bearer) -> None:
        world.minute(full=True)
        world.ack("tags", 1)
        world.block()
        blocked = world.now
        world.minute()
        world.at(world.now + HOUR)
        agent = bearer("agent")
        between = self.ask(client, world, agent, at=(blocked + 30 * MINUTE).isoformat())
        said = {(one["charger"], one["list_type"]): one for one in between["chargers"]}
        assert said["FJELL", "tags"]["sentence"].startswith("valid, list 1 acknowledged ")
        assert (said["FJELL", "tags"]["refused"], said["FJELL", "tags"]["coming"]) == (False, "blocked")
        assert said["FJORD", None]["sentence"] == f"not_valid: blocked, published {blocked:%Y-%m-%dT%H:%MZ}"
        assert said["FJORD", None]["refused"] is True
        world.ack("tags", 2)
        after = self.ask(client, world, agent, charger="FJELL")
        assert {one["charger"] for one in after["chargers"]} == {"FJELL"}
        assert (
            after["chargers"][0]["sentence"] == f"not_valid: blocked, list 2 acknowledged {world.now:%Y-%m-%dT%H:%MZ}"
        )
        assert [one["plate"] for one in after["vehicles"]] == ["EV10001"]
        assert [(one["pan"], one["plate"], one["registered"]) for one in after["tags"]] == [(pan(1), "EV10001", True)]
        assert world.road.ask("SELECT count(*) FROM audit_trail WHERE action = 'look_up'")[0][0] == 2

    def test_names_what_was_nearly_its_own(self, world: World, client: FlaskClient, bearer: Bearer) -> None:
        road = world.road
        other = road.agreement()
        stray = road.tag(world.agreement, 2, "EV99999")
        sent: dict[str, dict[str, Any]] = {
            "exact": {"plate": "EV10001", "passed_at": PASSED - HOUR},
            "sign": {"plate": "EV1O001"},
            "country": {"plate": "EV10001", "country": "SE"},
            "tag": {"pan": stray},
            "far": {"plate": "EV20012"},
            "late": {"plate": "EV1000", "passed_at": PASSED - dt.timedelta(days=9)},
        }
        publish(road.session, [Notice(world.agreement, "blocked", "overdue")], PASSED - 2 * HOUR)
        publish(road.session, [Notice(world.agreement, "valid", "paid")], PASSED - MINUTE)
        road.vehicle(other, "EV20002")
        for name, fields in sent.items():
            road.one(road.record(name, station="K1", service="ferry", **fields), charger=road.ferry, now=NOW)
        road.session.commit()
        found = self.ask(client, world, bearer("agent"), at=PASSED.isoformat())
        misses = {one["record"]: (one["why"], one["ours"]) for one in found["near_misses"]}
        assert misses == {
            "exact": ("exact", "NO EV10001"),
            "sign": ("one_sign", "NO EV10001"),
            "country": ("country", "NO EV10001"),
            "tag": ("tag", pan(2)),
        }
        assert found["looked_for"] == ["EV10001"]
        assert {one["detail"] for one in found["near_misses"] if one["why"] == "exact"} == {
            f"blocked, published {PASSED - 2 * HOUR:%Y-%m-%dT%H:%MZ}"
        }
        assert self.ask(client, world, bearer("agent"), at=PASSED.isoformat(), charger="FJELL")["near_misses"] == []
        plate = self.ask(client, world, bearer("agent"), at=PASSED.isoformat(), plate="ev 20002")
        assert {one["record"] for one in plate["near_misses"]} == {"far", "tag"}
        (customer,) = road.ask("SELECT customer_id FROM agreements WHERE id = :id", id=world.agreement)[0]
        own = self.ask(client, world, bearer("customer", customer_id=customer), at=PASSED.isoformat())
        assert {one["record"] for one in own["near_misses"]} == {"exact", "tag"}  # never another's plate

    def test_the_index_of_refused_records_is_used(self, world: World) -> None:
        plan = "\n".join(
            row[0]
            for row in world.road.ask(
                "EXPLAIN SELECT source_id FROM records AS r WHERE r.code IN ('unknown_vehicle', 'not_valid') "
                "AND r.body ->> 'plate' = ANY(ARRAY['EV10001', 'EV1000I']) AND r.passed_at BETWEEN '2026-01-01' "
                "AND '2026-02-01'"
            )
        )
        assert "ix_records_refused_plate" in plan

    def test_is_for_the_holder_and_our_people(self, world: World, client: FlaskClient, bearer: Bearer) -> None:
        number, customer = world.road.ask(
            "SELECT number, customer_id FROM agreements WHERE id = :id", id=world.agreement
        )[0]
        path = f"/v1/agreements/{number}/validity"
        assert client.get(path, headers=bearer("customer", customer_id=customer)).status_code == 200
        assert client.get(path, headers=bearer("customer", customer_id=customer + 1)).status_code == 404
        assert client.get(path, headers=bearer("charger", charger="FJELL")).status_code == 403
        assert client.get(path, headers=bearer("operator")).status_code == 200
        for query in ("at=2026-03-01", "at=yesterday", "plate=%07", "country=NOR", "charger=", "days=7"):
            answer = client.get(f"{path}?{query}", headers=bearer("agent"))
            assert answer.status_code in (404, 422), (query, answer.status_code)
        assert client.get(f"{path}?charger=NOBODY", headers=bearer("agent")).status_code == 404

    def test_says_the_same_as_matching(self, world: World) -> None:
        """At each minute around every acknowledgement, the sentence is the one that a record would be answered."""
        road, start = world.road, world.now
        world.minute(full=True)
        for number, status in enumerate(("blocked", "valid", "ended"), 1):
            world.ack("tags", number)
            world.block(status)
            world.minute()
            world.at(world.now + 3 * MINUTE)
            world.take("push", latency_minutes=number)
        for minute in range(1, 20):
            at = start + minute * MINUTE
            answer = road.one(road.record(f"M-{minute}", pan=pan(1), passed_at=at))
            (tags,) = [one for one in knew(road.session, world.agreement, at, "FJELL") if one.list_type == "tags"]
            assert tags.refused == (answer.code == "not_valid"), minute
            if tags.refused:
                assert tags.sentence == f"not_valid: {answer.detail}"


def test_the_command_makes_shows_and_writes(
    world: World, settings: Settings, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("DEMO", "true")
    monkeypatch.setenv("BRIKKE_VAR", str(settings.var))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(front_door.main, ["statuslist", *arguments])
        return done.exit_code, done.output

    code, said = run("--charger", "FJELL", "--json")
    assert code == 0, said
    assert json.loads(said) | {"bytes": 0} == {
        "charger": "FJELL", "list": "tags", "version": 1, "kind": "full", "rows": 1, "bytes": 0, "made": True,
        "state": "made", "acknowledged_at": None,
    }  # fmt: skip
    assert json.loads(run("--charger", "FJELL", "--json")[1])["made"] is False
    out = tmp_path / "list.jsonl"
    code, said = run("--charger", "FJELL", "--type", "plates", "--full", "--out", str(out))
    assert code == 0, said
    assert json.loads(out.read_text().splitlines()[1])["plate"] == "EV10001"
    code, said = run("--charger", "FJORD")  # takes none: what a list would say
    assert (code, json.loads(said.splitlines()[0])["version"]) == (0, 0)
    assert run("--charger", "NOBODY")[0] == 1


def test_the_job_finds_what_was_made_before_a_crash(world: World, ctx: JobContext, sessions: SessionFactory) -> None:
    """Made, and killed before it was sent: the next one sends it, once."""
    from billing.roadside.lists import jobs

    jobs.release_all(sessions)
    assert jobs.cut_one(sessions, world.road.toll.id, "tags", "full") is not None
    assert world.out() == []
    assert world.minute()["sent"] == 1
    assert world.out() == ["FJELL-tags-000001-full.jsonl.gz"]


def test_matching_stays_cheap(world: World) -> None:
    """Who was never blocked costs one look at an index that does not have them."""
    plan = "\n".join(
        row[0]
        for row in world.road.ask(
            "EXPLAIN SELECT FROM publications AS r WHERE r.agreement_id = 1 AND r.status IN ('blocked', 'ended') "
            "ORDER BY r.agreement_id LIMIT 1"
        )
    )
    assert "ix_publications_refusing" in plan
