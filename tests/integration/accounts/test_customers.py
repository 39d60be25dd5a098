"""Customers: signing up, changing, finding."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement, StandingChange
from accounts.customers import queries
from accounts.customers.change import change
from accounts.customers.models import Customer, Message
from accounts.customers.sign_up import SignedUp, add_agreement, sign_up
from accounts.vehicles.tags import issue
from config.database import SessionFactory
from config.problems import Invalid, NotFound, PreconditionFailed
from tests.integration.accounts.conftest import DAY, KARI, NOW, at_once, put, told

PAN = "9578000100000000123"


def test_signing_up_makes_customer_agreement_history_and_welcome(session: Session, kari: SignedUp) -> None:
    assert (kari.customer.channel, kari.customer.language, kari.customer.version) == ("email", "nb", 1)
    agreement = kari.agreement
    assert 10_000_000 <= agreement.number <= 99_999_999
    assert (agreement.kind, agreement.standing, agreement.payment_method) == ("tag", "open", "invoice")
    history = session.execute(select(StandingChange.standing, StandingChange.reason, StandingChange.at)).all()
    assert [tuple(row) for row in history] == [("open", "opened", NOW)]
    assert [row[1] for row in told(session, agreement.id)] == ["valid"] * 3
    messages = session.execute(select(Message.agreement_id, Message.template)).all()
    assert [tuple(row) for row in messages] == [(agreement.id, "welcome")]


def test_what_is_wrong_changes_nothing(session: Session, chargers: None) -> None:
    with pytest.raises(Invalid):
        sign_up(session, "private", {**KARI, "postal_code": "1"}, now=NOW, actor="test")
    assert session.scalar(select(func.count()).select_from(Customer)) == 0
    assert session.scalar(select(func.count()).select_from(Agreement)) == 0


def test_a_customer_may_have_several_agreements(session: Session, kari: SignedUp) -> None:
    second = add_agreement(session, kari.customer.id, now=NOW + DAY, actor="test")
    assert second.number != kari.agreement.number
    assert session.scalar(select(func.count()).select_from(Message)) == 2


def test_a_change_carries_the_version_it_was_made_from(session: Session, kari: SignedUp) -> None:
    changed = change(session, kari.customer.id, {"city": "Bergen", "postal_code": "5003"}, version=1)
    assert (changed.city, changed.version, changed.name) == ("Bergen", 2, "Kari Nordmann")
    assert change(session, kari.customer.id, {"city": "Bergen"}, version=2).version == 2
    with pytest.raises(PreconditionFailed):
        change(session, kari.customer.id, {"city": "Oslo"}, version=1)
    with pytest.raises(Invalid):
        change(session, kari.customer.id, {"postal_code": "x"}, version=2)
    with pytest.raises(Invalid):
        change(session, kari.customer.id, {"kind": "business"}, version=2)
    with pytest.raises(NotFound):
        change(session, 0, {"city": "Oslo"}, version=1)


def test_of_two_changes_at_once_one_wins(sessions: SessionFactory, session: Session, kari: SignedUp) -> None:
    acts = [lambda s, city=city: change(s, kari.customer.id, {"city": city}, version=1) for city in "ABCD"]
    results = at_once(sessions, acts)
    assert sum(isinstance(result, Customer) for result in results) == 1
    assert sum(isinstance(result, PreconditionFailed) for result in results) == 3
    session.refresh(kari.customer)
    assert kari.customer.version == 2


def found(session: Session, words: str) -> list[str]:
    """Return the names a search finds."""
    return list(session.scalars(queries.search(words).with_only_columns(Customer.name).order_by(Customer.number)))


def test_the_support_desk_finds_a_customer_by_what_is_told_on_the_telephone(
    session: Session, kari: SignedUp, ola: SignedUp
) -> None:
    put(session, kari.agreement, "EL12345")
    issue(session, kari.agreement.id, "NO 1234 5678", PAN, None, now=NOW)
    business = {**KARI, "name": "Øst & Vest AS", "email": "post@ost.no", "org_no": "988077917"}
    sign_up(session, "business", business, now=NOW, actor="test")
    for words in (
        str(kari.customer.number),
        f" {kari.agreement.number} ",
        "KARI@example.no",
        "el 123-45",
        "no12345678",
        PAN + "F",
        "nordmann",
        "Kari Nordman",
        "Norrdmann",
    ):
        assert found(session, words) == ["Kari Nordmann"], words
    assert found(session, "988 077 917") == ["Øst & Vest AS"]
    assert found(session, "øst & v") == ["Øst & Vest AS"]
    assert found(session, "%") == []
    assert found(session, "_______") == []
    assert found(session, "a") == ["Kari Nordmann", "Ola Hansen", "Øst & Vest AS"]
    assert found(session, "nobody@example.no") == []


def test_a_plate_that_was_on_two_agreements_finds_both(session: Session, kari: SignedUp, ola: SignedUp) -> None:
    row = put(session, kari.agreement)
    row.valid_to = NOW + DAY
    session.commit()
    put(session, ola.agreement, at=NOW + DAY)
    assert found(session, "EL12345") == ["Kari Nordmann", "Ola Hansen"]


@pytest.mark.parametrize("words", ["", "   ", "x" * 101, "a\x00b"])
def test_a_search_needs_words(words: str) -> None:
    with pytest.raises(Invalid):
        queries.search(words)
