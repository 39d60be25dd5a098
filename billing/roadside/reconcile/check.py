"""Reconcile days of arrival: what the batches say was answered, against what is there, in records and øre.

The batches' own counts are held against an independent count of records, faults and passages, batch by batch; and
what is owed for the passages of a day against what the ledger booked on the charger's payable that day. Nothing is
changed. What it reads is bounded by the days: records by the batches' range (a BRIN), passages by partition,
transfers by day.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.roadside.files import Gap, gaps
from billing.roadside.settlement.settle import OWN_CODES
from config.clock import start_of_day

DAY = dt.timedelta(days=1)
SORTS = (
    "accepted", "other_agreement", "rejected", "deferred", "duplicates", "conflicts", "broken",
)  # fmt: skip
"""What an answer comes under; the order in which they are shown. They add up to what was received."""
_SORT_OF = {
    "accepted": "accepted",
    "other_agreement": "other_agreement",
    "deferred_original_missing": "deferred",
    "duplicate": "duplicates",
    "conflict": "conflicts",
    "invalid_record": "broken",
    "invalid_amount": "broken",
}
_NO_RECORD = frozenset({"duplicate", "conflict", "invalid_record", "invalid_amount"})
"""Answers that leave no row in ``records``: the øre of these are not kept with it."""

# The one place that says what a record was answered first: a decision made anew is an amendment, which says what was
# answered before it.
_FIRST_ANSWERS = """
    SELECT r.batch_id, coalesce(f.was_code, r.code) AS code, r.amount_ore, r.passage_id
    FROM records AS r
    LEFT JOIN (
        SELECT DISTINCT ON (a.charger_id, a.source_id) a.charger_id, a.source_id, a.was_code
        FROM amendments AS a WHERE a.batch_id = ANY(CAST(:batches AS bigint[]))
        ORDER BY a.charger_id, a.source_id, a.id
    ) AS f ON f.charger_id = r.charger_id AND f.source_id = r.source_id
    WHERE r.batch_id BETWEEN :least AND :most AND r.batch_id = ANY(CAST(:batches AS bigint[]))
"""

_BATCHES = text("""
    SELECT b.id, c.code AS charger, b.name, b.state, b.done, b.records AS stated, b.counts, b.sums,
        (b.received_at AT TIME ZONE 'Europe/Oslo')::date AS day, coalesce(b.finished_at, :now) AS through
    FROM batches AS b JOIN chargers AS c ON c.id = b.charger_id
    WHERE b.received_at >= :begins AND b.received_at < :ends
        AND (CAST(:charger AS text) IS NULL OR c.code = :charger)
    ORDER BY b.id
""")

_RECORDS = text(f"""
    SELECT x.batch_id, x.code, count(*) AS number, sum(x.amount_ore)::bigint AS ore,
        count(x.passage_id) AS became, coalesce(sum(x.amount_ore) FILTER (WHERE x.passage_id IS NOT NULL), 0)::bigint
            AS became_ore
    FROM ({_FIRST_ANSWERS}) AS x
    GROUP BY x.batch_id, x.code
""")  # noqa: S608 - no input in it

_FAULTS = text("""
    SELECT batch_id, code, count(*) AS number FROM batch_faults
    WHERE batch_id = ANY(CAST(:batches AS bigint[])) GROUP BY batch_id, code
""")

# A passage is its batch's first one unless it reverses another or came in a moved one's place. It was booked while the
# batch was received, or when one of its records was decided anew.
_PASSAGES = text("""
    SELECT p.batch_id, count(*) AS number, sum(p.amount_ore)::bigint AS ore
    FROM passages AS p LEFT JOIN reversals AS v ON v.replaced_by = p.id
    WHERE p.booked_at >= :begins AND p.booked_at <= (
            SELECT greatest(:through, max(a.at)) FROM amendments AS a
            WHERE a.batch_id = ANY(CAST(:batches AS bigint[])))
        AND p.batch_id = ANY(CAST(:batches AS bigint[])) AND p.reverses_id IS NULL AND v.passage_id IS NULL
    GROUP BY p.batch_id
