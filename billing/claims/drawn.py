"""Who pays by AvtaleGiro, and how soon what they owe can be drawn: for due dates, which are set before it is sent."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.claims.deadlines import Notice, deadlines, earliest_due, notice_for
from billing.claims.structures import OURS
from config.clock import business_date

# The mandate that a claim is made on: of our own structure first, then the newest.
_MANDATES = """
    SELECT DISTINCT ON (m.agreement_id) m.agreement_id, m.notice, k.efaktura_beside
    FROM mandates AS m JOIN agreements AS a ON a.id = m.agreement_id JOIN customers AS k ON k.id = a.customer_id
    WHERE m.ended_at IS NULL AND m.agreement_id = ANY(:agreements)
    ORDER BY m.agreement_id, m.structure = :ours DESC, m.id DESC
"""


def earliest_dues(
    session: Session, agreement_ids: Collection[int], made_at: dt.datetime, *, policy: Notice
) -> dict[int, dt.date]:
    """Return, for those of the agreements whose mandate stands, the first bank day (Oslo) that a document issued at an
    instant may be due on. ``policy`` is the setting AVTALEGIRO_NOTICE."""
    figures = deadlines(business_date(made_at))
    rows = session.execute(text(_MANDATES), {"agreements": list(agreement_ids), "ours": OURS})
    return {
        row.agreement_id: earliest_due(
            made_at, notice_for(row.notice, beside=row.efaktura_beside, policy=policy), figures
        )
        for row in rows
    }
