"""Preview a mass correction, confirm it, undo it: what a person does."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from accounts.chargers.models import Station
from accounts.chargers.queries import charger as charger_by_code
from accounts.vehicles.rules import normalise_plate
from billing.passages.mass import rules
from billing.passages.mass.models import MassCorrection
from config.checks import Checks
from config.clock import business_date
from config.jobs import ring
from config.problems import Conflict, NotFound
from config.rates import whole

Bearer = Literal["charger", "us"]


@dataclass(frozen=True)
class Asked:
    """What is to be corrected: a charger's stations (codes), from ``since`` until ``until`` (exclusive) by when it
    happened; perhaps only one service, class of vehicle or plate."""

    charger: str
    stations: Sequence[str]
    since: dt.datetime
    until: dt.datetime
    bearer: Bearer
    reason: str
    service: str | None = None
    vehicle_class: str | None = None
    country: str | None = None
    plate: str | None = None


# What can be corrected: no counter-row, nothing settled elsewhere, nothing that was taken back, nothing that is free.
_FOUND = """
    SELECT p.id AS passage_id, p.booked_at, p.agreement_id, p.amount_ore, p.claim_id IS NOT NULL AS billed
    FROM passages AS p
    WHERE p.charger_id = :charger AND p.station = ANY(CAST(:stations AS text[]))
        AND p.passed_at >= :since AND p.passed_at < :until AND p.booked_at >= :earliest
        AND (CAST(:service AS text) IS NULL OR p.service = :service)
        AND (CAST(:vehicle_class AS text) IS NULL OR p.vehicle_class = :vehicle_class)
        AND (CAST(:plate AS text) IS NULL OR (p.country, p.plate) = (:country, :plate))
        AND p.reverses_id IS NULL AND NOT p.external AND p.amount_ore <> 0
        AND NOT EXISTS (SELECT FROM reversals AS v WHERE v.passage_id = p.id)
"""

_COUNT = """
    SELECT count(*) AS passages, count(DISTINCT f.agreement_id) AS agreements,
        coalesce(sum(f.amount_ore), 0)::bigint AS sum_ore, count(*) FILTER (WHERE f.billed) AS billed,
        coalesce(sum(f.amount_ore) FILTER (WHERE f.billed), 0)::bigint AS billed_ore,
        encode(sha256(convert_to(coalesce(
            string_agg(f.passage_id || CASE WHEN f.billed THEN 'b' ELSE '' END, ',' ORDER BY f.passage_id), ''
        ), 'UTF8')), 'hex') AS digest
"""

_PREVIEW = text(f"{_COUNT} FROM ({_FOUND}) AS f")
_KEEP = text(
    "INSERT INTO mass_passages (mass_id, passage_id, booked_at, agreement_id, amount_ore, billed) "  # noqa: S608 - no input in it
    f"SELECT :mass, f.passage_id, f.booked_at, f.agreement_id, f.amount_ore, f.billed FROM ({_FOUND}) AS f"
)
_KEPT = text(f"{_COUNT} FROM mass_passages AS f WHERE f.mass_id = :mass")

_KEEP_UNDO = text("""
    INSERT INTO mass_passages (mass_id, passage_id, booked_at, agreement_id, amount_ore, billed)
    SELECT :mass, m.passage_id, m.booked_at, m.agreement_id, m.amount_ore, c.claim_id IS NOT NULL
    FROM mass_passages AS m
    JOIN reversals AS v ON v.passage_id = m.passage_id
    JOIN passages AS c ON c.id = v.counter_id AND c.booked_at = v.at
    WHERE m.mass_id = :undoes AND m.outcome = 'done'
