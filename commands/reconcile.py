"""`brikke reconcile`, `brikke settle`: what arrived against what was booked, and what chargers are owed for it."""

from __future__ import annotations

import datetime as dt
import sys
from typing import Any

import click

from accounts.chargers import queries as chargers
from billing.roadside.reconcile.check import DAY, Reconciled
from billing.roadside.reconcile.check import reconcile as check
from billing.roadside.settlement import queries
from billing.roadside.settlement.settle import settle_by_code
from commands import base
from commands.intake import kroner
from config.clock import business_date, business_now
from config.problems import Invalid

DATE = click.DateTime(["%Y-%m-%d"])


def _day(value: dt.datetime | None) -> dt.date | None:
    return None if value is None else value.date()


@click.command()
@click.option("--charger", metavar="CODE", help="Only this charger.")
@click.option("--from", "first", type=DATE, metavar="D", help="First day of arrival; else yesterday.")
@click.option("--to", "last", type=DATE, metavar="D", help="Last day, in it; else the first.")
@base.as_json
@base.guarded
def reconcile(charger: str | None, first: dt.datetime | None, last: dt.datetime | None, as_json: bool) -> None:
    """Reconcile days of arrival: received = answered = kept = owed; exit code 1 names the first difference."""
    with base.runtime() as runtime:
        with runtime.sessions() as session:
            now = business_now(session)
            if charger is not None:
                chargers.charger(session, charger)
        begins = _day(first) or business_date(now) - DAY
        ends = _day(last) or begins
        if ends < begins:
            raise Invalid(f"{ends} is before {begins}.")
        with runtime.sessions() as session:
            found = check(session, begins, ends, now=now, charger=charger)
    base.show(found.as_dict(), as_json=as_json, line=_lines(found))
    if found.first_difference is not None:
        sys.exit(1)


def _lines(found: Reconciled) -> str:
    lines = []
    for day in found.days:
        parts = [f"{sort.count} {name}" for name, sort in day.sorts.items() if sort.count]
        open_ones = f", {day.unfinished} batches unfinished" if day.unfinished else ""
        what = f"{day.received} records: {', '.join(parts) or 'none'}; owed {kroner(day.owed_ore)}{open_ones}"
        lines.append(f"{'WRONG' if day.differences else 'ok   '} {day.day} {day.charger}  {what}")
        lines += [f"      {difference}" for difference in day.differences]
    lines += [
        f"files {gap.first} to {gap.last} of {gap.charger} {gap.sender}".rstrip() + " have not come"
        for gap in found.gaps
    ]
    verdict = "Everything holds." if found.first_difference is None else f"First difference: {found.first_difference}"
    return "\n".join([*lines, verdict])


@click.command()
@click.option("--charger", required=True, metavar="CODE", help="Whom to settle with.")
@click.option("--from", "first", type=DATE, metavar="D", help="First day; else the day after the last settlement.")
@click.option("--to", "last", type=DATE, metavar="D", help="Last day, in it; else the end of the week or month.")
@base.as_json
@base.guarded
def settle(charger: str, first: dt.datetime | None, last: dt.datetime | None, as_json: bool) -> None:
    """Settle with a charger for days that are over; the same days again give the settlement that is there."""
    with base.runtime() as runtime, runtime.sessions.begin() as session:
        now = business_now(session)
        row = settle_by_code(session, charger, _day(first), _day(last), now=now, actor="command line")
        shown = queries.one(session, row.id).as_dict()
    base.show(shown, as_json=as_json, line=_settled(shown))


def _settled(shown: dict[str, Any]) -> str:
    head = f"settlement {shown['id']} with {shown['charger']}, {shown['period_from']} to {shown['period_to']}"
    return "\n".join(
        [
            f"{head}: {shown['state']}",
            *(f"  {line['project']}: {kroner(line['net_ore'])}" for line in shown["lines"]),
            f"  owed {kroner(shown['claim_ore'])}, ours {kroner(shown['remuneration_ore'])}, "
            f"to pay {kroner(shown['payout_ore'])}",
        ]
    )
