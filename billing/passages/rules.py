"""What a record means and what we answer: flags, answer codes, normalisation, the hash of its business fields.

Pure functions; figures come in as ``Limits``. Sources: facts on tolls ("Exchange", "Identifiers"), docs/formats.md.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntFlag
from functools import lru_cache
from hashlib import blake2b
from typing import Annotated, Literal

import msgspec

from accounts.vehicles.rules import normalise_country, normalise_pan, normalise_plate, obu_id
from config.checks import Wrong
from config.money import share


class Flag(IntFlag):
    """What is said of a passage, as bits. Some are ours (``OURS``), the others are the charger's."""

    BY_PLATE = 1
    TAG_PLATE_MISMATCH = 2
    AFTER_REMOVAL = 4
    HOUR_RULE = 8
    HOUR_FREE = 16
    MONTHLY_CAP = 32
    TAG_DISCOUNT = 64
    ZERO_EMISSION = 128
    ADDITIONAL_UNAVAILABLE = 256
    WRONG_CLASS = 512
    UNKNOWN_STATION = 1024
    DOUBLE_READ = 2048


OURS = Flag(1 | 2 | 4 | 256 | 512 | 1024 | 2048)
"""Those that we say; 3847 in SQL."""


FlagName = Literal["hour_rule", "hour_free", "monthly_cap", "tag_discount", "zero_emission"]

Code = Literal[
    "accepted",
    "other_agreement",
    "duplicate",
    "conflict",
    "deferred_original_missing",
    "superseded",
    "unknown_vehicle",
    "not_valid",
    "too_old",
    "invalid_amount",
    "invalid_record",
    "unknown_station",
    "tag_plate_mismatch",
    "wrong_class",
    "double_read",
]
"""Every answer code. ``deferred_original_missing`` and ``superseded`` belong to corrections; the last three are said
where it is agreed that such records are not accepted (oddities)."""

SERVICES = ("toll", "ferry")
HOME_COUNTRY = "NO"
"""Country of a plate that came without one: chargers leave it out for Norwegian vehicles."""

_BITS = {str(flag.name).lower(): int(flag) for flag in Flag if flag >= Flag.HOUR_RULE}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def flag_bits(names: Iterable[str]) -> int:
    """Return flags that a charger sends as bits. Raises KeyError for a word that is none."""
    bits = 0
    for name in names:
        bits |= _BITS[name]
    return bits


@lru_cache(maxsize=1024)
def flag_names(bits: int) -> tuple[str, ...]:
    """Return the words of flags, in the order of their bits."""
    return tuple(str(flag.name).lower() for flag in Flag if bits & flag)


Text20 = Annotated[str, msgspec.Meta(min_length=1, max_length=20)]
Text40 = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
Text64 = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Version = Annotated[int, msgspec.Meta(ge=1, le=2_000_000_000)]

Action = Literal["new", "cancel", "adjust"]
"""What a record does: it is a passage; it takes another record's passage back; it comes in its place."""


