"""Settle with chargers: what is owed to each for a period, by project, less our remuneration.

Set-based: one pass over the period's passages for all chargers that are settled together. What is read is closed
(``closed``), so a settlement's figures are final when it is made; a repeat is a result.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import structlog
from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger
from billing.roadside.settlement.closed import PATIENCE, interval, wait_until_closed
from billing.roadside.settlement.models import Settlement, SettlementLine
from billing.roadside.settlement.rules import DAY, Period, Sums, due, periods
from config.clock import business_date, business_now
from config.jobs import JobContext
from config.problems import Conflict, Invalid, NotFound
from config.rates import figure, whole

log = structlog.get_logger(__name__)

OWN_CODES = ("remuneration", "remuneration_back", "remuneration_vat", "remuneration_vat_back", "charger_payment")
"""Codes by which settlement itself books on a charger's payable; all others are of passages."""

# A counter-row that leaves the charger owed (owed = false) is no concern of the charger's.
OWED = """
    SELECT p.charger_id, p.project,
        count(*) FILTER (WHERE p.reverses_id IS NULL) AS accepted_count,
        coalesce(sum(p.amount_ore) FILTER (WHERE p.reverses_id IS NULL), 0)::bigint AS accepted_ore,
        count(*) FILTER (WHERE p.reverses_id IS NOT NULL) AS reversed_count,
        coalesce(-sum(p.amount_ore) FILTER (WHERE p.reverses_id IS NOT NULL), 0)::bigint AS reversed_ore
    FROM passages AS p
    JOIN unnest(CAST(:chargers AS int[]), CAST(:begins AS timestamptz[]), CAST(:ends AS timestamptz[]))
        AS w (charger_id, begins, ends)
        ON w.charger_id = p.charger_id AND p.booked_at >= w.begins AND p.booked_at < w.ends
    WHERE p.owed AND p.booked_at >= :earliest AND p.booked_at < :latest
    GROUP BY p.charger_id, p.project
"""
"""What is owed by charger and project; params chargers, begins, ends (in step), earliest, latest."""

_PAYABLE = text("""
    SELECT owner AS charger_id, sum(ore)::bigint AS ore FROM (
        SELECT credit_owner AS owner, amount_ore AS ore, booked_on, code FROM transfers
        WHERE credit = 'payable' AND booked_on BETWEEN :first AND :last
        UNION ALL SELECT debit_owner, -amount_ore, booked_on, code FROM transfers
        WHERE debit = 'payable' AND booked_on BETWEEN :first AND :last
    ) AS t
    JOIN unnest(CAST(:chargers AS bigint[]), CAST(:firsts AS date[]), CAST(:lasts AS date[])) AS w (id, first, last)
        ON w.id = t.owner AND t.booked_on BETWEEN w.first AND w.last
    WHERE t.code <> ALL(CAST(:own AS text[])) GROUP BY owner
""")


class BooksDiffer(Conflict):
    """A charger's passages and its payable in the ledger say different sums for the same days."""

    slug = "books-differ"

    def __init__(self, charger_id: int, detail: str) -> None:
        super().__init__(detail)
        self.charger_id = charger_id


@dataclass(frozen=True)
class Standing:
    """How far a charger is settled: the last settlement's last day and payout, or the first day it is owed for."""

    through: dt.date | None
    payout_ore: int
    owed_since: dt.date | None

    @property
    def next_day(self) -> dt.date | None:
        """Return the day the next settlement begins on; None while the charger is owed nothing."""
        return self.through + DAY if self.through is not None else self.owed_since


def standing(session: Session, charger_ids: Iterable[int]) -> dict[int, Standing]:
    """Return how far each charger is settled, for all that have ever been owed anything or settled with."""
    rows = session.execute(
        text(
            "SELECT c.id, s.period_to, coalesce(s.payout_ore, 0) AS payout_ore, t.booked_on "
            "FROM unnest(CAST(:ids AS int[])) AS c (id) "
            "LEFT JOIN LATERAL (SELECT period_to, payout_ore FROM settlements WHERE charger_id = c.id "
            "ORDER BY period_to DESC LIMIT 1) AS s ON true "
            "LEFT JOIN LATERAL (SELECT min(booked_on) AS booked_on FROM transfers "
            "WHERE credit = 'payable' AND credit_owner = c.id AND s.period_to IS NULL) AS t ON true"
        ),
        {"ids": list(charger_ids)},
    )
    return {row.id: Standing(row.period_to, row.payout_ore, row.booked_on) for row in rows}


