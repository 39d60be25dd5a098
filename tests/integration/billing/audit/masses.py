"""Mass corrections, one borne by the charger and one by us, the latter undone; and a backlog, in the audit's world."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import text

from billing.passages.mass.carry_out import carry_out_chunk
from billing.passages.mass.models import MassCorrection
from billing.passages.mass.preview import Asked, confirm, preview, undo
from tests.integration.billing.books import DUE, ISSUED, JANUARY, Books

HOUR = dt.timedelta(hours=1)


def masses(books: Books, now: dt.datetime) -> None:
    """A day's passages corrected for each bearer, some invoiced; one undone. And an invoice of a slice."""
    session = books.session
    for code in ("S1", "S2"):
        session.execute(
            text("INSERT INTO stations (charger_id, code, name, project) VALUES (:c, :s, 'Sør', 'P1')"),
            {"c": books.charger, "s": code},
        )
    for bearer, day in (("charger", 1), ("us", 2)):
        at = JANUARY + dt.timedelta(days=day)
        agreement = books.agreement()
        books.passages(agreement, 5_100 + day, 5_200 + day, booked=at)
        books.invoice(agreement, 5_300, due=DUE + dt.timedelta(days=60))
        books.passages(books.agreement(), 5_400 + day, booked=at)
        # A form's field is plain text.
        asked = Asked("FJELL", ["S1"], at - HOUR, at + HOUR, bearer, "double reads")  # type: ignore[arg-type]
        row = preview(session, asked, actor="lead:lise", now=now)
        assert (row.passages, row.billed) == (3, 2)
        confirm(session, row.id, row.digest, actor="lead:lise", now=now)
        _through(books, row, now)
    later = now + HOUR
    _through(books, undo(session, row.id, reason="read right", actor="lead:lise", now=later), later)
    _backlog(books)


def _through(books: Books, row: MassCorrection, now: dt.datetime) -> None:
    while carry_out_chunk(books.session, row.id, now=now, limit=2):
        now += dt.timedelta(seconds=1)
    assert row.state == "done"


def _backlog(books: Books) -> None:
    agreement = books.agreement()
    books.one(
        "INSERT INTO backlogs (agreement_id, noticed_at, old_ore, unbilled_ore, slice_ore) "
        "VALUES (:a, :at, 6000, 6000, 5700) RETURNING id",
        a=agreement,
        at=JANUARY,
    )
    invoice = books.invoice(agreement, *[5_600] * 3, due=DUE + dt.timedelta(days=60), run=f"slice:{ISSUED:%Y-%m}")
    assert invoice.ore == 2 * 5_600
