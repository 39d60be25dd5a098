"""A batch as bytes: one ZIP of letters, an index of addresses, and a manifest with counts and hashes. Pure; the same
letters are the same bytes. docs/formats/print.md has it for the print house.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

from billing.delivery.paper.address import MOST_LINES

FORMAT = "brikke-print/1"
_EPOCH = (1980, 1, 1, 0, 0, 0)
HEADER = ("sheet", "file", "country", *(f"line{number}" for number in range(1, MOST_LINES + 1)))


@dataclass(frozen=True)
class Letter:
    """A letter: its envelope's lines, its country, its page."""

    lines: tuple[str, ...]
    country: str
    pdf: bytes


def batch_name(number: int) -> str:
    """Return a batch's name; its file's has ``.zip`` behind it."""
    return f"brikke-print-{number:07}"


def build(number: int, letters: Sequence[Letter], *, made_at: dt.datetime) -> bytes:
    """Return the ZIP of a batch; sheets count from 1 in the order of the letters. Nothing is compressed: pages are
    already, and so the bytes hang on no library's version."""
    files = [(f"letters/{sheet:06}.pdf", letter.pdf) for sheet, letter in enumerate(letters, 1)]
    index = _index([name for name, _ in files], letters)
    manifest = {
        "format": FORMAT,
        "batch": batch_name(number),
        "made_at": made_at.astimezone(dt.UTC).isoformat(timespec="seconds"),
        "letters": len(letters),
        "bytes": sum(len(content) for _, content in files),
        "index": {"file": "index.csv", "bytes": len(index), "sha256": _sha256(index)},
        "files": [
            {"sheet": sheet, "file": name, "bytes": len(content), "sha256": _sha256(content)}
            for sheet, (name, content) in enumerate(files, 1)
        ],
    }
    told = json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, content in (("manifest.json", told), ("index.csv", index), *files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, content)
    return out.getvalue()


def _index(names: Sequence[str], letters: Sequence[Letter]) -> bytes:
    """Return the addresses: UTF-8 (of what ISO-8859-1 has only), semicolons, CRLF, a header."""
    out = io.StringIO(newline="")
    rows = csv.writer(out, delimiter=";", quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    rows.writerow(HEADER)
    for sheet, (name, letter) in enumerate(zip(names, letters, strict=True), 1):
        rows.writerow((sheet, name, letter.country, *letter.lines, *[""] * (MOST_LINES - len(letter.lines))))
    return out.getvalue().encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
