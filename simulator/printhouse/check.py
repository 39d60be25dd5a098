"""What a print house checks of a batch before it prints: by the format's text, not by the code that writes it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import zipfile
from dataclasses import dataclass
from typing import Any

LONGEST_LINE = 40
LINES = [f"line{number}" for number in range(1, 7)]


class WrongBatch(ValueError):
    """It is refused; the text says why."""


@dataclass(frozen=True)
class Printed:
    """A letter as it was printed: its envelope, and the hash of its page."""

    sheet: int
    country: str
    lines: tuple[str, ...]
    sha256: str


def check(name: str, content: bytes) -> list[Printed]:
    """Return the letters of a batch. Raises `WrongBatch`."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            held = {entry: archive.read(entry) for entry in archive.namelist()}
            manifest: dict[str, Any] = json.loads(held["manifest.json"])
            rows = list(csv.DictReader(io.StringIO(held["index.csv"].decode("utf-8"), newline=""), delimiter=";"))
    except Exception as error:  # whatever the library makes of a damaged file
        raise WrongBatch(f"it cannot be read: {type(error).__name__}") from None
    if manifest["format"] != "brikke-print/1" or f"{manifest['batch']}.zip" != name:
        raise WrongBatch("it is another format, or another batch than its name says")
    _hash("index.csv", held["index.csv"], manifest["index"])
    files = {one["sheet"]: one for one in manifest["files"]}
    if not (len(files) == len(rows) == manifest["letters"] == len(held) - 2):
        raise WrongBatch("the counts disagree")
    if sorted(files) != list(range(1, len(files) + 1)):
        raise WrongBatch("the sheets are not counted from 1")
    if sum(one["bytes"] for one in files.values()) != manifest["bytes"]:
        raise WrongBatch("the bytes do not add up")
    return [_letter(row, files[int(row["sheet"])], held) for row in rows]


def _letter(row: dict[str, str], file: dict[str, Any], held: dict[str, bytes]) -> Printed:
    page = held.get(file["file"])
    if page is None or row["file"] != file["file"]:
        raise WrongBatch(f"sheet {row['sheet']}: there is no such page")
    _hash(file["file"], page, file)
    if not page.startswith(b"%PDF-"):
        raise WrongBatch(f"sheet {row['sheet']}: that is no PDF")
    lines = tuple(row[name] for name in LINES if row[name])
    if len(lines) < 3 or any(len(line) > LONGEST_LINE for line in lines):
        raise WrongBatch(f"sheet {row['sheet']}: the address does not fit the window")
    try:
        "".join(lines).encode("iso-8859-1")
    except UnicodeEncodeError:
        raise WrongBatch(f"sheet {row['sheet']}: the address has letters that the printer lacks") from None
    if row["country"] in ("NO", "SJ") and not re.match(r"[0-9]{4} ", lines[-1]):
        raise WrongBatch(f"sheet {row['sheet']}: the last line has no postal code")
    if row["country"] not in ("NO", "SJ") and lines[-1] != lines[-1].upper():
        raise WrongBatch(f"sheet {row['sheet']}: the country is not in capitals")
    return Printed(int(row["sheet"]), row["country"], lines, file["sha256"])


def _hash(name: str, content: bytes, told: dict[str, Any]) -> None:
    if len(content) != told["bytes"] or hashlib.sha256(content).hexdigest() != told["sha256"]:
        raise WrongBatch(f"{name}: wrong hash")
