"""What every command does: open settings and database, print for people or as JSON, end with one line on errors.

Exit codes: 0 done; 1 it failed, or the answer is no; 2 the command or the settings are wrong.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ParamSpec

import click
from sqlalchemy.exc import OperationalError, ProgrammingError

import migrations.tables  # noqa: F401 - every table is declared, or a foreign key may lead nowhere
from config import logging, settings
from config.embedded import EmbeddedError
from config.problems import Problem
from config.runtime import Runtime, open_runtime

P = ParamSpec("P")

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@contextmanager
def runtime() -> Iterator[Runtime]:
    """Open settings, logging and database for one command."""
    loaded = settings.load()
    logging.configure(loaded)
    opened = open_runtime(loaded)
    try:
        yield opened
    finally:
        opened.close()


def guarded(function: Callable[P, None]) -> Callable[P, None]:
    """Turn what can go wrong for a user into one line on stderr and an exit code."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except settings.SettingsError as error:
            fail(str(error), 2)
        except EmbeddedError as error:
            fail(str(error), 1)
        except Problem as problem:
            if kwargs.get("as_json"):
                click.echo(json.dumps(problem.as_dict(), ensure_ascii=False, default=plain))
            lines = [f"  {json.dumps(error, ensure_ascii=False, default=plain)}" for error in problem.errors[:20]]
            fail("\n".join([problem.detail, *lines]), 1)
        except OperationalError as error:
            fail(f"the database does not answer: {str(error.orig).strip().splitlines()[0]}", 1)
        except ProgrammingError as error:
            if "does not exist" not in str(error.orig):
                raise
            fail(f"the database is not of this version ({str(error.orig).splitlines()[0]}); run: brikke migrate", 1)

    return wrapped


def fail(line: str, code: int) -> None:
    """Say what is wrong and end."""
    click.echo(f"brikke: {line}", err=True)
    sys.exit(code)


def show(result: Mapping[str, Any], *, as_json: bool, line: str | None = None) -> None:
    """Print a result: as JSON, as the one line given, or a name and value a line."""
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False, default=plain))
    elif line is not None:
        click.echo(line)
    else:
        width = max((len(name) for name in result), default=0)
        for name, value in result.items():
            click.echo(f"{name:<{width}}  {value}")


def plain(value: Any) -> Any:
    """Return what JSON has no form of in one it has."""
    if isinstance(value, dt.date | dt.datetime):
        return value.isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return str(value)
