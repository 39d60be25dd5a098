"""`brikke ingest`, `brikke bank`: files in."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from billing.payments.bank import BankResult
from billing.payments.bank import receive as receive_bank_file
from billing.roadside.formats import FORMATS
from billing.roadside.ingest_file import ingest_file
from commands import base
from config.clock import business_now
from config.jobs import ring
from config.problems import TooLarge

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=FILE)
@click.option("--charger", required=True, metavar="CODE", help="Whose records they are.")
@click.option("--format", "form", type=click.Choice(sorted(FORMATS)), help="Else what the file's name says.")
@click.option("--answers", type=click.Path(dir_okay=False, path_type=Path), help="Write the answers here.")
@base.as_json
@base.guarded
def ingest(file: Path, charger: str, form: str | None, answers: Path | None, as_json: bool) -> None:
    """Book a file of passages from a charger. The same file again books nothing, and is answered as it was."""
    with base.runtime() as runtime:
        limit = runtime.settings.max_passage_file_bytes
        received = ingest_file(runtime.sessions, file, charger, form=form, answers=answers, max_bytes=limit)
    counts = ", ".join(f"{count} {code}" for code, count in sorted(received.tally.counts.items())) or "nothing in it"
    before = f" (0 new: this file came before, as batch {received.batch_id}, and is answered as it was)"
    line = f"{file.name}: {received.tally.done} records: {counts}{before if received.again else ''}"
    base.show(received.as_dict(), as_json=as_json, line=line)


@click.command()
@click.argument("file", type=FILE)
@base.as_json
@base.guarded
def bank(file: Path, as_json: bool) -> None:
    """Book a file of payments from the bank (OCR giro). The same file again changes nothing."""
    with base.runtime() as runtime, runtime.sessions.begin() as session:
        limit = runtime.settings.max_bank_file_bytes
        if file.stat().st_size > limit:
            raise TooLarge(f"{file.name} is over {limit} bytes (MAX_BANK_FILE_BYTES).")
        result = receive_bank_file(
            session,
            file.name,
            file.read_bytes(),
            business_now(session),
            accounts=[runtime.settings.bank_account],
            max_bytes=limit,
            actor="command line",
        )
        if result.state == "booked":
            ring(session, "overdue")
    base.show(result.as_dict(), as_json=as_json, line=_bank_line(result))
    if result.state == "refused":
        sys.exit(1)


def _bank_line(result: BankResult) -> str:
    if result.state == "refused":
        return f"{result.name}: refused, nothing is booked: line {result.line}: {result.error}"
    if result.state == "already":
        return f"{result.name}: already booked ({result.transactions} payments, {kroner(result.sum_ore)}); 0 new"
    parts = [
        f"{result.payments} new payments of {result.transactions}, {kroner(result.sum_ore)}",
        f"{result.matched} matched ({kroner(result.matched_ore)})",
        f"{kroner(result.credit_ore)} too much, kept as credit",
        f"{result.suspense} in suspense ({kroner(result.suspense_ore)})",
    ]
    parts += [f"{result.repeated} known before"] if result.repeated else []
    return "\n".join([f"{result.name}: booked: {'; '.join(parts)}", *(f"  {note}" for note in result.notes)])


def kroner(ore: int) -> str:
    """Return øre as ``NOK 1 234.50``."""
    sign = "-" if ore < 0 else ""
    return f"NOK {sign}{abs(ore) // 100:,}.{abs(ore) % 100:02}".replace(",", " ")
