"""When an invoice is to be paid: the term agreed with the customer, AvtaleGiro's deadlines, and only ever later."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.audit.audit import audit
from billing.invoices.extend import extend
from billing.invoices.issue import issue
from billing.invoices.listed import one
from billing.invoices.reissue import reissue
from tests.integration.billing.invoices.world import FEBRUARY, SELLER, World

FIRST = dt.date(2026, 2, 1)
ORDINARY = dt.date(2026, 2, 16)


@pytest.fixture
def world(session: Session) -> World:
    return World(session)


def issued(world: World, agreement: int) -> Any:
    """Issue an invoice on the first of February; return its document, with the claim's due date."""
    claim = world.claim(agreement, [31_250])
    [document] = issue(world.session, [claim], seller=SELLER, issued_on=FIRST, due_on=ORDINARY, now=FEBRUARY)
    return row(world, document)


def row(world: World, document: int) -> Any:
    query = (
        "SELECT d.id, d.number, d.claim_id, d.due_on, d.settlement, c.due_on AS claim_due FROM documents AS d "
        "JOIN claims AS c ON c.id = d.claim_id WHERE d.id = :id"
    )
    return world.session.execute(text(query), {"id": document}).one()


def agree(world: World, agreement: int, days: int) -> None:
    query = "UPDATE customers SET payment_term_days = :d WHERE id = (SELECT customer_id FROM agreements WHERE id = :a)"
    world.session.execute(text(query), {"d": days, "a": agreement})


def mandate(world: World, agreement: int, *, notice: bool, ended: bool = False) -> None:
    world.session.execute(
        text(
            "INSERT INTO mandates (agreement_id, kid, customer_part, structure, notice, since, changed_at, ended_at) "
            "VALUES (:a, '1', '1', 'brikke', :n, :at, :at, CASE WHEN :ended THEN CAST(:at AS timestamptz) END)"
        ),
        {"a": agreement, "n": notice, "at": FEBRUARY, "ended": ended},
    )


@pytest.mark.parametrize(
    ("days", "due"),
    [(None, ORDINARY), (30, dt.date(2026, 3, 3)), (7, dt.date(2026, 2, 9)), (60, dt.date(2026, 4, 7))],
)
def test_the_term_agreed_counts(world: World, days: int | None, due: dt.date) -> None:
    agreement = world.agreement()
    if days:
        agree(world, agreement, days)
    document = issued(world, agreement)
    assert (document.due_on, document.claim_due, document.settlement) == (due, due, "transfer")


@pytest.mark.parametrize(
    ("notice", "ended", "due", "settlement"),
    [
        (False, False, dt.date(2026, 2, 16), "avtalegiro"),  # it reaches the bank on Monday the second
        (True, False, dt.date(2026, 3, 16), "avtalegiro"),  # the bank tells: due in the middle of the next month
        (True, True, ORDINARY, "transfer"),
    ],
)
def test_a_mandate_sets_the_due_date(world: World, notice: bool, ended: bool, due: dt.date, settlement: str) -> None:
    agreement = world.agreement()
    mandate(world, agreement, notice=notice, ended=ended)
    document = issued(world, agreement)
    assert (document.due_on, document.claim_due, document.settlement) == (due, due, settlement)


def test_a_due_date_is_only_ever_extended_by_a_row(world: World) -> None:
    document = issued(world, world.agreement())
    session = world.session
    later = dt.date(2026, 3, 2)
    assert extend(session, document.id, dt.date(2026, 2, 10), reason="agent", actor="x", now=FEBRUARY) == ORDINARY
    for _ in range(2):
        assert extend(session, document.id, later, reason="fallback", actor="delivery", now=FEBRUARY) == later
    assert (row(world, document.id).due_on, row(world, document.id).claim_due) == (ORDINARY, later)
    assert session.execute(text("SELECT count(*) FROM due_extensions")).scalar_one() == 1
    [check] = [check for check in audit(session).checks if check.name == "documents_claims"]
    assert check.ok, check.detail
    with pytest.raises(LookupError):
        extend(session, 999, later, reason="agent", actor="x", now=FEBRUARY)


def test_what_is_issued_anew_is_due_no_earlier_than_it_was_extended_to(world: World) -> None:
    document = issued(world, world.agreement())
    session, later = world.session, dt.date(2026, 5, 4)
    extend(session, document.id, later, reason="fallback", actor="delivery", now=FEBRUARY)
    reissue(session, document.number, reason="x", seller=SELLER, now=FEBRUARY, actor="agent:kari")
    query = "SELECT id FROM documents WHERE kind = 'invoice' ORDER BY id DESC LIMIT 1"
    fresh = row(world, int(session.execute(text(query)).scalar_one()))
    assert (fresh.due_on, fresh.claim_due) == (later, later)
    assert extend(session, document.id, dt.date(2026, 9, 1), reason="agent", actor="x", now=FEBRUARY) is None
    assert row(world, fresh.id).claim_due == later, "what is not presented any more extends nothing"


def test_lists_say_what_it_was_extended_to(world: World) -> None:
    agreement = world.agreement()
    document = issued(world, agreement)
    assert one(world.session, agreement, document.number).due_on == ORDINARY
    extend(world.session, document.id, dt.date(2026, 3, 2), reason="fallback", actor="delivery", now=FEBRUARY)
    assert one(world.session, agreement, document.number).due_on == dt.date(2026, 3, 2)
