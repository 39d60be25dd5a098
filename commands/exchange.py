"""`brikke exchange`: look now at what chargers have sent, and send them what waits."""

from __future__ import annotations

import sys

import click

from accounts.chargers import queries as chargers
from billing.roadside.exchange.run import look_at_all
from commands import base


@click.command()
@click.option("--charger", metavar="CODE", help="Only this charger.")
@base.as_json
@base.guarded
def exchange(charger: str | None, as_json: bool) -> None:
    """Look once, now: fetch, take and answer chargers' files, send what waits. Exit code 1 when something failed."""
    with base.runtime() as runtime:
        if charger is not None:
            with runtime.sessions() as session:
                chargers.charger(session, charger)
        done = look_at_all(runtime.sessions, runtime.settings, charger)
    said = ", ".join(f"{count} {word}" for word, count in done.items() if count)
    base.show(done, as_json=as_json, line=said or "nothing to do")
    if done["failed"]:
        sys.exit(1)
