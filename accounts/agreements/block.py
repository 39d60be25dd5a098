"""Blocks: that an agreement is closed to traffic for an unpaid claim, and how that ends.

The standing follows by ``standing.apply``, which the caller (billing.claims, billing.collection) calls after.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from accounts.agreements import rules
from accounts.agreements.models import Block
from config.checks import Wrong
from config.problems import Conflict, Invalid


def block(session: Session, claims: Mapping[int, Sequence[int]], now: dt.datetime) -> list[Block]:
    """Record a block per agreement for its overdue claims; return the active block of each, by agreement.

    An agreement that has an active block keeps that one as it is.
    """
    if not claims:
        return []
    ids = sorted(claims)
    session.execute(
        text(
            "INSERT INTO blocks (agreement_id, at, claims) "
            "SELECT w.id, :now, w.claims "
            "FROM unnest(CAST(:ids AS bigint[]), CAST(:claims AS jsonb[])) AS w (id, claims) "
            "ORDER BY w.id ON CONFLICT (agreement_id) WHERE ended_at IS NULL DO NOTHING"
        ),
        {"ids": ids, "claims": [json.dumps(list(claims[one])) for one in ids], "now": now},
    )
    return list(
        session.scalars(
            select(Block).where(Block.agreement_id.in_(ids), Block.ended_at.is_(None)).order_by(Block.agreement_id)
        )
    )


def void(session: Session, agreement_ids: Sequence[int], now: dt.datetime) -> list[Block]:
    """Void the active blocks of agreements whose payment turns out to have been in time; return those voided."""
    rows = session.scalars(
        update(Block)
        .where(Block.agreement_id.in_(sorted(agreement_ids)), Block.ended_at.is_(None))
        .values(ended_at=now, ending="voided", ended_by="system")
        .returning(Block)
        .execution_options(synchronize_session="fetch")
    )
    return sorted(rows, key=lambda row: row.agreement_id)


def reopen(
    session: Session, agreement_id: int, contact: Mapping[str, str], actor: str, now: dt.datetime
) -> tuple[Block, bool]:
    """End the active block as reopened by support; return it and whether it had been reopened already.

    ``contact`` is how the customer made contact: channel and note. The caller has seen that nothing is due.
    Raises Invalid; Conflict when the agreement was never blocked, or its block was voided.
    """
    try:
        kept = rules.contact(contact.get("channel", ""), contact.get("note", ""))
    except Wrong as wrong:
        raise Invalid(
            "Say how the customer made contact.",
            errors=[{"field": f"contact.{wrong.code}", "code": wrong.code, "message": str(wrong)}],
        ) from None
    row = session.scalars(
        update(Block)
        .where(Block.agreement_id == agreement_id, Block.ended_at.is_(None))
        .values(ended_at=now, ending="reopened", ended_by=actor, contact=kept)
        .returning(Block)
        .execution_options(synchronize_session="fetch")
    ).one_or_none()
    if row is not None:
        return row, False
    last = session.scalar(select(Block).where(Block.agreement_id == agreement_id).order_by(Block.id.desc()).limit(1))
    if last is None or last.ending != "reopened":
        raise Conflict("The agreement is not blocked, so there is nothing to reopen.", slug="not-blocked")
    return last, True
