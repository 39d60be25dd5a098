"""What the state of the claims means for the agreement's standing.

Overdue is what is past its due date and open by more than the remainder figure. Only agreements that are closed to
traffic can change by being paid: one that is open stays open until billing.collection blocks it, so the many are
left alone and the few are judged one by one.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from accounts.agreements.block import void
from accounts.agreements.standing import StandingChanged, apply
from accounts.customers.tell import NewMessage, tell
from billing.claims.lots import lots
from billing.claims.rules import Owed, paid_in_time
from billing.passages.balances import lock
from config.rates import whole

REMAINDER = "overdue_remainder_ore"

Why = Literal["paid", "reissued"]
"""What may have left nothing overdue: money or credit came; or an invoice was credited, or has a later due date."""


def recompute(
    session: Session, agreement_ids: Sequence[int], today: dt.date, now: dt.datetime, actor: str
) -> list[StandingChanged]:
    """Judge the standing of agreements by what is overdue now, and return the changes.

    A block whose every claim turns out to have been paid in time is voided: the agreement is open by itself, and
    a notice of the block that has not gone out is dropped. Locks the balances.
    """
    lock(session, agreement_ids)
    return recompute_locked(session, agreement_ids, today, now, actor)


def recompute_locked(
    session: Session,
    agreement_ids: Sequence[int],
    today: dt.date,
    now: dt.datetime,
    actor: str,
    *,
    why: Why = "paid",
) -> list[StandingChanged]:
    """Do the same for a caller that holds the balances' locks; ``why``: what the holder is told has been the cause."""
    query = "SELECT unnest(CAST(:agreements AS bigint[])) AS agreement_id"
    return recompute_query(session, query, {"agreements": list(agreement_ids)}, today, now, actor, why=why)


def recompute_query(
    session: Session,
    query: str,
    params: Mapping[str, Any],
    today: dt.date,
    now: dt.datetime,
    actor: str,
    *,
    why: Why = "paid",
) -> list[StandingChanged]:
    """Do the same for the agreements that a query of ours yields as ``agreement_id``, their balances locked."""
    blocked = _blocked(session, query, params)
    if not blocked:
        return []
    remainder = whole(REMAINDER, today)
    overdue = overdue_sums(session, blocked, today, remainder)
    voided = _paid_in_time(session, [i for i in blocked if not overdue.get(i)], today, remainder)
    changes: list[StandingChanged] = []
    if voided:
        void(session, list(voided), now)
        changes += apply(session, dict.fromkeys(voided, 0), now, "paid_in_time", actor)
        _tell_voided(session, voided, now)
    still = {i: overdue[i] for i in blocked if overdue.get(i)}
    paid = {i: 0 for i in blocked if i not in still and i not in voided}
    changes += apply(session, still, now, "overdue", actor)
    changes += apply(session, paid, now, "paid", actor)
    _tell_changed(session, changes, now, why)
    return changes


def overdue_sums(session: Session, agreement_ids: Iterable[int], today: dt.date, remainder: int) -> dict[int, int]:
    """Return what is overdue (øre) of those agreements that have any: due before today, open by the figure or more."""
    rows = session.execute(
        text(
            "SELECT agreement_id, sum(amount_ore - settled_ore)::bigint AS ore FROM claims "
            "WHERE agreement_id = ANY(:ids) AND due_on < :today AND settled_ore < amount_ore "
            "AND amount_ore - settled_ore >= :least GROUP BY agreement_id"
        ),
        {"ids": list(agreement_ids), "today": today, "least": max(remainder, 1)},
    )
    return {row.agreement_id: row.ore for row in rows}


def _blocked(session: Session, query: str, params: Mapping[str, Any]) -> list[int]:
    """Return those that are closed to traffic for unpaid claims, or whose standing says so."""
    return list(
        session.scalars(
            text(
                "SELECT a.id FROM agreements AS a LEFT JOIN blocks AS b "  # noqa: S608 - code of ours
                "ON b.agreement_id = a.id AND b.ended_at IS NULL "
                f"WHERE a.id IN (SELECT q.agreement_id FROM ({query}) AS q) "
                "AND (a.standing IN ('blocked', 'awaiting_reopen') OR b.id IS NOT NULL) ORDER BY a.id"
            ),
            params,
        )
    )


