"""Write the documents of claims: lines, VAT, number, KID, buyer and seller as they are now. Set-based.

`issue.py` (something is to be paid), `receipt.py` (a card has paid it), `below_zero.py` (we owe) and `reissue.py` (all
of it once more) say what is written; this is how. What comes to something is an invoice, the rest credit notes. The
number is taken in the last statements, so that others wait for the series as short a time as can be.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.claims.deadlines import deadlines, earliest_due, notice_for
from billing.claims.kid import make_kid
from billing.invoices import numbers
from billing.invoices.rules import TEMPLATE, Gross, Line, due_date, split
from config.clock import business_date
from config.database import raw
from config.jobs import ring
from config.rates import figure

RECEIPTS = ("receipt", "receipt_reissued")
"""What customers may choose not to get by e-mail: nothing is to be done about it."""


class DocumentDiffers(Exception):
    """The passages that carry a claim do not add up to it. It must not be presented before that is found."""


@dataclass(frozen=True, slots=True)
class Presented:
    """What all documents of one call have in common. ``paid_by`` is set on receipts, ``due_on`` on what is to be paid:
    by the ordinary term, where no other was agreed with the customer and no AvtaleGiro mandate asks for a later one.

    ``reason`` and ``actor``: why and by whom they were asked for, where somebody did. ``cards``: what paid each of
    several claims, by claim id, instead of ``paid_by``.
    """

    seller: Mapping[str, Any]
    issued_on: dt.date
    due_on: dt.date | None
    paid_by: Mapping[str, Any] | None
    run_id: int | None
    now: dt.datetime
    reason: str | None = None
    actor: str | None = None
    cards: Mapping[int, Mapping[str, Any]] | None = None

    def card_of(self, claim_id: int) -> Mapping[str, Any] | None:
        """Return what paid a claim, None where it is to be paid."""
        return self.paid_by if self.cards is None else self.cards[claim_id]


@dataclass(frozen=True, slots=True)
class Sums:
    """A document to be: its claim (a row of ``_CLAIMS``), lines, and the time its passages span (None without)."""

    claim: Any
    total_ore: int
    lines: list[Line]
    period: tuple[dt.date, dt.date] | None
    booked: tuple[dt.datetime, dt.datetime] | None

    @property
    def owed(self) -> bool:
        """Whether it is an invoice; what comes to nothing or less is a credit note."""
        return self.total_ore > 0


_CLAIMS = """
    SELECT c.id, c.agreement_id, c.kind, c.version, c.passages_ore, c.passages_count, c.fee_ore, c.settled_ore,
           c.cutoff_at, a.number, a.standing = 'closed' OR coalesce(a.closed_at <= :now, false) AS closed,
           a.receipts_by_mail, k.language, k.payment_term_days, n.notice, k.efaktura_beside,
           jsonb_build_object('number', k.number, 'kind', k.kind, 'name', k.name, 'org_no', k.org_no,
               'street', k.street, 'postal_code', k.postal_code, 'city', k.city, 'country', k.country)::text AS buyer
    FROM claims AS c JOIN agreements AS a ON a.id = c.agreement_id JOIN customers AS k ON k.id = a.customer_id
    LEFT JOIN LATERAL (
        SELECT notice FROM mandates WHERE agreement_id = a.id AND ended_at IS NULL ORDER BY id DESC LIMIT 1
    ) AS n ON true
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

_DUE = """
    UPDATE claims AS c SET due_on = t.due_on
    FROM unnest(CAST(:ids AS bigint[]), CAST(:dues AS date[])) AS t (id, due_on)
    WHERE c.id = t.id AND c.due_on IS DISTINCT FROM t.due_on
"""

_MESSAGES = "COPY messages (agreement_id, template, subject, document_id, made_at) FROM STDIN"

_DOCUMENT_LINES = """
    COPY document_lines (document_id, line, kind, country, plate, vat_bp, count, gross_ore, net_ore, vat_ore) FROM STDIN
"""

