"""Take the bank's receipts: what became of our files, and of single claims and cancellations in them.

- A file refused (L200, L226): its claims are queued again, for a new file with a new number; after `TRIES` files they
  are failed, so that another channel presents them. What it was to take back is asked for again.
- A file accepted (L226): its claims are ``delivered`` (the bank has them), its cancellations ``ended``.
- Orders and transactions refused (L00202; it comes after): a claim is ``failed`` and says why; a cancellation is told
  of, and its claim stands again where nothing else presents the document.

The same receipt again changes nothing, and what has gone on meanwhile (paid, ended) is left as it is.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.delivery.avtalegiro.cancellations import MANDATE_ENDED
from billing.delivery.avtalegiro.channel import NAME
from billing.delivery.avtalegiro.files import file_of
from billing.delivery.avtalegiro.receipts import ReceiptRow, read_receipt
from billing.delivery.models import DeliveryFile
from config.jobs import ring

log = structlog.get_logger(__name__)

TRIES = 3
MAX_BYTES = 16 * 1024 * 1024

_CLAIMS_BACK = """
    UPDATE deliveries SET
           state = CASE WHEN state = 'ending' AND error IS DISTINCT FROM :mandate THEN 'ended'
                        WHEN state = 'ending' OR attempts >= :tries THEN 'failed' ELSE 'queued' END,
           ended_at = CASE WHEN state = 'ending' AND error IS DISTINCT FROM :mandate THEN CAST(:now AS timestamptz) END,
           error = CASE WHEN state = 'ending' THEN error ELSE 'file_refused' END,
           file_id = NULL, file_line = NULL, sent_at = NULL, next_at = :real, proof = proof - 'cancel'
    WHERE file_id = :file AND state IN ('sent', 'delivered', 'ending')
    RETURNING state
"""
_CLAIMS_ACCEPTED = """
    UPDATE deliveries SET state = CASE state WHEN 'sent' THEN 'delivered' ELSE state END, delivered_at = :now,
           proof = proof || jsonb_build_object('receipt', CAST(:receipt AS bigint))
    WHERE file_id = :file AND state IN ('sent', 'ending') AND delivered_at IS NULL
    RETURNING state
"""
_CANCELS_BACK = """
    UPDATE deliveries SET proof = proof - 'cancel'
    WHERE channel = 'avtalegiro' AND state = 'ending' AND CAST(proof -> 'cancel' ->> 'file' AS bigint) = :file
    RETURNING 'ending'
"""
_CANCELS_ACCEPTED = """
    UPDATE deliveries SET state = CASE error WHEN :mandate THEN 'failed' ELSE 'ended' END, ended_at = :now,
           proof = jsonb_set(proof, '{cancel,receipt}', to_jsonb(CAST(:receipt AS bigint)))
    WHERE channel = 'avtalegiro' AND state = 'ending' AND CAST(proof -> 'cancel' ->> 'file' AS bigint) = :file
    RETURNING state
"""
_CLAIM_REFUSED = """
    UPDATE deliveries SET state = CASE WHEN state = 'ending' AND error IS DISTINCT FROM :mandate THEN 'ended'
                                       ELSE 'failed' END,
           error = CASE WHEN state = 'ending' THEN error ELSE :why END, ended_at = :now,
           proof = proof || CAST(:told AS jsonb)
    WHERE file_id = :file AND (CAST(:line AS int) IS NULL OR file_line = :line)
      AND (CAST(:kid AS text) IS NULL OR ltrim(partner_ref, '0') = ltrim(:kid, '0'))
      AND state IN ('sent', 'delivered', 'ending')
    RETURNING state
"""
_CLAIM_WARNED = """
    UPDATE deliveries SET proof = proof || CAST(:told AS jsonb)
    WHERE file_id = :file AND (CAST(:line AS int) IS NULL OR file_line = :line)
      AND (CAST(:kid AS text) IS NULL OR ltrim(partner_ref, '0') = ltrim(:kid, '0'))
    RETURNING 'warned'
"""
# What has been presented by another channel since, or is paid, does not stand again; it is told in its proof.
_CANCEL_REFUSED = """
    UPDATE deliveries AS d SET
           state = CASE WHEN d.state = 'ending' OR (d.state = 'ended' AND NOT EXISTS (
                            SELECT FROM deliveries AS o WHERE o.document_id = d.document_id AND o.id <> d.id
                            AND o.presents AND o.state IN ('queued', 'sending', 'sent', 'unknown', 'delivered',
                                                           'ending')))
                        THEN 'delivered' ELSE d.state END,
           error = CASE d.state WHEN 'failed' THEN d.error ELSE 'cancel_refused' END,
           proof = d.proof || CAST(:told AS jsonb)
    WHERE d.channel = 'avtalegiro' AND d.proof ? 'cancel' AND CAST(d.proof -> 'cancel' ->> 'file' AS bigint) = :file
      AND (CAST(:line AS int) IS NULL OR CAST(d.proof -> 'cancel' ->> 'line' AS int) = :line)
      AND (CAST(:kid AS text) IS NULL OR ltrim(d.partner_ref, '0') = ltrim(:kid, '0'))
      AND d.state IN ('ending', 'ended', 'failed') AND NOT d.proof ? 'refused'  -- else there was nothing to take back
    RETURNING d.state
