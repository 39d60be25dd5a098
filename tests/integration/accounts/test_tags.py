"""Tags: issued, moved between vehicles with history, lost."""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from accounts.customers.sign_up import SignedUp
from accounts.vehicles.models import Mount, Tag
from accounts.vehicles.tags import Issued, Mounted, issue, mount, set_state
from config.database import SessionFactory
from config.problems import Conflict, Invalid, NotFound
from tests.integration.accounts.conftest import DAY, HOUR, NOW, at_once, put

PAN, OTHER = "9578000100000000123", "9578000100000000124"


def give(
    session: Session, signed: SignedUp, printed: str = "NO1234", pan: str = PAN, obu: str | None = "ab 12"
) -> Issued:
    return issue(session, signed.agreement.id, printed, pan, obu, now=NOW)


def history(session: Session) -> list[tuple[str, object, object]]:
    rows = session.execute(select(Mount.plate, Mount.valid_from, Mount.valid_to).order_by(Mount.id))
    return [(row[0], row[1], row[2]) for row in rows]


def test_a_tag_is_issued_once(session: Session, kari: SignedUp, ola: SignedUp) -> None:
    made = give(session, kari, "no 12-34", PAN + "F")
    assert (made.tag.printed_number, made.tag.pan, made.tag.obu_id, made.tag.state) == ("NO1234", PAN, "AB12", "active")
    assert give(session, kari).already
    for signed, printed, pan, obu in (
        (ola, "NO1234", PAN, "AB12"),
        (kari, "NO1234", OTHER, None),
        (kari, "NO9999", PAN, None),
        (kari, "NO9999", OTHER, "AB12"),
    ):
        with pytest.raises(Conflict):
            give(session, signed, printed, pan, obu)
    assert not give(session, ola, "NO9999", OTHER, None).already
    with pytest.raises(Invalid) as caught:
        give(session, kari, "!", "1", "xyz")
    assert {error["field"] for error in caught.value.errors} == {"printed_number", "pan", "obu_id"}


def test_a_tag_moves_between_vehicles_and_its_history_stays(session: Session, kari: SignedUp) -> None:
    first, second = put(session, kari.agreement, "AA11111"), put(session, kari.agreement, "BB22222")
    tag = give(session, kari).tag
    assert mount(session, tag.id, None, at=NOW, now=NOW) == Mounted(None, already=True)
    mount(session, tag.id, first.id, at=NOW, now=NOW)
    assert mount(session, tag.id, first.id, at=NOW + HOUR, now=NOW).already
    mount(session, tag.id, second.id, at=NOW + DAY, now=NOW)
    mount(session, tag.id, None, at=NOW + 2 * DAY, now=NOW)
    assert history(session) == [("AA11111", NOW, NOW + DAY), ("BB22222", NOW + DAY, NOW + 2 * DAY)]
    assert set(session.scalars(select(Mount.pan))) == {PAN}


def test_a_move_before_the_last_one_would_overwrite_history(session: Session, kari: SignedUp) -> None:
    first, second = put(session, kari.agreement, "AA11111"), put(session, kari.agreement, "BB22222")
    tag = give(session, kari).tag
    mount(session, tag.id, first.id, at=NOW, now=NOW)
    mount(session, tag.id, second.id, at=NOW + 5 * DAY, now=NOW)
    session.commit()
    with pytest.raises(Conflict):
        mount(session, tag.id, second.id, at=NOW + DAY, now=NOW)
    session.rollback()
    assert history(session) == [("AA11111", NOW, NOW + 5 * DAY), ("BB22222", NOW + 5 * DAY, None)]


def test_a_tag_goes_only_into_vehicles_of_its_agreement(session: Session, kari: SignedUp, ola: SignedUp) -> None:
    others, later = put(session, ola.agreement, "CC33333"), put(session, kari.agreement, "DD44444", at=NOW + DAY)
    tag = give(session, kari).tag
    for registration in (others.id, later.id, 0):
        with pytest.raises(Invalid):
            mount(session, tag.id, registration, at=NOW, now=NOW)
    with pytest.raises(NotFound):
        mount(session, 0, None, at=NOW, now=NOW)


def test_a_stolen_tag_leaves_its_vehicle_and_any_it_was_to_go_to(session: Session, kari: SignedUp) -> None:
    first, second = put(session, kari.agreement, "AA11111"), put(session, kari.agreement, "BB22222")
    tag = give(session, kari).tag
    mount(session, tag.id, first.id, at=NOW, now=NOW)
    mount(session, tag.id, second.id, at=NOW + 5 * DAY, now=NOW)
    assert set_state(session, tag.id, "stolen", now=NOW + DAY).state == "stolen"
    assert history(session) == [("AA11111", NOW, NOW + DAY), ("BB22222", NOW + 5 * DAY, NOW + 5 * DAY)]
    with pytest.raises(Conflict):
        mount(session, tag.id, first.id, at=NOW + 2 * DAY, now=NOW + 2 * DAY)
    set_state(session, tag.id, "active", now=NOW + 3 * DAY)
    assert not mount(session, tag.id, first.id, at=NOW + 3 * DAY, now=NOW + 3 * DAY).already


def test_states(session: Session, kari: SignedUp) -> None:
    tag = give(session, kari).tag
    assert set_state(session, tag.id, "active", now=NOW).state == "active"
    with pytest.raises(Invalid):
        set_state(session, tag.id, "eaten", now=NOW)
    set_state(session, tag.id, "returned", now=NOW)
    assert set_state(session, tag.id, "returned", now=NOW).state == "returned"
    with pytest.raises(Conflict):
        set_state(session, tag.id, "active", now=NOW)


def test_two_moves_at_once_leave_the_tag_in_one_vehicle(
    sessions: SessionFactory, session: Session, kari: SignedUp
) -> None:
    rows = [put(session, kari.agreement, plate) for plate in ("AA11111", "BB22222", "CC33333")]
    tag = give(session, kari).tag
    session.commit()
    results = at_once(
        sessions, [partial(mount, tag_id=tag.id, registration_id=row.id, at=NOW + DAY, now=NOW) for row in rows]
    )
    assert all(isinstance(result, Mounted) for result in results), results
    assert [entry[2] for entry in history(session)].count(None) == 1


def test_the_same_tag_issued_at_once_is_issued_once(
    sessions: SessionFactory, session: Session, kari: SignedUp, ola: SignedUp
) -> None:
    results = at_once(sessions, [partial(give, signed=one) for one in (kari, ola, kari, ola)])
    assert sum(isinstance(result, Conflict) for result in results) == 2
    assert len(session.scalars(select(Tag.id)).all()) == 1
