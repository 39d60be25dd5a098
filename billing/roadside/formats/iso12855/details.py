"""BillingDetails in: a charger's passages, and corrections of them.

``check`` looks a whole file over; ``parse`` yields its records. What breaks a file is found by both, so nothing of
such a file is booked; what breaks a record (``elements``) costs only itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, BinaryIO

import msgspec

from billing.passages.incoming import Item
from billing.passages.rules import Cancel, Fault, Sent
from billing.roadside.formats.broken import BrokenFile, why
from billing.roadside.formats.form import Head
from billing.roadside.formats.iso12855.elements import Shapes, Spec, plain, text_of
from billing.roadside.formats.iso12855.message import Message
from billing.roadside.formats.iso12855.names import LONGEST_RECORD, Header, Provider

KIND = "BillingDetails"
STRUCT = "billingDetails"

SPEC: Spec = {
    STRUCT: {
        "": 1,
        "id": {"": 2, "issuer": {"": 3, "countryCode": 4, "providerIdentifier": 5}, "claimId": "id"},
        "charger": {"": 6, "countryCode": "charger/countryCode", "providerIdentifier": "charger/providerIdentifier"},
        "context": 7,
        "userId": {
            "": 8,
            "pan": "pan",
            "contractSerialNumber": 9,
            "licencePlate": {"": 10, "countryCode": "country", "plate": "plate"},
            "obuId": "obu_id",
        },
        "period": {"": 11, "from": 12, "to": 13},
        "amount": {"": 14, "netFee": "amount", "currency": "currency", "vatIncluded": "vat_included"},
        "vatRate": "vat_rate",
        "usageDetail": {
            "": 15,
            "service": "service",
            "station": "station",
            "lane": "lane",
            "vehicleClass": "vehicle_class",
            "time": "passed_at",
            "listPrice": "list_price",
            "feeQualifier": "feeQualifier",
            "flags": "flags",
        },
        "costCentre": 17,
        "evidence": {
            "": 18,
            "imageIds": 19,
            "anpr": {"": 20, "countryCode": 21, "plate": 22, "confidence": 23},
            "manual": {"": 24, "countryCode": 25, "plate": 26},
        },
        "action": "action",
        "originalClaimId": "original",
        "version": "version",
        "issuedAt": "issued_at",
    }
}
PATHS = {
    "id": "id/claimId",
    "country": "userId/licencePlate/countryCode",
    "plate": "userId/licencePlate/plate",
    "pan": "userId/pan",
    "obu_id": "userId/obuId",
    "amount": "amount/netFee",
    "currency": "amount/currency",
    "vat_included": "amount/vatIncluded",
    "vat_rate": "vatRate",
    "service": "usageDetail/service",
    "station": "usageDetail/station",
    "lane": "usageDetail/lane",
    "vehicle_class": "usageDetail/vehicleClass",
    "passed_at": "usageDetail/time",
    "list_price": "usageDetail/listPrice",
    "feeQualifier": "usageDetail/feeQualifier",
    "flags": "usageDetail/flags",
    "original": "originalClaimId",
    "issued_at": "issuedAt",
}
"""Where each field of a record stands in a struct: answers name it as the charger does."""

_CANCEL = frozenset({"id", "action", "original", "version", "issued_at"})
_TWO_DECIMALS = re.compile(r"(-?)(\d{1,12})\.(\d\d)", re.ASCII)
_WHOLE = re.compile(r"\d{1,10}", re.ASCII)
_TRUTH = {"true": True, "false": False}
_CHARGER = ("charger/countryCode", "charger/providerIdentifier")


def _open(stream: BinaryIO) -> Message:
    message = Message(stream)
    if message.header.kind != KIND:
        raise BrokenFile(message.line, f"is a message of type {message.header.kind}; records come as {KIND}")
    return message


def head_of(header: Header) -> Head:
    """Return a header as all formats say it."""
    return Head(header.number, str(header.sender), str(header.originator), header.structs)


def check(stream: BinaryIO) -> Head:
    """Return what a file says of itself, having read all of it. Raises BrokenFile (see ``Message``), also where
    ``numberOfStructs`` is not how many there are."""
    message = _open(stream)
    for _ in message.counted(STRUCT):
        pass
    return head_of(message.header)


def parse(stream: BinaryIO) -> Iterator[Item]:
    """Yield the records of a file; the position is the struct's number from 1. Raises BrokenFile."""
    message = _open(stream)
    prefix, originator = message.prefix, message.header.originator
    read = Shapes(prefix, SPEC).read
    position = 0
    for _, raw in message.structs(STRUCT):
        position += 1
        if len(raw) > LONGEST_RECORD:
            reason = f"is longer than {LONGEST_RECORD} bytes"
            yield Item(position, raw[:LONGEST_RECORD], Fault("invalid_record", None, reason), _name(raw, prefix))
            continue
        sent: Sent | Cancel | Fault
        try:
            sent = record(read(text_of(raw)), originator)
        except Fault as fault:
            sent = fault
        except msgspec.ValidationError as error:
            sent = why(error)
        yield Item(position, raw, sent, _name(raw, prefix) if sent.__class__ is Fault else None)


