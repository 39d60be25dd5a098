"""`brikke migrate` and `brikke config`."""

from __future__ import annotations

import click

from commands import base
from config import settings
from migrations.run import current
from migrations.run import migrate as run_migrations


@click.command()
@click.option("--down-to", metavar="REV", help="Go back to this revision (base: empties the database).")
@base.as_json
@base.guarded
def migrate(down_to: str | None, as_json: bool) -> None:
    """Bring the database to this version's tables, and say what was done."""
    with base.runtime() as runtime:
        steps = run_migrations(runtime.engine, down_to=down_to)
        at = current(runtime.engine)
    verb = "taken back" if down_to else "applied"
    result = {"steps": steps, "direction": "down" if down_to else "up", "revision": at}
    lines = [f"{verb}: {step}" for step in steps] or ["nothing to do"]
    base.show(result, as_json=as_json, line="\n".join([*lines, f"the database is at {at or 'nothing (empty)'}"]))


@click.command("config")
@base.as_json
@base.guarded
def config_command(as_json: bool) -> None:
    """Print every setting, secrets hidden."""
    base.show(settings.describe(settings.load()), as_json=as_json)
