"""What a file is, by its content, and who takes it when it holds no records.

Records go to ``roadside.receive``. Messages of ISO 12855 say what they are in their header; a JSON object is an
acknowledgement of a status list or a claim (an array is records), CSV says by its first line whether it is a claim: see
docs/formats.md. To add one: a function in ``HOOKS``, which takes it in the caller's transaction.
"""

from __future__ import annotations

import datetime as dt
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import msgspec
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger
from billing.roadside.complaints.answer import take_responses
from billing.roadside.formats import BrokenFile, by_name, iso12855
from billing.roadside.lists.acknowledge import LONGEST_REASON, acknowledge
from billing.roadside.settlement import formats as claim_formats
from billing.roadside.settlement.claim import check_claim
from config.problems import Conflict, Invalid

ISO = "iso12855"
_PEEK = 64 * 1024
PERIOD_OPEN = "/problems/period-open"
_NOT_YET = (PERIOD_OPEN, "/problems/still-arriving", "/problems/being-booked",
            "/problems/still-written")  # fmt: skip
"""Refusals that will not be ones later: the file waits."""


@dataclass(frozen=True)
class Routed:
    """What a file is (``records``, ``ack``, ``claim``, ``complaint_responses``) and in which form."""

    what: str
    form: str


@dataclass(frozen=True)
class Noted:
    """A file that holds no records: its name at the charger's, its form, and what is in it."""

    name: str
    form: str
    content: bytes


def route(stream: BinaryIO, name: str, form: str | None) -> Routed:
    """Say what a file is, and have its stream stand at its beginning. ``form`` is what files of the charger are in when
    their names do not say. Raises Invalid."""
    found = by_name(Path(name)) or form
    if found is None:
        raise Invalid(f"{name}: its name does not say its format, and none is agreed on.", slug="unknown-format")
    routed = Routed("records", found)
    if found == ISO:
        try:
            kind = iso12855.read_header(stream).kind
        except BrokenFile as broken:
            raise _broken(name, broken) from None
        if kind not in MESSAGES:
            raise Invalid(f"{name} is a message of type {kind}, which we do not take.", slug="unknown-message")
        routed = Routed(MESSAGES[kind], ISO)
    elif found == "json":
        start = stream.read(_PEEK).removeprefix(b"\xef\xbb\xbf").lstrip()
        if start.startswith(b"{"):
            routed = Routed("object", "json")
    elif found == "csv" and claim_formats.is_csv(stream.readline(_PEEK)):
        routed = Routed("claim", "csv")
    stream.seek(0)
    return routed


def not_yet(problem: Conflict) -> bool:
    """Say whether a refusal is one for now only."""
    return problem.type in _NOT_YET


def _broken(name: str, broken: BrokenFile) -> Invalid:
    where = {"line": broken.line, "message": broken.reason}
    return Invalid(f"{name} cannot be read: {broken}.", slug="broken-file", errors=[where])


def _same_charger(charger: Charger, said: str) -> None:
    if said != charger.code:
        raise Invalid(f"It says that it is of {said}, and lies where {charger.code}'s files lie.", slug="other-charger")


def _ack(session: Session, charger: Charger, noted: Noted, now: dt.datetime) -> str:
    """Take an Ack: of a status list; of other messages it changes nothing."""
    try:
        said = iso12855.read_ack(io.BytesIO(noted.content))
    except BrokenFile as broken:
        raise _broken("The Ack", broken) from None
    _same_charger(charger, str(said.header.originator))
    if said.list_type is None or said.version is None:
        return f"{said.kind} {'' if said.accepted else 'not '}taken"
    accepted, reason = said.accepted, said.reason and " ".join(said.reason.split())[:LONGEST_REASON]
    if accepted and said.refused_items:  # what it did not take of a list it does not know
        accepted, reason = False, f"{said.refused_items} entries rejected"
    return _acknowledge(session, charger, said.list_type, said.version, accepted, reason, now)


