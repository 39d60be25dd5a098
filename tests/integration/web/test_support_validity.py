"""Support asks what chargers knew at an instant: why a driver got a full-price invoice."""

from __future__ import annotations

import datetime as dt

import pytest

from accounts.agreements.models import StandingChange
from accounts.chargers.publish import Notice, publish
from config.clock import OSLO
from tests.integration.billing.passages.conftest import HOUR, NOW, PASSED, START, pan, road
from tests.integration.billing.roadside.lists.conftest import DAY, MINUTE, World, ctx, world
from tests.integration.web.desk import Signed, signed

__all__ = ["ctx", "road", "signed", "world"]


@pytest.fixture
def page(world: World) -> str:
    """Kari's agreement was blocked for two hours, and FJORD's boats refused four journeys at that time."""
    road = world.road
    stray = road.tag(world.agreement, 2, "EV99999")
    publish(road.session, [Notice(world.agreement, "blocked", "overdue")], PASSED - 2 * HOUR)
    publish(road.session, [Notice(world.agreement, "valid", "paid")], PASSED)
    sent: dict[str, dict[str, str]] = {
        "exact": {"plate": "EV10001"},
        "sign": {"plate": "EV1O001"},
        "country": {"plate": "EV10001", "country": "SE"},
        "tag": {"pan": stray},
    }
    for name, fields in sent.items():
        record = road.record(name, station="K1", service="ferry", passed_at=PASSED - HOUR, **fields)
        assert road.one(record, charger=road.ferry, now=NOW).code in ("not_valid", "unknown_vehicle")
    ((number,),) = road.ask("SELECT number FROM agreements WHERE id = :id", id=world.agreement)
    opened = StandingChange(agreement_id=world.agreement, standing="open", at=START, reason="opened", actor="test")
    road.session.add(opened)
    world.at(PASSED + DAY)
    return f"/agreements/{number}"


def at(instant: dt.datetime, **more: str) -> str:
    here = instant.astimezone(OSLO)
    query = {"day": here.date().isoformat(), "time": f"{here:%H:%M}", **more}
    return "/validity?" + "&".join(f"{name}={value}" for name, value in query.items())


def test_says_what_each_knew_and_what_was_nearly_theirs(page: str, signed: Signed) -> None:
    agent = signed("agent")
    text = agent.text(page + at(PASSED - HOUR))
    assert f"not_valid: blocked, published {PASSED - 2 * HOUR:%Y-%m-%dT%H:%MZ}" in text
    for miss in ("ett tegn fra NO EV10001", "samme skilt, annet land, som NO EV10001", "nettopp NO EV10001",
                 f"brikken {pan(2)}"):  # fmt: skip
        assert miss in text
    assert "som ikke var på avtalen" in text
    after = agent.text(page + at(PASSED + MINUTE))
    assert "valid, published" in after
    assert "not_valid:" not in after.split("Avviste passeringer")[0]


def test_of_a_plate_or_a_tag(page: str, signed: Signed) -> None:
    agent = signed("agent")
    plate = agent.text(page + at(PASSED, read="ev 20001"))
    assert "Lett etter EV20001" in plate
    assert "nettopp" not in plate
    assert "ett tegn fra NO EV20001" in plate
    for read in (pan(2), "t2"):
        tag = agent.text(page + at(PASSED, read=read))
        assert f"brikken {pan(2)}" in tag
        assert "ett tegn fra" not in tag


def test_is_found_from_the_agreement_and_says_what_is_wrong(page: str, signed: Signed, world: World) -> None:
    agent = signed("agent", "en")
    assert f"/support{page}/validity" in agent.get(page).text
    assert "What chargers had been told by" in agent.text(page + "/validity")
    for query in ("day=yesterday", "time=noon", "day=1999-01-01", "read=%25", "read=%25&country=NOR"):
        assert agent.get(f"{page}/validity?{query}").status_code == 422, query
    assert signed("operator").get(f"{page}/validity").status_code == 403
    assert world.road.ask("SELECT count(*) FROM audit_trail WHERE action = 'look_up_validity'") != [(0,)]
