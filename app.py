"""The front door: create_app() and the `brikke` command line. Wires, decides nothing."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

import click

from config import settings
from config.runtime import open_runtime
from config.settings import Settings

if TYPE_CHECKING:
    from flask import Flask

COMMANDS: Final = {
    "run": "commands.run:run",
    "serve": "commands.processes:serve",
    "worker": "commands.processes:worker",
    "scheduler": "commands.processes:scheduler",
    "migrate": "commands.database:migrate",
    "config": "commands.database:config_command",
    "ingest": "commands.intake:ingest",
    "exchange": "commands.exchange:exchange",
    "answers": "commands.roadside:answers",
    "chargers": "commands.roadside:chargers",
    "bank": "commands.intake:bank",
    "cards": "commands.cards:cards",
    "jobs": "commands.jobs:jobs",
    "audit": "commands.audit:audit",
    "reconcile": "commands.reconcile:reconcile",
    "reseal": "commands.reseal:reseal",
    "settle": "commands.reconcile:settle",
    "token": "commands.token:token",
    "statuslist": "commands.statuslist:statuslist",
}
"""Each command and where it is; loaded when it is asked for, so that a short one starts fast."""


def create_app(loaded: Settings | None = None) -> Flask:
    """Return the web application on the database of the settings; without any, on those of this process.

    Raises SettingsError or EmbeddedError with one line.
    """
    from web.app import create_app as make  # commands that serve nothing need not load every face

    runtime = open_runtime(loaded or settings.load())
    app = make(runtime.settings, runtime.engine)
    app.extensions["brikke-runtime"] = runtime  # the embedded server lives as long as the application
    return app


class _Commands(click.Group):
    """The commands of the table above."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        where = COMMANDS.get(cmd_name)
        if where is None:
            return None
        module, _, name = where.partition(":")
        found: click.Command = getattr(importlib.import_module(module), name)
        return found


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Brikke: the billing backend of a toll tag issuer. Settings: `brikke config`."""


if __name__ == "__main__":
    main()
