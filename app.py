"""The front door: create_app() and the `brikke` command line. Wires, decides nothing."""

from __future__ import annotations

import click
from flask import Flask

from commands.audit import audit
from commands.database import config_command, migrate
from commands.intake import bank, ingest
from commands.jobs import jobs
from commands.processes import scheduler, serve, worker
from commands.run import run
from commands.token import token
from config import settings
from config.runtime import open_runtime
from config.settings import Settings


def create_app(loaded: Settings | None = None) -> Flask:
    """Return the web application on the database of the settings; without any, on those of this process.

    Raises SettingsError or EmbeddedError with one line.
    """
    from web.app import create_app as make  # commands that serve nothing need not load every face

    runtime = open_runtime(loaded or settings.load())
    app = make(runtime.settings, runtime.engine)
    app.extensions["brikke-runtime"] = runtime  # the embedded server lives as long as the application
    return app


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Brikke: the billing backend of a toll tag issuer. Settings: `brikke config`."""


for command in (run, serve, worker, scheduler, migrate, config_command, ingest, bank, jobs, audit, token):
    main.add_command(command)


if __name__ == "__main__":
    main()
