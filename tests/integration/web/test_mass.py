"""Mass corrections by the API and on the support desk: counted, confirmed, carried out, shown, undone."""

from __future__ import annotations

import re

from flask.testing import FlaskClient
from sqlalchemy import text

from billing.passages.mass.carry_out import job
from config.database import SessionFactory
from config.jobs import JobContext
from config.settings import Settings
from tests.integration.billing.books import JANUARY, body
from tests.integration.conftest import Bearer
from tests.integration.web.desk import Desk, world

__all__ = ["world"]
ASKED = {
    "charger": "FJELL", "stations": ["S1"], "since": "2026-01-15T10:00:00Z", "until": "2026-01-15T12:00:00Z",
    "bearer": "charger", "reason": "Antenna 2 read twice",
}  # fmt: skip


def station(desk: Desk) -> None:
    desk.session.execute(
        text("INSERT INTO stations (charger_id, code, name, project) VALUES (:c, 'S1', 'Gamle Bro', 'P1')"),
        {"c": desk.books.charger},
    )
    desk.session.commit()


def test_over_http(
    world: Desk, client: FlaskClient, bearer: Bearer, sessions: SessionFactory, settings: Settings
) -> None:
    station(world)
    lead = bearer("lead")
    made = client.post("/v1/mass-corrections", json=ASKED, headers=lead)
    assert made.status_code == 201
    row = body(made)
    assert (row["state"], row["passages"], row["agreements"], row["sum_ore"], row["billed"]) == (
        "preview",
        2,
        1,
        41250,
        2,
    )
    path = f"/v1/mass-corrections/{row['id']}"
    keyed = {**lead, "Idempotency-Key": "a"}
    refused = client.post(f"{path}/confirm", json={"digest": "0"}, headers={**lead, "Idempotency-Key": "b"})
    assert (refused.status_code, body(refused)["type"]) == (409, "/problems/changed-meanwhile")
    assert client.post(f"{path}/confirm", json={"digest": row["digest"]}, headers=keyed).status_code == 202
    early = client.post(f"{path}/undo", json={"reason": "no"}, headers={**lead, "Idempotency-Key": "c"})
    assert (early.status_code, body(early)["type"]) == (409, "/problems/not-done")
    job(JobContext(sessions, settings), JANUARY)
    done = body(client.get(path, headers=bearer("agent")))
    assert (done["state"], done["done"], done["done_ore"], done["skipped"]) == ("done", 2, 41250, 0)
    undone = client.post(f"{path}/undo", json={"reason": "right after all"}, headers={**lead, "Idempotency-Key": "d"})
    assert (undone.status_code, body(undone)["undoes_id"]) == (202, row["id"])
    job(JobContext(sessions, settings), JANUARY)
    listed = body(client.get("/v1/mass-corrections", headers=bearer("accountant")))
    assert [(one["id"], one["state"], one["undone_by"]) for one in listed["items"]] == [
        (body(undone)["id"], "done", None), (row["id"], "done", body(undone)["id"]),
    ]  # fmt: skip
    assert [action for _, action, _ in world.trail(f"mass:{row['id']}")] == [
        "mass.preview",
        "mass.confirm",
        "mass.undo",
    ]
    assert client.get("/v1/mass-corrections/4711", headers=lead).status_code == 404
    wrong = client.post("/v1/mass-corrections", json={**ASKED, "stations": ["S9"]}, headers=lead)
    assert (wrong.status_code, body(wrong)["errors"][0]["field"]) == (422, "stations")


def test_on_the_desk(world: Desk, sessions: SessionFactory, settings: Settings) -> None:
    station(world)
    browser = world.browser("lead")
    empty = browser.post("/mass", charger="FJELL", stations="", since="x", until="", bearer="charger", reason="")
    assert empty.status_code == 422
    form = {"charger": "FJELL", "stations": "S1", "since": "2026-01-15T11:00", "until": "2026-01-15T13:00",
            "bearer": "us", "reason": "double reads"}  # fmt: skip
    counted = browser.post("/mass", **form)
    assert counted.status_code == 303
    path = counted.headers["Location"].removeprefix("/support")
    page = browser.get(path).text
    assert "412,50" in page
    digest = re.search(r'name="digest" value="(\w+)"', page)
    assert digest is not None
    assert browser.post(f"{path}/confirm", digest="0").status_code == 422
    assert browser.post(f"{path}/confirm", digest=digest[1]).status_code == 303
    assert "<progress" in browser.get(path).text
    job(JobContext(sessions, settings), JANUARY)
    assert "2 passeringer" in browser.text(f"/agreements/{world.number}")
    assert "rettet for alle ved stasjonen" in browser.text(f"/agreements/{world.number}")
    assert browser.post(f"{path}/undo", reason="").status_code == 422
    undone = browser.post(f"{path}/undo", reason="they were right")
    assert undone.status_code == 303
    job(JobContext(sessions, settings), JANUARY)
    assert "Masserettelse gjort om" in browser.text(f"/agreements/{world.number}")
    assert world.browser("agent").get(path).status_code == 200
    assert "double reads" in browser.text("/mass")
