"""Take a file of mandates: new and changed ones stand, deleted ones end, and what a full list lacks has ended.

The same file again changes nothing (by its hash). A mandate is found by its KID structure and customer part: which
invoice's KID it was set up on does not matter. Where no agreement is found, it is listed; nothing else waits for it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from accounts.customers.tell import NewMessage, tell
from billing.claims.structures import KidStructure, structure_of
from billing.delivery.avtalegiro.files import take_turn
from billing.delivery.avtalegiro.mandate_file import MandateFile, MandateRecord, read_mandates
from config.clock import business_date
from config.jobs import ring

MAX_BYTES = 256 * 1024 * 1024
_SHORTEST_LINE = 80

_TEMPORARY = """
    CREATE TEMPORARY TABLE incoming_mandates ON COMMIT DROP AS
    SELECT t.line, t.standing, t.kid, t.structure, t.part, t.notice,
           CASE t.names WHEN 'agreement' THEN a.id ELSE (
               SELECT CASE WHEN count(*) = 1 THEN min(b.id) END FROM customers AS k
               JOIN agreements AS b ON b.customer_id = k.id AND b.standing <> 'closed' WHERE k.number = t.owner
           ) END AS agreement_id
    FROM unnest(CAST(:lines AS int[]), CAST(:standing AS boolean[]), CAST(:kids AS text[]),
                CAST(:structures AS text[]), CAST(:parts AS text[]), CAST(:owners AS bigint[]), CAST(:names AS text[]),
                CAST(:notices AS boolean[])) AS t (line, standing, kid, structure, part, owner, names, notice)
    LEFT JOIN agreements AS a ON t.names = 'agreement' AND a.number = t.owner
"""
_CHANGED = """
    UPDATE mandates AS m SET kid = i.kid, notice = i.notice, changed_at = :now
    FROM incoming_mandates AS i
    WHERE m.ended_at IS NULL AND i.standing AND m.structure = i.structure AND m.customer_part = i.part
      AND (m.kid, m.notice) IS DISTINCT FROM (i.kid, i.notice)
    RETURNING m.id
"""
_BEGUN = """
    INSERT INTO mandates (agreement_id, kid, customer_part, structure, notice, since, changed_at)
    SELECT i.agreement_id, i.kid, i.part, i.structure, i.notice, :now, :now
    FROM incoming_mandates AS i
    WHERE i.standing AND i.agreement_id IS NOT NULL
      AND NOT EXISTS (SELECT FROM mandates AS m WHERE m.ended_at IS NULL AND m.structure = i.structure
                          AND m.customer_part = i.part)
    ORDER BY i.line
    RETURNING id, agreement_id
"""
_ENDED = """
    UPDATE mandates AS m SET ended_at = :now, changed_at = :now, ending = 'deleted' FROM incoming_mandates AS i
    WHERE m.ended_at IS NULL AND NOT i.standing AND m.structure = i.structure AND m.customer_part = i.part
    RETURNING m.id, m.agreement_id
"""
_MISSING = """
    UPDATE mandates AS m SET ended_at = :now, changed_at = :now, ending = 'missing'
    WHERE m.ended_at IS NULL AND NOT EXISTS (
        SELECT FROM incoming_mandates AS i WHERE i.standing AND i.structure = m.structure AND i.part = m.customer_part)
    RETURNING m.id, m.agreement_id
"""
# Who had chosen to see invoices in the online bank goes on seeing them there, beside.
_CHOSEN = """
    UPDATE customers AS k SET channel = 'avtalegiro', version = k.version + 1,
           efaktura_beside = k.efaktura_beside OR k.channel IN ('efaktura', 'vipps')
    WHERE k.channel <> 'avtalegiro'
      AND k.id IN (SELECT customer_id FROM agreements WHERE id = ANY(:agreements))
"""
_NO_LONGER = """
    UPDATE customers AS k SET channel = 'best_digital', version = k.version + 1
    WHERE k.channel = 'avtalegiro' AND k.id IN (SELECT customer_id FROM agreements WHERE id = ANY(:agreements))
      AND NOT EXISTS (SELECT FROM agreements AS a JOIN mandates AS m ON m.agreement_id = a.id AND m.ended_at IS NULL
                      WHERE a.customer_id = k.id)
"""
_WITHOUT = """
    SELECT id FROM unnest(CAST(:agreements AS bigint[])) AS t (id)
    WHERE NOT EXISTS (SELECT FROM mandates AS m WHERE m.agreement_id = t.id AND m.ended_at IS NULL)
"""
# What the bank has been asked to pay on a mandate that has ended is taken back; what never left is failed when its
# turn comes, for it is looked up again then.
_TAKE_BACK = """
    UPDATE deliveries SET state = 'ending', error = 'mandate_ended'
    WHERE channel = 'avtalegiro' AND state IN ('sent', 'delivered') AND presents
      AND agreement_id = ANY(:agreements)
      AND document_id IN (SELECT d.id FROM documents AS d JOIN claims AS c ON c.id = d.claim_id
                          WHERE d.agreement_id = ANY(:agreements) AND c.due_on > :today
                            AND c.settled_ore < c.amount_ore)
    RETURNING id
