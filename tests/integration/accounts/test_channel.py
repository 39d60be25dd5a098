"""Choosing how to get invoices, and days to pay: what is refused, in words, and what is a repeat."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from accounts.customers.channel import choose, mandates_of, set_terms
from accounts.customers.models import CHOICES, Customer, Mandate
from accounts.customers.sign_up import SignedUp, sign_up
from accounts.customers.ways import choices, kinds
from config.problems import Conflict, Invalid, PreconditionFailed, Problem
from tests.integration.accounts.conftest import KARI, NOW


@pytest.fixture
def company(session: Session, chargers: None) -> Customer:
    given = {**KARI, "name": "Fjord AS", "org_no": "988077917"}
    return sign_up(session, "business", given, now=NOW, actor="test").customer


def mandate(session: Session, of: SignedUp) -> Mandate:
    """The bank tells of a mandate."""
    row = Mandate(agreement_id=of.agreement.id, kid="1000000010000001", customer_part="10000001", structure="ours",
                  notice=True, since=NOW, changed_at=NOW)  # fmt: skip
    session.add(row)
    session.execute(
        text("UPDATE customers SET channel = 'avtalegiro', version = version + 1 WHERE id = :id"),
        {"id": of.customer.id},
    )
    session.flush()
    session.refresh(of.customer)
    return row


def slug(error: pytest.ExceptionInfo[Problem]) -> str:
    return error.value.type.removeprefix("/problems/")


@pytest.mark.parametrize("channel", [one for one in choices("private") if one != "avtalegiro"])
def test_each_way_for_private_people_can_be_chosen(session: Session, kari: SignedUp, channel: str) -> None:
    chosen = choose(session, kari.customer, channel, version=1, now=NOW)
    assert (chosen.channel, chosen.version) == (channel, 1 if channel == "email" else 2)
    again = choose(session, chosen, channel, version=chosen.version, now=NOW)
    assert again.version == chosen.version


def test_what_goes_with_it_is_kept_too(session: Session, kari: SignedUp) -> None:
    chosen = choose(session, kari.customer, "digipost", details_in_copy=False, version=1, now=NOW)
    assert (chosen.details_in_copy, chosen.efaktura_beside, chosen.version) == (False, False, 2)
    chosen = choose(session, chosen, "digipost", efaktura_beside=True, version=2, now=NOW)
    assert (chosen.details_in_copy, chosen.efaktura_beside, chosen.version) == (False, True, 3)


@pytest.mark.parametrize("channel", ["", "fax", "Email", "email ", "e\x00mail"])
def test_what_is_no_way_is_refused(session: Session, kari: SignedUp, channel: str) -> None:
    with pytest.raises(Invalid) as error:
        choose(session, kari.customer, channel, version=1, now=NOW)
    assert error.value.errors[0]["code"] == "unknown"


def test_what_is_for_others_is_refused(session: Session, kari: SignedUp, company: Customer) -> None:
    for customer, channel in ((kari.customer, "ehf"), (company, "efaktura"), (company, "vipps"), (company, "digipost")):
        with pytest.raises(Invalid) as error:
            choose(session, customer, channel, version=1, now=NOW)
        assert error.value.errors[0]["code"] == "not_for_kind"
    with pytest.raises(Invalid):
        choose(session, company, "email", efaktura_beside=True, version=1, now=NOW)
    assert choose(session, company, "ehf", version=1, now=NOW).channel == "ehf"


def test_nobody_chooses_avtalegiro_for_a_payer(session: Session, kari: SignedUp) -> None:
    with pytest.raises(Conflict) as error:
        choose(session, kari.customer, "avtalegiro", version=1, now=NOW)
    assert slug(error) == "avtalegiro-at-your-bank"
    assert "online bank" in error.value.detail
    assert "KID" in error.value.detail


def test_while_a_mandate_stands_only_what_is_beside_it_changes(session: Session, kari: SignedUp) -> None:
    row = mandate(session, kari)
    assert [(one.id, number) for one, number in mandates_of(session, kari.customer.id)] == [
        (row.id, kari.agreement.number)
    ]
    with pytest.raises(Conflict) as error:
        choose(session, kari.customer, "email", version=2, now=NOW)
    assert slug(error) == "mandate-stands"
    beside = choose(session, kari.customer, "avtalegiro", efaktura_beside=True, version=2, now=NOW)
    assert (beside.channel, beside.efaktura_beside, beside.version) == ("avtalegiro", True, 3)
    row.ended_at = NOW
    session.flush()
    assert choose(session, beside, "email", version=3, now=NOW).channel == "email"


def test_who_read_an_older_version_changes_nothing(session: Session, kari: SignedUp) -> None:
    choose(session, kari.customer, "paper", version=1, now=NOW)
    with pytest.raises(PreconditionFailed):
        choose(session, kari.customer, "email", version=1, now=NOW)
    session.execute(text("UPDATE customers SET version = 9"))  # behind our back
    with pytest.raises(PreconditionFailed):
        choose(session, kari.customer, "email", version=2, now=NOW)
    with pytest.raises(PreconditionFailed):
        set_terms(session, kari.customer, 30, version=1, now=NOW)


def test_days_to_pay(session: Session, company: Customer) -> None:
    agreed = set_terms(session, company, 30, version=1, now=NOW)
    assert (agreed.payment_term_days, agreed.version) == (30, 2)
    assert set_terms(session, agreed, 30, version=2, now=NOW).version == 2
    assert set_terms(session, agreed, None, version=2, now=NOW).payment_term_days is None
    for days in (-1, 0, 13, 61, 10**9):
        with pytest.raises(Invalid):
            set_terms(session, agreed, days, version=3, now=NOW)


def test_every_choice_is_for_somebody() -> None:
    assert set(choices("private")) | set(choices("business")) == set(CHOICES)
    assert kinds("digipost") == {"private"}
    assert kinds("email") == {"private", "business"}