def _acknowledge(
    session: Session,
    charger: Charger,
    list_type: str,
    version: int,
    accepted: bool,
    reason: str | None,
    now: dt.datetime,
) -> str:
    reason = reason if accepted else reason or "no reason given"
    acknowledge(session, charger, list_type, version, accepted=accepted, now=now, reason=reason)
    return f"list of {list_type} {version} {'acknowledged' if accepted else 'rejected'}"


_CLAIM_NAME = re.compile(r"claim_([^_]{1,64})_(\d{4}-\d\d-\d\d)_(\d{4}-\d\d-\d\d)\.csv", re.IGNORECASE)


def _by_name(name: str) -> tuple[str, dt.date, dt.date]:
    """Return number and days of a claim in CSV. Raises Invalid."""
    said = _CLAIM_NAME.fullmatch(name)
    try:
        number, first, last = said.groups() if said is not None else ("", "", "")
        return number, dt.date.fromisoformat(first), dt.date.fromisoformat(last)
    except ValueError:
        detail = "A claim in CSV is named claim_NUMBER_FROM_TO.csv, as claim_2026-03_2026-03-01_2026-03-31.csv."
        raise Invalid(detail, slug="claim-name") from None


def _claim(session: Session, charger: Charger, noted: Noted, now: dt.datetime) -> str:
    """Check a PaymentClaim, or a claim in CSV whose name says its number and days."""
    if noted.form == ISO:
        claim, sender = claim_formats.from_xml(noted.content)
        _same_charger(charger, sender)
    else:
        number, first, last = _by_name(noted.name)
        claim = claim_formats.from_csv(noted.content, number=number, period_from=first, period_to=last)
    done = check_claim(session, charger, claim, now, actor=f"charger:{charger.code}")
    return f"claim {claim.number}: {sum(done.kinds.values())} differences"


def _responses(session: Session, charger: Charger, noted: Noted, now: dt.datetime) -> str:
    """Hand a charger's responses to complaints to their room."""
    try:
        said = iso12855.read_responses(io.BytesIO(noted.content))
    except BrokenFile as broken:
        raise _broken("The message", broken) from None
    _same_charger(charger, str(said.header.originator))
    take_responses(session, charger, said, now)
    return f"{len(said.responses)} responses to complaints"


class _Said(msgspec.Struct, forbid_unknown_fields=True):
    """What ``{"acknowledge": …}`` may say: no more than the table of lists can hold, so that it is refused towards the
    charger and not asked of the database, again and again."""

    acknowledge: Literal["tags", "plates"]
    version: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    accepted: bool
    reason: Annotated[str, msgspec.Meta(max_length=LONGEST_REASON)] | None = None


def _object(session: Session, charger: Charger, noted: Noted, now: dt.datetime) -> str:
    """Take a JSON object: ``{"acknowledge": …}`` or a claim."""
    try:
        is_ack = "acknowledge" in msgspec.json.decode(noted.content, type=dict[str, msgspec.Raw])
        if is_ack:
            said = msgspec.json.decode(noted.content, type=_Said)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"It cannot be read: {error}.", slug="broken-file") from None
    if is_ack:
        return _acknowledge(session, charger, said.acknowledge, said.version, said.accepted, said.reason, now)
    claim = claim_formats.from_json(noted.content)
    done = check_claim(session, charger, claim, now, actor=f"charger:{charger.code}")
    return f"claim {claim.number}: {sum(done.kinds.values())} differences"


MESSAGES = {
    "BillingDetails": "records",
    "Ack": "ack",
    "PaymentClaim": "claim",
    "UserComplaintResponse": "complaint_responses",
}
"""Types of message that chargers send → what they are here."""

HOOKS: dict[str, Callable[[Session, Charger, Noted, dt.datetime], str]] = {
    "ack": _ack,
    "claim": _claim,
    "complaint_responses": _responses,
    "object": _object,
}
"""Take what a file says in the caller's transaction and return what came of it in a few words. They raise Problem."""
