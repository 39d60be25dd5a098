"""Carry out mass corrections: chunk by chunk, each a transaction, the customers told when all are done.

A chunk: the passages next in order of id → (an undo: the originals' records locked) → the balances locked → what still
is as it was → reversals, counter-rows or copies → lanes → balances → a transfer a project. What has been corrected,
moved or credited since the preview, or (an undo) sent anew, is left and counted. Killed at any moment it goes on with
the chunk it was at.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from billing.ledger.book import book_query
from billing.passages.backlog.notice import notice
from billing.passages.balances import lock
from billing.passages.mass import lanes
from billing.passages.mass.models import MassCorrection
from billing.passages.mass.preview import locked
from billing.passages.mass.tell import tell_customers
from billing.passages.partitions import ensure
from billing.passages.reverse import BALANCES, BROUGHT_BACK, COUNTERS
from config.clock import business_date, business_now
from config.database import touched
from config.jobs import JobContext, ring

CHUNK = 2_000

CAUSES = {"charger": "mass", "us": "mass_credited"}
"""The cause of a reversal by who bears it: what we bore a charger's correction still finds owed."""

_NEXT = text("""
    SELECT passage_id, booked_at, agreement_id, amount_ore FROM mass_passages
    WHERE mass_id = :mass AND passage_id > :after ORDER BY passage_id LIMIT :limit
""")

_REVERSE = text("""
    INSERT INTO reversals (passage_id, counter_id, cause, reason, actor, at)
    SELECT t.id, nextval('passage_ids'), :cause, :reason, :actor, :now
    FROM unnest(CAST(:passages AS bigint[])) AS t (id)
    WHERE NOT EXISTS (SELECT FROM reversals AS v WHERE v.passage_id = t.id)
    ORDER BY t.id
    ON CONFLICT (passage_id) DO NOTHING
    RETURNING passage_id, counter_id
""")

# What the charger corrects is locked in the same way, before the balances (correct.py).
_ORIGINALS = text("""
    SELECT count(*) FROM (
        SELECT FROM records AS r
        WHERE r.charger_id = :charger AND r.source_id = ANY(ARRAY(
            SELECT coalesce(k.original_id, p.source_id) FROM passages AS p
            LEFT JOIN corrections AS k ON k.charger_id = p.charger_id AND k.source_id = p.source_id
            WHERE p.id = ANY(CAST(:passages AS bigint[])) AND p.booked_at BETWEEN :first AND :last
        ))
        ORDER BY r.source_id COLLATE "C" FOR NO KEY UPDATE
    ) AS l
""")

# Untouched since: no charger has taken back what we had left it, and the record is the one in force.
_BRING_BACK = text("""
    UPDATE reversals AS v SET replaced_by = nextval('passage_ids')
    FROM passages AS p
    LEFT JOIN corrections AS own ON own.charger_id = p.charger_id AND own.source_id = p.source_id
    WHERE p.id = v.passage_id AND p.id = ANY(CAST(:passages AS bigint[])) AND p.booked_at BETWEEN :first AND :last
        AND v.reason = :undone AND v.cause = :cause AND v.replaced_by IS NULL
        AND NOT EXISTS (SELECT FROM reversals AS w WHERE w.passage_id = v.counter_id)
        AND NOT EXISTS (
            SELECT FROM corrections AS k
            WHERE k.charger_id = p.charger_id AND k.original_id = coalesce(own.original_id, p.source_id)
                AND k.state = 'applied' AND k.source_id <> p.source_id
                AND (own.source_id IS NULL OR (k.version, k.issued_at, k.source_id COLLATE "C")
                    > (own.version, own.issued_at, own.source_id COLLATE "C"))
        )
    RETURNING v.passage_id, v.replaced_by
""")

_DONE = text("""
    UPDATE mass_passages SET outcome = CASE WHEN passage_id = ANY(CAST(:done AS bigint[])) THEN 'done' ELSE 'left' END
    WHERE mass_id = :mass AND passage_id = ANY(CAST(:passages AS bigint[]))
""")

# The house's account is the customers' (unbilled); the other side is who bears it.
_LEDGER = """
    SELECT CASE WHEN :undoing THEN 'unbilled' ELSE CAST(:bearer AS text) END AS debit,
        CASE WHEN :undoing THEN 0 ELSE CAST(:owner AS bigint) END AS debit_owner,
        CASE WHEN :undoing THEN CAST(:bearer AS text) ELSE 'unbilled' END AS credit,
        CASE WHEN :undoing THEN CAST(:owner AS bigint) ELSE 0 END AS credit_owner,
        abs(sum(p.amount_ore)) AS amount_ore, CAST(:code AS text) AS code, CAST(:mass AS bigint) AS ref,
        concat(CAST(:chunk AS text), '/', CAST(:charger AS text), '/', p.project) AS part
    FROM passages AS p WHERE p.id = ANY(CAST(:fresh AS bigint[])) AND p.booked_at = :now GROUP BY p.project
"""

CODES = {
    ("charger", False): "mass_reversed",
    ("us", False): "mass_credited",
    ("charger", True): "mass_undone",
    ("us", True): "mass_uncredited",
}
"""The ledger's code by who bears it, and whether it is an undoing."""