def settle(
    session: Session, wanted: Mapping[int, Period], *, now: dt.datetime, actor: str, patience: float = PATIENCE
) -> list[Settlement]:
    """Make the settlement of each charger id for its period, as drafts, and return them in order of charger.

    One that is there for just that period is returned as it is. Raises NotFound; Conflict when a period is not closed
    (see ``closed``), overlaps another (``settlement-overlaps``) or leaves days out that the charger is owed for
    (``settlement-gap``), or when passages and ledger differ (``books-differ``); then nothing is made.
    """
    if not wanted:
        return []
    wait_until_closed(session, max(one.last for one in wanted.values()), now=now, patience=patience)
    locked = select(Charger).where(Charger.id.in_(wanted)).order_by(Charger.id).with_for_update(key_share=True)
    chargers = {one.id: one.code for one in session.scalars(locked)}
    if missing := sorted(set(wanted) - set(chargers)):
        raise NotFound(f"There is no charger {missing[0]}.")
    known = _known(session, wanted)
    fresh = {charger: period for charger, period in wanted.items() if charger not in known}
    before = standing(session, fresh)
    for charger, period in fresh.items():
        _check_follows(chargers[charger], period, before[charger])
    if fresh:
        known |= _make(session, fresh, before, chargers, now, actor)
    return [known[charger] for charger in sorted(known)]


def _known(session: Session, wanted: Mapping[int, Period]) -> dict[int, Settlement]:
    rows = session.scalars(select(Settlement).where(Settlement.charger_id.in_(wanted)))
    return {row.charger_id: row for row in rows if Period(row.period_from, row.period_to) == wanted[row.charger_id]}


def _check_follows(code: str, period: Period, before: Standing) -> None:
    """Raise Conflict when a period does not begin where the charger's last settlement ended."""
    if before.through is not None and period.first <= before.through:
        detail = f"{code} is settled through {before.through}; the next settlement begins the day after."
        raise Conflict(detail, slug="settlement-overlaps")
    begins = before.next_day
    if begins is not None and period.first > begins:
        detail = f"{code} is owed from {begins} on; a settlement from {period.first} would leave days out."
        raise Conflict(detail, slug="settlement-gap")


def owed(session: Session, wanted: Mapping[int, Period]) -> dict[int, dict[str, Sums]]:
    """Return what each charger is owed for its period, by project, from the passages."""
    spans = {charger: interval(period) for charger, period in wanted.items()}
    rows = session.execute(
        text(OWED),
        {
            "chargers": list(spans),
            "begins": [span[0] for span in spans.values()],
            "ends": [span[1] for span in spans.values()],
            "earliest": min(span[0] for span in spans.values()),
            "latest": max(span[1] for span in spans.values()),
        },
    )
    found: dict[int, dict[str, Sums]] = {charger: {} for charger in wanted}
    for row in rows:
        found[row.charger_id][row.project] = Sums(
            row.accepted_count, row.accepted_ore, row.reversed_count, row.reversed_ore
        )
    return found


def payable(session: Session, wanted: Mapping[int, Period]) -> dict[int, int]:
    """Return what was booked on each charger's payable for its passages in its period, from the ledger, øre."""
    rows = session.execute(
        _PAYABLE,
        {
            "chargers": list(wanted),
            "firsts": [one.first for one in wanted.values()],
            "lasts": [one.last for one in wanted.values()],
            "first": min(one.first for one in wanted.values()),
            "last": max(one.last for one in wanted.values()),
            "own": list(OWN_CODES),
        },
    )
    return dict.fromkeys(wanted, 0) | {row.charger_id: row.ore for row in rows}


def _make(
    session: Session,
    wanted: Mapping[int, Period],
    before: Mapping[int, Standing],
    codes: Mapping[int, str],
    now: dt.datetime,
    actor: str,
) -> dict[int, Settlement]:
    found, booked = owed(session, wanted), payable(session, wanted)
    made: dict[int, Settlement] = {}
    for charger, period in sorted(wanted.items()):
        total = sum(found[charger].values(), Sums())
        if total.net_ore != booked[charger]:
            detail = f"{codes[charger]}: passages of {period.first} to {period.last} are worth {total.net_ore} øre, "
            raise BooksDiffer(charger, f"{detail}the ledger says {booked[charger]} øre.")
        brought = min(before[charger].payout_ore, 0)
        row = _row(charger, period, total, brought, now, actor)
        made[charger] = session.scalars(insert(Settlement).returning(Settlement), [row]).one()
        lines = [_line(made[charger].id, project, sums) for project, sums in sorted(found[charger].items())]
        if lines:
            session.execute(insert(SettlementLine), lines)
    return made


