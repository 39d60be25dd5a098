"""Additional ferry agreements, and removing a vehicle that has some."""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from accounts.agreements.additional import Additional, add_additional
from accounts.agreements.close import close
from accounts.agreements.models import Agreement
from accounts.customers.sign_up import SignedUp
from accounts.vehicles.additional import On
from accounts.vehicles.models import Registration, Removal
from accounts.vehicles.remove import remove
from accounts.vehicles.tags import issue, mount
from config.database import SessionFactory
from config.problems import Conflict, Invalid, NotFound
from tests.integration.accounts.conftest import DAY, HOUR, NOW, at_once, put, told

PAN = "9578000100000000123"
PLATE = On("NO", "EL12345")


def add(
    session: Session,
    signed: SignedUp,
    on: On = PLATE,
    settlement: str = "own",
    ref: str | None = None,
    operator: str = "FJORD",
) -> Additional:
    return add_additional(
        session,
        signed.agreement.id,
        operator,
        on,
        settlement=settlement,
        external_ref=ref,
        valid_from=NOW,
        now=NOW,
        actor="test",
    )


def test_an_own_one_opens_a_ferry_agreement_and_the_next_uses_it(session: Session, kari: SignedUp) -> None:
    first = add(session, kari)
    ferry = first.agreement
    assert (ferry.kind, ferry.operator, ferry.parent_id, ferry.customer_id) == (
        "ferry", "FJORD", kari.agreement.id, kari.customer.id)  # fmt: skip
    assert (ferry.payment_method, ferry.standing) == ("invoice", "open")
    assert ferry.number != kari.agreement.number
    assert (first.registration.agreement_id, first.registration.scope, first.registration.settlement) == (
        ferry.id, "FJORD", "own")  # fmt: skip
    assert [row[1] for row in told(session, ferry.id)] == ["valid"] * 3
    assert add(session, kari, On("NO", "BB22222")).agreement.id == ferry.id
    again = add(session, kari)
    assert (again.already, again.registration.id) == (True, first.registration.id)


def test_an_external_one_is_shown_on_the_tag_agreement(session: Session, kari: SignedUp) -> None:
    made = add(session, kari, settlement="external", ref=" FK 77-1 ")
    row = made.registration
    assert made.agreement.id == kari.agreement.id
    assert (row.agreement_id, row.scope, row.settlement, row.external_ref) == (
        kari.agreement.id, "FJORD", "external", "FK 77-1")  # fmt: skip
    assert session.scalars(select(Agreement.kind)).all() == ["tag"]


def test_it_stands_beside_the_tag_agreement_and_alone_with_its_operator(
    session: Session, kari: SignedUp, ola: SignedUp
) -> None:
    put(session, kari.agreement)
    add(session, kari)
    session.commit()
    with pytest.raises(Conflict):
        add(session, ola)
    session.rollback()
    with pytest.raises(Conflict):
        add(session, ola, settlement="external", ref="X")


def test_on_a_tag_of_the_agreement(session: Session, kari: SignedUp, ola: SignedUp) -> None:
    issue(session, kari.agreement.id, "NO1234", PAN, None, now=NOW)
    assert add(session, kari, On(pan=PAN + "F")).registration.pan == PAN
    with pytest.raises(Invalid):
        add(session, ola, On(pan=PAN))


@pytest.mark.parametrize(
    ("on", "settlement", "ref", "operator"),
    [
        (PLATE, "external", None, "FJORD"),
        (PLATE, "own", "FK1", "FJORD"),
        (PLATE, "gift", None, "FJORD"),
        (PLATE, "own", None, "FJELL"),
        (On(), "own", None, "FJORD"),
        (On("NO", "EL12345", PAN), "own", None, "FJORD"),
        (On(pan="1"), "own", None, "FJORD"),
    ],
)
def test_what_is_refused(
    session: Session, kari: SignedUp, on: On, settlement: str, ref: str | None, operator: str
) -> None:
    with pytest.raises(Invalid):
        add(session, kari, on, settlement, ref, operator)
    session.rollback()
    assert session.scalars(select(Registration.id)).all() == []
    with pytest.raises(NotFound):
        add(session, kari, operator="UKJENT")


