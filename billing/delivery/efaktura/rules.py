"""The decisions of the eFaktura channel, pure: which key a reader is looked up by, what an answer means, and what is
sent. Sources: facts on the hub's look-up, statuses and errors (docs/formats/efaktura.md has the tables)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from billing.delivery.efaktura.hub import CancelResult, Fault, KeyAnswer, NeverHeard, State, Told, Transaction
from billing.delivery.port import (
    Back,
    Delivered,
    Form,
    Found,
    Handed,
    No,
    NoAnswer,
    Outcome,
    Parcel,
    Reader,
    Refused,
    TakenBack,
    TooLate,
    Unheard,
    Unsure,
    Verdict,
    Yes,
)

DUPLICATE_SHIPMENT = 3002
DUPLICATE = frozenset({DUPLICATE_SHIPMENT, 3003})
"""A shipment or a transaction of this id was taken before."""
REFUSALS = {3020: "kid_missing", 3100: "type_not_implemented"}
"""Errors that no other try can mend. What is not listed is named by its number."""

PAYMENT_TYPES: Mapping[Form, Literal["EFAKTURA", "EFAKTURA_AND_AVTALEGIRO"]] = {
    "transfer": "EFAKTURA",
    "avtalegiro": "EFAKTURA_AND_AVTALEGIRO",
}
DOCUMENT_TYPES: Mapping[str, Literal["REMINDER", "COLLECTION_NOTICE"]] = {
    "reminder": "REMINDER",
    "collection_notice": "COLLECTION_NOTICE",
}
"""By the message's template; every other one is of an invoice."""

SURE = frozenset({"national_id", "org_no"})
"""Names of keys that name one person or business: not found by one of these is not there."""

_NOT_IN_XML = re.compile("[\x00-\x1f\x7f-\x9f\ufffe\uffff\ud800-\udfff]")
_LONGEST = {"email": 254, "name": 200, "street": 200}
_WORD = 64


@dataclass(frozen=True, slots=True)
class Way:
    """A way to look a reader up. ``name`` says which, for support; ``fields`` are the schema's."""

    name: str
    fields: Mapping[str, str] = field(repr=False)


def ways(reader: Reader) -> list[Way]:
    """Return how a reader can be looked up, the best key first; none where nothing is known of them."""
    return [Way(name, fields) for name, fields in _ways(reader) if all(fields.values())]


def _ways(reader: Reader) -> Iterator[tuple[str, dict[str, str]]]:
    if reader.kind == "private":
        yield "national_id", {"nationalId": _text(reader.national_id)}
    else:
        yield "org_no", {"organisationNumber": _text(reader.org_no)}
    yield "efaktura_id", {"efakturaId": _text(reader.efaktura_id)}
    email, phone = _text(reader.email, "email"), _text(reader.phone)
    yield "email_and_phone", {"email": email, "phone": phone}
    where = {
        "name": _text(reader.name, "name"),
        "street": _text(reader.street, "street"),
        "postalCode": _text(reader.postal_code),
    }
    yield "email_and_address", {"email": email, **where}
    yield "phone_and_address", {"phone": phone, **where}


def _text(value: str | None, kind: str = "") -> str:
    """Return what may be sent of a value: a control character would make the whole call unwritable, and what is longer
    than the schema allows is nobody's."""
    kept = _NOT_IN_XML.sub("", value or "").strip()
    return kept if len(kept) <= _LONGEST.get(kind, _WORD) else ""


def settles(way: str, answer: KeyAnswer) -> bool:
    """Say whether an answer is the last word, or another key of the same reader is tried.

    Found is found. Not found is the last word of a key that names one person; an eFaktura id may be an old one, and an
    address another than the bank has.
    """
    return answer.result == "UNIQUE_FOUND" or (answer.result == "NOT_FOUND" and way in SURE)


_NO: Mapping[str, str] = {
    "NOT_FOUND": "not_found",
    "KEY_LACKS_DATA": "key_lacks_data",
    "SEVERAL_FOUND": "several_found",
}


def verdict(way: str, answer: KeyAnswer) -> Verdict:
    """Return what an answer of the hub means for a reader who was looked up in this way.

    Sent is only to whom is found, has said yes (to all, or to us) and has not blocked us.
    """
    if answer.result != "UNIQUE_FOUND":
        return No(_NO[answer.result])
    if not answer.identifier:
        return Unsure("no_identifier")
    if answer.blocked:
        return No("issuer_blocked")
    if not (answer.auto_accept or answer.agreement):
        return No("no_consent")
    return Yes(answer.identifier, {"by": way, "auto_accept": answer.auto_accept, "agreement": answer.agreement})


def unfit(parcel: Parcel) -> Refused | None:
    """Return why something cannot be shown as an eFaktura at all, whatever the hub would say; None where it can."""
    bill = parcel.bill
    if bill.kind != "invoice" or bill.due_on is None or bill.open_ore <= 0:
        return Refused("nothing_to_pay")
    if not parcel.address:
        return Refused("no_address")
    if bill.kid is None:
        return Refused("kid_missing")
    return None


def transaction(parcel: Parcel, url: str, pdf: bytes | None) -> Transaction:
    """Return what is sent of a parcel that is fit."""
    bill = parcel.bill
    assert bill.due_on is not None
    assert parcel.address
    return Transaction(
        id=parcel.key,
        identifier=parcel.address,
        payment_type=PAYMENT_TYPES[parcel.form],
        document_type=DOCUMENT_TYPES.get(parcel.template, "INVOICE"),
        number=bill.number,
        issued_on=bill.issued_on,
        due_on=bill.due_on,
        amount_ore=bill.open_ore,
        kid=bill.kid,
        account=bill.account,
        url=url,
        pdf=pdf,
    )


def found(told: Told | None, ref: str, cost_ore: int) -> Found:
    """Return what has become of a transaction by what the hub tells of it; None where it said nothing of it."""
    if told is None:
        return NoAnswer("not_mentioned")
    if isinstance(told, NeverHeard):
        return Unheard()
    if isinstance(told, Fault):
        if told.code in DUPLICATE:
            return Handed(ref, _proof(told), cost_ore)
        return refusal(told.code, told.text)
    if told.status == "IN_PROGRESS":
        return Handed(ref, _proof(told), cost_ore)
    if told.status == "ACCEPTED":
        return Delivered(ref, _proof(told), cost_ore)
    return Refused(told.status.lower(), _proof(told))


def refusal(code: int, text: str = "") -> Refused:
    """Return the refusal that an error of the hub is, of one transaction."""
    return Refused(REFUSALS.get(code, f"hub_{code}"), {"error": code, "text": text})


def taken(told: Told | None, ref: str, cost_ore: int) -> Outcome:
    """Return what came of handing a transaction over. What the answer left out, or says is not there although it has
    just been sent, is asked for again."""
    outcome = found(told, ref, cost_ore)
    return NoAnswer("not_there") if isinstance(outcome, Unheard) else outcome


def back(result: CancelResult, reason: str) -> Back:
    """Return what came of taking a transaction back. One the hub has never had presents nothing."""
    return TooLate(reason[:200] or "too_late") if result == "TOO_LATE" else TakenBack()


def _proof(told: State | Fault) -> dict[str, str | int]:
    if isinstance(told, Fault):
        return {"error": told.code, "text": told.text}
    proof: dict[str, str | int] = {"status": told.status}
    return proof | {"reason": told.reason} if told.reason else proof