"""


@dataclass(frozen=True)
class Unknown:
    """A mandate on a KID that is of no structure of ours, or names nobody: its line, KID and what was told of it."""

    line: int
    kid: str
    told: str


@dataclass(frozen=True)
class MandatesTaken:
    """What came of a file. ``state``: read; already (the same bytes had been taken, and nothing was done now).

    Counts are of mandates: ``begun``, ``changed``, ``deleted``, ``missing`` (from a full list). ``unknown`` are listed
    for support; ``notes`` say by line what could not be read or taken.
    """

    state: Literal["read", "already"]
    file_id: int
    begun: int = 0
    changed: int = 0
    deleted: int = 0
    missing: int = 0
    taken_back: int = 0
    unknown: list[Unknown] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def take_mandates(
    session: Session,
    content: bytes,
    now: dt.datetime,
    *,
    name: str = "mandates",
    accounts: Collection[str] | None = None,
    structures: Sequence[KidStructure] | None = None,
    max_bytes: int = MAX_BYTES,
) -> MandatesTaken:
    """Take the mandates in a bank file, in the caller's transaction. Two at once wait for each other.

    ``accounts`` are ours (None: any); mandates to others' are noted and left. Raises OcrFileError when the file as a
    whole cannot be read: then nothing is changed or kept.
    """
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('brikke mandates', 0))"))
    digest = hashlib.sha256(content).digest()
    known = session.scalar(
        text("SELECT id FROM delivery_files WHERE direction = 'in' AND sha256 = :digest"), {"digest": digest}
    )
    if known is not None:
        return MandatesTaken("already", known)
    file = read_mandates(content, max_bytes=max_bytes, max_lines=max_bytes // _SHORTEST_LINE + 1)
    notes = [f"line {fault.line}: {fault.text}" for fault in file.faults]
    orders = [order for order in file.orders if accounts is None or order.account in accounts]
    notes += [
        f"line {order.line}: mandates to account {order.account}, which is not one of ours"
        for order in file.orders
        if order not in orders
    ]
    records = [record for order in orders for record in order.records]
    unknown = _stage(session, records, structures)
    full = bool(orders) and any(order.full for order in orders) and not any(order.faults for order in orders)
    counts = _apply(session, full, now)
    notes += [f"line {one.line}: a mandate on KID {one.kid}, of no agreement of ours ({one.told})" for one in unknown]
    file_id = _keep(session, name, content, digest, file, notes, now)
    return MandatesTaken("read", file_id, unknown=unknown, notes=notes, **counts)


def _stage(
    session: Session, records: Sequence[MandateRecord], structures: Sequence[KidStructure] | None
) -> list[Unknown]:
    """Put what the file says last of each mandate into a temporary table; return what nobody can be found for."""
    unknown: list[Unknown] = []
    last: dict[tuple[str, str], tuple[MandateRecord, KidStructure, str]] = {}
    for record in records:
        found = structure_of(record.kid, structures)
        if found is None:
            unknown.append(Unknown(record.line, record.kid, record.registration))
            continue
        structure, kid = found
        last[structure.name, structure.customer_part(kid)] = (record, structure, kid)
    rows = list(last.items())
    session.execute(text("DROP TABLE IF EXISTS incoming_mandates"))
    session.execute(
        text(_TEMPORARY),
        {
            "lines": [record.line for _, (record, _, _) in rows],
            "standing": [record.registration != "ended" for _, (record, _, _) in rows],
            "kids": [kid for _, (_, _, kid) in rows],
            "structures": [key[0] for key, _ in rows],
            "parts": [key[1] for key, _ in rows],
            "owners": [int(key[1]) if len(key[1]) <= 18 else 0 for key, _ in rows],
            "names": [structure.names for _, (_, structure, _) in rows],
            "notices": [record.notice for _, (record, _, _) in rows],
        },
    )
    session.execute(text("ANALYZE incoming_mandates"))
    nobodys = session.execute(
        text("SELECT line, kid, standing FROM incoming_mandates WHERE agreement_id IS NULL ORDER BY line")
    )
    unknown += [Unknown(row.line, row.kid, "stands" if row.standing else "ended") for row in nobodys]
    return sorted(unknown, key=lambda one: one.line)


def _apply(session: Session, full: bool, now: dt.datetime) -> dict[str, Any]:
    """Do what the staged mandates say; return how many of each."""
    today = {"now": now}
    deleted = session.execute(text(_ENDED), today).all()
    missing = session.execute(text(_MISSING), today).all() if full else []
    changed = session.execute(text(_CHANGED), today).all()
    begun = session.execute(text(_BEGUN), today).all()
    session.execute(text(_CHOSEN), {"agreements": [row.agreement_id for row in begun]})
    gone = [*deleted, *missing]
    bereft = set(session.scalars(text(_WITHOUT), {"agreements": [row.agreement_id for row in gone]}))
    session.execute(text(_NO_LONGER), {"agreements": list(bereft)})
    if bereft:
        take_turn(session)
    back = session.execute(text(_TAKE_BACK), {"agreements": list(bereft), "today": business_date(now)}).all()
    told = [NewMessage(row.agreement_id, "mandate_begun", f"mandate:{row.id}") for row in begun]
    told += [
        NewMessage(row.agreement_id, "mandate_ended", f"mandate:{row.id}") for row in gone if row.agreement_id in bereft
    ]
    tell(session, told, now=now)
    if back:
        ring(session, "avtalegiro")
    return {
        "begun": len(begun),
        "changed": len(changed),
        "deleted": len(deleted),
        "missing": len(missing),
        "taken_back": len(back),
    }


def _keep(
    session: Session,
    name: str,
    content: bytes,
    digest: bytes,
    file: MandateFile,
    notes: Sequence[str],
    now: dt.datetime,
) -> int:
    file_id: int = session.execute(
        text(
            "INSERT INTO delivery_files (channel, kind, direction, name, sha256, content, transactions, state, "
            "made_at, answer) VALUES ('avtalegiro', 'mandates', 'in', :name, :digest, :content, :transactions, "
            "'read', :now, :answer) RETURNING id"
        ),
        {
            "name": name,
            "digest": digest,
            "content": content,
            "transactions": file.transactions,
            "now": now,
            "answer": "\n".join(notes) or None,
        },
    ).scalar_one()
    return file_id
