"""Agree to a settlement: from then on our remuneration is in the books and the rest may be paid."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import func, select, tuple_
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

    Where the charger's claims for its days differ from it (of several for the same days the last received counts), a
    note must say why it stands. With nothing to pay out it becomes ``carried``. Raises NotFound, Conflict
    (``differences-unexplained``).
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
    """Return how much the charger's claims for any of the days differ, of those that count: the last received for the
    same days. A later one under another number replaces it; the same number cannot be used again (claim.py)."""
    later = aliased(ChargerClaim)
    replaced = select(later.id).where(
        later.charger_id == ChargerClaim.charger_id,
        later.period_from == ChargerClaim.period_from,
        later.period_to == ChargerClaim.period_to,
        tuple_(later.received_at, later.id) > tuple_(ChargerClaim.received_at, ChargerClaim.id),
    )
    total = session.scalar(
        select(func.sum(ChargerClaim.difference_count)).where(
            ChargerClaim.charger_id == row.charger_id,
            ChargerClaim.period_from <= row.period_to,
            ChargerClaim.period_to >= row.period_from,
            ~replaced.exists(),
        )
    )
    return int(total or 0)


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
