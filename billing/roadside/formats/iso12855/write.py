"""Messages out: escaping, the envelope, and BillingDetails as a charger writes them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator

from billing.passages.rules import Cancel, Sent
from billing.roadside.formats.iso12855.details import STRUCT
from billing.roadside.formats.iso12855.names import NAMESPACE, Header, Provider

END = b"</InfoExchange>\n"
_SPECIAL = re.compile(r"[&<>\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_REFERENCES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
_PIECE = 64 * 1024


def escape(text: str) -> str:
    """Return a text as it stands in an element. What XML cannot hold at all becomes U+FFFD."""
    return _SPECIAL.sub(lambda found: _REFERENCES.get(found[0], "\ufffd"), text) if _SPECIAL.search(text) else text


def leaf(name: str, value: object) -> str:
    """Return an element with a text; nothing for None."""
    return "" if value is None else f"<{name}>{escape(str(value))}</{name}>"


def provider(name: str, who: Provider) -> str:
    """Return an element that names a provider."""
    country, identifier = escape(who.country), escape(who.identifier)
    return f"<{name}><countryCode>{country}</countryCode><providerIdentifier>{identifier}</providerIdentifier></{name}>"


def instant(at: dt.datetime) -> str:
    """Return an aware instant as it is written in structs, in its own offset."""
    return at.isoformat()


def utc(at: dt.datetime) -> str:
    """Return an aware instant as we write ours: UTC, whole seconds unless it has parts of one."""
    return at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def kroner(hundredths: int) -> str:
    """Return øre as kroner, or basis points as per cent, with two decimals."""
    whole, part = divmod(abs(hundredths), 100)
    return f"{'-' if hundredths < 0 else ''}{whole}.{part:02}"


def opening(header: Header) -> bytes:
    """Return a message up to and with its header."""
    parts = (
        provider("originator", header.originator),
        provider("sender", header.sender),
        provider("recipient", header.recipient),
        leaf("messageIdentifier", header.number),
        leaf("relatedMessage", header.related),
        leaf("type", header.kind),
        leaf("numberOfStructs", header.structs),
        leaf("date", f"{header.made_at.astimezone(dt.UTC):%Y%m%d%H%M%SZ}"),
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<InfoExchange xmlns="{NAMESPACE}">\n<apci>{"".join(parts)}</apci>\n'
    ).encode()


def in_pieces(lines: Iterable[str]) -> Iterator[bytes]:
    """Yield texts joined to pieces of about 64 KiB."""
    held: list[str] = []
    size = 0
    for line in lines:
        held.append(line)
        size += len(line)
        if size >= _PIECE:
            yield "".join(held).encode()
            held, size = [], 0
    if held:
        yield "".join(held).encode()


def write_details(records: Iterable[Sent | Cancel], header: Header) -> Iterator[bytes]:
    """Yield a message of records. ``header.structs`` must be how many there are. Raises ValueError for a record with
    a country and no plate: here the country is the plate's."""
    yield opening(header)
    charger = provider("charger", header.originator)
    yield from in_pieces(_struct(sent, charger) for sent in records)
    yield END


def _struct(sent: Sent | Cancel, charger: str) -> str:
    body = _usage(sent) if isinstance(sent, Sent) else ""
    issued = None if sent.issued_at is None else instant(sent.issued_at)
    correction = leaf("originalClaimId", sent.original) + leaf("version", sent.version) + leaf("issuedAt", issued)
    return (
        f"<{STRUCT}><id><claimId>{escape(sent.id)}</claimId></id>{charger}{body}"
        f"<action>{sent.action}</action>{correction}</{STRUCT}>\n"
    )


def _usage(sent: Sent) -> str:
    plate = leaf("countryCode", sent.country) + leaf("plate", sent.plate)
    if plate and sent.plate is None:
        raise ValueError("a country without a plate")
    user = leaf("pan", sent.pan) + (f"<licencePlate>{plate}</licencePlate>" if plate else "")
    user += leaf("obuId", sent.obu_id)
    return (
        (f"<userId>{user}</userId>" if user else "")
        + f"<amount><netFee>{kroner(sent.amount)}</netFee><currency>NOK</currency>"
        f"<vatIncluded>{'true' if sent.vat_included else 'false'}</vatIncluded></amount>"
        f"<vatRate>{kroner(sent.vat_rate)}</vatRate>"
        f"<usageDetail><service>{sent.service}</service><station>{escape(sent.station)}</station>"
        + leaf("lane", sent.lane)
        + leaf("vehicleClass", sent.vehicle_class)
        + f"<time>{instant(sent.passed_at)}</time><listPrice>{kroner(sent.list_price)}</listPrice>"
        "<feeQualifier>standard</feeQualifier>"
        + (leaf("flags", " ".join(sent.flags)) if sent.flags else "")
        + "</usageDetail>"
    )
