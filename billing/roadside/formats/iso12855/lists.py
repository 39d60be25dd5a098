"""ExceptionList out, and the Ack of it in."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

from billing.passages.rules import Fault
from billing.roadside.formats.iso12855.elements import Spec
from billing.roadside.formats.iso12855.message import Message, whole
from billing.roadside.formats.iso12855.names import Header, Provider, ourselves
from billing.roadside.formats.iso12855.write import END, escape, in_pieces, leaf, opening, utc

KIND = "ExceptionList"

Reason = Literal["stolen", "deactivated", "latePayment", "noPayment", "technical"]
Row = tuple["str | tuple[str, str]", str, "Reason | None", dt.datetime]
"""(PAN, or (country, plate)), status, reason where it is not valid, from when."""

_ACK: Spec = {
    "ack": {
        "": 1,
        "relatedType": "relatedType",
        "result": "result",
        "listType": "listType",
        "listVersion": "listVersion",
        "charger": 2,
        "batch": 3,
        "amends": 4,
        "file": 5,
        "line": 6,
        "reason": "reason",
    }
}
_RESULTS = {"accepted": True, "rejected": False}


def render_list(
    charger: str, list_type: str, version: int, full: bool, made_at: dt.datetime, rows: Iterable[Row]
) -> Iterator[bytes]:
    """Yield a status list for a charger: version ``version`` of its lists of this type, all of it (``full``) or what
    has changed since the one before. ``made_at`` and the rows' times are aware; rows may be none."""
    us = ourselves()
    yield opening(Header(us, us, Provider.read(charger), version, KIND, 1, made_at))
    yield (
        f"<exceptionList>{leaf('listType', list_type)}<version>{version}</version>"
        f"<full>{'true' if full else 'false'}</full><entries>\n"
    ).encode()
    count = 0

    def entries() -> Iterator[str]:
        nonlocal count
        for who, status, reason, since in rows:
            count += 1
            user = (
                f"<pan>{escape(who)}</pan>"
                if isinstance(who, str)
                else f"<licencePlate><countryCode>{escape(who[0])}</countryCode><plate>{escape(who[1])}</plate>"
                "</licencePlate>"
            )
            why = f"<reason>{reason}</reason>" if reason else ""
            yield f"<entry>{user}<status>{status}</status>{why}<from>{utc(since)}</from></entry>\n"

    yield from in_pieces(entries())
    yield f"</entries><numberOfEntries>{count}</numberOfEntries></exceptionList>\n".encode()
    yield END


@dataclass(frozen=True)
class Acked:
    """What a receiver says of a message of ours: of type ``kind``, with the number ``related``; for a list its type
    and version. ``refused_items`` counts the items it names as rejected, whatever it says of the whole."""

    header: Header
    kind: str
    related: int | None
    list_type: str | None
    version: int | None
    accepted: bool
    reason: str | None
    refused_items: int


def read_ack(stream: BinaryIO) -> Acked:
    """Return an Ack of a message of ours, read to its end. Raises BrokenFile."""
    message = Message(stream)
    header = message.header
    if header.kind != "Ack":
        message.refuse(f"is a message of type {header.kind}, not Ack")
    structs = message.counted("ack", "itemAck")
    name, raw = next(structs, ("", b""))
    if name != "ack":
        message.refuse("has no ack after its header")
    values = message.fields(raw, _ACK)
    result = message.needed(values, "result", 20)
    if result not in _RESULTS:
        message.refuse("result must be accepted or rejected")
    kind = message.needed(values, "relatedType", 40)
    list_type = message.needed(values, "listType", 20) if "listType" in values else None
    try:
        version = whole(values, "listVersion", 1) if "listVersion" in values else None
    except Fault as fault:
        message.refuse(f"listVersion {fault.reason}")
    if kind == KIND and (list_type is None or version is None):
        message.refuse("listType and listVersion are missing: which list is meant")
    reason = message.needed(values, "reason", 1000) if "reason" in values else None
    items = 0
    for name, raw in structs:
        if name == "ack":
            message.refuse("has a second ack")
        items += message.fields(raw, _ITEM).get("status") == "rejected"
    return Acked(header, kind, header.related, list_type, version, _RESULTS[result], reason, items)


_ITEM: Spec = {
    "itemAck": {
        "": 1,
        "position": 2,
        "claimId": 3,
        "status": "status",
        "code": 4,
        "flags": 5,
        "field": 6,
        "detail": 7,
    }
}
