"""PaymentClaim in: what a charger claims for a period, line by line, by record or by project."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from billing.roadside.formats.iso12855.elements import Spec
from billing.roadside.formats.iso12855.message import Message
from billing.roadside.formats.iso12855.names import Header

KIND = "PaymentClaim"

_CLAIM: Spec = {
    "paymentClaim": {
        "": 1,
        "claimId": "claimId",
        "charger": {"": 2, "countryCode": "charger/countryCode", "providerIdentifier": "charger/providerIdentifier"},
        "period": {"": 3, "from": "period/from", "to": "period/to"},
        "currency": "currency",
    }
}
_LINE: Spec = {"claimLine": {"": 1, "claimId": "claimId", "project": "project", "count": "count", "amount": "amount"}}
_AMOUNT = re.compile(r"(-?)(\d{1,12})\.(\d\d)", re.ASCII)
_COUNT = re.compile(r"\d{1,12}", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True)
class ClaimLine:
    """A line: of one record (``source_id``, count 1) or of a project with how many. ``line`` is its number from 1."""

    line: int
    source_id: str | None
    project: str | None
    count: int
    amount_ore: int


@dataclass(frozen=True)
class PaymentClaim:
    """A claim over Oslo days, both in it. ``lines`` can be gone through once, and raises BrokenFile where the file
    breaks, or ends otherwise than its header says."""

    header: Header
    claim_id: str
    period_from: dt.date
    period_to: dt.date
    currency: str
    lines: Iterator[ClaimLine]

    @property
    def charger(self) -> str:
        """The charger it is of, as its code is written."""
        return str(self.header.originator)


def read_claim(stream: BinaryIO) -> PaymentClaim:
    """Return a claim, its lines unread. Raises BrokenFile."""
    message = Message(stream)
    header = message.header
    if header.kind != KIND:
        message.refuse(f"is a message of type {header.kind}, not {KIND}")
    structs = message.counted("paymentClaim", "claimLine")
    name, raw = next(structs, ("", b""))
    if name != "paymentClaim":
        message.refuse("has no paymentClaim after its header")
    values = message.fields(raw, _CLAIM)
    originator = header.originator
    charger = (values.get("charger/countryCode"), values.get("charger/providerIdentifier"))
    if charger not in {(None, None), (originator.country, originator.identifier)}:
        message.refuse("charger is another than the originator of the message")
    if values.get("currency") != "NOK":
        message.refuse("currency must be NOK")
    first, last = (_day(message, values, name) for name in ("period/from", "period/to"))
    if first > last:
        message.refuse("period ends before it begins")
    claim_id = message.needed(values, "claimId", 64)
    return PaymentClaim(header, claim_id, first, last, "NOK", _lines(message, structs))


def _lines(message: Message, structs: Iterator[tuple[str, bytes]]) -> Iterator[ClaimLine]:
    by_record: bool | None = None
    for number, (name, raw) in enumerate(structs, 1):
        if name != "claimLine":
            message.refuse("has a second paymentClaim")
        line = _line(message, number, message.fields(raw, _LINE))
        if by_record is not None and by_record != (line.source_id is not None):
            message.refuse("has lines by record and lines by project; one claim has one of them")
        by_record = line.source_id is not None
        yield line


def _line(message: Message, number: int, values: dict[str, str]) -> ClaimLine:
    amount = _AMOUNT.fullmatch(values.get("amount", ""))
    if amount is None:
        message.refuse("amount must be kroner with two decimals, such as 24.80")
    ore = int(amount[1] + amount[2] + amount[3])
    if ("claimId" in values) == ("project" in values):
        message.refuse("a claimLine has either a claimId or a project")
    if "claimId" in values:
        if values.get("count", "1") != "1":
            message.refuse("count of one record is 1")
        return ClaimLine(number, message.needed(values, "claimId", 64), None, 1, ore)
    count = values.get("count", "")
    if not _COUNT.fullmatch(count):
        message.refuse("count of a project must be a whole number")
    return ClaimLine(number, None, message.needed(values, "project", 40), int(count), ore)


def _day(message: Message, values: dict[str, str], name: str) -> dt.date:
    text = message.needed(values, name, 10)
    try:
        if not _DAY.fullmatch(text):
            raise ValueError
        return dt.date.fromisoformat(text)
    except ValueError:
        message.refuse(f"{name} must be a date, YYYY-MM-DD")
