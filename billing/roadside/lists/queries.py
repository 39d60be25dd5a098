"""Reads of status lists: versions of a charger, the one it is to fetch next, what alarms."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, select, text
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger, ListPart, ListVersion
from config.problems import NotFound


def versions(charger_id: int, list_type: str | None) -> Select[ListVersion]:
    """Return a query of a charger's versions, of one type or of both, for keyset pages by ListVersion.id."""
    query = select(ListVersion).where(ListVersion.charger_id == charger_id)
    return query if list_type is None else query.where(ListVersion.list_type == list_type)


def wanted(
    session: Session, charger: Charger, list_type: str, *, version: int | None, since: int | None
) -> ListVersion | None:
    """Return the version to be fetched: the one asked for; the one after ``since``, or the newest full one where that
    is no longer kept or was rejected; else the newest full one. A full one that was rejected is given to who names it
    only. None when there is nothing newer than ``since``, or only what was rejected and has no full one yet that heals
    it.

    Raises NotFound when there is no such version, no list yet, or its bytes are no longer kept.
    """
    mine = versions(charger.id, list_type)
    kept = select(ListPart.version_id).where(ListPart.version_id == ListVersion.id, ListPart.part == 1).exists()
    if version is not None:
        found = session.scalar(mine.where(ListVersion.version == version))
        if found is None:
            raise NotFound(f"There is no version {version} of {charger.code}'s list of {list_type}.")
        if session.scalar(mine.where(ListVersion.id == found.id, kept)) is None:
            raise NotFound(f"Version {version} is no longer kept; fetch the newest full list.", slug="list-not-kept")
        return found
    good = mine.where(ListVersion.kind == "full", ListVersion.state != "rejected", kept)
    full = session.scalar(good.order_by(ListVersion.version.desc()).limit(1))
    if since is None:
        if full is None:
            raise NotFound(f"There is no list of {list_type} for {charger.code} yet.")
        return full
    later = mine.where(ListVersion.version > since).order_by(ListVersion.version).limit(1)
    following = session.scalar(later)
    if following is None:
        return None
    if following.state in ("rejected", "superseded"):  # also rejected, or passed over, before a full one healed it
        return full if full is not None and full.version > since else None
    # A gap, or bytes that are gone, is closed by a full list: nothing else says what was between.
    whole = following.version == since + 1 and session.scalar(later.where(kept)) is following
    return following if whole or full is None else full


@dataclass(frozen=True)
class Trouble:
    """A version that a charger has not acknowledged in time, or has rejected."""

    charger: str
    name: str
    row: ListVersion


def troubled(session: Session, now: dt.datetime, minutes: int, limit: int) -> Sequence[Trouble]:
    """Return what alarms, the oldest first: versions that were made longer ago than ``minutes`` and not acknowledged,
    and rejected ones that no later full list has made good."""
    query = (
        select(Charger.code, Charger.name, ListVersion)
        .join(Charger, Charger.id == ListVersion.charger_id)
        .where(
            ListVersion.state.in_(("made", "sent", "rejected")),
            (ListVersion.state == "rejected") | (ListVersion.made_at <= now - dt.timedelta(minutes=minutes)),
        )
        .order_by(ListVersion.made_at, ListVersion.id)
        .limit(limit)
    )
    return [Trouble(code, name, row) for code, name, row in session.execute(query)]


@dataclass(frozen=True)
class Stand:
    """How a charger's list stands: its newest version, and the newest one that it acknowledged."""

    charger: str
    name: str
    lists: str
    list_type: str
    version: int | None
    kind: str | None
    made_at: dt.datetime | None
    acknowledged: int | None
    acknowledged_at: dt.datetime | None


_STANDS = text("""
    SELECT c.code AS charger, c.name, c.lists, t.list_type, l.version, l.kind, l.made_at,
        a.version AS acknowledged, a.acknowledged_at
    FROM chargers AS c
    CROSS JOIN LATERAL (VALUES ('tags'), ('plates')) AS t (list_type)
    LEFT JOIN LATERAL (
        SELECT v.version, v.kind, v.made_at FROM list_versions AS v
        WHERE v.charger_id = c.id AND v.list_type = t.list_type ORDER BY v.version DESC LIMIT 1
    ) AS l ON true
    LEFT JOIN LATERAL (
        SELECT v.version, v.acknowledged_at FROM list_versions AS v
        WHERE v.charger_id = c.id AND v.list_type = t.list_type AND v.acknowledged_at IS NOT NULL
        ORDER BY v.version DESC LIMIT 1
    ) AS a ON true
    WHERE c.lists <> 'none' AND c.list_types IN ('both', t.list_type)
    ORDER BY c.name, t.list_type
""")


def stands(session: Session) -> Sequence[Stand]:
    """Return how the lists of every charger that takes some stand."""
    return [Stand(*row) for row in session.execute(_STANDS)]


_FIGURES = text("""
    SELECT c.code AS charger, v.list_type,
        count(*) FILTER (WHERE v.state <> 'rejected') AS waiting,
        count(*) FILTER (WHERE v.state = 'rejected') AS rejected,
        coalesce(extract(epoch FROM CAST(:now AS timestamptz) - min(v.made_at)), 0)::bigint AS seconds
    FROM list_versions AS v JOIN chargers AS c ON c.id = v.charger_id
    WHERE v.state IN ('made', 'sent', 'rejected') GROUP BY 1, 2 ORDER BY 1, 2
""")


def figures(session: Session, now: dt.datetime) -> list[str]:
    """Return what /metrics says of lists: how many versions wait for their acknowledgement or were rejected, and how
    old the oldest of them is."""
    lines = [
        "# HELP brikke_status_lists Versions of status lists that are not acknowledged, by state.",
        "# TYPE brikke_status_lists gauge",
    ]
    rows = session.execute(_FIGURES, {"now": now}).all()
    for row in rows:
        for state, number in (("waiting", row.waiting), ("rejected", row.rejected)):
            lines.append(
                f'brikke_status_lists{{charger="{row.charger}",list="{row.list_type}",state="{state}"}} {number}'
            )
    lines += [
        "# HELP brikke_status_list_oldest_seconds How long ago the oldest of them was made.",
        "# TYPE brikke_status_list_oldest_seconds gauge",
    ]
    lines += [
        f'brikke_status_list_oldest_seconds{{charger="{row.charger}",list="{row.list_type}"}} {row.seconds}'
        for row in rows
    ]
    return lines
