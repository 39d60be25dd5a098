"""Take a charger's answer to a complaint, and find the correction that it promised."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger
from accounts.customers.tell import NewMessage, tell
from billing.cards.due import decide
from billing.passages.held import release
from billing.roadside.complaints import rules
from billing.roadside.complaints.models import Complaint
from billing.roadside.formats.iso12855 import Response, Responses
from config.checks import Checks
from config.clock import business_date
from config.database import touched
from config.problems import Conflict, Invalid, NotFound
from config.rates import whole

_LINK = text("""
    UPDATE complaints AS c SET correction_id = k.source_id, corrected_at = k.decided_at
    FROM (
        SELECT c.id, (
            -- A correction of what corrected before names the same original.
            SELECT k.source_id FROM corrections AS k
            WHERE k.charger_id = c.charger_id AND k.state = 'applied' AND k.source_id <> c.source_id
                AND k.original_id = coalesce((
                    SELECT o.original_id FROM corrections AS o
                    WHERE o.charger_id = c.charger_id AND o.source_id = c.source_id), c.source_id)
                AND k.decided_at >= c.made_at
            ORDER BY k.version DESC, k.issued_at DESC, k.source_id COLLATE "C" DESC LIMIT 1
        ) AS source_id
        FROM complaints AS c
        WHERE c.outcome IN ('upheld', 'adjusted') AND c.correction_id IS NULL
            AND (CAST(:complaint AS bigint) IS NULL OR c.id = :complaint)
    ) AS f JOIN complaints AS of ON of.id = f.id
    JOIN corrections AS k ON k.charger_id = of.charger_id AND k.source_id = f.source_id
    WHERE c.id = f.id
""")

_SETTLED = text("""
    SELECT h.passage_id FROM held_passages AS h
    WHERE NOT EXISTS (
        SELECT FROM complaints AS c WHERE c.passage_id = h.passage_id AND c.let_go_at IS NULL AND (
            c.state <> 'answered' OR (
                c.outcome <> 'rejected' AND c.correction_id IS NULL AND c.answered_at >= :before)))
        AND (CAST(:complaint AS bigint) IS NULL
            OR h.passage_id = (SELECT c.passage_id FROM complaints AS c WHERE c.id = :complaint))
""")


def answer(
    session: Session, charger: Charger, complaint_id: int, outcome: str, said: str, *, actor: str, now: dt.datetime
) -> Complaint:
    """Write down what a charger answers, and tell the customer. The same answer again is a result.

    Raises Invalid by field; NotFound, also for another's complaint; Conflict when it was answered otherwise.
    """
    checks = Checks()
    word = checks.take("outcome", rules.outcome, outcome, "")
    response = checks.take("text", rules.text, said, "")
    checks.done()
    query = select(Complaint).where(Complaint.id == complaint_id, Complaint.charger_id == charger.id)
    row = session.scalar(query.with_for_update(key_share=True).execution_options(populate_existing=True))
    if row is None:
        raise NotFound(f"{charger.code} has no complaint {complaint_id}.")
    if row.state == "answered":
        if (row.outcome, row.response or "") != (word, response):
            raise Conflict(f"Complaint {complaint_id} was answered before: {row.outcome}.", slug="answered-before")
        return row
    row.state, row.outcome, row.response = "answered", word, response or None
    row.sent_at, row.answered_at, row.answered_by = row.sent_at or now, now, actor
    session.flush()
    template = "dispute_upheld" if word in rules.PROMISES else "dispute_rejected"
    tell(session, [NewMessage(row.agreement_id, template, f"complaint:{row.id}")], now=now)
    link(session, row.id)
    let_go(session, now, row.id)
    session.refresh(row)
    return row


def take_responses(session: Session, charger: Charger, said: Responses, now: dt.datetime) -> int:
    """Take a message of responses that came as a file, all or none; return how many. Raises Invalid, naming each that
    is to no complaint of the charger's or is another than before."""
    errors = []
    placed = [(place, _number(one), one) for place, one in enumerate(said.responses, 1)]
    agreements = _lock(session, charger, [number for _, number, _ in placed])
    # Balances are locked as each is answered: by agreement, whatever order they came in.
    for place, number, one in sorted(placed, key=lambda each: (agreements.get(each[1], 0), each[0])):
        try:
            answer(session, charger, number, one.outcome, one.text, actor=_actor(charger), now=now)
        except (Invalid, NotFound, Conflict) as problem:
            errors.append({"field": f"responses.{place}", "message": f"{one.complaint_id}: {problem.detail}"})
    if errors:
        errors.sort(key=lambda error: int(error["field"].partition(".")[2]))
        raise Invalid("Some responses cannot be taken, so none was.", slug="wrong-responses", errors=errors)
    return len(said.responses)


def _number(response: Response) -> int:
    said = response.complaint_id
    return min(int(said), 2**63 - 1) if said.isascii() and said.isdigit() and len(said) < 20 else 0


def _lock(session: Session, charger: Charger, numbers: Sequence[int]) -> dict[int, int]:
    """Lock a charger's complaints by id; return whose they are: id → agreement id."""
    query = (
        select(Complaint.id, Complaint.agreement_id)
        .where(Complaint.charger_id == charger.id, Complaint.id.in_(numbers))
        .order_by(Complaint.id)
        .with_for_update(key_share=True)
    )
    return {row.id: row.agreement_id for row in session.execute(query)}


def _actor(charger: Charger) -> str:
    return f"charger:{charger.code}"


def link(session: Session, complaint_id: int | None = None) -> int:
    """Name the correction in force on complaints that wait for one, set-based (or on one); return how many."""
    return touched(session.execute(_LINK, {"complaint": complaint_id}))


def let_go(session: Session, now: dt.datetime, complaint_id: int | None = None) -> int:
    """Hold back no longer what was rejected, what has its correction, what should have had it by now, and what was
    withdrawn or waited for too long (of all complaints, or of one); a card that is due by it is charged. Returns how
    many agreements had something held."""
    before = now - dt.timedelta(days=whole("complaint_correction_days", business_date(now)))
    params = {"before": before, "complaint": complaint_id}
    agreements = release(session, list(session.scalars(_SETTLED, params)))
    decide(session, agreements, now=now)
    return len(agreements)


def read_by_charger(session: Session, charger_id: int, ids: list[int], now: dt.datetime) -> None:
    """Note that a charger has read complaints: to it they are sent."""
    session.execute(
        update(Complaint)
        .where(Complaint.charger_id == charger_id, Complaint.id.in_(ids), Complaint.state == "made")
        .values(state="sent", sent_at=now)
        .execution_options(synchronize_session=False)
    )
