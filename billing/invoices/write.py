"""Write the documents of claims: lines, VAT, number, KID, buyer and seller as they are now. Set-based.

`issue.py` (something is to be paid) and `receipt.py` (a card has paid it) say what is written; this is how. The
number is taken in the last statements, so that others wait for the series as short a time as can be.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.claims.kid import make_kid
from billing.invoices import numbers
from billing.invoices.rules import TEMPLATE, Gross, Line, split
from config.clock import business_date
from config.jobs import ring


class DocumentDiffers(Exception):
    """The passages that carry a claim do not add up to it. It must not be presented before that is found."""


@dataclass(frozen=True, slots=True)
class Presented:
    """What all documents of one call have in common. ``paid_by`` is set on receipts, ``due_on`` on the others."""

    seller: Mapping[str, Any]
    issued_on: dt.date
    due_on: dt.date | None
    paid_by: Mapping[str, Any] | None
    run_id: int | None
    now: dt.datetime


@dataclass(frozen=True, slots=True)
class Sums:
    """A document to be: its claim, lines, and the time its passages span (None without passages)."""

    claim_id: int
    agreement_number: int
    total_ore: int
    fee_ore: int
    lines: list[Line]
    period: tuple[dt.date, dt.date] | None
    booked: tuple[dt.datetime, dt.datetime] | None


_CLAIMS = """
    SELECT c.id, c.agreement_id, c.passages_ore, c.passages_count, c.fee_ore, c.cutoff_at, a.number
    FROM claims AS c JOIN agreements AS a ON a.id = c.agreement_id
    WHERE c.id = ANY(:ids) ORDER BY c.id FOR NO KEY UPDATE OF c
"""

# By agreement, since that is what the index has; by arrival, since that is what the partitions are cut by.
_LINES = """
    SELECT claim_id, service, country, plate, vat_bp, count(*) AS count, sum(amount_ore)::bigint AS ore,
           min(booked_at) AS booked_from, max(booked_at) AS booked_to,
           min(passed_at) AS passed_from, max(passed_at) AS passed_to
    FROM passages
    WHERE agreement_id = ANY(:agreements) AND claim_id = ANY(:claims)
      AND booked_at >= :since AND booked_at <= :until
    GROUP BY claim_id, service, country, plate, vat_bp
    ORDER BY claim_id, plate NULLS LAST, country, service DESC, vat_bp
"""

_DUE = "UPDATE claims SET due_on = :due WHERE id = ANY(:ids)"

_MESSAGES = """
    INSERT INTO messages (agreement_id, template, subject, document_id, made_at)
    SELECT c.agreement_id, CASE WHEN :receipt THEN 'receipt' WHEN c.kind = 'card' THEN 'card_failed' ELSE 'invoice' END,
           'document:' || d.id, d.id, :now
    FROM unnest(CAST(:ids AS bigint[]), CAST(:claims AS bigint[])) AS d (id, claim_id)
    JOIN claims AS c ON c.id = d.claim_id
    ORDER BY d.id
    ON CONFLICT (subject, template) DO NOTHING
"""

_DOCUMENTS = """
    INSERT INTO documents (id, number, claim_id, agreement_id, run_id, language, issued_on, due_on, period_from,
                           period_to, booked_from, booked_to, kid, total_ore, credit_used_ore, fee_ore, paid_by,
                           seller, buyer, template, made_at)
    SELECT d.id, d.number, d.claim_id, a.id, :run_id, k.language, :issued_on, :due_on, d.period_from,
           d.period_to, d.booked_from, d.booked_to, d.kid, d.total_ore, d.credit_ore, d.fee_ore,
           CAST(:paid_by AS jsonb), CAST(:seller AS jsonb),
           jsonb_build_object('number', k.number, 'kind', k.kind, 'name', k.name, 'org_no', k.org_no,
               'street', k.street, 'postal_code', k.postal_code, 'city', k.city, 'country', k.country),
           :template, :now
    FROM unnest(CAST(:ids AS bigint[]), CAST(:numbers AS bigint[]), CAST(:claims AS bigint[]), CAST(:kids AS text[]),
                CAST(:totals AS bigint[]), CAST(:credits AS bigint[]), CAST(:fees AS bigint[]),
                CAST(:from AS date[]), CAST(:to AS date[]),
                CAST(:booked_from AS timestamptz[]), CAST(:booked_to AS timestamptz[]))
        AS d (id, number, claim_id, kid, total_ore, credit_ore, fee_ore, period_from, period_to, booked_from, booked_to)
    JOIN claims AS c ON c.id = d.claim_id
    JOIN agreements AS a ON a.id = c.agreement_id
    JOIN customers AS k ON k.id = a.customer_id
    ORDER BY d.id
