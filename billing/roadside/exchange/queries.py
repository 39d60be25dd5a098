"""Reads of the exchange: how it stands with a charger, its files in and out, and the figures that alarms hang on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select, text
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger
from billing.roadside.exchange.models import Exchange, Incoming, Outgoing
from config.problems import NotFound


def exchange(session: Session, charger: Charger) -> Exchange:
    """Return how files are exchanged with a charger. Raises NotFound where nothing is said of it."""
    found = session.get(Exchange, charger.id)
    if found is None:
        raise NotFound(f"Nothing is said of how files are exchanged with {charger.code}: it has a folder, if any.")
    return found


def standing(session: Session, row: Exchange) -> dict[str, Any]:
    """Return an exchange with how it stands: the files that wait, and that failed so often that they alarm."""
    out = dict(
        session.execute(
            select(Outgoing.state, func.count())
            .where(Outgoing.charger_id == row.charger_id, Outgoing.next_at.is_not(None))
            .group_by(Outgoing.state)
        ).all()
    )
    shown = {column.key: getattr(row, column.key) for column in Exchange.__table__.columns}
    return shown | {"waiting": out.get("waiting", 0), "failed": out.get("failed", 0)}


def outgoing(charger: Charger, state: str | None = None) -> Select[Outgoing]:
    """Return the query of a charger's files out; of one state, or of all."""
    query = select(Outgoing).where(Outgoing.charger_id == charger.id)
    return query if state is None else query.where(Outgoing.state == state)


def incoming(charger: Charger, state: str | None = None) -> Select[Incoming]:
    """Return the query of a charger's files in; of one state, or of all."""
    query = select(Incoming).where(Incoming.charger_id == charger.id)
    return query if state is None else query.where(Incoming.state == state)


def besides(charger: Charger) -> Select[Incoming]:
    """Return the query of what came from a charger and is no batch: acknowledgements, claims, answers to complaints,
    and what could not be taken. Batches have a list of their own (billing.roadside.listed)."""
    return incoming(charger).where(Incoming.batch_id.is_(None))


def of_charger(session: Session, charger: Charger, outgoing_id: int) -> Outgoing:
    """Return a file for a charger. Raises NotFound, also for another's."""
    row = session.scalar(outgoing(charger).where(Outgoing.id == outgoing_id))
    if row is None:
        raise NotFound("There is no such file.")
    return row


@dataclass(frozen=True)
class Trouble:
    """What somebody must look at: how many files to a charger failed so often that they alarm, and why its server could
    not be reached when it was last tried; None when it was, or has not been tried."""

    failed: int = 0
    error: str | None = None


_TROUBLES = text("""
    SELECT c.code, coalesce(o.failed, 0) AS failed, CASE WHEN e.enabled THEN e.error END AS error
    FROM chargers AS c LEFT JOIN exchanges AS e ON e.charger_id = c.id
    LEFT JOIN (
        SELECT charger_id, count(*) AS failed FROM outgoing_files
        WHERE next_at IS NOT NULL AND state = 'failed' GROUP BY charger_id
    ) AS o ON o.charger_id = c.id
    WHERE o.failed > 0 OR (e.enabled AND e.error IS NOT NULL)
""")


def troubles(session: Session) -> dict[str, Trouble]:
    """Return the chargers with which files cannot be exchanged now, by code."""
    return {row.code: Trouble(row.failed, row.error) for row in session.execute(_TROUBLES)}


_FIGURES = text("""
    SELECT 'attempts' AS what, c.code, e.attempts AS n FROM exchanges AS e JOIN chargers AS c ON c.id = e.charger_id
    WHERE e.enabled
    UNION ALL
    SELECT o.state, c.code, count(*) FROM outgoing_files AS o JOIN chargers AS c ON c.id = o.charger_id
    WHERE o.next_at IS NOT NULL GROUP BY o.state, c.code
    UNION ALL
    SELECT 'coming', c.code, count(*) FROM incoming_files AS i JOIN chargers AS c ON c.id = i.charger_id
    WHERE i.state IN ('coming', 'taken') AND i.attempts > 0 GROUP BY c.code
    ORDER BY 1, 2
""")
_ABOUT = {
    "attempts": ("brikke_exchange_attempts", "Failed attempts to reach a charger since it was last reached."),
    "waiting": ("brikke_exchange_out_waiting", "Files that wait to be sent to a charger."),
    "failed": ("brikke_exchange_out_failed", "Files to a charger that failed so often that somebody must look."),
    "coming": ("brikke_exchange_in_failing", "Files of a charger that could not be taken so far, and are tried again."),
}


def figures(session: Session) -> Iterator[str]:
    """Yield the lines of the exposition (config.metrics): they are the same whichever process is asked."""
    last = None
    for row in session.execute(_FIGURES):
        name, about = _ABOUT[row.what]
        if name != last:
            yield f"# HELP {name} {about}"
            yield f"# TYPE {name} gauge"
        last = name
        yield f'{name}{{charger="{row.code}"}} {row.n}'
