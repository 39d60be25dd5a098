"""Carry: what is queued for a channel whose partner is called is handed over, asked for, and taken back.

Three rounds a channel, each by batches: **hand over** what is queued; **ask** what became of what was handed over, or
may have been; **take back** what another way is to present. A batch is marked and committed before the call, the call
holds nothing open, and each outcome is a transaction of its own. Who dies in the middle leaves `sending`, which becomes
`unknown` and is asked for by its key before anything else.

Retries go by real time; `sent_at`, `delivered_at` and `ended_at` are business time.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.delivery import rules
from billing.delivery.bills import Pages, parcels
from billing.delivery.outcomes import apply_back, apply_found, apply_outcome
from billing.delivery.port import (
    Asked,
    Back,
    Calls,
    Found,
    Later,
    No,
    NoAnswer,
    Outcome,
    Parcel,
    Refused,
    Unsure,
    Verdict,
    Yes,
)
from config.clock import business_date, business_now, now_utc
from config.database import SessionFactory

log = structlog.get_logger(__name__)
T = TypeVar("T")

ROUNDS = 50
"""Batches of one channel and kind in one look, so that no channel keeps the others waiting for ever."""

_MARK = """
    UPDATE deliveries SET state = 'sending', attempts = attempts + 1, called_at = :real, error = NULL
    WHERE id IN (SELECT id FROM deliveries WHERE channel = :channel AND state = 'queued' AND next_at <= :real
                 ORDER BY next_at, id LIMIT :limit FOR UPDATE SKIP LOCKED)
    RETURNING id, attempts, key, queued_at
"""
_KEYS = """
    UPDATE deliveries AS d SET key = t.key
    FROM unnest(CAST(:ids AS bigint[]), CAST(:keys AS text[])) AS t (id, key) WHERE d.id = t.id
"""
# Who asks puts the next time ahead at once: two workers do not ask for the same.
_ASK = """
    UPDATE deliveries SET next_at = :later
    WHERE id IN (SELECT id FROM deliveries WHERE channel = :channel AND state = ANY(:states) AND next_at <= :real
                 AND key IS NOT NULL ORDER BY next_at, id LIMIT :limit FOR UPDATE SKIP LOCKED)
    RETURNING id, attempts, key, partner_ref
"""


def carry(sessions: SessionFactory, channel: Calls, pages: Pages, issuer: str) -> Counter[str]:
    """Do a channel's rounds; return how many of each outcome. ``issuer`` makes our keys our own."""
    counts: Counter[str] = Counter()
    for kind in (_hand_over, _ask, _take_back):
        for _ in range(ROUNDS):
            done = kind(sessions, channel, pages, issuer)
            counts.update({f"{channel.name}_{word}": number for word, number in done.items()})
            if not done or done.get("unreachable") or sum(done.values()) < channel.batch:
                break
    return counts


def key_of(issuer: str, delivery_id: int, queued_at: dt.datetime) -> str:
    """Return the key of a delivery: a UUID, the same at every attempt, another in another database."""
    told = f"{issuer}:{delivery_id}:{queued_at.astimezone(dt.UTC):%Y%m%d%H%M%S%f}"
    return str(uuid.uuid5(uuid.NAMESPACE_URL, told))


def _hand_over(sessions: SessionFactory, channel: Calls, pages: Pages, issuer: str) -> Counter[str]:
    with sessions.begin() as session:
        taken = _mark(session, channel, issuer)
        ready, not_to_go = parcels(session, taken, pages)
        today = business_now(session)
        dropped = _drop(session, not_to_go)
    if not ready:
        return dropped
    attempts = {row.id: row.attempts for row in taken}
    outcomes: dict[int, Outcome] = {}
    going = _looked_up_again(channel, ready, attempts, outcomes, business_date(today))
    outcomes |= _called(channel, "hand_over", lambda: channel.hand_over(going)) if going else {}
    counts = dropped
    for parcel in ready:
        outcome: Outcome = outcomes.get(parcel.delivery_id, NoAnswer("not_mentioned"))
        with sessions.begin() as session:
            now = business_now(session)
            word = apply_outcome(session, parcel.delivery_id, attempts[parcel.delivery_id], outcome, now, now_utc())
        counts[word] += 1
    if any(isinstance(one, Later) and one.unreachable for one in outcomes.values()):
        counts["unreachable"] += 1
    return counts