def _row(
    charger: int, period: Period, total: Sums, brought_ore: int, now: dt.datetime, actor: str
) -> dict[str, object]:
    # A rate is for a whole period: the one in force on its last day.
    rate, vat = whole("issuer_remuneration_bp", period.last), whole("issuer_remuneration_vat_bp", period.last)
    parts = due(total.net_ore, remuneration_bp=rate, vat_bp=vat, brought_ore=brought_ore)
    return {
        "charger_id": charger,
        "period_from": period.first,
        "period_to": period.last,
        "cutoff_at": interval(period)[1],
        "accepted_count": total.accepted_count,
        "accepted_ore": total.accepted_ore,
        "reversed_count": total.reversed_count,
        "reversed_ore": total.reversed_ore,
        "claim_ore": total.net_ore,
        "remuneration_bp": rate,
        "remuneration_ore": parts.remuneration_ore,
        "remuneration_vat_bp": vat,
        "remuneration_vat_ore": parts.remuneration_vat_ore,
        "brought_ore": brought_ore,
        "payout_ore": parts.payout_ore,
        "made_at": now,
        "made_by": actor,
    }


def _line(settlement_id: int, project: str, sums: Sums) -> dict[str, object]:
    return {
        "settlement_id": settlement_id,
        "project": project,
        "accepted_count": sums.accepted_count,
        "accepted_ore": sums.accepted_ore,
        "reversed_count": sums.reversed_count,
        "reversed_ore": sums.reversed_ore,
        "net_ore": sums.net_ore,
    }


def settle_by_code(
    session: Session,
    code: str,
    first: dt.date | None,
    last: dt.date | None,
    *,
    now: dt.datetime,
    actor: str,
    patience: float = PATIENCE,
) -> Settlement:
    """Settle with one charger; days left out are those of its next whole period. Raises as ``settle``, and Invalid."""
    charger_id = session.scalar(select(Charger.id).where(Charger.code == code))
    if charger_id is None:
        raise NotFound(f"There is no charger {code}.")
    begins = first or standing(session, [charger_id])[charger_id].next_day
    if begins is None:
        raise Conflict(f"Nothing is owed to {code} yet.", slug="nothing-owed")
    if last is None:
        through = business_date(now) - DAY
        period = next(periods(begins, through, str(figure("settlement_period", business_date(now)))), None)
        if period is None:
            raise Conflict(f"The period of {code} that begins on {begins} is not over.", slug="period-open")
    elif last < begins:
        wrong = {"field": "to", "message": f"Must not be before {begins}."}
        raise Invalid("The period ends before it begins.", errors=[wrong])
    else:
        period = Period(begins, last)
    return settle(session, {charger_id: period}, now=now, actor=actor, patience=patience)[0]


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Make the settlements of all periods that are over and have none, the oldest first; a round a transaction.

    A charger whose passages and ledger differ keeps no other waiting. Raises Conflict at the end when there was one.
    """
    made, differ = 0, dict[int, Conflict]()
    while True:
        with ctx.sessions.begin() as session:
            now = business_now(session)
            wanted = {one: period for one, period in _next_due(session, now).items() if one not in differ}
            if not wanted:
                break
            try:
                with session.begin_nested():
                    made += len(settle(session, wanted, now=now, actor="schedule"))
            except BooksDiffer as problem:
                log.error("settlement.books_differ", charger=problem.charger_id, detail=problem.detail)
                differ[problem.charger_id] = problem
    if differ:
        raise next(iter(differ.values()))
    return {"settlements": made}


def _next_due(session: Session, now: dt.datetime) -> dict[int, Period]:
    """Return the next whole period of each charger that has one, by the rule of today."""
    closed = dt.timedelta(minutes=whole("settlement_close_minutes", business_date(now)))
    through, kind = business_date(now - closed) - DAY, str(figure("settlement_period", business_date(now)))
    found = {}
    for charger, at in standing(session, session.scalars(select(Charger.id))).items():
        if at.next_day is not None and (period := next(periods(at.next_day, through, kind), None)) is not None:
            found[charger] = period
    return found
