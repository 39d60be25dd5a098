"""Claims as chargers send them (docs/formats.md): JSON, CSV, and PaymentClaim of ISO 12855. Each becomes a
``ChargerClaim``."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections.abc import Iterator

import msgspec

from billing.roadside.formats.broken import BrokenFile
from billing.roadside.formats.iso12855 import read_claim
from billing.roadside.settlement.claim import CURRENCY, ChargerClaim, ClaimLine
from config.problems import Invalid

CSV_FORMS = (["record", "amount_ore"], ["project", "count", "amount_ore"])
_WHOLE = re.compile(r"-?[0-9]{1,15}")
_BOM = "\ufeff"


class _JsonLine(msgspec.Struct, forbid_unknown_fields=True):
    amount_ore: int
    record: str | None = None
    project: str | None = None
    count: int | None = None


class _JsonClaim(msgspec.Struct, forbid_unknown_fields=True):
    number: str
    period_from: dt.date
    period_to: dt.date
    lines: list[_JsonLine]
    currency: str = CURRENCY
    total_ore: int | None = None


def _broken(why: str, line: int | None = None) -> Invalid:
    where = {"line": line, "message": why} if line is not None else {"message": why}
    return Invalid(f"The claim cannot be read: {why}.", slug="broken-claim", errors=[where])


def from_json(content: bytes) -> ChargerClaim:
    """Read a claim from JSON. Raises Invalid."""
    try:
        said = msgspec.json.decode(content, type=_JsonClaim)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _broken(str(error).replace("\0", "\ufffd")[:300]) from None
    return ChargerClaim(
        said.number,
        said.period_from,
        said.period_to,
        said.currency,
        _json_lines(said.lines),
        content,
        said.total_ore,
    )


def _json_lines(lines: list[_JsonLine]) -> Iterator[ClaimLine]:
    for number, line in enumerate(lines, 1):
        if line.project is not None and line.count is None:
            raise _broken("a project needs its count", number)
        if line.project is None and line.count not in (None, 1):
            raise _broken("the count of one record is 1", number)
        yield ClaimLine(line.record, line.project, line.amount_ore, 1 if line.count is None else line.count)


def from_csv(
    content: bytes,
    *,
    number: str,
    period_from: dt.date,
    period_to: dt.date,
    currency: str = CURRENCY,
    total_ore: int | None = None,
) -> ChargerClaim:
    """Read a claim from CSV, whose number and days are told beside it. Raises Invalid."""
    lines = _csv_lines(content)
    return ChargerClaim(number, period_from, period_to, currency, lines, content, total_ore)


def is_csv(first_line: bytes) -> bool:
    """Say whether a CSV file is a claim, by its first line: the names of its columns."""
    return _columns(first_line.decode("utf-8", "replace").rstrip("\r\n").split(",")) in CSV_FORMS


def _columns(cells: list[str]) -> list[str]:
    return [name.removeprefix(_BOM).strip() for name in cells]


def _csv_lines(content: bytes) -> Iterator[ClaimLine]:
    rows = csv.reader(io.TextIOWrapper(io.BytesIO(content), "utf-8", newline=""), strict=True)
    try:
        header = _columns(next(rows, []))
        if header not in CSV_FORMS:
            raise _broken("the header must be record,amount_ore or project,count,amount_ore", 1)
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                raise _broken(f"has {len(row)} cells, the header {len(header)}", rows.line_num)
            if not all(_WHOLE.fullmatch(cell) for cell in row[1:]):
                raise _broken("amounts are whole øre, counts whole numbers", rows.line_num)
            if len(row) == 2:
                yield ClaimLine(row[0], None, int(row[1]))
            else:
                yield ClaimLine(None, row[0], int(row[2]), int(row[1]))
    except UnicodeDecodeError:
        raise _broken("it is not UTF-8") from None
    except csv.Error as error:
        raise _broken(str(error), rows.line_num) from None


def from_xml(content: bytes) -> tuple[ChargerClaim, str]:
    """Read a PaymentClaim of our profile of ISO 12855; return it and the code of the charger it says it is of.

    Raises Invalid, also while its lines are read.
    """
    try:
        said = read_claim(io.BytesIO(content))
    except BrokenFile as broken:
        raise _broken(broken.reason, broken.line) from None

    def lines() -> Iterator[ClaimLine]:
        try:
            for line in said.lines:
                yield ClaimLine(line.source_id, line.project, line.amount_ore, line.count)
        except BrokenFile as broken:
            raise _broken(broken.reason, broken.line) from None

    claim = ChargerClaim(said.claim_id, said.period_from, said.period_to, said.currency, lines(), content)
    return claim, said.charger