"""


@dataclass(frozen=True)
class ReceiptTaken:
    """What came of a receipt: ``counts`` of deliveries by what they became, ``notes`` by line of what says nothing of
    ours. ``state``: read; already (the same bytes had been taken)."""

    state: Literal["read", "already"]
    file_id: int
    counts: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def take_receipt(
    session: Session,
    content: bytes,
    now: dt.datetime,
    *,
    real: dt.datetime,
    name: str = "receipt",
    max_bytes: int = MAX_BYTES,
) -> ReceiptTaken:
    """Take a receipt in the caller's transaction; what failed rings ``deliveries``, what is queued ``avtalegiro``.

    ``now`` is business time, ``real`` real time. Raises ReceiptError for what is no receipt: nothing is changed.
    """
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('brikke avtalegiro files', 0))"))
    digest = hashlib.sha256(content).digest()
    known = session.scalar(
        text("SELECT id FROM delivery_files WHERE direction = 'in' AND sha256 = :digest"), {"digest": digest}
    )
    if known is not None:
        return ReceiptTaken("already", known)
    receipt = read_receipt(content, max_bytes=max_bytes)
    kept = DeliveryFile(
        channel=NAME, kind="receipt", direction="in", name=name, sha256=digest, content=content,
        transactions=len(receipt.rows), state="read", made_at=now,
    )  # fmt: skip
    session.add(kept)
    session.flush()
    notes = [f"line {fault.line}: {fault.text}" for fault in receipt.faults]
    taking = _Taking(session, kept.id, now, real, notes)
    for row in receipt.rows:
        taking.take(row)
    kept.answer = "\n".join(notes) or None
    session.flush()
    if taking.counts["failed"] or taking.counts["ended"] or taking.counts["stands"]:
        ring(session, "deliveries")
    if taking.counts["queued"] or taking.counts["ending"]:
        ring(session, "avtalegiro")
    return ReceiptTaken("read", kept.id, dict(taking.counts), notes)


class _Taking:
    """One receipt being taken, row by row."""

    def __init__(
        self, session: Session, receipt_id: int, now: dt.datetime, real: dt.datetime, notes: list[str]
    ) -> None:
        self.session, self.receipt_id, self.now, self.real = session, receipt_id, now, real
        self.notes = notes
        self.counts: Counter[str] = Counter()

    def take(self, row: ReceiptRow) -> None:
        """Do what a row says."""
        file = file_of(self.session, row.transmission, row.file)
        if file is None:
            named = row.transmission if row.transmission is not None else row.file
            self.notes.append(f"line {row.line}: no file of ours is {named}")
        elif row.kind is not None and row.kind != file.kind:
            self.notes.append(f"line {row.line}: {file.name} holds {file.kind}, not {row.kind}")
        elif row.meaning == "refused":
            self._transactions(file, row)
        elif row.status == "refused":
            self._file_refused(file, row)
        else:
            self._file_accepted(file, row)

    def _file_refused(self, file: DeliveryFile, row: ReceiptRow) -> None:
        if file.state == "refused":
            return
        file.state, file.answered_at, file.answer = "refused", self.now, row.text or row.why
        log.warning("avtalegiro.file_refused", file=file.name)
        if file.kind == "claims":
            self._count(_CLAIMS_BACK, file=file.id, tries=TRIES, now=self.now, real=self.real, mandate=MANDATE_ENDED)
        else:
            self._count(_CANCELS_BACK, file=file.id)

    def _file_accepted(self, file: DeliveryFile, row: ReceiptRow) -> None:
        if file.state in ("accepted", "refused"):
            if file.state == "refused":
                self.notes.append(f"line {row.line}: {file.name} was refused before and is accepted now; look into it")
            return
        file.state, file.answered_at, file.answer = "accepted", self.now, row.text or None
        if file.put_at is None:
            file.put_at = self.now
        if file.kind == "claims":
            self._count(_CLAIMS_ACCEPTED, file=file.id, now=self.now, receipt=self.receipt_id)
        else:
            self._count(_CANCELS_ACCEPTED, file=file.id, now=self.now, receipt=self.receipt_id, mandate=MANDATE_ENDED)

    def _transactions(self, file: DeliveryFile, row: ReceiptRow) -> None:
        told = json.dumps({"refused": {"why": row.why, "text": row.text, "receipt": self.receipt_id}})
        which: dict[str, Any] = {"file": file.id, "line": row.transaction, "kid": row.kid or None, "told": told}
        if row.status != "refused":
            which["told"] = told.replace('"refused"', '"warned"', 1)
            found = self._count(_CLAIM_WARNED, **which) if file.kind == "claims" else 1
        elif file.kind == "claims":
            found = self._count(_CLAIM_REFUSED, **which, why=row.why, now=self.now, mandate=MANDATE_ENDED)
        else:
            found = self._count(_CANCEL_REFUSED, **which)
            self.counts["stands"] += found
        if not found:
            self.notes.append(f"line {row.line}: no transaction {row.transaction} of {file.name} waits for an answer")

    def _count(self, query: str, **params: Any) -> int:
        states = self.session.scalars(text(query), params).all()
        self.counts.update(states)
        return len(states)
