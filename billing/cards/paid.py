"""Carry payments through to claims, ledger, receipts and balances, some fifty at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from billing.cards.due import decide
from billing.cards.gateway import Succeeded
from billing.cards.models import Attempt, Card, CardSession, Charge
from billing.cards.steps import passed
from billing.claims.models import Claim
from billing.claims.settle import Settlement, settle
from billing.invoices.receipt import issue_receipts
from billing.ledger.book import book_query
from billing.passages.models import Balance
from config.clock import business_date

Seller = Mapping[str, Any]

_CLAIMS = "SELECT count(*) FROM (SELECT id FROM claims WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE) AS locked"

_FEES = """
    UPDATE claims AS c SET fee_ore = f.ore
    FROM unnest(CAST(:ids AS bigint[]), CAST(:fees AS bigint[])) AS f (claim_id, ore) WHERE c.id = f.claim_id
"""

_BOOK_FEES = """
    SELECT 'receivable' AS debit, agreement_id AS debit_owner, 'card_fees' AS credit, 0 AS credit_owner,
           fee_ore AS amount_ore, 'card_fee' AS code, id AS ref, '' AS part
    FROM claims WHERE id = ANY(:ids)
"""


@dataclass(frozen=True)
class Payment:
    """A charge, the attempt that paid it, and what the provider said of it."""

    charge: Charge
    attempt: Attempt
    result: Succeeded


def succeed(session: Session, payments: Sequence[Payment], *, seller: Seller, now: dt.datetime) -> None:
    """Record that charges are paid: fee, settlement, receipt, the week. The caller holds the locks of all of them."""
    if not payments:
        return
    today = business_date(now)
    for payment in payments:
        attempt, charge = payment.attempt, payment.charge
        attempt.state, attempt.provider_ref, attempt.ended_at = "succeeded", payment.result.ref, now
        attempt.code = attempt.message = None
        charge.state, charge.ended_at, charge.waits_for = "succeeded", now, None
    session.flush()
    passed("marked")
    _book_fees(session, payments, today=today, now=now)
    passed("fee")
    settlements = [Settlement(_claim(one), "card", one.attempt.id, one.attempt.amount_ore, today) for one in payments]
    settle(session, settlements, today=today, now=now, actor="card gateway")
    passed("settled")
    issue_receipts(session, _paid_by(session, payments, today), seller=seller, now=now)
    passed("receipt")
    release(session, [one.charge.agreement_id for one in payments], charged_on=today, now=now)
    passed("released")


def _claim(payment: Payment) -> int:
    assert payment.charge.claim_id is not None
    return payment.charge.claim_id


def _book_fees(session: Session, payments: Sequence[Payment], *, today: dt.date, now: dt.datetime) -> None:
    """Write the provider's fees on their claims, which are locked with it, and book them."""
    session.execute(text(_CLAIMS), {"ids": [_claim(one) for one in payments]})
    fees = {_claim(one): one.attempt.fee_ore for one in payments if one.attempt.fee_ore}
    if fees:
        session.execute(text(_FEES), {"ids": list(fees), "fees": list(fees.values())})
        book_query(session, _BOOK_FEES, {"ids": list(fees)}, booked_on=today, now=now)
        for known in [one for one in session if isinstance(one, Claim)]:
            session.expire(known)


def _paid_by(session: Session, payments: Sequence[Payment], today: dt.date) -> dict[int, dict[str, str]]:
    """Say for each claim what paid it: the card of the attempt, or the one that was given on the provider's page."""
    attempts = [one.attempt.id for one in payments]
    rows = session.execute(
        select(
            Attempt.id,
            func.coalesce(CardSession.brand, Card.brand).label("brand"),
            func.coalesce(CardSession.last4, Card.last4).label("last4"),
        )
        .join(Card, Card.id == Attempt.card_id)
        .outerjoin(CardSession, CardSession.attempt_id == Attempt.id)
        .where(Attempt.id == func.any(attempts))
    ).all()
    by = {row.id: {"brand": row.brand, "last4": row.last4, "on": today.isoformat()} for row in rows}
    return {_claim(one): by[one.attempt.id] for one in payments}


def release(session: Session, agreement_ids: Sequence[int], *, charged_on: dt.date | None, now: dt.datetime) -> None:
    """Let go of balances and decide anew: what came meanwhile is due now or when its week is over."""
    values: dict[str, Any] = {"open_charge_id": None, "charge_not_before": None}
    if charged_on is not None:
        values["last_charged_on"] = charged_on
    session.execute(update(Balance).where(Balance.agreement_id.in_(list(agreement_ids))).values(values))
    decide(session, agreement_ids, now=now)
