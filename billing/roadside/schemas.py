"""The HTTP shapes of batches and answers."""

from __future__ import annotations

from typing import Any

from config import http


class BatchQuery(http.QuerySchema):
    """Whose records, and what the batch is called."""

    charger = http.text(
        "Code of the charger; for operators, who send in a charger's place. A charger sends only its own.",
        "FJELL",
        load_default=None,
        max_length=20,
    )
    name = http.text(
        "The file's name, which a later duplicate is told. What has a name is a file: the same bytes again get the "
        "same answers. Without, it is a request of its own.",
        "passages-2026-03-02.jsonl",
        load_default=None,
        max_length=100,
    )


class AnswerSchema(http.Schema):
    """What is said to one record."""

    position = http.whole("The record's line, or its place in the array, from 1.", 1)
    id = http.text("The charger's id of the record; null where it could not be read.", "FJ-1", allow_none=True)
    code = http.text("accepted, other_agreement, duplicate, conflict, unknown_vehicle, not_valid …", "accepted")
    flags = http.list_of(
        http.text("A word.", "by_plate"),
        "by_plate, tag_plate_mismatch, after_removal, additional_unavailable.",
        ["by_plate"],
    )
    field = http.text("The field that is wrong.", "amount", allow_none=True)
    detail = http.text(
        "What is wrong with it, why it is not valid, or where a duplicate first stood.", "is negative", allow_none=True
    )


class BatchSchema(http.Schema):
    """What became of a batch."""

    batch = http.whole("The batch's number.", 17)
    name = http.text("What it was called.", "request")
    records = http.whole("How many records it held.", 1)
    counts = http.mapping("Records by answer code.", {"accepted": 1})
    sums_ore = http.mapping("Øre by answer code.", {"accepted": 2480})
    answers = http.many(AnswerSchema, "One answer a record, in order.")


_RECORD: dict[str, Any] = {
    "id": "FJ-2026-000001",
    "passed_at": "2026-03-02T08:15:00+01:00",
    "station": "S12",
    "pan": "9578010000000000001",
    "country": "NO",
    "plate": "EV12345",
    "vehicle_class": "1",
    "service": "toll",
    "list_price": 3100,
    "amount": 2480,
    "vat_rate": 0,
    "flags": ["tag_discount"],
}

BODY: dict[str, Any] = {
    "description": "Records as docs/formats.md describes them: a JSON array (at most 1,000), JSON Lines or CSV "
    "(at most 100,000).",
    "required": True,
    "content": {
        "application/json": {
            "schema": {"type": "array", "items": {"type": "object"}, "description": "Records."},
            "example": [_RECORD],
        },
        "application/x-ndjson": {"schema": {"type": "string", "description": "A record a line."}},
        "text/csv": {"schema": {"type": "string", "description": "A header, then a record a line."}},
    },
}
"""The body of ``POST /v1/passages`` in the OpenAPI document."""
