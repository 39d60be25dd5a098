"""Write what is queued into a file for the bank: the file and its deliveries in one transaction.

Each delivery is looked at again: the mandate may have ended, the invoice may be paid or credited, its due date may have
come too near. What the bank would not take is failed here, so that the next channel presents it while there is time.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from billing.claims.deadlines import Deadlines, Notice, deadlines, in_time, latest_due, notice_for
from billing.claims.structures import OURS, KidStructure, named
from billing.delivery.avtalegiro.channel import Payee
from billing.delivery.avtalegiro.claim_file import Claim, ClaimError, ClaimFile, Order, write
from billing.delivery.avtalegiro.files import Numbers, claimed, new_file, take_turn
from billing.delivery.avtalegiro.notice import lines
from billing.delivery.models import DeliveryFile
from config.clock import business_date
from config.jobs import ring
from config.rates import figure, whole

log = structlog.get_logger(__name__)

MOST = 10_000
"""Claims in a file; more go into the next."""

# The mandate of our own structure first: its KIDs are the documents' own.
_QUEUED = """
    SELECT d.id, doc.kid, doc.number, doc.issued_on, doc.language, doc.total_ore, c.due_on,
           c.amount_ore - c.settled_ore AS open_ore, a.number AS agreement, k.name, k.efaktura_beside,
           m.structure, m.customer_part, m.notice,
           EXISTS (SELECT FROM documents AS n WHERE n.credits_id = doc.id) AS credited
    FROM deliveries AS d
    JOIN agreements AS a ON a.id = d.agreement_id
    JOIN customers AS k ON k.id = a.customer_id
    JOIN documents AS doc ON doc.id = d.document_id
    JOIN claims AS c ON c.id = doc.claim_id
    LEFT JOIN LATERAL (
        SELECT structure, customer_part, notice FROM mandates
        WHERE agreement_id = d.agreement_id AND ended_at IS NULL ORDER BY structure = :ours DESC, id DESC LIMIT 1
    ) AS m ON true
    WHERE d.channel = 'avtalegiro' AND d.state = 'queued' AND d.presents AND d.next_at <= :real
    ORDER BY d.id LIMIT :most FOR UPDATE OF d SKIP LOCKED
"""
_SENT = """
    UPDATE deliveries AS d SET state = 'sent', file_id = :file, file_line = t.line, partner_ref = t.kid,
           recipient = t.kid, sent_at = :now, called_at = :real, attempts = d.attempts + 1, error = NULL,
           cost_ore = d.cost_ore + :cost, proof = d.proof - 'cancel' - 'stands' || CAST(t.proof AS jsonb)
    FROM unnest(CAST(:ids AS bigint[]), CAST(:lines AS int[]), CAST(:kids AS text[]), CAST(:proofs AS text[]))
        AS t (id, line, kid, proof)
    WHERE d.id = t.id
"""
_ELSE = """
    UPDATE deliveries AS d SET state = t.state, error = t.why
    FROM unnest(CAST(:ids AS bigint[]), CAST(:states AS text[]), CAST(:whys AS text[])) AS t (id, state, why)
    WHERE d.id = t.id