def test_a_ferry_agreement_has_no_additional_ones_and_a_closing_one_gets_none(session: Session, kari: SignedUp) -> None:
    ferry = add(session, kari).agreement
    with pytest.raises(Conflict):
        add_additional(session, ferry.id, "FJORD", PLATE, settlement="own", valid_from=NOW, now=NOW, actor="t")
    close(session, kari.agreement.id, at=NOW + DAY, now=NOW, actor="t")
    with pytest.raises(Conflict):
        add(session, kari, On("NO", "BB22222"))


def test_closing_the_tag_agreement_closes_and_ends_what_is_additional(session: Session, kari: SignedUp) -> None:
    own = add(session, kari)
    external = add(session, kari, On("NO", "BB22222"), "external", "FK1")
    closed = close(session, kari.agreement.id, at=NOW + HOUR, now=NOW + HOUR, actor="t")
    assert [row.id for row in closed.agreements] == [kari.agreement.id, own.agreement.id]
    assert closed.registrations_ended == 2
    session.refresh(own.registration)
    session.refresh(external.registration)
    assert own.registration.valid_to == external.registration.valid_to == NOW + HOUR
    assert set(session.scalars(select(Agreement.standing))) == {"closed"}
    assert [row[1:] for row in told(session, own.agreement.id)][3:] == [("ended", None, NOW + HOUR)] * 3


def test_two_at_once_open_one_ferry_agreement(sessions: SessionFactory, session: Session, kari: SignedUp) -> None:
    results = at_once(
        sessions, [partial(add, signed=kari, on=On("NO", plate)) for plate in ("AA1", "BB2", "CC3", "DD4")]
    )
    assert all(isinstance(result, Additional) for result in results), results
    assert len(session.scalars(select(Agreement.id).where(Agreement.kind == "ferry")).all()) == 1


def test_a_removal_names_what_still_has_the_vehicle_and_takes_it_off_there_when_asked(
    session: Session, kari: SignedUp, ola: SignedUp
) -> None:
    row = put(session, kari.agreement)
    tag = issue(session, kari.agreement.id, "NO1234", PAN, None, now=NOW).tag
    mount(session, tag.id, row.id, at=NOW, now=NOW)
    by_plate, by_tag = add(session, kari), add(session, kari, On(pan=PAN), "external", "FK1")
    other = add(session, kari, On("NO", "BB22222"))
    stranger = add(session, ola, On("NO", "CC33333"))
    session.commit()

    first = remove(
        session, row.agreement_id, row.id, ends_at=NOW + HOUR, reason=None, now=NOW + HOUR, actor="t",
        also=[by_plate.registration.id],
    )  # fmt: skip
    assert [one.registration.id for one in first.also] == [by_plate.registration.id]
    assert [one.id for one in first.still] == [by_tag.registration.id]
    assert by_plate.registration.valid_to == NOW + HOUR
    assert {entry.registration_id for entry in session.scalars(select(Removal))} == {row.id, by_plate.registration.id}
    assert [entry[1:3] for entry in told(session, by_plate.agreement.id)][-3:] == [
        ("removed", by_plate.registration.id)
    ] * 3

    # Asked again with the rest: what was done stays done, and the rest is done.
    second = remove(
        session, row.agreement_id, row.id, ends_at=NOW + DAY, reason=None, now=NOW + DAY, actor="t",
        also=[by_plate.registration.id, by_tag.registration.id],
    )  # fmt: skip
    assert second.removed.already
    assert [one.already for one in second.also] == [True, False]
    assert second.still == []
    for wrong in (other.registration.id, stranger.registration.id):
        with pytest.raises(Invalid):
            remove(session, row.agreement_id, row.id, ends_at=NOW, reason="x", also=[wrong], now=NOW + DAY, actor="t")
