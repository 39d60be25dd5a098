"""A chunk of records on its way into the database: checked, normalised, written as one block for COPY.

This is all that is done outside the transaction, so that a file's next chunk can be made ready while the last
one is booked.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from billing.passages.rules import Cancel, Fault, Limits, Sent, encode, encode_correction, encode_lane
from config.clock import business_date
from config.rates import whole


class Item(msgspec.Struct, gc=False):
    """One record of a file or request: its position (line, or place in an array, from 1), its text as it came,
    and what it says, or why it cannot be read; then ``name`` is its source id where that can be."""

    position: int
    raw: bytes
    sent: Sent | Cancel | Fault
    name: str | None = None


class Answer(msgspec.Struct, omit_defaults=True):
    """What we say to one record. ``field`` and ``detail`` say what is wrong, or where a duplicate first stood."""

    position: int
    id: str | None
    code: str
    flags: tuple[str, ...] = ()
    field: str | None = None
    detail: str | None = None


@dataclass(frozen=True)
class Chunk:
    """Records ready for ``ingest.book_chunk``. ``answers`` has one per record in order, those of the sound ones
    saying ``accepted`` until the database knows better; ``amounts`` are their øre, ``raws`` their texts. ``block``
    holds the ``sound`` records that can become passages, ``corrections`` what cancels or adjusts others (``corrects``
    of them); an adjustment is in both. ``lanes`` are those of the sound records that name one."""

    number: int
    answers: list[Answer]
    amounts: list[int]
    raws: list[bytes]
    block: bytes
    sound: int
    has_obu_only: bool
    corrections: bytes = b""
    corrects: int = 0
    lanes: bytes = b""


def limits_at(now: dt.datetime) -> Limits:
    """Return the figures records are held against at business instant ``now``."""
    today = business_date(now)
    return Limits(
        max_amount_ore=whole("passage_max_amount_ore", today),
        oldest=now - dt.timedelta(days=whole("passage_max_age_days", today)),
        latest=now + dt.timedelta(hours=whole("passage_max_ahead_hours", today)),
    )


def prepare(number: int, items: Sequence[Item], limits: Limits) -> Chunk:
    """Check and normalise the records of chunk ``number`` (from 1 in its batch). Broken ones get their answer."""
    answers: list[Answer] = []
    amounts: list[int] = []
    lines: list[str] = []
    corrections: list[str] = []
    lanes: list[str] = []
    obu_only = False
    for item in items:
        sent = item.sent
        amount = 0
        name = item.name
        try:
            if isinstance(sent, Fault):
                raise sent
            name = sent.id
            if sent.action != "new":
                corrections.append(encode_correction(item.position, sent))
            if isinstance(sent, Sent) and sent.action != "cancel":
                lane = None if sent.lane is None else encode_lane(item.position, sent.lane)
                line, amount = _encode(item.position, sent, limits, corrections)
                if lane is not None:
                    lanes.append(lane)
                lines.append(line)
                obu_only = obu_only or (sent.pan is None and sent.obu_id is not None)
            answers.append(Answer(item.position, name, "accepted"))
        except Fault as fault:
            answers.append(Answer(item.position, name, fault.code, (), fault.field, fault.reason))
        amounts.append(amount)
    return Chunk(
        number,
        answers,
        amounts,
        [item.raw for item in items],
        "".join(lines).encode(),
        len(lines),
        obu_only,
        "".join(corrections).encode(),
        len(corrections),
        "".join(lanes).encode(),
    )


def _encode(position: int, sent: Sent, limits: Limits, corrections: list[str]) -> tuple[str, int]:
    """Encode a record; an adjustment that cannot be is no correction either."""
    try:
        return encode(position, sent, limits)
    except Fault:
        if sent.action != "new":
            corrections.pop()
        raise
