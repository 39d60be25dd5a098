"""`brikke cards reconcile`: card clearing against the card provider's account of us."""

from __future__ import annotations

import sys

import click

from billing.cards import account
from billing.cards.gateway import GatewayMisuse, GatewayUnavailable
from billing.cards.provider import gateway_of
from billing.cards.reconcile import Report, compare
from commands import base
from commands.intake import kroner
from config.clock import business_now, now_utc
from config.jobs import alone
from config.runtime import Runtime


@click.group()
def cards() -> None:
    """Cards: whether the provider's account of us and our books agree."""


@cards.command()
@click.option("--read/--no-read", "read", default=True, help="Read the provider's account first.")
@base.as_json
@base.guarded
def reconcile(read: bool, as_json: bool) -> None:
    """Compare card clearing with the provider's account; exit code 1 where something differs, and says what.

    Without a read: with the account as it was read last, and the balance that the provider told then.
    """
    with base.runtime() as runtime:
        report = (_read(runtime) if read else None) or compare(runtime.sessions, real=now_utc())
    base.show(report.as_dict(), as_json=as_json, line=_lines(report))
    if not report.ok:
        sys.exit(1)


def _read(runtime: Runtime) -> Report | None:
    gateway = gateway_of(runtime.settings)
    if gateway is None:
        return None
    with runtime.sessions() as session:
        now = business_now(session)
    try:
        with alone(runtime.engine, account.JOB):  # the day's own read may be under way
            _, report = account.check(runtime.sessions, gateway, now=now, real=now_utc())
    except (GatewayUnavailable, GatewayMisuse) as error:
        base.fail(f"the card provider's account cannot be read: {error}", 1)
    return report


def _lines(report: Report) -> str:
    sums = [
        ("card clearing in the ledger", report.clearing_ore),
        ("the provider's balance, by its lines", report.read_ore),
        ("paid out, not arrived", report.to_bank_ore),
        ("differing", report.differing_ore),
        ("too young to be on both sides", report.young_ore),
        ("explained by nothing", report.rest_ore),
    ]
    lines = [f"{name:<38} {kroner(ore):>16}" for name, ore in sums]
    if report.balance_ore is not None and report.balance_lines_ore is not None and report.balance_differs:
        lines.append(f"{'the provider said its balance was':<38} {kroner(report.balance_ore):>16}")
        lines.append(f"{'its lines of that moment add up to':<38} {kroner(report.balance_lines_ore):>16}")
    lines += [
        f"{one.word:<13} {one.kind:<8} {one.ref or 'without id'}: ours {kroner(one.ours_ore)}, theirs "
        f"{kroner(one.theirs_ore)}, {one.at:%Y-%m-%d}" + (f", agreement {one.agreement}" if one.agreement else "")
        for one in report.differences
    ]
    if report.count > len(report.differences):
        lines.append(f"… and {report.count - len(report.differences)} more")
    wrong = [
        f"{report.count} differences" if report.count else "",
        "the ledger is wrong" if report.rest_ore else "",
        "the balance is another" if report.balance_differs else "",
    ]
    return "\n".join([*lines, "Everything agrees." if report.ok else f"Wrong: {', '.join(filter(None, wrong))}."])
