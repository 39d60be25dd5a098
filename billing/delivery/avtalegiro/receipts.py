"""Reading the bank's receipts: L200 (a file refused), L226 (a receipt of a file), L00202 (orders refused). Pure.

The exact layout is not public; how it is assumed to be is in `receipts.toml`, and nowhere else. One bad row is told by
its line, the others are read.
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from billing.delivery.avtalegiro.claim_file import Kind
from billing.delivery.avtalegiro.mandate_file import Fault

PATH = Path(__file__).with_name("receipts.toml")
OTHER = "refused_by_bank"
MOST_ROWS = 100_000

Meaning = Literal["file_refused", "file", "refused"]
Status = Literal["accepted", "refused", "warning"]


class ReceiptError(ValueError):
    """The file is no receipt as we know them; ``line`` says where."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line
        self.message = message


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    """A row. It names its file by the transmission's number or by name; ``transaction`` is None where the whole order,
    or file, is meant. ``kind`` is None where the row does not tell. ``why``: our code; ``text``: the bank's words."""

    line: int
    meaning: Meaning
    status: Status
    transmission: int | None
    file: str
    kind: Kind | None
    transaction: int | None
    kid: str
    why: str
    text: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a receipt says, and the rows of it that could not be read."""

    rows: tuple[ReceiptRow, ...]
    faults: tuple[Fault, ...]


@cache
def layout(path: Path = PATH) -> Mapping[str, Any]:
    """Return the assumed layout."""
    return tomllib.loads(path.read_text("utf-8"))


def is_receipt(content: bytes) -> bool:
    """Return whether a file begins as a receipt does: with a row of headings, ours among them."""
    assumed = layout()
    first = content[:1000].decode(assumed["encoding"], "replace").splitlines()[:1]
    return bool(first) and {assumed["columns"]["list"].lower(), assumed["columns"]["status"].lower()} <= {
        heading.strip().strip('"').lower() for heading in first[0].split(assumed["delimiter"])
    }


def read_receipt(content: bytes, *, max_bytes: int) -> Receipt:
    """Read a whole receipt. Raises ReceiptError for what is none."""
    if len(content) > max_bytes:
        raise ReceiptError(1, f"the file is larger than the {max_bytes} bytes allowed")
    if not is_receipt(content):
        raise ReceiptError(1, "the first line has not the headings of a receipt (receipts.toml)")
    assumed = layout()
    lines = content.decode(assumed["encoding"]).splitlines()
    if len(lines) > MOST_ROWS:
        raise ReceiptError(MOST_ROWS, f"the file has more than the {MOST_ROWS} lines allowed")
    reader = csv.reader(lines, delimiter=assumed["delimiter"], strict=True)
    rows: list[ReceiptRow] = []
    faults: list[Fault] = []
    try:
        headings = [heading.strip().lower() for heading in next(reader)]
        places = {
            word: headings.index(name.lower()) for word, name in assumed["columns"].items() if name.lower() in headings
        }
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            read = _row(reader.line_num, cells, places, assumed)
            if isinstance(read, Fault):
                faults.append(read)
            else:
                rows.append(read)
    except csv.Error as error:
        raise ReceiptError(reader.line_num, str(error)) from None
    return Receipt(tuple(rows), tuple(faults))


def _row(line: int, cells: list[str], places: Mapping[str, int], assumed: Mapping[str, Any]) -> ReceiptRow | Fault:
    def cell(word: str) -> str:
        at = places.get(word)
        return cells[at].strip() if at is not None and at < len(cells) else ""

    said = assumed["delimiter"].join(cells)[:200]
    meaning = assumed["lists"].get(cell("list"))
    if meaning is None:
        return Fault(line, f"the list {cell('list')!r} is not one we know", said)
    status: Status | None = assumed["status"].get(cell("status").lower())
    if meaning == "file_refused":
        status = "refused"
    if status is None:
        return Fault(line, f"the status {cell('status')!r} is not one we know", said)
    for word in ("transmission", "transaction"):
        if cell(word) and not (cell(word).isascii() and cell(word).isdecimal()):
            return Fault(line, f"the {word} number must be digits, not {cell(word)!r}", said)
    transmission = int(cell("transmission") or 0) or None
    if transmission is None and not cell("file"):
        return Fault(line, "neither a transmission number nor a file name", said)
    kind = assumed["types"].get(cell("type").lower())
    if cell("type") and kind is None:
        return Fault(line, f"the order type {cell('type')!r} is not one we know", said)
    words = cell("text")
    why = next((code for part, code in assumed["why"].items() if part in words.lower()), OTHER)
    transaction = int(cell("transaction") or 0) or None
    return ReceiptRow(
        line, meaning, status, transmission, cell("file"), kind, transaction, cell("kid"), why, words[:200]
    )
