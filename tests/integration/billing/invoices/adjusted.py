"""A passage that its charger adjusts to another sum, as a correction leaves it: for tests of what is presented anew."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import text

from tests.integration.billing.books import Books


def adjust(books: Books, agreement: int, passage: int, old: int, new: int, at: dt.datetime) -> int:
    """A passage of ``old`` øre gets a counter-row, and a record of ``new`` øre its place; returns the new passage."""
    (replacing,) = books.passages(agreement, new, booked=at)
    params = {
        "k": books.one("SELECT nextval('passage_ids')"),
        "source": books.value("SELECT source_id FROM passages WHERE id = :d", d=replacing),
        "p": passage, "at": at, "a": agreement, "old": old,
    }  # fmt: skip
    for sql in (
        "INSERT INTO passages SELECT :k, :at, agreement_id, registration_id, charger_id, source_id, batch_id, id, "
        "passed_at, passed_offset, station, project, service, country, plate, pan, vehicle_class, -list_ore, "
        "-amount_ore, vat_bp, flags, external, owed, NULL FROM passages WHERE id = :p",
        "INSERT INTO reversals (passage_id, counter_id, cause, reason, actor, at) "
        "VALUES (:p, :k, 'adjusted', :source, 'charger', :at)",
        "UPDATE balances SET unbilled_ore = unbilled_ore - :old, unbilled_count = unbilled_count + 1 "
        "WHERE agreement_id = :a",
    ):
        books.session.execute(text(sql), params)
    return replacing
