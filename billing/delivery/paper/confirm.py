"""What the print house confirms: JSON or CSV, read into the same thing. Pure; docs/formats/print.md has both forms."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MAX_BYTES = 4 * 1024 * 1024
LONGEST_TEXT = 200
LARGEST_SHEET = 1_000_000
MOST_WRONG = 20
_BATCH = re.compile(r"brikke-print-[0-9]{7,19}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class BadConfirmation(ValueError):
    """Nothing of it can be used; the message says why."""


@dataclass(frozen=True)
class Sheet:
    """What became of a letter: ``posted_on`` when it was posted, else ``reason`` why it never will be."""

    sheet: int
    posted_on: dt.date | None
    reason: str | None
    ref: str | None


@dataclass(frozen=True)
class Confirmation:
    """``state`` of the batch: accepted, refused, or None where it only tells of sheets. ``sha256`` (hex) is of what
    arrived, where it says so. ``wrong``: what could not be read of single sheets."""

    batch: str
    state: str | None
    reason: str | None
    sha256: str | None
    sheets: tuple[Sheet, ...]
    wrong: tuple[str, ...]


def parse(content: bytes) -> Confirmation:
    """Return what a confirmation says. One sheet that cannot be read costs the others nothing. Raises
    BadConfirmation."""
    if len(content) > MAX_BYTES:
        raise BadConfirmation(f"it is over {MAX_BYTES} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadConfirmation("it is not UTF-8") from None
    return _json(text) if text.lstrip().startswith("{") else _csv(text)


def _json(text: str) -> Confirmation:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        raise BadConfirmation("it is not JSON") from None
    sheets = told.get("sheets", [])
    if not isinstance(sheets, list):
        raise BadConfirmation("sheets is not a list")
    return _whole(told, (one if isinstance(one, dict) else {} for one in sheets))


def _csv(text: str) -> Confirmation:
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=";", strict=True))
    except csv.Error as error:
        raise BadConfirmation(f"it is not CSV: {error}") from None
    if not rows or not {"batch", "sheet", "state"} <= set(rows[0]):
        raise BadConfirmation("it is neither JSON nor CSV with batch, sheet and state")
    batches = {row["batch"] for row in rows}
    if len(batches) > 1:
        raise BadConfirmation("it is about more than one batch")
    about = next((row for row in rows if not row["sheet"]), {"batch": rows[0]["batch"]})
    return _whole(about, (row | {"sheet": _number(row["sheet"])} for row in rows if row["sheet"]))


def _number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"[0-9]{1,7}", text) else None


def _whole(told: Mapping[str, Any], sheets: Iterable[Mapping[str, Any]]) -> Confirmation:
    batch, state = told.get("batch"), told.get("state") or None
    if not isinstance(batch, str) or not _BATCH.fullmatch(batch):
        raise BadConfirmation("it names no batch of ours")
    if state not in (None, "accepted", "refused"):
        raise BadConfirmation("the state of the batch is neither accepted nor refused")
    sha256 = told.get("sha256") or None
    if sha256 is not None and not (isinstance(sha256, str) and _SHA256.fullmatch(sha256)):
        raise BadConfirmation("sha256 is not a hash in hex")
    found: dict[int, Sheet] = {}
    wrong: list[str] = []
    for place, one in enumerate(sheets, 1):
        try:
            sheet = _sheet(one)
        except ValueError as error:
            wrong.append(f"entry {place}: {error}")
            continue
        found.setdefault(sheet.sheet, sheet)
    return Confirmation(batch, state, _line(told.get("reason")), sha256, tuple(found.values()), tuple(wrong))


def _sheet(told: Mapping[str, Any]) -> Sheet:
    number, state = told.get("sheet"), told.get("state")
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= LARGEST_SHEET:
        raise ValueError("sheet is not a number")
    if state == "rejected":
        return Sheet(number, None, _line(told.get("reason")) or "no reason was given", None)
    if state != "posted":
        raise ValueError("state is neither posted nor rejected")
    posted = told.get("posted_on")
    if not isinstance(posted, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", posted):
        raise ValueError("posted_on is not a date")
    return Sheet(number, dt.date.fromisoformat(posted), None, _line(told.get("ref")))


def _line(value: object) -> str | None:
    """Return text as one printable line."""
    if not isinstance(value, str):
        return None
    return " ".join("".join(char if char.isprintable() else " " for char in value).split())[:LONGEST_TEXT] or None