def _looked_up_again(
    channel: Calls, ready: Sequence[Parcel], attempts: Mapping[int, int], outcomes: dict[int, Outcome], today: dt.date
) -> list[Parcel]:
    """Look those up again that had to wait since they were chosen; return what is to go, with the address of now."""
    waited = [one for one in ready if attempts[one.delivery_id] > 1]
    verdicts: Mapping[int, Verdict] = {}
    if waited:
        verdicts = _called(channel, "look_up", lambda: channel.look_up([one.reader for one in waited], today))
    going = []
    for one in ready:
        verdict = verdicts.get(one.reader.agreement_id, Unsure("not_mentioned")) if one in waited else Yes(one.address)
        if isinstance(verdict, Yes):
            going.append(replace(one, address=verdict.address))
        elif isinstance(verdict, No):
            outcomes[one.delivery_id] = Refused(verdict.why)
        else:
            outcomes[one.delivery_id] = Later(verdict.why)
    return going


def _mark(session: Session, channel: Calls, issuer: str) -> Sequence[Any]:
    taken = session.execute(text(_MARK), {"channel": channel.name, "real": now_utc(), "limit": channel.batch}).all()
    keys = {row.id: row.key or key_of(issuer, row.id, row.queued_at) for row in taken}
    if keys:
        session.execute(text(_KEYS), {"ids": list(keys), "keys": list(keys.values())})
    return taken


def _drop(session: Session, not_to_go: Mapping[int, str]) -> Counter[str]:
    if not_to_go:
        session.execute(
            text(
                "UPDATE deliveries AS d SET state = 'dropped', error = t.why "
                "FROM unnest(CAST(:ids AS bigint[]), CAST(:whys AS text[])) AS t (id, why) WHERE d.id = t.id"
            ),
            {"ids": list(not_to_go), "whys": list(not_to_go.values())},
        )
    return Counter({"dropped": len(not_to_go)} if not_to_go else {})


def _ask(sessions: SessionFactory, channel: Calls, pages: Pages, issuer: str) -> Counter[str]:
    del pages, issuer
    rows = _taken(sessions, channel, ("sent", "unknown"))
    found = _called(channel, "ask", lambda: channel.ask(_asked(rows))) if rows else {}
    counts: Counter[str] = Counter()
    for row in rows:
        told: Found = found.get(row.id, NoAnswer("not_mentioned"))
        with sessions.begin() as session:
            counts[apply_found(session, row.id, row.attempts, told, business_now(session), now_utc())] += 1
    return counts


def _take_back(sessions: SessionFactory, channel: Calls, pages: Pages, issuer: str) -> Counter[str]:
    del pages, issuer
    rows = _taken(sessions, channel, ("ending",))
    backs = _called(channel, "take_back", lambda: channel.take_back(_asked(rows))) if rows else {}
    counts: Counter[str] = Counter()
    for row in rows:
        told: Back = backs.get(row.id, NoAnswer("not_mentioned"))
        with sessions.begin() as session:
            counts[apply_back(session, row.id, row.attempts, told, business_now(session), now_utc())] += 1
    return counts


def _taken(sessions: SessionFactory, channel: Calls, states: tuple[str, ...]) -> Sequence[Any]:
    with sessions.begin() as session:
        real = now_utc()
        return session.execute(
            text(_ASK),
            {
                "channel": channel.name,
                "states": list(states),
                "real": real,
                "later": real + rules.STALE,
                "limit": channel.batch,
            },
        ).all()


def _asked(rows: Sequence[Any]) -> list[Asked]:
    return [Asked(row.id, row.key, row.partner_ref) for row in rows]


def _called(channel: Calls, what: str, call: Callable[[], Mapping[int, T]]) -> Mapping[int, T]:
    """Make a call that is not to raise. Should it, that is a fault of ours, seen in the log, and nobody's answer: what
    it was about is unknown and asked for."""
    try:
        return call()
    except Exception:
        log.exception("delivery.channel_fault", channel=channel.name, call=what)
        return {}