"""


def existing(session: Session, claim_ids: Sequence[int]) -> dict[int, int]:
    """Return the documents (first version) that claims have already: claim id → document id."""
    rows = session.execute(
        text("SELECT claim_id, id FROM documents WHERE claim_id = ANY(:ids) AND version = 1"), {"ids": list(claim_ids)}
    )
    return {row.claim_id: row.id for row in rows}


def write(
    session: Session, claim_ids: Sequence[int], presented: Presented, *, since: dt.datetime | None = None
) -> dict[int, int]:
    """Write the documents of claims that have none, and the messages that send them; return claim id → document id.

    The balances of their agreements must be locked. ``since``: no passage of theirs arrived before it; it spares
    reading older months. Raises DocumentDiffers when passages and claim disagree, LookupError for no such claim.
    """
    if not claim_ids:
        return {}
    documents = _sums(session, claim_ids, since)
    claims = [document.claim_id for document in documents]
    ids = list(
        session.scalars(
            text("SELECT nextval(pg_get_serial_sequence('documents', 'id')) FROM generate_series(1, :count)"),
            {"count": len(documents)},
        )
    )
    _copy_lines(session, ids, documents)
    if presented.due_on is not None:
        session.execute(text(_DUE), {"due": presented.due_on, "ids": claims})
    receipt = presented.paid_by is not None
    session.execute(text(_MESSAGES), {"receipt": receipt, "ids": ids, "claims": claims, "now": presented.now})
    ring(session, "deliveries")
    _insert(session, ids, documents, presented)
    return dict(zip(claims, ids, strict=True))


def _sums(session: Session, claim_ids: Sequence[int], since: dt.datetime | None) -> list[Sums]:
    """Lock the claims and add up their passages, by claim id."""
    claims = session.execute(text(_CLAIMS), {"ids": list(claim_ids)}).all()
    if len(claims) != len(set(claim_ids)):
        raise LookupError(f"{len(set(claim_ids)) - len(claims)} of the claims do not exist")
    rows = session.execute(
        text(_LINES),
        {
            "claims": [claim.id for claim in claims],
            "agreements": sorted({claim.agreement_id for claim in claims}),
            "since": since or dt.datetime(1990, 1, 1, tzinfo=dt.UTC),
            "until": max(claim.cutoff_at for claim in claims),
        },
    )
    found = {claim_id: list(group) for claim_id, group in groupby(rows, key=lambda row: row.claim_id)}
    return [_sum(claim, found.get(claim.id, [])) for claim in claims]


def _sum(claim: Any, rows: Sequence[Any]) -> Sums:
    count, ore = sum(row.count for row in rows), sum(row.ore for row in rows)
    if (count, ore) != (claim.passages_count, claim.passages_ore):
        raise DocumentDiffers(
            f"claim {claim.id} is {claim.passages_ore} øre in {claim.passages_count} passages, "
            f"but the passages that carry it are {ore} øre in {count}; run `brikke audit`"
        )
    parts = [Gross(row.service, row.country, row.plate, row.vat_bp, row.count, row.ore) for row in rows]
    if claim.fee_ore:
        parts.append(Gross("card_fee", None, None, 0, 1, claim.fee_ore))
    period = booked = None
    if rows:
        period = (
            business_date(min(row.passed_from for row in rows)),
            business_date(max(row.passed_to for row in rows)),
        )
        booked = (min(row.booked_from for row in rows), max(row.booked_to for row in rows))
    return Sums(claim.id, claim.number, ore + claim.fee_ore, claim.fee_ore, split(parts), period, booked)


def _copy_lines(session: Session, ids: Sequence[int], documents: Sequence[Sums]) -> None:
    connection: Any = session.connection().connection.driver_connection
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY document_lines (document_id, line, kind, country, plate, vat_bp, count, gross_ore, net_ore, vat_ore) "
            "FROM STDIN"
        ) as copy,
    ):
        for document_id, document in zip(ids, documents, strict=True):
            for number, line in enumerate(document.lines, 1):
                copy.write_row(
                    (
                        document_id,
                        number,
                        line.kind,
                        line.country,
                        line.plate,
                        line.vat_bp,
                        line.count,
                        line.gross_ore,
                        line.net_ore,
                        line.vat_ore,
                    )
                )


def _credit_used(session: Session, claim_ids: Sequence[int]) -> dict[int, int]:
    rows = session.execute(
        text(
            "SELECT claim_id, sum(amount_ore)::bigint AS ore FROM allocations "
            "WHERE claim_id = ANY(:ids) AND source = 'credit' GROUP BY claim_id"
        ),
        {"ids": list(claim_ids)},
    )
    return {row.claim_id: row.ore for row in rows}


def _insert(session: Session, ids: Sequence[int], documents: Sequence[Sums], presented: Presented) -> None:
    """Take the numbers and write the documents: the last step, since it locks the series."""
    credit = _credit_used(session, [document.claim_id for document in documents])
    issued = (presented.issued_on, presented.issued_on)
    values: dict[str, Any] = {
        "ids": list(ids),
        "claims": [document.claim_id for document in documents],
        "totals": [document.total_ore for document in documents],
        "credits": [credit.get(document.claim_id, 0) for document in documents],
        "fees": [document.fee_ore for document in documents],
        "from": [(document.period or issued)[0] for document in documents],
        "to": [(document.period or issued)[1] for document in documents],
        "booked_from": [document.booked and document.booked[0] for document in documents],
        "booked_to": [document.booked and document.booked[1] for document in documents],
        "run_id": presented.run_id,
        "issued_on": presented.issued_on,
        "due_on": presented.due_on,
        "paid_by": None if presented.paid_by is None else json.dumps(dict(presented.paid_by)),
        "seller": json.dumps(dict(presented.seller)),
        "template": TEMPLATE,
        "now": presented.now,
    }
    first = numbers.take(session, "invoice", len(documents))
    values["numbers"] = list(range(first, first + len(documents)))
    values["kids"] = [
        None if presented.paid_by is not None else make_kid(document.agreement_number, first + at)
        for at, document in enumerate(documents)
    ]
    session.execute(text(_DOCUMENTS), values)
