"""A list as JSON Lines: a line that says which list it is, a row a line, and a last one with their count, so that one
that was cut off is known for what it is. docs/formats.md describes it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import msgspec

from billing.roadside.lists.forms import Form, Heading
from billing.roadside.lists.rows import Row

LINES = 2_000
_ENCODER = msgspec.json.Encoder()


class _Vehicle(msgspec.Struct, omit_defaults=True, gc=False):
    country: str | None
    plate: str | None
    state: str
    reason: str | None = None


def render(heading: Heading, rows: Iterable[Row]) -> Iterator[bytes]:
    """Yield the list in pieces of some thousand lines."""
    yield _ENCODER.encode(_first(heading)) + b"\n"
    count = 0
    plates = heading.list_type == "plates"
    left = iter(rows)
    while some := list(islice(left, LINES)):  # itertools.batched comes with Python 3.12
        count += len(some)
        lines: Any = [_Vehicle(one.country, one.plate, one.state, one.reason) for one in some] if plates else some
        yield _ENCODER.encode_lines(lines)
    yield _ENCODER.encode({"end": True, "rows": count}) + b"\n"


def _first(heading: Heading) -> dict[str, Any]:
    said = {
        "list": heading.list_type,
        "charger": heading.charger,
        "version": heading.version,
        "kind": heading.kind,
        "follows": heading.follows,
        "made_at": heading.made_at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z"),
    }
    return {name: value for name, value in said.items() if value is not None}


FORM = Form("jsonl", "application/x-ndjson", render)
