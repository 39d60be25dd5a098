"""A list as an ExceptionList of ISO 12855: what stands among the formats of records, by our headings and rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import cast

from billing.roadside.formats.iso12855 import lists
from billing.roadside.lists.forms import Form, Heading
from billing.roadside.lists.rows import Row


def render(heading: Heading, rows: Iterable[Row]) -> Iterator[bytes]:
    """Yield the list in pieces. What an entry says holds from when the list was made."""
    full = heading.kind == "full"
    entries = (_entry(row, heading.made_at) for row in rows)
    return lists.render_list(heading.charger, heading.list_type, heading.version, full, heading.made_at, entries)


def _entry(row: Row, since: dt.datetime) -> lists.Row:
    who = row.pan if row.pan is not None else (row.country or "", row.plate or "")
    return who, row.state, cast("lists.Reason | None", row.reason), since


FORM = Form("xml", "application/xml", render)
