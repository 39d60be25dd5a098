"""Take claims back: what is ``ending`` goes into a file of cancellations, while the bank takes them.

Why it is taken back says what comes then (`AFTER`): on a mandate that has ended the claim is failed, so that another
channel presents it; one that is amended (another sum or due date than was claimed; paid) is claimed anew, which is how
the bank wants an amendment; all else ends, for who asked for it knows what to do.
"""

from __future__ import annotations

import datetime as dt
import json

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.claims.deadlines import can_cancel, deadlines
from billing.delivery.avtalegiro.channel import Payee
from billing.delivery.avtalegiro.claim_file import Claim, Order, write
from billing.delivery.avtalegiro.files import cancelling, new_file, take_turn
from billing.delivery.models import DeliveryFile
from config.bankdays import DAY
from config.clock import business_date
from config.jobs import ring

MOST = 10_000
MANDATE_ENDED, AMENDED = "mandate_ended", "amended"
TOO_LATE = "too_late_to_cancel"
AFTER = f"CASE error WHEN '{MANDATE_ENDED}' THEN 'failed' WHEN '{AMENDED}' THEN 'queued' ELSE 'ended' END"
"""SQL: the state of what was ``ending`` when it presents nothing any more."""

# The claim's own date and sum are as they are now; what was claimed is in the proof.
_AMEND = f"""
    UPDATE deliveries AS d SET state = 'ending', error = '{AMENDED}'
    FROM documents AS doc JOIN claims AS c ON c.id = doc.claim_id
    WHERE d.channel = 'avtalegiro' AND d.state IN ('sent', 'delivered') AND d.presents AND doc.id = d.document_id
      AND CAST(d.proof -> 'claim' ->> 'due_on' AS date) >= :first
      AND (CAST(d.proof -> 'claim' ->> 'due_on' AS date) IS DISTINCT FROM c.due_on
           OR CAST(d.proof -> 'claim' ->> 'amount_ore' AS bigint) <> c.amount_ore - c.settled_ore
           OR EXISTS (SELECT FROM documents AS n WHERE n.credits_id = doc.id))
      AND NOT d.proof ? 'stands'
    RETURNING d.id
"""  # noqa: S608 - words of ours

# What is in no file of claims, or in one that lies with us yet, the bank knows nothing of; but a file that is made is
# never unmade, so its claims are taken back like others.
_NEVER = f"""
    UPDATE deliveries SET state = {AFTER}, ended_at = :now
    WHERE channel = 'avtalegiro' AND state = 'ending' AND file_id IS NULL RETURNING id
"""  # noqa: S608 - words of ours
_ENDING = """
    SELECT d.id, d.proof -> 'claim' AS claim, k.name FROM deliveries AS d
    JOIN agreements AS a ON a.id = d.agreement_id JOIN customers AS k ON k.id = a.customer_id
    WHERE d.channel = 'avtalegiro' AND d.state = 'ending' AND NOT d.proof ? 'cancel'
    ORDER BY d.id LIMIT :most FOR UPDATE OF d SKIP LOCKED
"""
_ASKED = """
    UPDATE deliveries AS d SET proof = d.proof || CAST(t.proof AS jsonb), called_at = :real
    FROM unnest(CAST(:ids AS bigint[]), CAST(:proofs AS text[])) AS t (id, proof) WHERE d.id = t.id
"""
_STANDS = """
    UPDATE deliveries SET state = 'delivered', error = :why, proof = proof || '{"stands": true}'
    WHERE id = ANY(:ids)
"""


def amend(session: Session, *, now: dt.datetime) -> int:
    """Have taken back what was claimed otherwise than it is to be paid now, while it can be; return how many.

    It was paid or credited meanwhile, in part or whole, or its due date was extended. What is left is claimed anew.
    """
    take_turn(session)
    today = business_date(now)
    figures = deadlines(today)
    first = today + DAY
    while not can_cancel(first, now, figures):
        first += DAY
    return len(session.execute(text(_AMEND), {"first": first}).all())


def write_cancellations(session: Session, payee: Payee, *, now: dt.datetime, real: dt.datetime) -> DeliveryFile | None:
    """Put what is to be taken back, at most `MOST`, into a new file; return it, None when there is nothing.

    What the bank has never had ends at once. What can be taken back no more stands (state delivered, error
    too_late_to_cancel). Both ring ``deliveries``.
    """
    take_turn(session)
    never = session.execute(text(_NEVER), {"now": now}).all()
    today = business_date(now)
    figures = deadlines(today)
    taken: list[tuple[int, Claim]] = []
    late: list[int] = []
    for row in session.execute(text(_ENDING), {"most": MOST}).all():
        claim = cancelling(row.claim, row.name)
        if claim.due_on > today and can_cancel(claim.due_on, now, figures):
            taken.append((row.id, claim))
        else:
            late.append(row.id)
    if late:
        session.execute(text(_STANDS), {"ids": late, "why": TOO_LATE})
    if late or never:
        ring(session, "deliveries")
    if not taken:
        return None
    numbers = new_file(session, "cancellations")
    order = Order("cancellations", numbers.order, payee.account, [claim for _, claim in taken])
    file = numbers.keep(session, write(payee.sender, numbers.transmission, [order], made_on=today), now=now)
    session.execute(
        text(_ASKED),
        {
            "real": real,
            "ids": [delivery_id for delivery_id, _ in taken],
            "proofs": [json.dumps({"cancel": {"file": file.id, "line": line}}) for line in range(1, len(taken) + 1)],
        },
    )
    return file
