"""UserComplaint out: a customer disputes a passage. UserComplaintResponse in: what its charger says."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Literal, get_args

from billing.roadside.formats.iso12855.elements import Spec
from billing.roadside.formats.iso12855.message import Message
from billing.roadside.formats.iso12855.names import Header, Provider, ourselves
from billing.roadside.formats.iso12855.write import END, in_pieces, leaf, opening

KIND, ANSWER_KIND = "UserComplaint", "UserComplaintResponse"
LONGEST_TEXT = 4000
MOST_RESPONSES = 10_000
"""In one message: they are kept in memory."""

Outcome = Literal["upheld", "rejected", "adjusted"]
"""Upheld: the passage stands corrected or is taken back; adjusted: in part; rejected: it stands."""

_RESPONSE: Spec = {"userComplaintResponse": {"": 1, "complaintId": "complaintId", "outcome": "outcome", "text": "text"}}


@dataclass(frozen=True)
class Complaint:
    """A complaint of ours (``complaint_id``, for ever one) about a record of the charger's (``source_id``). ``kind``
    is a word of small letters and ``_``."""

    complaint_id: str
    source_id: str
    kind: str
    text: str


@dataclass(frozen=True)
class Response:
    """What a charger answers to a complaint."""

    complaint_id: str
    outcome: Outcome
    text: str


@dataclass(frozen=True)
class Responses:
    """A message of responses."""

    header: Header
    responses: tuple[Response, ...]


def render_complaints(
    charger: str, number: int, made_at: dt.datetime, complaints: Sequence[Complaint]
) -> Iterator[bytes]:
    """Yield message ``number`` of complaints to a charger. ``made_at`` is aware. Raises ValueError for a text that is
    empty or over ``LONGEST_TEXT`` characters."""
    if not all(1 <= len(complaint.text) <= LONGEST_TEXT for complaint in complaints):
        raise ValueError(f"a complaint's text must have 1 to {LONGEST_TEXT} characters")
    us = ourselves()
    yield opening(Header(us, us, Provider.read(charger), number, KIND, len(complaints), made_at))
    yield from in_pieces(
        f"<userComplaint>{leaf('complaintId', one.complaint_id)}{leaf('claimId', one.source_id)}"
        f"{leaf('kind', one.kind)}{leaf('text', one.text)}</userComplaint>\n"
        for one in complaints
    )
    yield END


def read_responses(stream: BinaryIO) -> Responses:
    """Return a charger's responses. Raises BrokenFile: a message with a bad one is refused whole."""
    message = Message(stream)
    header = message.header
    if header.kind != ANSWER_KIND:
        message.refuse(f"is a message of type {header.kind}, not {ANSWER_KIND}")
    if header.structs > MOST_RESPONSES:
        message.refuse(f"has over {MOST_RESPONSES} responses; send several messages")
    found: list[Response] = []
    for _, raw in message.counted("userComplaintResponse"):
        if len(found) == MOST_RESPONSES:
            message.refuse(f"has over {MOST_RESPONSES} responses; send several messages")
        values = message.fields(raw, _RESPONSE)
        outcome = message.needed(values, "outcome", 20)
        for known in get_args(Outcome):
            if outcome == known:
                text = message.needed(values, "text", LONGEST_TEXT) if "text" in values else ""
                found.append(Response(message.needed(values, "complaintId", 64), known, text))
                break
        else:
            message.refuse(f"outcome must be {', '.join(get_args(Outcome))}")
    return Responses(header, tuple(found))
