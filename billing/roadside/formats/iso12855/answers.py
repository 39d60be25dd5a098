"""Our Ack of a message of BillingDetails: the message as a whole, and each of its records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from billing.passages.incoming import Answer
from billing.passages.rules import Code
from billing.roadside.formats.form import Answered
from billing.roadside.formats.iso12855.details import KIND, PATHS
from billing.roadside.formats.iso12855.names import Header, Provider, ourselves
from billing.roadside.formats.iso12855.write import END, in_pieces, leaf, opening

Status = Literal["accepted", "acceptedWithRemarks", "deferred", "rejected"]

STATUS: dict[Code, Status] = {
    "accepted": "accepted",
    "other_agreement": "rejected",
    "duplicate": "acceptedWithRemarks",
    "conflict": "rejected",
    "deferred_original_missing": "deferred",
    "superseded": "acceptedWithRemarks",
    "unknown_vehicle": "rejected",
    "not_valid": "rejected",
    "too_old": "rejected",
    "invalid_amount": "rejected",
    "invalid_record": "rejected",
    "unknown_station": "rejected",
    "tag_plate_mismatch": "rejected",
    "wrong_class": "rejected",
    "double_read": "rejected",
}
"""``rejected``: we owe nothing for it. ``acceptedWithRemarks``: taken, and the code or flags say what to know; a
duplicate or superseded one changes nothing of what was owed before it. ``accepted`` with flags is one with remarks."""
_STATUS: dict[str, Status] = dict(STATUS)  # type: ignore[arg-type]  # an Answer's code is any text


def answers(answered: Answered, chunks: Iterable[list[Answer]]) -> Iterator[bytes]:
    """Yield the Ack of a batch that was taken. The same for the same arguments, byte for byte."""
    records = answered.head.records
    if records is None:
        records = sum(answered.counts.values())
    yield opening(_header(answered, 1 + records))
    yield _message(answered, "accepted", None, None).encode()
    yield from in_pieces(_item(answer) for chunk in chunks for answer in chunk)
    yield END


def refused(answered: Answered, reason: str, line: int) -> bytes:
    """Return the Ack of a file that was refused whole, at a line, for a reason."""
    return opening(_header(answered, 1)) + _message(answered, "rejected", reason, line).encode() + END


def _header(answered: Answered, structs: int) -> Header:
    head, us = answered.head, ourselves()
    # The answer goes to who sent the file: a hub hands it on. In our own formats a sender may have a name that cannot
    # be said here (HUB SOR); then it goes to the charger.
    try:
        recipient = Provider.read(head.sender or answered.charger)
    except ValueError:
        recipient = Provider.read(answered.charger)
    return Header(us, us, recipient, answered.batch_id, "Ack", structs, answered.received_at, head.number)


def _message(answered: Answered, result: str, reason: str | None, line: int | None) -> str:
    return (
        f"<ack>{leaf('relatedType', KIND)}{leaf('result', result)}{leaf('charger', answered.charger)}"
        f"{leaf('batch', answered.batch_id)}{leaf('amends', answered.amends)}{leaf('file', answered.name or None)}"
        f"{leaf('line', line)}{leaf('reason', reason[:1000] if reason else None)}</ack>\n"
    )


def _item(answer: Answer) -> str:
    code = answer.code
    status = "acceptedWithRemarks" if code == "accepted" and answer.flags else _STATUS[code]
    more = leaf("flags", " ".join(answer.flags)) if answer.flags else ""
    if answer.field:
        more += leaf("field", PATHS.get(answer.field, answer.field))
    if answer.detail:
        more += leaf("detail", answer.detail[:1000])
    claim = leaf("claimId", answer.id) if answer.id else ""
    return (
        f"<itemAck><position>{answer.position}</position>{claim}<status>{status}</status>"
        f"<code>{code}</code>{more}</itemAck>\n"
    )
