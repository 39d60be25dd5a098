"""`brikke answers`, `brikke chargers`: what chargers were answered, again; and who they are."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from accounts.chargers.read_file import keep_file
from billing.roadside import files
from billing.roadside.formats import FORMATS
from billing.roadside.ingest_file import write_answers
from commands import base
from commands.intake import FILE
from config.clock import business_now
from config.problems import Invalid, TooLarge

LARGEST = 20_000_000


@click.command()
@click.argument("batch", type=click.IntRange(1, 2**63 - 1))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write them here, not to the screen.")
@click.option("--format", "form", type=click.Choice(sorted(FORMATS)), help="Else the file's own.")
@base.as_json
@base.guarded
def answers(batch: int, out: Path | None, form: str | None, as_json: bool) -> None:
    """Give the answer file of a batch again: the same bytes as ever."""
    with base.runtime() as runtime:
        if out is not None:
            write_answers(runtime.sessions, batch, out, form)
            said = f"The answers to batch {batch} are in {out}."
            base.show({"batch": batch, "answers": str(out)}, as_json=as_json, line=said)
            return
        for piece in files.answer_file(runtime.sessions, batch, form or ("json" if as_json else None)):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


@click.command()
@click.argument("file", type=FILE)
@base.as_json
@base.guarded
def chargers(file: Path, as_json: bool) -> None:
    """Keep chargers, projects and stations from a file (.csv or .json): all of it, or nothing."""
    form = {".csv": "csv", ".json": "json"}.get(file.suffix.lower())
    if form is None:
        raise Invalid(f"{file.name}: must end in .csv or .json.", slug="unknown-format")
    if file.stat().st_size > LARGEST:
        raise TooLarge(f"{file.name} is over {LARGEST} bytes.")
    with base.runtime() as runtime, runtime.sessions.begin() as session:
        kept = keep_file(session, file.read_bytes(), form, business_now(session))
    line = f"{file.name}: kept {kept['chargers']} chargers, {kept['projects']} projects, {kept['stations']} stations"
    base.show(kept, as_json=as_json, line=line)
