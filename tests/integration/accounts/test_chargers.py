"""Chargers, stations and publications."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from accounts.agreements.block import block
from accounts.agreements.standing import apply
from accounts.chargers import queries
from accounts.chargers.keep import ChargerGiven, StationGiven, keep_charger, keep_stations
from accounts.chargers.models import Publication, Station
from accounts.chargers.publish import Notice, publish
from accounts.customers.sign_up import SignedUp
from config.problems import Conflict, Invalid, NotFound
from tests.integration.accounts.conftest import DAY, NOW, told


def test_a_notice_is_stored_once_and_told_to_each_charger_at_once(session: Session, chargers: None) -> None:
    assert publish(session, [Notice(7, "blocked", "overdue"), Notice(8, "valid")], NOW) == 2
    row = session.scalars(select(Publication).where(Publication.agreement_id == 7)).one()
    assert (row.status, row.reason, row.made_at, row.effective_at, row.position) == (
        "blocked", "overdue", NOW, NOW, None,
    )  # fmt: skip
    assert [one[0] for one in told(session, 7)] == ["FJELL", "KYST", "FJORD"]
    for one in queries.publications(session, 7, after=None, limit=9).items:
        assert one.made_at == one.sent_at == one.acknowledged_at == NOW


def test_a_notice_may_lie_ahead_and_never_behind(session: Session, chargers: None) -> None:
    publish(session, [Notice(7, "ended", None, None, NOW + DAY), Notice(8, "ended", None, None, NOW - DAY)], NOW)
    assert {row[3] for row in told(session, 7)} == {NOW + DAY}
    assert {row[3] for row in told(session, 8)} == {NOW}


def test_nothing_to_publish_is_nothing(session: Session, chargers: None) -> None:
    assert publish(session, [], NOW) == 0


def test_a_charger_is_added_then_changed(session: Session) -> None:
    row, new = keep_charger(session, ChargerGiven("FJELL", "Fjell  Bompengeselskap", "toll", "988 077 917"), NOW)
    assert (row.name, row.org_no, new) == ("Fjell Bompengeselskap", "988077917", True)
    row, new = keep_charger(session, ChargerGiven("FJELL", "Fjell AS", "toll", None, "post@fjell.no", "21000000"), NOW)
    assert (row.name, row.org_no, row.email, row.phone, new) == (
        "Fjell AS",
        None,
        "post@fjell.no",
        "+4721000000",
        False,
    )
    with pytest.raises(Conflict):
        keep_charger(session, ChargerGiven("FJELL", "Fjell AS", "ferry"), NOW)


def test_what_is_wrong_with_a_charger_is_said_by_field(session: Session) -> None:
    with pytest.raises(Invalid) as caught:
        keep_charger(session, ChargerGiven("fjell", "", "boat", "1", "x", "y"), NOW)
    assert {error["field"] for error in caught.value.errors} == {"code", "name", "kind", "org_no", "email", "phone"}


def test_a_new_charger_hears_of_what_is_blocked_and_not_of_what_is_valid(
    session: Session, kari: SignedUp, ola: SignedUp
) -> None:
    block(session, {kari.agreement.id: [1]}, NOW)
    apply(session, {kari.agreement.id: 100}, NOW, "overdue", "system")
    publish(session, [Notice(ola.agreement.id, "ended", "closed", effective_at=NOW + 9 * DAY)], NOW)
    keep_charger(session, ChargerGiven("NY", "Ny AS", "toll"), NOW + DAY)
    assert [row[1:] for row in told(session, kari.agreement.id) if row[0] == "NY"] == [("blocked", None, NOW + DAY)]
    assert [row[1:] for row in told(session, ola.agreement.id) if row[0] == "NY"] == [("ended", None, NOW + 9 * DAY)]


def test_stations_are_added_and_changed_and_never_lost(session: Session, chargers: None) -> None:
    keep_stations(session, "FJELL", [StationGiven("1", "Tunnelen", "P1"), StationGiven("2", "Brua", "P1")])
    keep_stations(session, "FJELL", [StationGiven("2", "Brua nord", "P2")])
    found = [(row.code, row.name, row.project) for row in session.scalars(queries.stations(session, "FJELL"))]
    assert sorted(found) == [("1", "Tunnelen", "P1"), ("2", "Brua nord", "P2")]


def test_one_wrong_station_changes_none(session: Session, chargers: None) -> None:
    given = [StationGiven("1", "Tunnelen", "P1"), StationGiven("1", "", "P1")]
    with pytest.raises(Invalid) as caught:
        keep_stations(session, "FJELL", given)
    assert {error["field"] for error in caught.value.errors} == {"1.name", "1.code"}
    assert session.scalar(select(func.count()).select_from(Station)) == 0
    with pytest.raises(NotFound):
        keep_stations(session, "FINNES-IKKE", [])