# The claims that an active block was made for, and those that have come due since: one of them paid late would have
# closed the agreement by itself. `payments` is read by its table: its room lies above this one.
_STANDS_FOR = """
    SELECT b.agreement_id, b.id AS block_id, c.id AS claim_id, c.due_on, c.amount_ore AS claim_ore,
           coalesce(p.value_date, s.value_date) AS value_date, s.amount_ore AS ore
    FROM blocks AS b
    JOIN claims AS c ON c.agreement_id = b.agreement_id
         AND (b.claims @> to_jsonb(c.id)
              OR (c.due_on < :today AND c.due_on >= (SELECT min(k.due_on) FROM claims AS k
                  WHERE k.agreement_id = b.agreement_id AND b.claims @> to_jsonb(k.id))))
    LEFT JOIN allocations AS s ON s.claim_id = c.id AND s.source <> 'write_off'
    LEFT JOIN payments AS r ON s.source = 'reversal' AND r.id = s.source_id
    LEFT JOIN payments AS p ON p.id = r.reverses_id
    WHERE b.agreement_id = ANY(:ids) AND b.ended_at IS NULL
"""

# Credit that has gone to what is not due yet could have paid what was.
_SPENT_AHEAD = """
    SELECT s.agreement_id, s.value_date, s.amount_ore AS ore
    FROM claims AS c JOIN allocations AS s ON s.claim_id = c.id AND s.source = 'credit'
    WHERE c.agreement_id = ANY(:ids) AND c.due_on >= :today
"""


def _paid_in_time(session: Session, agreement_ids: Sequence[int], today: dt.date, remainder: int) -> dict[int, int]:
    """Return agreement id → block id where all that the active block stands for was paid in time.

    Money counts by its value date, wherever it was put: on the claim, or in credit because a later payment had
    settled the claim before we heard of it. What the bank took back is as if it had not come.
    """
    if not agreement_ids:
        return {}
    params = {"ids": list(agreement_ids), "today": today}
    blocks: dict[tuple[int, int], dict[int, list[Row[Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in session.execute(text(_STANDS_FOR), params):
        blocks[row.agreement_id, row.block_id][row.claim_id].append(row)
    spare: dict[int, list[tuple[dt.date, int]]] = defaultdict(list)
    for agreement_id, credit in lots(session, agreement_ids).items():
        spare[agreement_id] += credit
    for row in session.execute(text(_SPENT_AHEAD), params):
        spare[row.agreement_id].append((row.value_date, row.ore))
    return {
        agreement_id: block_id
        for (agreement_id, block_id), claims in blocks.items()
        if paid_in_time([_owed(rows) for rows in claims.values()], spare[agreement_id], remainder)
    }


def _owed(rows: Sequence[Row[Any]]) -> Owed:
    """Return the claim that ``rows`` (one a settlement, or one without) are about."""
    first = rows[0]
    return Owed(first.claim_ore, first.due_on, [(row.value_date, row.ore) for row in rows if row.ore is not None])


def _tell_voided(session: Session, voided: dict[int, int], now: dt.datetime) -> None:
    """Tell that all is well, and drop what is no longer true and delivery has not taken yet."""
    session.execute(
        text(
            "UPDATE messages SET planned_at = :now WHERE agreement_id = ANY(:ids) "
            "AND template IN ('blocked', 'paid_call_us', 'nothing_due_call_us') AND planned_at IS NULL"
        ),
        {"ids": list(voided), "now": now},
    )
    tell(session, [NewMessage(i, "unblocked", f"block:{block_id}") for i, block_id in voided.items()], now=now)


def _tell_changed(session: Session, changes: Sequence[StandingChanged], now: dt.datetime, why: Why) -> None:
    """Tell who has paid (or owes nothing overdue any more) to call us, and who awaited reopening that something more
    is overdue."""
    call_us = "paid_call_us" if why == "paid" else "nothing_due_call_us"
    templates = {"awaiting_reopen": call_us, "blocked": "blocked"}
    # The change itself is the subject: who pays again after another block is told again.
    told = [
        NewMessage(change.agreement_id, templates[change.after], f"standing:{change.change_id}")
        for change in changes
        if change.after in templates
    ]
    tell(session, told, now=now)
