"""Projects, where stations are, and the file that holds chargers, projects and stations."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from accounts.chargers.keep import StationGiven, keep_stations
from accounts.chargers.models import Charger, Project, Station
from accounts.chargers.projects import ProjectGiven, keep_projects
from accounts.chargers.read_file import keep_file
from config.problems import Invalid, NotFound
from tests.integration.accounts.conftest import NOW
from tests.integration.conftest import Bearer

WHOLE = """row,charger,code,name,kind,phone,project,latitude,longitude,from_on,to_on
charger,,KYST,Kystveien AS,toll,21000000,,,,,
project,KYST,K-1,Kystpakka,,,,,,2019-04-06,
station,KYST,1,Tunnelen,,,K-1,60.3913,5.3221,,
station,KYST,2,Brua nord,,,K-2,,,,
"""


def stations(session: Session) -> dict[str, tuple[str, str, Decimal | None, Decimal | None]]:
    session.expire_all()
    return {one.code: (one.name, one.project, one.latitude, one.longitude) for one in session.scalars(select(Station))}


def test_a_station_is_somewhere_and_stays_there_when_nobody_says_where(session: Session, chargers: None) -> None:
    keep_stations(session, "FJELL", [StationGiven("1", "Tunnelen", "P1", 60.3913, Decimal("5.3221"))])
    there = ("Tunnelen", "P1", Decimal("60.391300"), Decimal("5.322100"))
    assert stations(session) == {"1": there}
    keep_stations(session, "FJELL", [StationGiven("1", "Tunnelen", "P1"), StationGiven("2", "Brua", "P1", -90, 180)])
    assert stations(session) == {"1": there, "2": ("Brua", "P1", Decimal("-90"), Decimal("180"))}
    keep_stations(session, "FJELL", [StationGiven("1", "Tunnelen", "P1", None, None)])
    assert stations(session)["1"] == ("Tunnelen", "P1", None, None)


@pytest.mark.parametrize(
    ("place", "field"),
    [
        ((90.1, 5), "0.latitude"),
        ((60, -180.5), "0.longitude"),
        ((60, None), "0.longitude"),
        ((float("nan"), 5), "0.latitude"),
    ],
)
def test_a_place_that_is_none(session: Session, chargers: None, place: tuple[Any, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        keep_stations(session, "FJELL", [StationGiven("1", "Tunnelen", "P1", *place)])
    assert [error["field"] for error in caught.value.errors] == [field]


def test_a_stations_project_is_one_and_keeps_the_name_it_got(session: Session, chargers: None) -> None:
    keep_stations(session, "FJELL", [StationGiven("1", "Tunnelen", "P1"), StationGiven("2", "Brua", "P1")])
    assert [(one.code, one.name) for one in session.scalars(select(Project))] == [("P1", "P1")]
    keep_projects(session, "FJELL", [ProjectGiven("P1", "Fjellpakka", dt.date(2019, 1, 1), dt.date(2019, 1, 1))])
    keep_stations(session, "FJELL", [StationGiven("1", "Tunnelen", "P1")])
    (row,) = session.scalars(select(Project))
    assert (row.name, row.from_on, row.to_on) == ("Fjellpakka", dt.date(2019, 1, 1), dt.date(2019, 1, 1))


def test_wrong_projects_change_none(session: Session, chargers: None) -> None:
    day = dt.date(2020, 2, 29)
    with pytest.raises(Invalid) as caught:
        keep_projects(
            session, "FJELL", [ProjectGiven("A", ""), ProjectGiven("A", "A", day, day - dt.timedelta(days=1))]
        )
    assert {error["field"] for error in caught.value.errors} == {"0.name", "1.code", "1.to_on"}
    assert session.scalars(select(Project)).all() == []
    with pytest.raises(NotFound):
        keep_projects(session, "NONE", [])


def test_a_file_is_kept_whole(session: Session) -> None:
    assert keep_file(session, WHOLE.encode(), "csv", NOW) == {"chargers": 1, "projects": 1, "stations": 2}
    assert stations(session) == {
        "1": ("Tunnelen", "K-1", Decimal("60.3913"), Decimal("5.3221")), "2": ("Brua nord", "K-2", None, None)
    }  # fmt: skip
    names = {one.code: one.name for one in session.scalars(select(Project))}
    assert names == {"K-1": "Kystpakka", "K-2": "K-2"}
    assert session.scalars(select(Charger)).one().phone == "+4721000000"
    again = {"chargers": [{"code": "KYST", "name": "Kysten AS", "kind": "toll"}],
             "projects": [{"charger": "KYST", "code": "K-1", "name": "Pakka", "to_on": "2030-01-01"}]}  # fmt: skip
    keep_file(session, json.dumps(again).encode(), "json", NOW)
    session.expire_all()
    assert session.scalars(select(Charger)).one().phone == "+4721000000"  # not said, so as it was
    project = session.scalars(select(Project).where(Project.code == "K-1")).one()
    assert (project.name, project.from_on, project.to_on) == ("Pakka", dt.date(2019, 4, 6), dt.date(2030, 1, 1))


def test_each_wrong_row_is_named_and_nothing_is_kept(session: Session, chargers: None) -> None:
    content = (
        "row,charger,code,name,kind,project,latitude,longitude\n"
        "charger,,NY,Ny AS,boat,,,\n"
        "charger,,FJELL,Fjell AS,ferry,,,\n"
        "station,FJELL,1,Tunnelen,,P,91,5\n"
        "station,FJELL,2,,,P,,\n"
        "station,NOBODY,3,Brua,,P,,\n"
        "boat,FJELL,4,Brua,,,,\n"
        "project,FJELL,P,Pakka,toll,,north,\n"
    )
    with pytest.raises(Invalid) as caught, session.begin_nested():
        keep_file(session, content.encode(), "csv", NOW)
    assert {(error["row"], error["field"]) for error in caught.value.errors} == {
        ("line 2", "kind"), ("line 3", "kind"), ("line 4", "latitude"), ("line 5", "name"), ("line 6", "charger"),
        ("line 7", "row"), ("line 8", "kind"), ("line 8", "latitude"),
    }  # fmt: skip
    assert stations(session) == {}
    assert session.scalar(select(Charger.name).where(Charger.code == "FJELL")) == "Fjell AS"


@pytest.mark.parametrize(
    ("content", "form"),
    [(b"\xff\xfe", "csv"), (b"code,name\n", "csv"), (b"row,row\n", "csv"), (b"row,code\na\n", "csv"),
     (b'row,code\n"a', "csv"), (b"[]", "json"), (b"{", "json"), (b'{"boats": []}', "json"),
     (b'{"stations": {}}', "json"), (b'{"a":' * 100_000, "json"), (b"row\n\0", "csv")],
)  # fmt: skip
def test_a_file_that_is_none(session: Session, content: bytes, form: str) -> None:
    with pytest.raises(Invalid) as caught:
        keep_file(session, content, form, NOW)
    assert caught.value.type == "/problems/broken-file"


@pytest.mark.parametrize(
    "row",
    [7, None, {"charger": "FJELL", "code": 7, "name": "x", "project": "P"},
     {"charger": "FJELL", "code": "x\x00", "name": "x", "project": "P"},
     {"charger": None, "code": "x", "name": "x", "project": "P"},
     {"charger": "FJELL", "code": "x", "name": "x", "project": "P", "latitude": True, "longitude": 1},
     {"charger": "FJELL", "code": "x", "name": "x", "project": "P", "latitude": 10**400, "longitude": 1}],
)  # fmt: skip
def test_hostile_rows_are_named(session: Session, chargers: None, row: Any) -> None:
    with pytest.raises(Invalid) as caught:
        keep_file(session, json.dumps({"stations": [row]}).encode(), "json", NOW)
    assert {error["row"] for error in caught.value.errors} == {"stations[0]"}


def test_projects_and_places_over_the_api(
    client: FlaskClient, session: Session, chargers: None, bearer: Bearer
) -> None:
    session.commit()
    operator, path = bearer("operator"), "/v1/chargers/FJELL"
    given = [{"code": "P", "name": "Pakka", "from_on": "2019-04-06", "to_on": None}]
    assert client.put(f"{path}/projects", json=given, headers=bearer("agent")).status_code == 403
    assert client.put(f"{path}/projects", json=given, headers=operator).json == {"projects": 1}
    answer = client.get(f"{path}/projects", headers=bearer("agent")).json
    assert answer is not None
    assert answer["items"] == given
    place = {"code": "1", "name": "Tunnelen", "project": "P", "latitude": 60.3913, "longitude": 5}
    assert client.put(f"{path}/stations", json=[place], headers=operator).status_code == 200
    shown = client.get(f"{path}/stations", headers=operator).json
    assert shown is not None
    assert shown["items"] == [place]
    for wrong in ({"latitude": "60"}, {"latitude": True}, {"latitude": 91}, {"longitude": None}):
        assert client.put(f"{path}/stations", json=[place | wrong], headers=operator).status_code == 422, wrong
    rows = session.execute(text("SELECT action FROM audit_trail WHERE subject = 'charger:FJELL' ORDER BY id"))
    assert [row[0] for row in rows] == ["charger.projects", "charger.stations"]