# Journeys that come back may be of a vehicle that was removed from an earlier instant meanwhile.
_REMOVALS = text("""
    UPDATE removals AS r SET moved_at = NULL
    WHERE r.moved_at IS NOT NULL AND r.id IN (
        SELECT m.id FROM removals AS m
        WHERE m.registration_id IN (
            SELECT p.registration_id FROM mass_passages AS x
            JOIN passages AS p ON p.id = x.passage_id AND p.booked_at = x.booked_at
            WHERE x.mass_id = :mass AND x.outcome = 'done' AND p.passed_at >= m.ends_at
        ) ORDER BY m.id FOR NO KEY UPDATE
    )
""")


def carry_out_chunk(session: Session, mass_id: int, *, now: dt.datetime, limit: int = CHUNK) -> bool:
    """Work through the next passages of a running mass correction; return whether there may be more.

    The last call tells the customers and marks it done. The caller commits after each.
    """
    row = locked(session, mass_id)
    if row.state != "running":
        return False
    found = session.execute(_NEXT, {"mass": row.id, "after": row.last_passage_id, "limit": limit}).all()
    if not found:
        _finish(session, row, now)
        return False
    ensure(session, now)
    about = {
        "passages": [one.passage_id for one in found],
        "first": min(one.booked_at for one in found),
        "last": max(one.booked_at for one in found),
        "cause": CAUSES[row.bearer],
        "charger": row.charger_id,
        "now": now,
    }
    if row.undoes_id is not None:
        session.execute(_ORIGINALS, about)
    agreements = {one.agreement_id for one in found}
    parents = select(Agreement.parent_id).where(Agreement.id.in_(agreements), Agreement.parent_id.is_not(None))
    # Theirs too, as ingest does where reads have lanes: what comes back on a ferry agreement must see its resent read.
    lock(session, agreements | set(session.scalars(parents)))
    made = _bring_back(session, row, about) if row.undoes_id is not None else _take_back(session, row, about)
    row.chunks += 1
    if made:
        _book(session, row, list(made.values()), now)
        if row.undoes_id is not None:
            notice(session, sorted(agreements), now=now)
    session.execute(_DONE, {"mass": row.id, "passages": about["passages"], "done": list(made)})
    row.last_passage_id = found[-1].passage_id
    row.done += len(made)
    row.done_ore += sum(one.amount_ore for one in found if one.passage_id in made)
    row.skipped += len(found) - len(made)
    session.flush()
    return True


def _take_back(session: Session, row: MassCorrection, about: dict[str, Any]) -> dict[int, int]:
    """Reverse what nothing has reversed yet; return {passage: its counter-row}."""
    rows = session.execute(_REVERSE, {**about, "reason": row.name, "actor": row.confirmed_by}).all()
    made = {one.passage_id: one.counter_id for one in rows}
    if made:
        owed = None if row.bearer == "charger" else False
        session.execute(
            text(COUNTERS + " AND p.booked_at BETWEEN :first AND :last"),
            {**about, "passages": list(made), "owed": owed},
        )
        if row.bearer == "charger":
            lanes.free(session, {**about, "passages": list(made)})
    return made


def _bring_back(session: Session, row: MassCorrection, about: dict[str, Any]) -> dict[int, int]:
    """Bring a copy of what nothing else has touched, nor its charger sent anew; return {passage: its copy}."""
    by_charger = row.bearer == "charger"
    anew = lanes.sent_anew(session, about, about["now"]) if by_charger else set()
    wanted = [one for one in about["passages"] if one not in anew]
    rows = session.execute(_BRING_BACK, {**about, "passages": wanted, "undone": f"mass:{row.undoes_id}"}).all()
    made = {one.passage_id: one.replaced_by for one in rows}
    if made:
        session.execute(text(BROUGHT_BACK), {**about, "passages": list(made), "owed": by_charger})
        if by_charger:
            lanes.stand(session, {**about, "passages": list(made)})
    return made


def _book(session: Session, row: MassCorrection, fresh: Sequence[int], now: dt.datetime) -> None:
    """Write balances and transfers of passages just made; the balances are locked."""
    today = business_date(now)
    session.execute(text(BALANCES), {"fresh": fresh, "now": now, "today": today})
    undoing = row.undoes_id is not None
    by_charger = row.bearer == "charger"
    params = {
        "undoing": undoing,
        "bearer": "payable" if by_charger else "write_off",
        "owner": row.charger_id if by_charger else 0,
        "code": CODES[row.bearer, undoing],
        "mass": row.id,
        "chunk": row.chunks,
        "charger": row.charger_id,
        "fresh": fresh,
        "now": now,
    }
    book_query(session, _LEDGER, params, booked_on=today, now=now)


def _finish(session: Session, row: MassCorrection, now: dt.datetime) -> None:
    tell_customers(session, row, now=now)
    if row.undoes_id is not None and touched(session.execute(_REMOVALS, {"mass": row.id})):
        ring(session, "move_passages")
    row.state, row.finished_at = "done", now
    session.flush()


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Carry out what is confirmed, the oldest first."""
    del scheduled_for
    with ctx.sessions() as session:
        running = select(MassCorrection.id).where(MassCorrection.state == "running").order_by(MassCorrection.id)
        ids = list(session.scalars(running))
    for mass_id in ids:
        more = True
        while more:
            with ctx.sessions.begin() as session:
                more = carry_out_chunk(session, mass_id, now=business_now(session))
                row = session.get_one(MassCorrection, mass_id)
                ctx.progress(row.done + row.skipped, row.passages)
    return {"corrections": len(ids)}
