"""The passages of a document as it shows them: read back, with what they correct, which are one crossing, which were
left from an earlier period, and how near its monthly cap each vehicle is.

Names of stations, projects, chargers and tags are looked up now; the first rendering is kept (`render.py`).
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.invoices.crossings import Leg, journeys
from billing.invoices.models import Document
from billing.invoices.presentation import CapRow, ChargerContact, PassageRow, VehicleSummary
from billing.passages.rules import Flag, flag_names
from config import rates
from config.clock import business_date, start_of_day, to_oslo

NO_PLATE = "–"

# What joined the claim with a later version was not on this document. A credit note of a document shows its passages.
_PASSAGES = """
    SELECT p.passed_at, coalesce(s.name, p.station) AS station, c.name AS charger, p.charger_id, p.country,
           p.plate AS read_plate, CASE WHEN p.plate IS NULL THEN p.pan END AS pan,
           coalesce(p.plate, t.printed_number, '…' || right(p.pan, 6), :no_plate) AS plate,
           p.service, p.project, p.vehicle_class, :sign * p.list_ore AS list_ore, :sign * p.amount_ore AS amount_ore,
           p.flags, p.vat_bp, p.reverses_id
    FROM passages AS p
    JOIN chargers AS c ON c.id = p.charger_id
    LEFT JOIN stations AS s ON s.charger_id = p.charger_id AND s.code = p.station
    LEFT JOIN tags AS t ON p.plate IS NULL AND t.pan = p.pan
    LEFT JOIN joined AS j ON j.passage_id = p.id
    WHERE p.agreement_id = :agreement AND p.claim_id = :claim AND p.booked_at BETWEEN :since AND :until
      AND coalesce(j.version, 1) <= :version
    ORDER BY p.passed_at, p.id
"""

# The invoice that last charged what a counter-row takes back.
_TAKEN_BACK = """
    SELECT p.id, d.number, d.paid_by IS NOT NULL AS receipt
    FROM passages AS p
    LEFT JOIN LATERAL (
        SELECT number, paid_by FROM documents
        WHERE claim_id = p.claim_id AND kind = 'invoice' AND credits_id IS NULL AND id < :document
        ORDER BY id DESC LIMIT 1
    ) AS d ON true
    WHERE p.id = ANY(:ids) AND p.booked_at <= :until
"""

# When the claim before was cut off; its own cut-off tells which month it is of.
_CUTOFFS = """
    SELECT c.cutoff_at, (SELECT max(b.cutoff_at) FROM claims AS b
                         WHERE b.agreement_id = c.agreement_id AND b.id < c.id AND b.passages_count > 0) AS before
    FROM claims AS c WHERE c.id = :claim
"""

# What counts toward a cap, as it was known when the document was made: tolls, without those that the hour rule made
# free; a passage that was taken back is taken off. A cap is a vehicle's, so that other documents' passages count too.
_COUNTED = """
    SELECT p.country, p.plate AS read_plate, CASE WHEN p.plate IS NULL THEN p.pan END AS pan, p.charger_id, p.project,
           CAST(date_trunc('month', p.passed_at AT TIME ZONE 'Europe/Oslo') AS date) AS month,
           count(*) FILTER (WHERE p.reverses_id IS NULL) - count(*) FILTER (WHERE p.reverses_id IS NOT NULL) AS counted,
           count(*) FILTER (WHERE p.flags & :capped <> 0 AND p.reverses_id IS NULL)
             > count(*) FILTER (WHERE p.flags & :capped <> 0 AND p.reverses_id IS NOT NULL) AS reached
    FROM passages AS p
    WHERE p.agreement_id = :agreement AND p.service = 'toll' AND p.flags & :free = 0 AND NOT p.external
      AND p.passed_at >= :since AND p.passed_at < :until AND p.booked_at >= :since AND p.booked_at <= :made
    GROUP BY 1, 2, 3, 4, 5, 6
