"""`brikke statuslist`: make a charger's status list now, look at it, write it to a file."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import click

from accounts.chargers.models import Charger
from accounts.chargers.queries import charger as charger_by_code
from accounts.chargers.rules import LIST_TYPES, types_of
from billing.roadside.lists.cut import latest, look
from billing.roadside.lists.jobs import cut_one, release_all
from billing.roadside.lists.queries import wanted
from billing.roadside.lists.send import content
from commands import base
from config.clock import business_now
from config.problems import Conflict
from config.runtime import Runtime


@click.command()
@click.option("--charger", required=True, help="The charger's code.")
@click.option("--type", "list_type", type=click.Choice(LIST_TYPES), default=None, help="Which list; else its first.")
@click.option("--full", is_flag=True, help="Make a full list, not what has changed since the last one.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write it here; gzipped if it ends in .gz."
)
@base.as_json
@base.guarded
def statuslist(charger: str, list_type: str | None, full: bool, out: Path | None, as_json: bool) -> None:
    """Makes a charger's next status list, if there is anything to say, and shows it or writes it to a file.

    It goes out as those do that the schedule makes. A charger that takes no lists has none: then this only looks at
    what a full list would say, without a number.
    """
    with base.runtime() as runtime:
        with runtime.sessions() as session:
            one = charger_by_code(session, charger)
        which = list_type or types_of(one.list_types)[0]
        said, body = _made(runtime, one, which, full) if one.lists != "none" else _looked(runtime, one, which)
        if out is not None:
            with out.open("wb") as file:
                _write(file, body if out.suffix == ".gz" else _unzipped(body))
            said["file"] = str(out)
        elif not as_json:
            _write(sys.stdout.buffer, _unzipped(body))
    if as_json or out is not None:
        base.show(said, as_json=as_json)


def _made(runtime: Runtime, one: Charger, which: str, full: bool) -> tuple[dict[str, object], Iterator[bytes]]:
    """Make the next version where there is anything to say; return what is said of the newest, and its bytes."""
    if which not in types_of(one.list_types):
        raise Conflict(f"{one.code} takes no list of {which}.", slug="no-list")
    release_all(runtime.sessions)
    with runtime.sessions() as session:
        before = latest(session, one.id, which)
    kind = "full" if full or before is None else "incremental"  # the first one is full
    made = cut_one(runtime.sessions, one.id, which, kind)
    number = made.version if made is not None else before.version if before is not None else None
    with runtime.sessions() as session:
        row = wanted(session, one, which, version=number, since=None)
    assert row is not None
    said = {
        "charger": one.code, "list": which, "version": row.version, "kind": row.kind, "rows": row.row_count,
        "bytes": row.size, "made": made is not None, "state": row.state, "acknowledged_at": row.acknowledged_at,
    }  # fmt: skip
    return said, content(runtime.sessions, row.id)


def _looked(runtime: Runtime, one: Charger, which: str) -> tuple[dict[str, object], Iterator[bytes]]:
    """Return what a full list would say now, of a charger that takes none."""
    with runtime.sessions() as session:
        now = business_now(session)
    release_all(runtime.sessions)
    said: dict[str, object] = {"charger": one.code, "list": which, "version": None, "kind": "full", "made": False}
    return said, look(runtime.sessions, one, which, now)


def _unzipped(body: Iterable[bytes]) -> Iterator[bytes]:
    loosen = zlib.decompressobj(wbits=31)
    for piece in body:
        yield loosen.decompress(piece)
    yield loosen.flush()


def _write(file: BinaryIO, body: Iterable[bytes]) -> None:
    for piece in body:
        file.write(piece)
    file.flush()