"""


@dataclass(frozen=True)
class Not:
    """A delivery that is not claimed: ``failed`` (another channel is to present it) or ``dropped`` (nothing is to be
    presented), and why."""

    delivery_id: int
    state: str
    why: str


def write_claims(
    session: Session,
    payee: Payee,
    *,
    now: dt.datetime,
    real: dt.datetime,
    structures: Sequence[KidStructure] | None = None,
) -> DeliveryFile | None:
    """Put what is queued, at most `MOST`, into a new file; return it, None when nothing is to be claimed.

    ``now`` is business time, ``real`` real time. What is not claimed is failed or dropped and says why. Two at once
    take different deliveries, one after the other.
    """
    take_turn(session)
    today = business_date(now)
    rows = session.execute(text(_QUEUED), {"ours": OURS, "real": real, "most": MOST}).all()
    figures = deadlines(today)
    taken: list[tuple[int, Claim]] = []
    nots: list[Not] = []
    for row in rows:
        one = _claim(row, payee, now, figures, structures)
        if isinstance(one, Not):
            nots.append(one)
        else:
            taken.append((row.id, one))
    numbers = new_file(session, "claims")
    made = _write(payee, numbers, taken, nots, today)
    _record(session, nots)
    if made is None:
        return None
    file = numbers.keep(session, made, now=now)
    _sent(session, file, taken, made, now=now, real=real)
    return file


def _write(
    payee: Payee, numbers: Numbers, taken: list[tuple[int, Claim]], nots: list[Not], today: dt.date
) -> ClaimFile | None:
    """Write the file of what is taken; what cannot be written goes from there to ``nots``, and costs the others
    nothing."""
    while taken:
        order = Order("claims", numbers.order, payee.account, [claim for _, claim in taken])
        try:
            return write(payee.sender, numbers.transmission, [order], made_on=today)
        except ClaimError as error:
            if error.transaction is None:
                raise
            delivery_id, _ = taken.pop(error.transaction - 1)
            log.warning("avtalegiro.cannot_be_written", delivery=delivery_id)
            nots.append(Not(delivery_id, "failed", str(error)))
    return None


def _claim(
    row: Row[Any], payee: Payee, now: dt.datetime, figures: Deadlines, structures: Sequence[KidStructure] | None
) -> Claim | Not:
    """Return what is claimed of a delivery, or why nothing is."""
    if row.credited or row.open_ore <= 0:
        return Not(row.id, "dropped", "credited" if row.credited else "paid")
    if row.structure is None:
        return Not(row.id, "failed", "no_mandate")
    if row.kid is None or row.due_on is None:
        return Not(row.id, "failed", "not_to_be_paid")
    # The figure of the day of issue, for it set the due date.
    policy: Notice = figure("avtalegiro_notice", row.issued_on)
    notice = notice_for(row.notice, beside=row.efaktura_beside, policy=policy)
    if row.due_on > latest_due(business_date(now)):
        return Not(row.id, "failed", "too_far_ahead")
    if not in_time(now, row.due_on, notice, figures):
        return Not(row.id, "failed", "too_late")
    kid = _kid(row, structures)
    if kid is None:
        return Not(row.id, "failed", "kid_structure")
    words = lines(row, payee.name) if notice == "bank" else ()
    reference = f"{'Faktura' if row.language == 'nb' else 'Invoice'} {row.number}"
    return Claim(kid, row.due_on, row.open_ore, notice, row.name, reference, words)


def _kid(row: Row[Any], structures: Sequence[KidStructure] | None) -> str | None:
    """Return the KID to claim by: the document's own, or on an older mandate one of that mandate's structure."""
    if row.structure == OURS:
        return str(row.kid)
    structure = named(row.structure, structures)
    if structure is None:
        return None
    try:
        return structure.make(row.customer_part, row.number)
    except ValueError:
        return None


def _record(session: Session, nots: Sequence[Not]) -> None:
    if not nots:
        return
    columns = {
        "ids": [one.delivery_id for one in nots],
        "states": [one.state for one in nots],
        "whys": [one.why for one in nots],
    }
    session.execute(text(_ELSE), columns)
    if any(one.state == "failed" for one in nots):
        ring(session, "deliveries")
    log.info("avtalegiro.not_claimed", count=len(nots))


def _sent(
    session: Session,
    file: DeliveryFile,
    taken: Sequence[tuple[int, Claim]],
    made: ClaimFile,
    *,
    now: dt.datetime,
    real: dt.datetime,
) -> None:
    changes: dict[int, list[dict[str, Any]]] = {}
    for change in made.changes:
        told = {"field": change.field, "letters": [list(pair) for pair in change.letters], "cut": change.cut}
        changes.setdefault(change.transaction, []).append(told)
    session.execute(
        text(_SENT),
        {
            "file": file.id,
            "now": now,
            "real": real,
            "cost": whole("delivery_cost_avtalegiro_ore", business_date(now)),
            "ids": [delivery_id for delivery_id, _ in taken],
            "lines": list(range(1, len(taken) + 1)),
            "kids": [claim.kid for _, claim in taken],
            "proofs": [
                json.dumps({"claim": claimed(claim), "changed": changes.get(line, [])})
                for line, (_, claim) in enumerate(taken, start=1)
            ],
        },
    )