_DOCUMENTS = """
    COPY documents (id, number, kind, claim_id, version, agreement_id, run_id, language, issued_on, due_on,
                    period_from, period_to, booked_from, booked_to, kid, total_ore, credit_used_ore, paid_ore, fee_ore,
                    paid_by, seller, buyer, template, made_at, reason, actor, settlement) FROM STDIN
"""


def existing(session: Session, claim_ids: Sequence[int]) -> dict[int, int]:
    """Return the documents that present claims as they are now: claim id → document id."""
    rows = session.execute(
        text(
            "SELECT d.claim_id, d.id FROM documents AS d JOIN claims AS c ON c.id = d.claim_id "
            "WHERE d.claim_id = ANY(:ids) AND d.version = c.version AND d.credits_id IS NULL"
        ),
        {"ids": list(claim_ids)},
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
    documents = _sums(session, claim_ids, since, presented.now)
    claims = [document.claim.id for document in documents]
    ids = list(
        session.scalars(
            text("SELECT nextval(pg_get_serial_sequence('documents', 'id')) FROM generate_series(1, :count)"),
            {"count": len(documents)},
        )
    )
    if presented.due_on is not None:
        dues = {document.claim.id: _due(document.claim, presented) for document in documents if document.owed}
        session.execute(text(_DUE), {"ids": list(dues), "dues": list(dues.values())})
    _copy(session, _DOCUMENT_LINES, _line_rows(ids, documents))
    _copy(session, _MESSAGES, _message_rows(ids, documents, presented))
    ring(session, "deliveries")
    credit = _credit_used(session, claims)
    # Last, since it locks the series.
    first = numbers.take(session, "invoice", len(documents))
    _copy(session, _DOCUMENTS, _document_rows(ids, documents, presented, credit, first))
    return dict(zip(claims, ids, strict=True))


def _sums(session: Session, claim_ids: Sequence[int], since: dt.datetime | None, now: dt.datetime) -> list[Sums]:
    """Lock the claims and add up their passages, by claim id."""
    claims = session.execute(text(_CLAIMS), {"ids": list(claim_ids), "now": now}).all()
    if len(claims) != len(set(claim_ids)):
        raise LookupError(f"{len(set(claim_ids)) - len(claims)} of the claims do not exist")
    rows = session.execute(
        text(_LINES),
        {
            "claims": [claim.id for claim in claims],
            "agreements": sorted({claim.agreement_id for claim in claims}),
            "since": since or dt.datetime(1990, 1, 1, tzinfo=dt.UTC),
            # What joined a claim later came after its cut-off: also while we waited for the lock, so after ``now``.
            "until": max(claim.cutoff_at if claim.version == 1 else now + dt.timedelta(days=1) for claim in claims),
        },
    ).all()
    found: dict[int, list[Any]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(row)
    return [_sum(claim, found.get(claim.id, ())) for claim in claims]


def _sum(claim: Any, rows: Iterable[Any]) -> Sums:
    """Add a claim's lines up (rows of ``_LINES``) and split their VAT. Plain loops: a run does this for everybody."""
    count = ore = 0
    parts = []
    booked: list[dt.datetime] = []
    passed: list[dt.datetime] = []
    for _, service, country, plate, vat_bp, passages, gross, *times in rows:
        count += passages
        ore += gross
        parts.append(Gross(service, country, plate, vat_bp, passages, gross))
        booked += times[:2]
        passed += times[2:]
    if (count, ore) != (claim.passages_count, claim.passages_ore):
        raise DocumentDiffers(
            f"claim {claim.id} is {claim.passages_ore} øre in {claim.passages_count} passages, "
            f"but the passages that carry it are {ore} øre in {count}; run `brikke audit`"
        )
    if claim.fee_ore:
        parts.append(Gross("card_fee", None, None, 0, 1, claim.fee_ore))
    return Sums(
        claim,
        ore + claim.fee_ore,
        split(parts),
        (business_date(min(passed)), business_date(max(passed))) if passed else None,
        (min(booked), max(booked)) if booked else None,
    )


def _copy(session: Session, command: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """COPY rows in, in the session's transaction: several times as fast as INSERT with lists."""
    with raw(session).cursor() as cursor, cursor.copy(command) as copy:
        for row in rows:
            copy.write_row(row)


def _line_rows(ids: Sequence[int], documents: Sequence[Sums]) -> Iterator[tuple[Any, ...]]:
    for document_id, document in zip(ids, documents, strict=True):
        for number, line in enumerate(document.lines, 1):
            yield document_id, number, *line


def _message_rows(ids: Sequence[int], documents: Sequence[Sums], presented: Presented) -> Iterator[tuple[Any, ...]]:
    """What customers are told. Who does not want receipts by e-mail finds them on My Page."""
    for document_id, document in zip(ids, documents, strict=True):
        template = _template(document, presented)
        if template in RECEIPTS and not document.claim.receipts_by_mail:
            continue
        yield document.claim.agreement_id, template, f"document:{document_id}", document_id, presented.now


def _template(document: Sums, presented: Presented) -> str:
    """Return the words that a document is sent with."""
    if not document.owed:
        closed = "credit_closed" if document.claim.closed else "credit"
        return closed if document.total_ore else "credit_even"
    if presented.card_of(document.claim.id) is not None:
        return "receipt" if document.claim.version == 1 else "receipt_reissued"
    if document.claim.version > 1:
        return "reissued"
    return "card_failed" if document.claim.kind == "card" else "invoice"


def _credit_used(session: Session, claim_ids: Sequence[int]) -> dict[int, int]:
    rows = session.execute(
        text(
            "SELECT claim_id, sum(amount_ore)::bigint AS ore FROM allocations "
            "WHERE claim_id = ANY(:ids) AND source = 'credit' GROUP BY claim_id"
        ),
        {"ids": list(claim_ids)},
    )
    return {row.claim_id: row.ore for row in rows}


def _document_rows(
    ids: Sequence[int], documents: Sequence[Sums], presented: Presented, credit: Mapping[int, int], first: int
) -> Iterator[tuple[Any, ...]]:
    """The documents as rows of ``_DOCUMENTS``, numbered from ``first``. A receipt has no KID: it is paid."""
    seller = json.dumps(dict(presented.seller))
    for number, (document_id, document) in enumerate(zip(ids, documents, strict=True), first):
        claim, owed = document.claim, document.owed
        card = presented.card_of(claim.id)
        paid_by = None if card is None else json.dumps(dict(card))
        settled = claim.settled_ore if claim.version > 1 and paid_by is None else 0
        used = credit.get(claim.id, 0) if claim.version == 1 else min(credit.get(claim.id, 0), claim.settled_ore)
        yield (
            document_id,
            number,
            "invoice" if owed else "credit_note",
            claim.id,
            claim.version,
            claim.agreement_id,
            presented.run_id,
            claim.language,
            presented.issued_on,
            _due(claim, presented) if owed else None,
            *(document.period or (presented.issued_on, presented.issued_on)),
            *(document.booked or (None, None)),
            make_kid(claim.number, number) if owed and paid_by is None else None,
            document.total_ore,
            used,
            max(settled - used, 0),
            claim.fee_ore,
            paid_by if owed else None,
            seller,
            claim.buyer,
            TEMPLATE,
            presented.now,
            presented.reason,
            presented.actor,
            "avtalegiro" if owed and paid_by is None and claim.notice is not None else "transfer",
        )


def _due(claim: Any, presented: Presented) -> dt.date | None:
    """Return when a claim is to be paid: by the term agreed with the customer, and not before their bank can."""
    if presented.due_on is None:
        return None
    due_on = presented.due_on
    if claim.payment_term_days is not None:
        agreed = due_date(presented.issued_on, claim.payment_term_days)
        due_on = agreed if claim.version == 1 else max(agreed, due_on)
    if claim.notice is not None:
        told_by = notice_for(
            claim.notice, beside=claim.efaktura_beside, policy=figure("avtalegiro_notice", presented.issued_on)
        )
        due_on = max(due_on, earliest_due(presented.now, told_by, deadlines(presented.issued_on)))
    return due_on
