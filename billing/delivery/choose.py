"""Choose: a document's message that waits for a channel gets one, by look-ups done now, and a row that says why.

Look-ups are calls, so nothing is open in the database meanwhile. Of two workers that decide the same message the first
to write wins (unique by message and ordinal), and the other's look-ups were for nothing.

What a channel presents already is taken back before another may present it: then the decision is put off. A fall-back
leaves the reader time: the due date is extended where too little of it is left.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing.delivery import ways
from billing.delivery.choice import Ask, Chosen, decide
from billing.delivery.models import ChannelChoice
from billing.delivery.port import LooksUp, No, Unsure, Verdict
from billing.delivery.readers import Waiting, waiting
from billing.invoices.extend import extend
from billing.invoices.rules import due_date
from config.clock import business_date, business_now, now_utc
from config.database import SessionFactory
from config.jobs import ring
from config.rates import whole
from config.sealed import Sealing

CHUNK = 500
ACTOR = "delivery"
AGAIN = tuple(dt.timedelta(minutes=minutes) for minutes in (2, 10, 30, 60, 120, 120, 120, 240, 360, 720, 1440))
"""How long to wait after the first, second, ... look-up without an answer, or for what is being taken back (real
time); the last from then on."""


@dataclass(frozen=True)
class Means:
    """What choosing needs beside the database: look-ups by channel, the configured list, the seal of national ids."""

    look_ups: Mapping[str, LooksUp]
    listed: Sequence[str]
    sealing: Sealing


def choose_all(sessions: SessionFactory, means: Means) -> Counter[str]:
    """Choose for all messages that wait; return how many by channel, and how many wait on or reach nobody."""
    counts: Counter[str] = Counter()
    last = 0
    while True:
        with sessions() as session:
            rows = waiting(session, CHUNK, means.sealing, after=last, real=now_utc())
            now = business_now(session)
        if not rows:
            return counts
        last = rows[-1].message_id
        decided = decisions(rows, means, business_date(now), real=now_utc())
        # By agreement: extending a due date locks balances, which are locked in that order.
        for row in sorted(rows, key=lambda one: one.agreement_id):
            with sessions.begin() as session:
                counts[keep(session, row, decided[row.message_id], now=business_now(session), real=now_utc())] += 1


def decisions(rows: Sequence[Waiting], means: Means, today: dt.date, *, real: dt.datetime) -> dict[int, Chosen]:
    """Return the decision of each message, looking up what they need: each channel once for all that ask for it."""
    verdicts: dict[int, dict[str, Verdict]] = defaultdict(dict)
    chosen: dict[int, Chosen] = {}
    left = list(rows)
    while left:
        asking: dict[str, list[Waiting]] = defaultdict(list)
        for row in left:
            found = _decide(row, means, verdicts[row.agreement_id], today, real)
            if isinstance(found, Ask):
                asking[found.channel].append(row)
            else:
                chosen[row.message_id] = found
        for channel, some in asking.items():
            told = _look_up(means, channel, some, today)
            for row in some:
                verdicts[row.agreement_id][channel] = told.get(row.agreement_id, Unsure("not_mentioned"))
        left = [row for some in asking.values() for row in some]
    return chosen


def _decide(
    row: Waiting, means: Means, verdicts: Mapping[str, Verdict], today: dt.date, real: dt.datetime
) -> Chosen | Ask:
    patience = dt.timedelta(hours=whole("lookup_patience_hours", today))
    order = ways.order(row.choice, row.reader.kind, means.listed)
    return decide(
        tuple(dict.fromkeys((row.wish, *order))) if row.wish else order,
        row.what,
        verdicts,
        tried=row.tried | {ways.SAME[one]: silent for one, silent in row.tried.items() if one in ways.SAME},
        patient=row.since is None or real - row.since < patience,
    )


def _look_up(means: Means, channel: str, rows: Sequence[Waiting], today: dt.date) -> Mapping[int, Verdict]:
    readers = {row.agreement_id: row.reader for row in rows}
    looks_up = means.look_ups.get(channel)
    if looks_up is None:
        return dict.fromkeys(readers, No("not_set_up"))
    return looks_up.look_up(list(readers.values()), today)


def keep(session: Session, row: Waiting, chosen: Chosen, *, now: dt.datetime, real: dt.datetime) -> str:
    """Write a decision and what follows of it. Returns the channel, ``waits``, ``nobody``, ``stands`` where the invoice
    is presented already and that cannot be taken back, or ``done`` by another."""
    there = chosen.channel is not None and row.live is not None and row.what == "invoice"
    stands = there and row.stands
    next_at = real + AGAIN[min(row.ordinal, len(AGAIN)) - 1] if chosen.again or (there and not stands) else None
    why = ("stands" if stands else "taken_back_first") if there else None
    if not _note(session, row, chosen, why=why, next_at=next_at, now=now):
        return "done"
    if stands:
        _planned(session, row.message_id, now)
        return "stands"
    if there:
        take_back(session, row.document_id, now=now, real=real)
        return "waits"
    if next_at is not None:
        return "waits"
    _planned(session, row.message_id, now)
    if chosen.channel is None:
        return "nobody"
    if row.what == "invoice" and row.due_on is not None:
        _leave_time(session, row, now)
    _queue(session, row, chosen.channel, chosen.address, presents=_payable(row), now=now, real=real)
    if chosen.channel == "avtalegiro" and row.beside:
        _queue(session, row, "efaktura", None, presents=False, now=now, real=real)
    ring(session, "deliveries")
    return chosen.channel


def _payable(row: Waiting) -> bool:
    return row.what == "invoice" and row.due_on is not None and row.open_ore > 0


def _note(
    session: Session, row: Waiting, chosen: Chosen, *, why: str | None, next_at: dt.datetime | None, now: dt.datetime
) -> bool:
    """Write the decision; ``why`` what presents the document already keeps it from being carried out."""
    considered = [asdict(one) for one in chosen.considered]
    if why is not None:
        considered.append({"channel": row.live, "verdict": "passed", "why": why})
    made = session.execute(
        insert(ChannelChoice)
        .values(
            message_id=row.message_id,
            ordinal=row.ordinal,
            agreement_id=row.agreement_id,
            document_id=row.document_id,
            at=now,
            cause=row.cause,
            channel=chosen.channel if next_at is None and why is None else None,
            considered=considered,
            next_at=next_at,
        )
        .on_conflict_do_nothing(index_elements=["message_id", "ordinal"])
        .returning(ChannelChoice.id)
    )
    return made.scalar_one_or_none() is not None


def take_back(session: Session, document_id: int, *, now: dt.datetime, real: dt.datetime) -> None:
    """Have what presents a document taken back: asked for where its channel can, else ended as far as we are concerned.

    What has not left is dropped. What may be under way just now is looked at again later.
    """
    taking = [one.name for one in ways.TABLE if one.takes_back]
    session.execute(
        text(
            "UPDATE deliveries SET next_at = :real, "
            "ended_at = CASE WHEN channel = ANY(:taking) THEN NULL ELSE :now END, "
            "state = CASE WHEN state = 'queued' THEN 'dropped' WHEN channel = ANY(:taking) THEN 'ending' "
            "ELSE 'ended' END, error = CASE WHEN state = 'queued' THEN 'another way is taken' ELSE error END "
            "WHERE document_id = :document AND presents AND state IN ('queued', 'sent', 'delivered')"
        ),
        {"document": document_id, "taking": taking, "now": now, "real": real},
    )
    ring(session, "avtalegiro")  # its claims are taken back by a file, while the bank takes them


def _leave_time(session: Session, row: Waiting, now: dt.datetime) -> None:
    """Extend the due date where a fall-back leaves less time than an ordinary invoice has. What support has sent by
    another way says what is owed already: that gives no more time."""
    if row.cause != "fallback":
        return
    today = business_date(now)
    soonest = due_date(today, whole("fallback_term_days", today))
    extend(session, row.document_id, soonest, reason="fallback", actor=ACTOR, now=now)


def _queue(
    session: Session,
    row: Waiting,
    channel: str,
    address: str | None,
    *,
    presents: bool,
    now: dt.datetime,
    real: dt.datetime,
) -> None:
    session.execute(
        text(
            "INSERT INTO deliveries (message_id, agreement_id, document_id, channel, recipient, presents, next_at, "
            "queued_at) VALUES (:message, :agreement, :document, :channel, :address, :presents, :real, :now) "
            "ON CONFLICT (message_id, channel) DO NOTHING"
        ),
        {
            "message": row.message_id, "agreement": row.agreement_id, "document": row.document_id, "channel": channel,
            "address": address, "presents": presents, "real": real, "now": now,
        },
    )  # fmt: skip


def _planned(session: Session, message_id: int, now: dt.datetime) -> None:
    session.execute(
        text("UPDATE messages SET planned_at = :now WHERE id = :id AND planned_at IS NULL"),
        {"now": now, "id": message_id},
    )
