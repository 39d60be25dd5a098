"""Settle claims: money, credit or a write-off meets what is owed.

``settle`` is what other rooms call: it allocates, books, and recomputes the standing in the same transaction.
``allocate`` is its first half, for callers with more to do before the standing is judged (a bank file: credit).

Locks: balances by agreement id, then claims by id, each once. So two settlements of one agreement wait for each
other, and the later one judges the standing by both.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from accounts.agreements.standing import StandingChanged
from billing.claims.standing import recompute_locked
from billing.ledger.book import book_query
from billing.passages.balances import lock

Source = Literal["payment", "reversal", "credit", "card", "write_off", "dispute", "vipps"]
BACK = ("reversal", "dispute")
"""What takes money back that had settled a claim: the bank, or a card's bank."""


@dataclass(frozen=True)
class Settlement:
    """So many øre for a claim, from a source (``payment`` 12, ``card`` attempt 7).

    Negative for the sources in ``BACK`` only. ``value_date`` is the day it counts as paid (Oslo). (source, source_id,
    claim) happens once: a repeat is already done.
    """

    claim_id: int
    source: Source
    source_id: int
    amount_ore: int
    value_date: dt.date


@dataclass(frozen=True)
class Leftover:
    """What of a settlement did not fit its claim (øre, signed as the settlement): the caller's to place elsewhere."""

    settlement: Settlement
    amount_ore: int


@dataclass(frozen=True)
class Settled:
    """What settling came to: which standings it changed, and what did not fit."""

    standings: list[StandingChanged]
    leftovers: list[Leftover]


@dataclass(frozen=True)
class Allocated:
    """What was allocated: allocations' ids, the agreements touched, and what did not fit."""

    allocation_ids: list[int]
    agreement_ids: list[int]
    leftovers: list[Leftover]


def settle(
    session: Session, settlements: Sequence[Settlement], today: dt.date, now: dt.datetime, actor: str
) -> Settled:
    """Settle claims, book it and recompute the standings of their agreements, in the caller's transaction.

    Never above a claim's open amount: what is too much comes back in ``leftovers``. Raises LookupError for a
    claim that is not there, ValueError for a settlement that makes no sense.
    """
    done = allocate(session, settlements, today, now)
    return Settled(recompute_locked(session, done.agreement_ids, today, now, actor), done.leftovers)


def allocate(session: Session, settlements: Sequence[Settlement], today: dt.date, now: dt.datetime) -> Allocated:
    """Settle claims and book it, without judging the standing; the caller must recompute it before committing."""
    if not settlements:
        return Allocated([], [], [])
    _check(settlements)
    agreement_ids = _lock(session, sorted({s.claim_id for s in settlements}))
    ids: list[int] = []
    leftovers: list[Leftover] = []
    for rows in _rounds(_not_done(session, settlements)):
        got = _allocate(session, rows, now)
        ids += got.keys()
        fits = {(source, source_id, claim): ore for source, source_id, claim, ore in got.values()}
        for row in rows:
            left = row.amount_ore - fits.get((row.source, row.source_id, row.claim_id), 0)
            if left:
                leftovers.append(Leftover(row, left))
    book_query(session, BOOK, {"ids": ids}, booked_on=today, now=now)
    return Allocated(ids, agreement_ids, leftovers)