class Sent(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A record as a charger sent it: right types and lengths, nothing normalised yet (docs/formats.md).

    Prices are øre, ``vat_rate`` basis points; ``passed_at`` is aware and keeps the sender's offset. A correction
    (``action`` cancel or adjust) names the record it corrects as ``original``, and has a ``version`` or ``issued_at``.
    """

    id: Text64
    passed_at: Annotated[dt.datetime, msgspec.Meta(tz=True)]
    station: Text40
    service: Literal["toll", "ferry"]
    list_price: int
    amount: int
    vat_rate: Annotated[int, msgspec.Meta(ge=0, le=10_000)]
    pan: Text40 | None = None
    obu_id: Text40 | None = None
    country: Text20 | None = None
    plate: Text20 | None = None
    vehicle_class: Text20 | None = None
    vat_included: bool = True
    flags: Annotated[list[FlagName], msgspec.Meta(max_length=8)] = []
    action: Action = "new"
    original: Text64 | None = None
    version: Version | None = None
    issued_at: Annotated[dt.datetime, msgspec.Meta(tz=True)] | None = None
    lane: Text20 | None = None


class Cancel(msgspec.Struct, gc=False):
    """A record that only takes another back (docs/formats.md): what is cancelled need not be said again, and what it
    says more is not looked at."""

    id: Text64
    action: Literal["cancel"]
    original: Text64
    version: Version | None = None
    issued_at: Annotated[dt.datetime, msgspec.Meta(tz=True)] | None = None


class Fault(Exception):
    """Why a record is broken: the answer code, the field (None: the record as a whole) and a reason to act on."""

    def __init__(self, code: Code, field: str | None, reason: str) -> None:
        super().__init__(code, field, reason)
        self.code, self.field, self.reason = code, field, reason


@dataclass(frozen=True)
class Limits:
    """Figures a record is held against. ``oldest`` and ``latest`` bound ``passed_at`` (aware, UTC)."""

    max_amount_ore: int
    oldest: dt.datetime
    latest: dt.datetime


@lru_cache(maxsize=65_536)
def _plate(country: str, plate: str) -> str:
    return normalise_plate(country, plate)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\")


def _text(sent: Sent) -> tuple[str, str, str]:
    """Return source id, station and vehicle class as COPY reads them. Raises Fault for a control character."""
    name, station, kind = sent.id, sent.station, sent.vehicle_class
    together = f"{name}{station}{kind}"
    if _CONTROL.search(together):
        field = next(f for f in ("id", "station", "vehicle_class") if _CONTROL.search(getattr(sent, f) or ""))
        raise Fault("invalid_record", field, "holds a control character")
    if "\\" in together:
        name, station, kind = _quoted(name), _quoted(station), kind and _quoted(kind)
    return name, station, "\\N" if kind is None else kind


def _vehicle(sent: Sent) -> tuple[str, str, str, str]:
    """Return country, plate, PAN and OBU id as customers' are kept, ``\\N`` for what is not there. Raises Fault.

    A control character in them is found here; ``encode`` looks at the other fields.
    """
    country = plate = pan = obu = "\\N"
    field = "country"
    try:
        if sent.country is not None:
            country = normalise_country(sent.country)
        if sent.plate is not None:
            field = "plate"
            country = HOME_COUNTRY if sent.country is None else country
            plate = _plate(country, sent.plate)
        if sent.pan is not None:
            field = "pan"
            pan = normalise_pan(sent.pan)
        if sent.obu_id is not None:
            field = "obu_id"
            obu = obu_id(sent.obu_id)
    except Wrong as wrong:
        raise Fault("invalid_record", field, str(wrong)) from None
    if sent.plate is None and sent.pan is None and sent.obu_id is None:
        raise Fault("invalid_record", "plate", "a record needs a pan, an obu_id or a plate")
    return country, plate, pan, obu


def _price(sent: Sent, limits: Limits) -> tuple[int, int]:
    """Return (list price, amount to pay) in øre with VAT. Raises Fault."""
    for field, ore in (("amount", sent.amount), ("list_price", sent.list_price)):
        if ore < 0:
            raise Fault("invalid_amount", field, "is negative")
        if ore > limits.max_amount_ore:
            raise Fault("invalid_amount", field, f"is over {limits.max_amount_ore} øre")
    if sent.vat_included:
        return sent.list_price, sent.amount
    return sent.list_price + share(sent.list_price, sent.vat_rate), sent.amount + share(sent.amount, sent.vat_rate)


def encode(position: int, sent: Sent, limits: Limits) -> tuple[str, int]:
    """Return a record normalised, as a line for COPY in the order of ``COLUMNS``, and its amount in øre.

    The hash is over the line's business fields after normalisation, so that what means the same hashes the
    same: another offset for the same instant, spaces in a plate, VAT inside or on top. Raises Fault.
    """
    name, station, kind = _text(sent)
    country, plate, pan, obu = _vehicle(sent)
    if "\\" in plate and sent.plate is not None:
        plate = _quoted(plate)
    list_ore, amount_ore = _price(sent, limits)
    offset = sent.passed_at.utcoffset()
    assert offset is not None
    try:
        passed_at = sent.passed_at.astimezone(dt.UTC)
    except OverflowError:
        raise Fault("invalid_record", "passed_at", "is outside the calendar") from None
    if passed_at > limits.latest:
        raise Fault("invalid_record", "passed_at", "lies in the future")
    bits = flag_bits(sent.flags) if sent.flags else 0
    when = passed_at.isoformat()
    business = (
        f"{station}\t{sent.service}\t{country}\t{plate}\t{pan}\t{obu}\t{kind}\t{list_ore}\t{amount_ore}\t"
        f"{sent.vat_rate}\t{bits}"
    )
    corrects = "" if sent.action == "new" else "\t" + "\t".join(_correction(sent))
    if sent.action == "new" and sent.original is not None:
        raise Fault("invalid_record", "original", "is for what cancels or adjusts; this record is new")
    digest = blake2b(f"{when}\t{business}{corrects}".encode(), digest_size=16).hexdigest()
    line = f"{position}\t{name}\t\\\\x{digest}\t{when}\t{offset.days * 1440 + offset.seconds // 60}\t{business}\n"
    return line, amount_ore


EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
"""When a correction was issued that only has a version."""


def encode_lane(position: int, lane: str) -> str:
    """Return the lane of a record as a line for COPY. Raises Fault."""
    if _CONTROL.search(lane):
        raise Fault("invalid_record", "lane", "holds a control character")
    return f"{position}\t{_quoted(lane)}\n"


def _correction(sent: Sent | Cancel) -> tuple[str, str, str, str]:
    """Return action, original, version and time of issue of a correction as COPY reads them. Raises Fault."""
    if sent.original is None:
        raise Fault("invalid_record", "original", "is missing: the id of the record that this one corrects")
    if sent.version is None and sent.issued_at is None:
        raise Fault("invalid_record", "version", "is missing: a correction needs a version or issued_at")
    if sent.original == sent.id:
        raise Fault("invalid_record", "original", "is the record itself; a correction has an id of its own")
    if _CONTROL.search(sent.original):
        raise Fault("invalid_record", "original", "holds a control character")
    try:
        issued = (sent.issued_at or EPOCH).astimezone(dt.UTC).isoformat()
    except OverflowError:
        raise Fault("invalid_record", "issued_at", "is outside the calendar") from None
    return sent.action, _quoted(sent.original), str(sent.version or 0), issued


def encode_correction(position: int, sent: Sent | Cancel) -> str:
    """Return what a correction corrects as a line for COPY in the order of ``CORRECTION_COLUMNS``. Raises Fault.

    The hash is a cancellation's: it says nothing else. An adjustment has another, over what it is adjusted to.
    """
    if _CONTROL.search(sent.id):
        raise Fault("invalid_record", "id", "holds a control character")
    fields = "\t".join(_correction(sent))
    digest = blake2b(fields.encode(), digest_size=16).hexdigest()
    return f"{position}\t{_quoted(sent.id)}\t\\\\x{digest}\t{fields}\n"


CORRECTION_COLUMNS = "position, source_id, hash, action, original_id, version, issued_at"

COLUMNS = (
    "position, source_id, hash, passed_at, passed_offset, station, service, country, plate, pan, obu_id, "
    "vehicle_class, list_ore, amount_ore, vat_bp, flags"
)