""")

_OWED = text("""
    SELECT c.code AS charger, p.day, p.ore FROM (
        SELECT charger_id, (booked_at AT TIME ZONE 'Europe/Oslo')::date AS day, sum(amount_ore)::bigint AS ore
        FROM passages WHERE owed AND booked_at >= :begins AND booked_at < :ends GROUP BY 1, 2
    ) AS p JOIN chargers AS c ON c.id = p.charger_id
    WHERE CAST(:charger AS text) IS NULL OR c.code = :charger
""")

_PAYABLE = text("""
    SELECT c.code AS charger, t.day, sum(t.ore)::bigint AS ore FROM (
        SELECT credit_owner AS owner, booked_on AS day, amount_ore AS ore, code FROM transfers
        WHERE credit = 'payable' AND booked_on BETWEEN :first AND :last
        UNION ALL SELECT debit_owner, booked_on, -amount_ore, code FROM transfers
        WHERE debit = 'payable' AND booked_on BETWEEN :first AND :last
    ) AS t JOIN chargers AS c ON c.id = t.owner
    WHERE t.code <> ALL(CAST(:own AS text[])) AND (CAST(:charger AS text) IS NULL OR c.code = :charger)
    GROUP BY 1, 2
""")


@dataclass
class Sort:
    """How many records, and their øre as far as they could be read."""

    count: int = 0
    ore: int = 0


@dataclass
class ReconciledDay:
    """A charger's day of arrival: its batches, what was received by sort of answer, and what differs."""

    charger: str
    day: dt.date
    batches: int = 0
    unfinished: int = 0
    received: int = 0
    owed_ore: int = 0
    sorts: dict[str, Sort] = field(default_factory=lambda: {name: Sort() for name in SORTS})
    differences: list[str] = field(default_factory=list)

    @property
    def first_difference(self) -> str | None:
        """Return what differs first, naming charger and day; None where everything holds."""
        return f"{self.charger} {self.day}: {self.differences[0]}" if self.differences else None

    def as_dict(self) -> dict[str, Any]:
        """Return it as the API and the command line show it."""
        return {
            "charger": self.charger,
            "day": self.day,
            "ok": not self.differences,
            "batches": self.batches,
            "unfinished": self.unfinished,
            "received": self.received,
            "sorts": {name: {"count": sort.count, "ore": sort.ore} for name, sort in self.sorts.items()},
            "owed_ore": self.owed_ore,
            "differences": self.differences,
        }


@dataclass(frozen=True)
class Reconciled:
    """Days by charger, in order; the file numbers that have not come, whenever; and the first difference."""

    days: list[ReconciledDay]
    gaps: list[Gap]

    @property
    def first_difference(self) -> str | None:
        """Return what differs first, None where everything holds."""
        return next((day.first_difference for day in self.days if day.differences), None)

    def as_dict(self) -> dict[str, Any]:
        """Return it as the API and the command line show it."""
        return {
            "ok": self.first_difference is None,
            "first_difference": self.first_difference,
            "days": [day.as_dict() for day in self.days],
            "gaps": [vars(gap) for gap in self.gaps],
        }