def allocate_query(
    session: Session, query: str, params: Mapping[str, Any], today: dt.date, now: dt.datetime
) -> list[Leftover]:
    """Settle what a query of ours asks for, set-based, and return what did not fit: for tens of thousands at once.

    ``query`` yields (claim_id, source, source_id, amount_ore > 0, value_date, position): nothing that is allocated
    already, each (source, source_id, claim) once. The caller holds the balances' locks of all its agreements, and
    recomputes the standing before committing.
    """
    session.execute(
        text(
            "SELECT count(*) FROM (SELECT id FROM claims WHERE id IN "  # noqa: S608 - code of ours, no input
            f"(SELECT q.claim_id FROM ({query}) AS q) ORDER BY id FOR NO KEY UPDATE) AS locked"
        ),
        params,
    )
    insert = _ALLOCATE.format(asked=f"({query})") + " RETURNING id"
    ids = session.scalars(text(insert), {**params, "now": now}).all()
    session.execute(text(_SETTLED), {"ids": ids})
    book_query(session, BOOK, {"ids": ids}, booked_on=today, now=now)
    rows = session.execute(
        text(
            "SELECT q.claim_id, q.source, q.source_id, q.amount_ore, q.value_date, "  # noqa: S608 - no input in it
            f"q.amount_ore - coalesce(a.amount_ore, 0) AS left_ore FROM ({query}) AS q "
            "LEFT JOIN allocations AS a ON a.source = q.source AND a.source_id = q.source_id "
            "AND a.claim_id = q.claim_id WHERE q.amount_ore > coalesce(a.amount_ore, 0) ORDER BY q.position"
        ),
        params,
    )
    return [Leftover(Settlement(*row[:5]), row.left_ore) for row in rows]


def _check(settlements: Sequence[Settlement]) -> None:
    """Raise ValueError for what no caller may ask."""
    keys = {(s.source, s.source_id, s.claim_id) for s in settlements}
    if len(keys) != len(settlements):
        raise ValueError("the same settlement twice in one call")
    for s in settlements:
        if s.amount_ore == 0 or (s.amount_ore < 0) != (s.source in BACK):
            raise ValueError(f"a {s.source} of {s.amount_ore} øre settles nothing")


def _lock(session: Session, claim_ids: list[int]) -> list[int]:
    """Lock the claims' balances, then the claims, both in order; return the agreements' ids. Raises LookupError."""
    known = session.execute(text("SELECT id, agreement_id FROM claims WHERE id = ANY(:ids)"), {"ids": claim_ids}).all()
    if len(known) != len(claim_ids):
        missing = sorted(set(claim_ids) - {row.id for row in known})
        raise LookupError(f"no claim {missing[0]}")
    agreement_ids = sorted({row.agreement_id for row in known})
    lock(session, agreement_ids)
    session.execute(
        text(
            "SELECT count(*) FROM (SELECT id FROM claims WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE) AS locked"
        ),
        {"ids": claim_ids},
    )
    return agreement_ids


def _not_done(session: Session, settlements: Sequence[Settlement]) -> list[Settlement]:
    """Return the settlements without those that are allocated already."""
    done = {
        (row.source, row.source_id, row.claim_id)
        for row in session.execute(
            text(
                "SELECT a.source, a.source_id, a.claim_id FROM allocations AS a JOIN "
                "unnest(CAST(:sources AS text[]), CAST(:source_ids AS bigint[]), CAST(:claims AS bigint[])) "
                "AS s (source, source_id, claim_id) USING (source, source_id, claim_id)"
            ),
            _columns(settlements),
        )
    }
    return [s for s in settlements if (s.source, s.source_id, s.claim_id) not in done]


def _rounds(settlements: Sequence[Settlement]) -> list[list[Settlement]]:
    """Split so that within a round a claim's settlements all have one sign, keeping each claim's order.

    One statement can then tell what fits by a running sum. Nearly always there is one round.
    """
    rounds: dict[int, list[Settlement]] = defaultdict(list)
    at: dict[int, tuple[int, bool]] = {}
    for s in settlements:
        sign = s.amount_ore > 0
        number, last = at.get(s.claim_id, (0, sign))
        if last != sign:
            number += 1
        at[s.claim_id] = (number, sign)
        rounds[number].append(s)
    return [rounds[number] for number in sorted(rounds)]


# `fit` of rules.py with running sums: `before` is what earlier settlements of the same call asked for.
_ALLOCATE = """
    INSERT INTO allocations (claim_id, agreement_id, source, source_id, amount_ore, value_date, at)
    SELECT claim_id, agreement_id, source, source_id, fit, value_date, :now
    FROM (
        SELECT s.*, c.agreement_id,
            (CASE WHEN s.amount_ore > 0
                THEN least(s.amount_ore,
                           greatest(0, c.amount_ore - c.settled_ore - coalesce(sum(s.amount_ore) OVER w, 0)))
                ELSE greatest(s.amount_ore, least(0, -c.settled_ore - coalesce(sum(s.amount_ore) OVER w, 0)))
            END)::bigint AS fit
        FROM {asked} AS s (claim_id, source, source_id, amount_ore, value_date, position)
        JOIN claims AS c ON c.id = s.claim_id
        WINDOW w AS (PARTITION BY s.claim_id ORDER BY s.position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ) AS fitted
    WHERE fit <> 0
    ORDER BY position
"""

