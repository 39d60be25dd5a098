"""The small world of `make run`: everybody one should meet is there, in the state they are meant to be in."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest

from simulator.client import Client, Json
from simulator.world import play, run_before
from tests.scenarios.conftest import Inside

TODAY = dt.datetime(2026, 11, 21, 9, tzinfo=dt.UTC)


def agreement_of(client: Client, name: str) -> Json:
    (customer,) = client.get("/v1/customers", query=name)["items"]
    found: Json = client.get(f"/v1/agreements/{customer['agreements'][0]['number']}")
    return found


@pytest.mark.slow
def test_the_small_world_is_whole_and_its_books_balance(ground: Inside) -> None:
    ground.client.call("PUT", "/v1/clock", {"to": TODAY.isoformat(), "running": False}, role="operator")
    tales = play(ground)
    assert [f"{tale.name}: {tale.failure}" for tale in tales if tale.failure] == []
    clock = ground.client.get("/v1/clock", role="operator")
    assert not clock["moved"]
    client = ground.client
    proven = client.get("/v1/audit", role="operator")
    assert proven["ok"], proven["first_difference"]
    kari = agreement_of(client, "Kari Nordmann")
    assert kari["standing"] == "open"
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    by_hand = re.search(r"PLATE=(\w+)", readme)
    assert by_hand is not None
    plates = [row["plate"] for row in client.pages(f"/v1/agreements/{kari['number']}/vehicles")]
    assert plates == [by_hand[1]]  # a newcomer finds the passage that the README has them send
    assert agreement_of(client, "Terje Blokkstad")["standing"] == "blocked"
    assert agreement_of(client, "Ingrid Ventestad")["standing"] == "awaiting_reopen"
    assert agreement_of(client, "Nordlys Transport AS")["payment_method"] == "card"
    assert len(agreement_of(client, "Magnus Havnevik")["additional"]) == 1
    suspense = client.get("/v1/payments", state="suspense")["items"]
    assert 7700 in [row["amount_ore"] for row in suspense]
    assert proven["accounts"]["credit"] <= -4600
    assert play(ground) == []  # where there is a world nothing is done


@pytest.mark.parametrize(
    ("today", "run"),
    [
        (dt.date(2026, 11, 21), dt.date(2026, 11, 1)),
        (dt.date(2026, 11, 18), dt.date(2026, 10, 1)),
        (dt.date(2026, 12, 1), dt.date(2026, 11, 1)),
        (dt.date(2027, 1, 10), dt.date(2026, 12, 1)),
    ],
)
def test_the_invoices_one_sees_have_been_due_for_some_days(today: dt.date, run: dt.date) -> None:
    assert run_before(today) == run