"""

_CORRECTS = {
    "nb": ("Korreksjon av {what}", "{what}, faktura {number}", "{what}, kvittering {number}"),
    "en": ("Correction of {what}", "{what}, invoice {number}", "{what}, receipt {number}"),
}


def read(session: Session, document: Document) -> Sequence[Any]:
    """Return the rows of a document's passages, in the order they happened; a credit note's with their signs turned."""
    if document.booked_from is None:
        return []
    return session.execute(
        text(_PASSAGES),
        {
            "agreement": document.agreement_id,
            "claim": document.claim_id,
            "since": document.booked_from,
            "until": document.booked_to,
            "version": document.version,
            "sign": 1 if document.credits_id is None else -1,
            "no_plate": NO_PLATE,
        },
    ).all()


def begins_on(session: Session, document: Document) -> dt.date | None:
    """Return the Oslo date that an invoice's period begins on: what happened before was left from an earlier one.

    It begins where the claim before was cut off, and not before the month that lies before its own cut-off: what was
    too little to invoice for months is from those months. None on credit notes, which have no period.
    """
    if document.kind != "invoice":
        return None
    cut = session.execute(text(_CUTOFFS), {"claim": document.claim_id}).one()
    month = (business_date(cut.cutoff_at).replace(day=1) - dt.timedelta(days=1)).replace(day=1)
    return month if cut.before is None else max(month, business_date(cut.before))


def passages(
    session: Session, document: Document, rows: Sequence[Any], begins: dt.date | None
) -> tuple[PassageRow, ...]:
    """Return the rows of ``read`` as they are shown."""
    counters = [row.reverses_id for row in rows if row.reverses_id is not None]
    earlier: dict[int, Any] = {}
    if counters:
        before = document.credits_id or document.id
        found = session.execute(text(_TAKEN_BACK), {"ids": counters, "until": document.booked_to, "document": before})
        earlier = {row.id: row for row in found}
    together = _crossings(rows, document.issued_on)
    return tuple(
        PassageRow(
            at_local=to_oslo(row.passed_at),
            station=row.station,
            charger=row.charger,
            plate=row.plate,
            service=row.service,
            vehicle_class=row.vehicle_class or "",
            gross_ore=row.list_ore,
            discount_ore=row.amount_ore - row.list_ore,
            amount_ore=row.amount_ore,
            flags=flag_names(row.flags),
            kind="passage" if row.reverses_id is None else "reversal",
            note=_corrects(row, earlier.get(row.reverses_id), document.language),
            vat_bp=row.vat_bp,
            earlier=begins is not None and row.reverses_id is None and business_date(row.passed_at) < begins,
            journey=together.get(index, 0),
        )
        for index, row in enumerate(rows)
    )


def _crossings(rows: Sequence[Any], on: dt.date) -> dict[int, int]:
    """Return which rows are one crossing by ferry: index → number of the journey."""
    if not any(row.service == "ferry" for row in rows):
        return {}
    legs = [
        Leg(
            at=row.passed_at,
            vehicle=(row.country, row.plate),
            charger=row.charger_id,
            station=row.station,
            fare=row.vat_bp > 0,  # tolls have none
            back=row.reverses_id is not None,
        )
        for row in rows
    ]
    return journeys(legs, dt.timedelta(minutes=rates.whole("crossing_minutes", on)))


def _corrects(row: Any, before: Any | None, language: str) -> str:
    """Say which passage a counter-row takes back: its day and place, and the document it was charged on."""
    if row.reverses_id is None:
        return ""
    of, on_invoice, on_receipt = _CORRECTS[language]
    what = f"{to_oslo(row.passed_at):%d.%m.%Y}, {row.station}"
    if before is not None and before.number is not None:
        what = (on_receipt if before.receipt else on_invoice).format(what=what, number=before.number)
    return of.format(what=what)


def vehicles(rows: Sequence[Any]) -> tuple[VehicleSummary, ...]:
    """Sum the passages up per vehicle, by plate; those that only a tag was read of come last."""
    sums: dict[tuple[bool, str, str], list[int]] = {}
    for row in rows:
        one = sums.setdefault((row.read_plate is None, row.plate, row.country or ""), [0, 0, 0])
        one[0] += 1
        one[2 if row.service == "ferry" else 1] += row.amount_ore
    return tuple(
        VehicleSummary(plate, country, count, toll, ferry, toll + ferry)
        for (_, plate, country), (count, toll, ferry) in sorted(sums.items())
    )


def chargers(session: Session, rows: Sequence[Any]) -> tuple[ChargerContact, ...]:
    """Return whom the passages are owed to, where to ask them, and the sum for each."""
    sums: dict[int, int] = defaultdict(int)
    for row in rows:
        sums[row.charger_id] += row.amount_ore
    found = session.execute(
        text("SELECT id, name, org_no, email, phone FROM chargers WHERE id = ANY(:ids) ORDER BY name, id"),
        {"ids": sorted(sums)},
    )
    return tuple(
        ChargerContact(row.name, row.org_no, " · ".join(part for part in (row.email, row.phone) if part), sums[row.id])
        for row in found
    )


def caps(session: Session, document: Document, rows: Sequence[Any]) -> tuple[CapRow, ...]:
    """Return how near its cap each vehicle is that this document charges tolls of, by area and month.

    An area is a project with a figure of its own, or one whose operator says that its cap was reached. No record tells
    the count (facts on tolls): it is ours, of this agreement's passages, and the operator's flag wins over it.
    """
    tolls = [row for row in rows if row.service == "toll" and row.reverses_id is None]
    if document.kind != "invoice" or not tolls:
        return ()
    shown = {(*_vehicle(row), row.charger_id, row.project, _month(row.passed_at)): row for row in tolls}
    months = sorted(month for *_, month in shown)
    found = session.execute(
        text(_COUNTED),
        {
            "agreement": document.agreement_id,
            "since": start_of_day(months[0]),
            "until": start_of_day((months[-1] + dt.timedelta(days=31)).replace(day=1)),
            "made": document.made_at,
            "free": int(Flag.HOUR_FREE),
            "capped": int(Flag.MONTHLY_CAP),
        },
    )
    counts = {(*_vehicle(row), row.charger_id, row.project, row.month): row for row in found}
    codes, names = _areas(session, sorted({row.charger_id for row in tolls}))
    made = []
    for (*_, charger, project, month), row in sorted(shown.items(), key=lambda item: _cap_order(item[1])):
        figures: Mapping[str, int] = rates.figure("monthly_cap_passages", month)
        cap = figures.get(f"{codes[charger]}/{project}", figures.get(project))
        count = counts.get((*_vehicle(row), charger, project, month))
        counted, reached = (0, False) if count is None else (count.counted, count.reached)
        if cap is not None or reached:
            area = names.get((charger, project), project)
            made.append(CapRow(row.plate, row.country or "", area, month, counted, cap, reached))
    return tuple(made)


def _vehicle(row: Any) -> tuple[str | None, str | None, str | None]:
    return row.country, row.read_plate, row.pan


def _month(at: dt.datetime) -> dt.date:
    return business_date(at).replace(day=1)


def _cap_order(row: Any) -> tuple[bool, str, str, str, dt.date]:
    return row.read_plate is None, row.plate, row.country or "", row.project, _month(row.passed_at)


def _areas(session: Session, charger_ids: Sequence[int]) -> tuple[dict[int, str], dict[tuple[int, str], str]]:
    """Return the chargers' codes by id, and the names customers read of their projects by (charger id, code)."""
    found = session.execute(
        text(
            "SELECT c.id, c.code AS charger, p.code, p.name FROM chargers AS c LEFT JOIN projects AS p "
            "ON p.charger_id = c.id WHERE c.id = ANY(:ids)"
        ),
        {"ids": charger_ids},
    ).all()
    return {row.id: row.charger for row in found}, {(row.id, row.code): row.name for row in found if row.code}
