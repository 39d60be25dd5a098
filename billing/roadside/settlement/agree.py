"""Agree to a settlement: from then on our remuneration is in the books and the rest may be paid."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import ColumnElement, func, select, tuple_
from sqlalchemy.orm import Session, aliased

from billing.ledger.book import Account, Entry, book
from billing.roadside.settlement.models import ChargerClaim, Settlement
from config.clock import business_date
from config.problems import Conflict, NotFound


def locked(session: Session, settlement_id: int) -> Settlement:
    """Return a settlement, locked. Raises NotFound."""
    query = select(Settlement).where(Settlement.id == settlement_id).with_for_update()
    found = session.scalar(query.execution_options(populate_existing=True))
    if found is None:
        raise NotFound("There is no such settlement.")
    return found


def agree(session: Session, settlement_id: int, *, note: str | None, actor: str, now: dt.datetime) -> Settlement:
    """Agree to a draft and book its remuneration; agreed before is a result.

    Where the charger's claims for any of its days differ, of those that count (see ``replaced``), a note must say why
    it stands. With nothing to pay out it becomes ``carried``. Raises NotFound, Conflict (``differences-unexplained``).
    """
    row = locked(session, settlement_id)
    if row.state != "draft":
        return row
    note = (note or "").strip() or None
    if note is None and (number := _differences(session, row)):
        detail = f"The charger's claim differs in {number} places; say why the settlement stands."
        raise Conflict(detail, slug="differences-unexplained")
    row.state = "agreed" if row.payout_ore > 0 else "carried"
    row.agreed_at, row.agreed_by, row.note = now, actor, note
    session.flush()
    book(session, _entries(row), booked_on=business_date(now), now=now)
    return row


def _differences(session: Session, row: Settlement) -> int:
    """Return in how many places the charger's claims for any of the days differ, of those that count."""
    total = session.scalar(
        select(func.sum(ChargerClaim.difference_count)).where(
            ChargerClaim.charger_id == row.charger_id,
            ChargerClaim.period_from <= row.period_to,
            ChargerClaim.period_to >= row.period_from,
            ~replaced(),
        )
    )
    return int(total or 0)


def replaced() -> ColumnElement[bool]:
    """Return the condition that a ``ChargerClaim`` of the query has been replaced: by one that came later, is of the
    same form, and covers all of its days.

    So nothing is hidden by a claim that says less: one by project does not take the place of one by record, nor one for
    fewer days; both count then. A later one has another number; the same cannot be used again (claim.py).
    """
    later = aliased(ChargerClaim)
    return (
        select(later.id)
        .where(
            later.charger_id == ChargerClaim.charger_id,
            later.form == ChargerClaim.form,
            later.period_from <= ChargerClaim.period_from,
            later.period_to >= ChargerClaim.period_to,
            tuple_(later.received_at, later.id) > tuple_(ChargerClaim.received_at, ChargerClaim.id),
        )
        .correlate(ChargerClaim)
        .exists()
    )


def _entries(row: Settlement) -> list[Entry]:
    """Return what is booked: kept of what the charger is owed, or given back where more was taken back than came."""
    payable, entries = Account("payable", row.charger_id), []
    for kind, code, ore in (
        ("remuneration", "remuneration", row.remuneration_ore),
        ("vat", "remuneration_vat", row.remuneration_vat_ore),
    ):
        if ore > 0:
            entries.append(Entry(payable, Account(kind), ore, code, row.id))
        elif ore < 0:
            entries.append(Entry(Account(kind), payable, -ore, f"{code}_back", row.id))
    return entries