_LIST = """
    unnest(CAST(:claims AS bigint[]), CAST(:sources AS text[]), CAST(:source_ids AS bigint[]),
           CAST(:amounts AS bigint[]), CAST(:dates AS date[])) WITH ORDINALITY
"""

_SETTLED = """
    UPDATE claims AS c SET settled_ore = c.settled_ore + a.ore
    FROM (SELECT claim_id, sum(amount_ore) AS ore FROM allocations WHERE id = ANY(:ids) GROUP BY claim_id) AS a
    WHERE c.id = a.claim_id
"""

# A card settles a claim once (one charge a claim, one success a charge), so its transfer is the claim's. A dispute is
# about one claim, so its transfer is the dispute's.
BOOK = """
    SELECT
        CASE source WHEN 'payment' THEN 'suspense' WHEN 'credit' THEN 'credit' WHEN 'card' THEN 'card_clearing'
            WHEN 'vipps' THEN 'vipps_clearing'
            WHEN 'write_off' THEN CASE WHEN amount_ore > 0 THEN 'write_off' ELSE 'receivable' END
            ELSE 'receivable' END AS debit,
        CASE WHEN source IN ('reversal', 'credit', 'released', 'dispute') OR (source = 'write_off' AND amount_ore < 0)
            THEN agreement_id ELSE 0 END AS debit_owner,
        CASE source WHEN 'reversal' THEN 'suspense' WHEN 'released' THEN 'credit' WHEN 'dispute' THEN 'disputes'
            WHEN 'write_off' THEN CASE WHEN amount_ore > 0 THEN 'receivable' ELSE 'write_off' END
            ELSE 'receivable' END AS credit,
        CASE WHEN source IN ('reversal', 'dispute') OR (source = 'write_off' AND amount_ore < 0) THEN 0
            ELSE agreement_id END AS credit_owner,
        abs(amount_ore) AS amount_ore,
        CASE source WHEN 'payment' THEN 'allocation' WHEN 'reversal' THEN 'unallocated' WHEN 'credit' THEN 'credit_used'
            WHEN 'card' THEN 'card_payment' WHEN 'vipps' THEN 'vipps_payment'
            WHEN 'released' THEN 'released' WHEN 'dispute' THEN 'card_dispute_claim'
            ELSE CASE WHEN amount_ore > 0 THEN 'write_off' ELSE 'written_back' END END AS code,
        CASE source WHEN 'card' THEN claim_id WHEN 'dispute' THEN source_id ELSE id END AS ref,
        '' AS part
    FROM allocations WHERE id = ANY(:ids)
"""
"""What allocations (ids) are in the ledger."""


def _allocate(
    session: Session, settlements: Sequence[Settlement], now: dt.datetime
) -> dict[int, tuple[str, int, int, int]]:
    """Insert what fits of one round and raise the claims' settled sums; return allocation id → what it is."""
    insert = _ALLOCATE.format(asked=_LIST) + " RETURNING id, source, source_id, claim_id, amount_ore"
    rows = session.execute(text(insert), {**_columns(settlements), "now": now}).all()
    made: dict[int, tuple[str, int, int, int]] = {
        row.id: (row.source, row.source_id, row.claim_id, row.amount_ore) for row in rows
    }
    session.execute(text(_SETTLED), {"ids": list(made)})
    return made


def _columns(settlements: Sequence[Settlement]) -> dict[str, list[object]]:
    """Return the settlements column by column, for unnest."""
    return {
        "claims": [s.claim_id for s in settlements],
        "sources": [s.source for s in settlements],
        "source_ids": [s.source_id for s in settlements],
        "amounts": [s.amount_ore for s in settlements],
        "dates": [s.value_date for s in settlements],
    }
