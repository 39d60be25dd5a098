"""Everything of one record: what was sent, each answer, the passages it became, what corrects it, what is in force."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from accounts.chargers.models import Charger, Station
from billing.passages.models import Amendment, Batch, Correction, Passage, Record, Reversal
from billing.passages.rules import EPOCH, flag_names
from config.problems import NotFound

_LONGEST = 50
"""So many passages a record became are followed."""


@dataclass(frozen=True)
class Answered:
    """What was said of a record, when and why. The first is the answer itself: it has no cause."""

    at: dt.datetime
    code: str
    detail: str | None
    cause: str | None = None
    reason: str | None = None
    actor: str | None = None


@dataclass(frozen=True)
class Became:
    """A passage that a record became, or a counter-row to one: on which agreement, for how much, billed or not, and
    what it was reversed by."""

    id: int
    agreement: int
    booked_at: dt.datetime
    amount_ore: int
    billed: bool
    external: bool
    reverses_id: int | None
    taken_back: str | None


@dataclass(frozen=True)
class Corrected:
    """A correction of a record (or of what it corrects); one of them is in force, if any is."""

    source_id: str
    action: str
    version: int | None
    issued_at: dt.datetime | None
    state: str
    received_at: dt.datetime
    in_force: bool


@dataclass(frozen=True)
class Story:
    """A record and what became of it. ``sent``: its fields as they were normalised; ``original``: what it corrects.
    ``decidable``: it was refused and can be decided anew."""

    charger: str
    charger_name: str
    source_id: str
    batch: int
    batch_name: str
    position: int
    code: str
    flags: Sequence[str]
    detail: str | None
    passed_at: dt.datetime
    amount_ore: int
    sent: dict[str, Any]
    station_name: str | None
    answers: Sequence[Answered]
    passages: Sequence[Became]
    corrections: Sequence[Corrected]
    original: str | None

    @property
    def in_force(self) -> str:
        """Return which record counts: this one, its original, or a correction."""
        force = next((one.source_id for one in self.corrections if one.in_force), None)
        return force or self.original or self.source_id

    @property
    def decidable(self) -> bool:
        """Say whether it was refused, holds a passage, and nothing has taken its place."""
        refused = self.code not in ("accepted", "other_agreement", "superseded")
        replaced = any(one.in_force and one.source_id != self.source_id for one in self.corrections)
        return refused and not replaced


def story(session: Session, code: str, source_id: str) -> Story:
    """Return the story of a charger's record. Raises NotFound: also for one that could not be read or kept."""
    found = session.execute(
        select(Record, Charger, Batch)
        .join(Charger, Charger.id == Record.charger_id)
        .join(Batch, Batch.id == Record.batch_id)
        .where(Charger.code == code, Record.source_id == source_id)
    ).one_or_none()
    if found is None:
        raise NotFound(f"{code} has sent no record {source_id} that could be read and kept.")
    record, charger, batch = found
    mine = session.get(Correction, (charger.id, source_id))
    passages = _passages(session, record.passage_id)
    sent = dict(record.body) if record.body is not None else _said(passages)
    station = select(Station.name).where(Station.charger_id == charger.id, Station.code == str(sent.get("station")))
    return Story(
        charger=charger.code,
        charger_name=charger.name,
        source_id=source_id,
        batch=batch.id,
        batch_name=batch.name,
        position=record.position,
        code=record.code,
        flags=flag_names(record.flags),
        detail=record.detail,
        passed_at=record.passed_at,
        amount_ore=record.amount_ore,
        sent={name: value for name, value in sent.items() if name != "flags"},
        station_name=session.scalar(station),
        answers=_answers(session, record, batch),
        passages=_became(session, passages),
        corrections=_corrections(session, charger.id, mine.original_id if mine else source_id),
        original=mine.original_id if mine else None,
    )


def _answers(session: Session, record: Record, batch: Batch) -> list[Answered]:
    query = select(Amendment).where(Amendment.charger_id == record.charger_id, Amendment.source_id == record.source_id)
    made = session.scalars(query.order_by(Amendment.id)).all()
    first = (made[0].was_code, made[0].was_detail) if made else (record.code, record.detail)
    return [
        Answered(batch.received_at, *first),
        *(Answered(one.at, one.code, one.detail, one.cause, one.reason, one.actor) for one in made),
    ]


def _passages(session: Session, passage_id: int | None) -> list[Passage]:
    """Return the passage a record became, the counter-rows to it, and what came in its place, in order."""
    waiting, seen, found = [passage_id] if passage_id is not None else [], set[int](), list[Passage]()
    while waiting and len(found) < _LONGEST:
        one = waiting.pop(0)
        if one in seen:
            continue
        seen.add(one)
        found += session.scalars(select(Passage).where(Passage.id == one))
        reversal = session.get(Reversal, one)
        if reversal is not None:
            waiting += [each for each in (reversal.counter_id, reversal.replaced_by) if each is not None]
    return found


def _said(passages: Sequence[Passage]) -> dict[str, Any]:
    """Return what a record said whose fields only its passage keeps; nothing for a cancellation."""
    if not passages:
        return {}
    one = passages[0]
    return {
        "station": one.station, "service": one.service, "country": one.country, "plate": one.plate, "pan": one.pan,
        "vehicle_class": one.vehicle_class, "list_price": one.list_ore, "amount": one.amount_ore,
        "vat_rate": one.vat_bp,
    }  # fmt: skip


def _became(session: Session, passages: Sequence[Passage]) -> list[Became]:
    ids = [one.id for one in passages]
    query = select(Reversal.passage_id, Reversal.cause).where(Reversal.passage_id.in_(ids))
    causes = {row[0]: row[1] for row in session.execute(query)}
    held = select(Agreement.id, Agreement.number).where(Agreement.id.in_({one.agreement_id for one in passages}))
    numbers = {row[0]: row[1] for row in session.execute(held)}
    return [
        Became(
            one.id, numbers.get(one.agreement_id, 0), one.booked_at, one.amount_ore, one.claim_id is not None,
            one.external, one.reverses_id, causes.get(one.id),
        )
        for one in passages
    ]  # fmt: skip


def _corrections(session: Session, charger_id: int, original: str) -> list[Corrected]:
    query = select(Correction).where(Correction.charger_id == charger_id, Correction.original_id == original)
    order = (Correction.version.desc(), Correction.issued_at.desc(), Correction.source_id.collate("C").desc())
    found, force = [], True
    for row in session.scalars(query.order_by(*order)):
        applied = row.state == "applied"
        issued = None if row.issued_at == EPOCH else row.issued_at
        found.append(
            Corrected(
                row.source_id, row.action, row.version or None, issued, row.state, row.received_at, applied and force
            )
        )
        force = force and not applied
    return found
