"""Take claims back: what is ``ending`` goes into a file of cancellations, while the bank takes them."""

from __future__ import annotations

import datetime as dt
import json

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.delivery.avtalegiro.channel import Payee
from billing.delivery.avtalegiro.claim_file import Claim, Order, write
from billing.delivery.avtalegiro.deadlines import can_cancel, deadlines
from billing.delivery.avtalegiro.files import cancelling, new_file
from billing.delivery.models import DeliveryFile
from config.clock import business_date
from config.jobs import ring

MOST = 10_000
MANDATE_ENDED = "mandate_ended"
TOO_LATE = "too_late_to_cancel"

# What is in no file of claims, or in one that lies with us yet, the bank knows nothing of; but a file that is made is
# never unmade, so its claims are taken back like others.
_NEVER = """
    UPDATE deliveries SET state = CASE error WHEN :mandate THEN 'failed' ELSE 'ended' END,
           ended_at = CASE error WHEN :mandate THEN NULL ELSE CAST(:now AS timestamptz) END
    WHERE channel = 'avtalegiro' AND state = 'ending' AND file_id IS NULL RETURNING id
"""
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
    UPDATE deliveries SET state = CASE WHEN delivered_at IS NULL THEN 'sent' ELSE 'delivered' END, error = :why
    WHERE id = ANY(:ids)
"""


def write_cancellations(session: Session, payee: Payee, *, now: dt.datetime, real: dt.datetime) -> DeliveryFile | None:
    """Put what is to be taken back, at most `MOST`, into a new file; return it, None when there is nothing.

    What the bank has never had ends at once. What can be taken back no more stands again (state sent or delivered,
    error too_late_to_cancel). Both ring ``deliveries``.
    """
    never = session.execute(text(_NEVER), {"mandate": MANDATE_ENDED, "now": now}).all()
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
