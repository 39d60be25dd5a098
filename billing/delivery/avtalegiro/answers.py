"""Take the bank's receipts: what became of our files, and of single claims and cancellations in them.

- A file refused (L200, L226): its claims are queued again, for a new file with a new number; after `TRIES` files they
  are failed, so that another channel presents them. What it was to take back is asked for again.
- A file accepted (L226): its claims are ``delivered`` (the bank has them), its cancellations ``ended``; or what comes
  then, by why it was taken back.
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

from billing.delivery.avtalegiro.cancellations import AFTER, AMENDED
from billing.delivery.avtalegiro.channel import NAME
from billing.delivery.avtalegiro.files import file_of, take_turn
from billing.delivery.avtalegiro.receipts import ReceiptRow, read_receipt
from billing.delivery.models import DeliveryFile
from config.jobs import ring

log = structlog.get_logger(__name__)

TRIES = 3
MAX_BYTES = 16 * 1024 * 1024

_CLAIMS_BACK = f"""
    UPDATE deliveries SET
           state = CASE WHEN state = 'ending' THEN {AFTER} WHEN attempts >= :tries THEN 'failed' ELSE 'queued' END,
           ended_at = CASE WHEN state = 'ending' THEN CAST(:now AS timestamptz) END,
           error = CASE WHEN state = 'ending' THEN error ELSE 'file_refused' END,
           file_id = NULL, file_line = NULL, sent_at = NULL, next_at = :real, proof = proof - 'cancel'
    WHERE file_id = :file AND state IN ('sent', 'delivered', 'ending')
    RETURNING state
"""  # noqa: S608 - words of ours
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
# What is claimed anew begins anew, but for how often it was tried and what was told of it.
_CANCELS_ACCEPTED = f"""
    UPDATE deliveries SET state = {AFTER}, ended_at = :now,
           delivered_at = CASE error WHEN :amended THEN NULL ELSE delivered_at END,
           next_at = CASE error WHEN :amended THEN CAST(:real AS timestamptz) ELSE next_at END,
           attempts = CASE error WHEN :amended THEN 0 ELSE attempts END,
           proof = CASE error WHEN :amended THEN proof - 'receipt' || jsonb_build_object(
                       'amended', coalesce(proof -> 'amended', '[]') || jsonb_build_array(proof -> 'claim'))
                   ELSE jsonb_set(proof, '{{cancel,receipt}}', to_jsonb(CAST(:receipt AS bigint))) END
    WHERE channel = 'avtalegiro' AND state = 'ending' AND CAST(proof -> 'cancel' ->> 'file' AS bigint) = :file
    RETURNING state
"""  # noqa: S608 - words of ours
_CLAIM_REFUSED = f"""
    UPDATE deliveries SET
           state = CASE WHEN state = 'ending' AND error IS DISTINCT FROM :amended THEN {AFTER} ELSE 'failed' END,
           error = CASE WHEN state = 'ending' AND error IS DISTINCT FROM :amended THEN error ELSE :why END,
           ended_at = :now, proof = proof || CAST(:told AS jsonb)
    WHERE file_id = :file AND (CAST(:line AS int) IS NULL OR file_line = :line)
      AND (CAST(:kid AS text) IS NULL OR ltrim(partner_ref, '0') = ltrim(:kid, '0'))
      AND state IN ('sent', 'delivered', 'ending')
    RETURNING state
"""  # noqa: S608 - words of ours
_CLAIM_WARNED = """
    UPDATE deliveries SET proof = proof || CAST(:told AS jsonb)
    WHERE file_id = :file AND (CAST(:line AS int) IS NULL OR file_line = :line)
      AND (CAST(:kid AS text) IS NULL OR ltrim(partner_ref, '0') = ltrim(:kid, '0'))
    RETURNING 'warned'
"""
# What has been presented by another channel since, or is paid, does not stand again; it is told in its proof.
_CANCEL_REFUSED = """
    UPDATE deliveries AS d SET
           state = CASE WHEN d.state IN ('ending', 'queued') OR (d.state = 'ended' AND NOT EXISTS (
                            SELECT FROM deliveries AS o WHERE o.document_id = d.document_id AND o.id <> d.id
                            AND o.presents AND o.state IN ('queued', 'sending', 'sent', 'unknown', 'delivered',
                                                           'ending')))
                        THEN 'delivered' ELSE d.state END,
           error = CASE d.state WHEN 'failed' THEN d.error ELSE 'cancel_refused' END,
           proof = d.proof - 'cancel' || CAST(:told AS jsonb) || '{"stands": true}'
    WHERE d.channel = 'avtalegiro' AND d.proof ? 'cancel' AND CAST(d.proof -> 'cancel' ->> 'file' AS bigint) = :file
      AND (CAST(:line AS int) IS NULL OR CAST(d.proof -> 'cancel' ->> 'line' AS int) = :line)
      AND (CAST(:kid AS text) IS NULL OR ltrim(d.partner_ref, '0') = ltrim(:kid, '0'))
      AND (d.state IN ('ending', 'ended', 'failed') OR (d.state = 'queued' AND d.error = 'amended'))
      AND NOT d.proof ? 'refused'  -- else there was nothing to take back
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
    take_turn(session)
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
            self._count(_CLAIMS_BACK, file=file.id, tries=TRIES, now=self.now, real=self.real)
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
            self._count(
                _CANCELS_ACCEPTED, file=file.id, now=self.now, real=self.real, receipt=self.receipt_id, amended=AMENDED
            )

    def _transactions(self, file: DeliveryFile, row: ReceiptRow) -> None:
        told = {"why": row.why, "text": row.text, "receipt": self.receipt_id}
        which: dict[str, Any] = {"file": file.id, "line": row.transaction, "kid": row.kid or None}
        if row.status != "refused":
            found = self._count(_CLAIM_WARNED, **which, told=json.dumps({"warned": told}))
        elif file.kind == "claims":
            refused = json.dumps({"refused": told})
            found = self._count(_CLAIM_REFUSED, **which, told=refused, why=row.why, now=self.now, amended=AMENDED)
        else:
            found = self._count(_CANCEL_REFUSED, **which, told=json.dumps({"cancel_refused": told}))
            self.counts["stands"] += found
        if not found and (row.status == "refused" or file.kind == "claims"):
            self.notes.append(f"line {row.line}: no transaction {row.transaction} of {file.name} waits for an answer")

    def _count(self, query: str, **params: Any) -> int:
        states = self.session.scalars(text(query), params).all()
        self.counts.update(states)
        return len(states)
