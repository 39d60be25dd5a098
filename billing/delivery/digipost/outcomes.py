"""What Digipost's signed answers mean for a delivery. Pure.

| answer | means |
|---|---|
| 2xx | what it says |
| UNKNOWN_RECIPIENT | no mailbox (any more): the next channel |
| a code of ALREADY | it was taken before: that is success |
| a code of NEVER, or our data found wrong | this document can never go this way: the next channel |
| other 4xx (certificate, rights, clock, signature) | we are at fault: nobody can be reached until a person has looked |
| 429 | later |
| 5xx, garbage, nothing | it may have been taken: ask by its key |

Codes: `ErrorCode` of Digipost's own client (digipost-api-client-java), which has them by whose fault it is.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from billing.delivery.calling import Reply
from billing.delivery.digipost import reading
from billing.delivery.port import (
    Delivered,
    Found,
    Handed,
    Later,
    No,
    NoAnswer,
    Outcome,
    Refused,
    Unheard,
    Unsure,
    Verdict,
    Yes,
)

ALREADY = frozenset({
    "CONTENT_ALREADY_UPLOADED",
    "DIGIPOST_MESSAGE_ALREADY_DELIVERED",
    "DUPLICATE_DOCUMENT_ID",
    "DUPLICATE_MESSAGE",
    "MESSAGE_ALREADY_SENT",
    "PRINT_MESSAGE_ALREADY_DELIVERED",
})  # fmt: skip
NO_MAILBOX = frozenset({"UNKNOWN_RECIPIENT", "UNKNOWN_USER"})
NEVER = frozenset({
    "BAD_CONTENT",
    "FILE_TOO_LARGE",
    "ILLEGAL_CONTENT_TYPE",
    "INVALID_MONETARY_AMOUNT",
    "INVALID_PDF_CONTENT",
    "MISSING_CONTENT",
    "MISSING_RECIPIENT",
    "MISSING_SUBJECT",
    "REQUEST_TOO_LARGE",
    "VALIDATION_FAILED",
})  # fmt: skip
_WHY_NOT: Mapping[str, str] = {
    "MULTIPLE_MATCHES": "several_matches",
    "INVALID_PERSONAL_IDENTIFICATION_NUMBER": "wrong_national_id",
    "INVALID_ORGANISATION_NUMBER": "wrong_org_no",
}


def verdict(reply: Reply) -> Verdict:
    """Return whether somebody has a mailbox, from the answer to an identification."""
    if reply.status != 200:
        return Unsure(_code(reply))
    try:
        found = reading.identified(reply.body)
    except reading.Garbled:
        return Unsure("garbled")
    if found.result == "DIGIPOST":
        return Yes(found.address) if found.address else Unsure("no_address_told")
    if found.result == "IDENTIFIED":
        return No("no_mailbox")
    return No(_WHY_NOT.get(found.reason or "", "not_identified"))


def outcome(reply: Reply, key: str, cost_ore: int) -> Outcome:
    """Return what came of a message with the key, from the answer to it."""
    if 200 <= reply.status < 300:
        return _taken(reply, key, cost_ore)
    if reply.status == 429:
        return Later("too_many_requests", unreachable=True)
    if reply.status >= 500:
        return NoAnswer(f"http_{reply.status}")
    code = reading.error_code(reply.body)
    if code in ALREADY:
        return Handed(key, {"message_id": key, "answer": code}, cost_ore)
    if code in NO_MAILBOX:
        return Refused("no_mailbox", {"answer": code})
    if code in NEVER:
        return Refused(code.lower(), {"answer": code})
    return Later(_code(reply), unreachable=True)


def found(reply: Reply, key: str, cost_ore: int) -> Found:
    """Return what has become of the message with the key, from the status of its document."""
    if reply.status == 404:
        return Unheard()
    if reply.status != 200:
        return NoAnswer(_code(reply))
    try:
        told = reading.status(reply.body, key)
    except reading.Garbled:
        return NoAnswer("garbled")
    proof: dict[str, Any] = {"message_id": key, "method": told.method, "read": told.read}
    if not told.delivered:
        return Handed(key, proof, cost_ore)
    return Delivered(key, proof | _at(told.delivered_at), cost_ore)


def _taken(reply: Reply, key: str, cost_ore: int) -> Outcome:
    try:
        told = reading.taken(reply.body)
    except reading.Garbled:
        return NoAnswer("garbled")
    proof = {"message_id": key, "method": told.method, "status": told.status} | _at(told.delivered_at)
    if told.status == "DELIVERED" and told.method == "DIGIPOST":
        return Delivered(key, proof, cost_ore)
    return Handed(key, proof, cost_ore)


def _at(instant: dt.datetime | None) -> dict[str, Any]:
    return {"delivered_at": instant.isoformat()} if instant is not None else {}


def _code(reply: Reply) -> str:
    return (reading.error_code(reply.body) if reply.status < 500 else "").lower() or f"http_{reply.status}"