def reconcile(
    session: Session, first: dt.date, last: dt.date, *, now: dt.datetime, charger: str | None = None
) -> Reconciled:
    """Reconcile the days of arrival from ``first`` to ``last`` (Oslo) of one charger or of all, on one snapshot where
    the session has not begun yet."""
    if not session.in_transaction():
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    begins, ends = start_of_day(first), start_of_day(last + DAY)
    about = {"begins": begins, "ends": ends, "charger": charger, "now": now}
    days: dict[tuple[str, dt.date], ReconciledDay] = {}

    def day_of(code: str, day: dt.date) -> ReconciledDay:
        return days.setdefault((code, day), ReconciledDay(code, day))

    batches = session.execute(_BATCHES, about).all()
    there = _there(session, batches, begins) if batches else {}
    for batch in batches:
        day = day_of(batch.charger, batch.day)
        _add(day, batch)
        day.differences += [f"batch {batch.id} ({batch.name}): {what}" for what in _differ(batch, there[batch.id])]
    for code, on, owed, payable in _booked(session, about, first, last):
        day = day_of(code, on)
        day.owed_ore = owed
        if owed != payable:
            day.differences.append(f"passages owed are {owed} øre, booked on its payable are {payable} øre")
    found = [gap for gap in gaps(session) if charger in (None, gap.charger)]
    return Reconciled([days[key] for key in sorted(days)], found)


@dataclass
class _There:
    """What is there of a batch: records by first answer, faults by code, and its passages."""

    records: dict[str, Sort] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    became: Sort = field(default_factory=Sort)
    passages: Sort = field(default_factory=Sort)


def _there(session: Session, batches: Any, begins: dt.datetime) -> dict[int, _There]:
    ids = [batch.id for batch in batches]
    params = {"batches": ids, "least": min(ids), "most": max(ids)}
    found: dict[int, _There] = defaultdict(_There)
    for row in session.execute(_RECORDS, params):
        one = found[row.batch_id]
        one.records[row.code] = Sort(row.number, row.ore)
        one.became = Sort(one.became.count + row.became, one.became.ore + row.became_ore)
    for row in session.execute(_FAULTS, {"batches": ids}):
        found[row.batch_id].faults[row.code] = row.number
    through = max(batch.through for batch in batches)
    for row in session.execute(_PASSAGES, {"batches": ids, "begins": begins, "through": through}):
        found[row.batch_id].passages = Sort(row.number, row.ore)
    return found


def _add(day: ReconciledDay, batch: Any) -> None:
    day.batches += 1
    day.unfinished += batch.state == "receiving"
    day.received += batch.done
    for code, number in batch.counts.items():
        sort = day.sorts[_SORT_OF.get(code, "rejected")]
        sort.count += number
        sort.ore += batch.sums.get(code, 0)


def _differ(batch: Any, there: _There) -> Iterator[str]:
    """Yield what of a batch does not agree."""
    answered = sum(batch.counts.values())
    if batch.done != answered:
        yield f"{batch.done} records received, {answered} answered"
    if batch.state == "done" and batch.stated is not None and batch.stated != batch.done:
        yield f"the file says {batch.stated} records, {batch.done} were received"
    for code in sorted({*batch.counts, *there.records, *there.faults} - {"duplicate"}):
        kept = there.records.get(code, Sort())
        counted, found = batch.counts.get(code, 0), kept.count + there.faults.get(code, 0)
        if counted != found:
            yield f"{counted} answered {code}, {found} are there"
        ore = batch.sums.get(code, 0)
        if code not in _NO_RECORD and ore != kept.ore:
            yield f"{ore} øre answered {code}, {kept.ore} øre are there"
    became, passages = there.became, there.passages
    if (became.count, became.ore) != (passages.count, passages.ore):
        yield (
            f"{became.count} records of {became.ore} øre became passages, there are {passages.count} of {passages.ore}"
        )


def _booked(
    session: Session, about: dict[str, Any], first: dt.date, last: dt.date
) -> Iterator[tuple[str, dt.date, int, int]]:
    """Yield (charger, day, owed by its passages, booked on its payable), øre."""
    owed = {(row.charger, row.day): row.ore for row in session.execute(_OWED, about)}
    params = {"charger": about["charger"], "first": first, "last": last, "own": list(OWN_CODES)}
    payable = {(row.charger, row.day): row.ore for row in session.execute(_PAYABLE, params)}
    for code, day in sorted({*owed, *payable}):
        yield code, day, owed.get((code, day), 0), payable.get((code, day), 0)