def record(values: dict[str, Any], originator: Provider) -> Sent | Cancel:
    """Return the record that a struct's texts say. Raises Fault, or msgspec.ValidationError for one of its fields."""
    if "charger/countryCode" in values or "charger/providerIdentifier" in values:
        country, identifier = (values.pop(name, None) for name in _CHARGER)
        if country != originator.country or identifier != originator.identifier:
            raise Fault("invalid_record", "charger", "is another than the originator of the message")
    if "version" in values:
        values["version"] = _number(values["version"])
    if values.get("action") == "cancel":  # whatever else it says is not looked at
        return msgspec.convert({name: values[name] for name in _CANCEL & values.keys()}, Cancel)
    if (currency := values.pop("currency", None)) != "NOK":
        raise Fault("invalid_record", "currency", "must be NOK" if currency else "is missing; it must be NOK")
    if values.pop("feeQualifier", "standard") != "standard":
        raise Fault("invalid_record", "feeQualifier", "must be standard; take back a passage by cancel or adjust")
    for name in ("amount", "list_price", "vat_rate"):
        if name in values:
            values[name] = _hundredths(values[name])
            if values[name] is None:
                unit = "per cent" if name == "vat_rate" else "kroner"
                raise Fault("invalid_record", name, f"must be {unit} with two decimals, such as 24.80")
    if "vat_included" in values:
        values["vat_included"] = _TRUTH.get(values["vat_included"], values["vat_included"])
    elif values.get("vat_rate", 0) > 0:
        raise Fault("invalid_record", "vat_included", "is missing; where there is VAT it must be said")
    if "flags" in values:
        values["flags"] = values["flags"].split()
    return msgspec.convert(values, Sent)


@lru_cache(maxsize=4096)
def _hundredths(text: str) -> int | None:
    """Return a decimal with exactly two decimals in hundredths, or None. Two of them always, so that øre sent as
    kroner, or kroner as øre, cannot be taken for each other."""
    found = _TWO_DECIMALS.fullmatch(text)
    return int(found[1] + found[2] + found[3]) if found else None


def _number(text: str) -> int | str:
    return int(text) if _WHOLE.fullmatch(text) else text


def _name(raw: bytes, prefix: str) -> str | None:
    """Return the claim id of a broken struct, where that can be read."""
    tag = f"{prefix}claimId"
    start = raw.find(f"<{tag}>".encode())
    end = raw.find(f"</{tag}>".encode(), start)
    if start < 0 or end < 0:
        return None
    name = raw[start + len(tag.encode()) + 2 : end]
    return (plain(name.decode())[:64] or None) if b"<" not in name and len(name) <= 256 else None