""")


def preview(session: Session, asked: Asked, *, actor: str, now: dt.datetime) -> MassCorrection:
    """Count what a correction would take back, and write that down; nothing is booked.

    Raises Invalid for a period that is empty, too long or not over, unknown stations, or no reason; NotFound for an
    unknown charger.
    """
    charger = charger_by_code(session, asked.charger)
    checks = Checks()
    rules.period(checks, asked.since, asked.until, now, whole("mass_period_days", business_date(now)))
    reason = checks.take("reason", rules.reason, asked.reason, "")
    known = set(
        session.scalars(
            select(Station.code).where(Station.charger_id == charger.id, Station.code.in_(list(asked.stations)))
        )
    )
    rules.stations(checks, asked.stations, known)
    country = asked.country or "NO"
    plate = checks.take("plate", partial(normalise_plate, country), asked.plate, "") if asked.plate else None
    checks.done()
    row = MassCorrection(
        charger_id=charger.id,
        stations=sorted(set(asked.stations)),
        since=asked.since,
        until=asked.until,
        service=asked.service,
        vehicle_class=asked.vehicle_class,
        country=country if plate else None,
        plate=plate,
        bearer=asked.bearer,
        reason=reason,
        actor=actor,
        state="preview",
        made_at=now,
    )
    _count(row, session.execute(_PREVIEW, _params(row, now)).one())
    session.add(row)
    session.flush()
    return row


def confirm(session: Session, mass_id: int, digest: str, *, actor: str, now: dt.datetime) -> MassCorrection:
    """Have a preview carried out: exactly the passages it found, which are listed now for the job.

    One that is confirmed already is a result. Raises NotFound; Conflict when the digest is not the preview's, or is
    not what would be corrected by now (changed-meanwhile), and when there is nothing to correct.
    """
    row = locked(session, mass_id)
    if row.state != "preview":
        if row.digest == digest and row.undoes_id is None:
            return row
        raise Conflict("It has been confirmed, with another digest.", slug="changed-meanwhile")
    session.execute(_KEEP, {**_params(row, now), "mass": row.id})
    kept = session.execute(_KEPT, {"mass": row.id}).one()
    if not row.digest == digest == kept.digest:
        raise Conflict(
            "What would be corrected is no longer what you were shown; look at a new preview.", slug="changed-meanwhile"
        )
    if not row.passages:
        raise Conflict("There is nothing to correct.", slug="nothing-to-correct")
    row.state, row.confirmed_at, row.confirmed_by = "running", now, actor
    session.flush()
    ring(session, "mass_corrections")
    return row


def undo(session: Session, mass_id: int, *, reason: str, actor: str, now: dt.datetime) -> MassCorrection:
    """Begin the undoing of a mass correction that is done: a mass correction of its own, running.

    One that is being undone, or was, is a result: that undoing. Raises NotFound; Invalid without a reason; Conflict
    for one that is not done, and for an undoing itself (correct anew instead).
    """
    of = locked(session, mass_id)
    checks = Checks()
    why = checks.take("reason", rules.reason, reason, "")
    checks.done()
    known = session.scalar(select(MassCorrection).where(MassCorrection.undoes_id == of.id))
    if known is not None:
        return known
    if of.undoes_id is not None:
        raise Conflict("This is an undoing; make a new mass correction instead.", slug="is-an-undoing")
    if of.state != "done":
        raise Conflict("It is not done yet; only what is done can be undone.", slug="not-done")
    same = ("charger_id", "stations", "since", "until", "service", "vehicle_class", "country", "plate", "bearer")
    row = MassCorrection(
        **{name: getattr(of, name) for name in same},
        undoes_id=of.id, reason=why, actor=actor, state="running", made_at=now, confirmed_at=now, confirmed_by=actor,
        digest="", passages=0, agreements=0, sum_ore=0, billed=0, billed_ore=0,
    )  # fmt: skip
    session.add(row)
    session.flush()
    session.execute(_KEEP_UNDO, {"mass": row.id, "undoes": of.id})
    _count(row, session.execute(_KEPT, {"mass": row.id}).one())
    session.flush()
    ring(session, "mass_corrections")
    return row


def locked(session: Session, mass_id: int) -> MassCorrection:
    """Return a mass correction, its row locked. Raises NotFound."""
    row = session.get(MassCorrection, mass_id, with_for_update={"key_share": True}, populate_existing=True)
    if row is None:
        raise NotFound("There is no such mass correction.")
    return row


def _params(row: MassCorrection, now: dt.datetime) -> dict[str, Any]:
    ahead = dt.timedelta(hours=whole("passage_max_ahead_hours", business_date(now)))
    return {
        "charger": row.charger_id,
        "stations": row.stations,
        "since": row.since,
        "until": row.until,
        "earliest": row.since - ahead,
        "service": row.service,
        "vehicle_class": row.vehicle_class,
        "country": row.country,
        "plate": row.plate,
    }


def _count(row: MassCorrection, found: Any) -> None:
    for name in ("passages", "agreements", "sum_ore", "billed", "billed_ore", "digest"):
        setattr(row, name, getattr(found, name))
