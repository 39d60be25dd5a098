"""Ask Vipps about payments that have not ended: what no browser and no webhook has told, and what was cut short."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from billing.cards.failures import Failures
from billing.payments.vipps.carry import carry_on
from billing.payments.vipps.client import VippsUnavailable
from billing.payments.vipps.models import UNENDED, VippsPayment
from billing.payments.vipps.provider import client_of
from billing.payments.vipps.refund_call import ASK_AGAIN, CHUNK, OFF
from config.clock import business_now, now_utc
from config.jobs import JobContext

STUCK = dt.timedelta(hours=1)
"""An approval lasts ten minutes: what has not ended by then is worth a look."""
MANY_SILENT = 3
"""So many in a row without an answer, and the rest waits for the next time."""


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Carry on what is next of payments, and ask about those that wait (doorbell and schedule). Raises SomeFailed."""
    del scheduled_for
    client = client_of(ctx.settings)
    if client is None:
        return {"note": OFF}
    counts: dict[str, int | str] = {}
    failures, looked_at, after, silent = Failures("vipps_payment"), 0, 0, 0
    due = (VippsPayment.asked_at <= now_utc() - ASK_AGAIN) | (
        VippsPayment.state.in_(("capturing", "cancelling")) & VippsPayment.sent_at.is_(None)
    )
    query = select(VippsPayment.id).where(VippsPayment.state.in_(UNENDED), due)
    while silent < MANY_SILENT:
        with ctx.sessions() as session:
            now = business_now(session)
            ids = session.scalars(query.where(VippsPayment.id > after).order_by(VippsPayment.id).limit(CHUNK)).all()
        if not ids:
            break
        looked_at, after = looked_at + len(ids), ids[-1]
        for payment_id in ids:
            try:
                word = carry_on(ctx.sessions, client, payment_id, now=now)
            except VippsUnavailable as error:
                word, silent = "unanswered", 0 if error.answered else silent + 1
            except Exception as error:
                failures.add(payment_id, error)
                continue
            counts[word] = int(counts.get(word, 0)) + 1
            if silent >= MANY_SILENT:
                break
    failures.tell(looked_at)
    return counts


def figures(session: Session) -> Iterable[str]:
    """Say in the metrics how many payments and refunds have been under way for long."""
    since = now_utc() - STUCK
    row = session.execute(
        text(
            "SELECT (SELECT count(*) FROM vipps_payments WHERE state IN ('unknown', 'created', 'capturing', "
            "'cancelling') AND called_at <= :since) AS payments, "
            "(SELECT count(*) FROM vipps_refunds WHERE state = 'unknown' AND called_at <= :since) AS refunds"
        ),
        {"since": since},
    ).one()
    return (
        "# HELP brikke_vipps_stuck Payments and refunds by Vipps that have been under way for an hour.",
        "# TYPE brikke_vipps_stuck gauge",
        f'brikke_vipps_stuck{{what="payment"}} {row.payments}',
        f'brikke_vipps_stuck{{what="refund"}} {row.refunds}',
    )
