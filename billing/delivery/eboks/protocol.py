"""The distributor's protocol, all of it, and what its answers mean. Pure.

**Assumed, not documented by anybody** (see the package). JSON over HTTPS with ``Authorization: Bearer``; an error is a
status with ``{"error": code}``.

| call | answers |
|---|---|
| `POST /recipients` `{"recipients": [{"ref", …}]}`, each with `national_id`, `org_no` or an address | 200, of each `ref` a `result`: member (with `address`), not_member, not_found, several, invalid |
| `PUT /messages/{key}` with title, address, document and what is to be paid | 201 taken, 200 taken before, 409 `other_content` (taken before, too), 404 `unknown_address`, 413, 422 |
| `GET /messages/{key}` | 200 with `state`: received, delivered, failed (`reason`), withdrawn; `delivered_at`, `opened_at`; 404 `unknown_message` |
| `DELETE /messages/{key}` | 204 withdrawn, 404 `unknown_message`, 409 `opened` or `paid` |

401 and 403 are for a person of ours to look at, 429 is for later; 5xx, garbage and nothing mean that we do not know.
"""  # noqa: E501  # a table is read across

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from billing.delivery.calling import Reply
from billing.delivery.port import (
    Back,
    Delivered,
    Found,
    Handed,
    Later,
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
from billing.delivery.titles import payable, title

LOOKED_UP_AT_ONCE = 100
_NO: Mapping[str, str] = {
    "not_member": "no_mailbox",
    "not_found": "not_identified",
    "several": "several_matches",
    "invalid": "not_identified",
}
_CODE = re.compile(r"[a-z][a-z0-9_]{0,59}")
_LONGEST = 200


def question(readers: Sequence[Reader]) -> bytes:
    """Return the question whether readers have a mailbox; each is known by its agreement's id."""
    return json.dumps({"recipients": [{"ref": str(one.agreement_id), **_who(one)} for one in readers]}).encode()


def identifiable(reader: Reader) -> bool:
    """Say whether we know enough of a reader to ask for them."""
    return bool(reader.national_id or (reader.kind == "business" and reader.org_no) or reader.street.strip())


def verdicts(reply: Reply, readers: Sequence[Reader]) -> dict[int, Verdict]:
    """Return by agreement id what the answer says of each reader; one that it leaves out is unsure."""
    told = _json(reply) if reply.status == 200 else None
    rows = told.get("recipients") if told is not None else None
    if not isinstance(rows, list):
        why = "garbled" if reply.status == 200 else _why(reply)
        return {one.agreement_id: Unsure(why) for one in readers}
    by_ref = {row["ref"]: row for row in rows if isinstance(row, dict) and isinstance(row.get("ref"), str)}
    return {one.agreement_id: _verdict(by_ref.get(str(one.agreement_id))) for one in readers}


def message(parcel: Parcel, seller: str, pdf: bytes) -> bytes:
    """Return a message with its document and, where the mailbox is to offer to pay it, what is to be paid."""
    bill, payment = parcel.bill, None
    if payable(bill, parcel.form) and bill.due_on is not None:
        payment = {
            "due_on": bill.due_on.isoformat(),
            "amount_ore": bill.open_ore,
            "account": bill.account,
            "kid": bill.kid,
        }
    described = {
        "address": parcel.address,
        "title": title(bill, parcel.form, parcel.reader.language, seller),
        "language": parcel.reader.language,
        "document": {
            "type": "application/pdf",
            "sha256": hashlib.sha256(pdf).hexdigest(),
            "content": base64.b64encode(pdf).decode(),
        },
        "payment": payment,
    }
    return json.dumps(described).encode()


def outcome(reply: Reply, key: str, cost_ore: int) -> Outcome:
    """Return what came of a message, from the answer to it."""
    code = _code(reply)
    if reply.status in {200, 201}:
        return _state(_json(reply), key, cost_ore)
    if reply.status == 409 and code == "other_content":
        return Handed(key, {"message_id": key, "answer": code}, cost_ore)
    if reply.status == 404 and code == "unknown_address":
        return Refused("no_mailbox", {"answer": code})
    if reply.status in {413, 422} and code:
        return Refused(code, {"answer": code})
    if reply.status == 429 or 300 <= reply.status < 500:
        return Later(_why(reply), unreachable=True)
    return NoAnswer(_why(reply))


def found(reply: Reply, key: str, cost_ore: int) -> Found:
    """Return what has become of a message, from the answer to asking for it."""
    if reply.status == 404 and _code(reply) == "unknown_message":
        return Unheard()
    return _state(_json(reply), key, cost_ore) if reply.status == 200 else NoAnswer(_why(reply))


def _state(told: Mapping[str, Any] | None, key: str, cost_ore: int) -> Handed | Delivered | Refused | NoAnswer:
    """Return what the state of a message means, as the distributor tells it of the one with the key."""
    if told is None or told.get("id") != key:
        return NoAnswer("garbled")
    delivered, opened, state = _instant(told, "delivered_at"), _instant(told, "opened_at"), told.get("state")
    proof: dict[str, Any] = {"message_id": key, "state": state}
    if delivered is not None:
        proof["delivered_at"] = delivered.isoformat()
    if state == "delivered":
        return Delivered(key, proof, cost_ore, opened)
    if state == "received":
        return Handed(key, proof, cost_ore)
    if state == "withdrawn":
        return Refused("withdrawn", proof)
    if state == "failed":
        reason = told.get("reason")
        return Refused(reason if isinstance(reason, str) and _CODE.fullmatch(reason) else "failed", proof)
    return NoAnswer("garbled")


def back(reply: Reply) -> Back:
    """Return what came of taking a message back."""
    code = _code(reply)
    if reply.status in {200, 204} or (reply.status == 404 and code == "unknown_message"):
        return TakenBack()
    if reply.status == 409 and code:
        return TooLate(code)
    if reply.status == 429 or 300 <= reply.status < 500:
        return Later(_why(reply), unreachable=True)
    return NoAnswer(_why(reply))


def token(reply: Reply) -> tuple[str, int] | None:
    """Return a token and for how many seconds it is good (RFC 6749, 5.1), None where the answer holds none."""
    told = _json(reply) if reply.status == 200 else None
    if told is None or str(told.get("token_type", "")).lower() != "bearer":
        return None
    text, seconds = told.get("access_token"), told.get("expires_in", 60)
    if not isinstance(text, str) or not BEARER.fullmatch(text) or type(seconds) is not int or seconds < 0:
        return None
    return text, seconds


BEARER = re.compile(r"[A-Za-z0-9._~+/-]{1,8192}=*")
"""What a bearer token may look like (RFC 6750, 2.1)."""


def _who(reader: Reader) -> dict[str, str]:
    if reader.kind == "business" and reader.org_no:
        return {"org_no": reader.org_no}
    if reader.national_id:
        return {"national_id": reader.national_id}
    names = ("name", "street", "postal_code", "city", "country")
    return {name: str(getattr(reader, name)) for name in names}


def _verdict(row: Mapping[str, Any] | None) -> Verdict:
    result, address = (row or {}).get("result"), (row or {}).get("address")
    if result == "member":
        is_one = isinstance(address, str) and 0 < len(address) <= _LONGEST
        return Yes(address) if is_one else Unsure("no_address_told")
    if isinstance(result, str) and result in _NO:
        return No(_NO[result])
    return Unsure("garbled")


def _json(reply: Reply) -> dict[str, Any] | None:
    """Return the object an answer holds, None where it holds none."""
    if reply.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        return None
    try:
        told = json.loads(reply.body)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def _code(reply: Reply) -> str:
    code = (_json(reply) or {}).get("error")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def _why(reply: Reply) -> str:
    return _code(reply) or f"http_{reply.status}"


def _instant(told: Mapping[str, Any], name: str) -> dt.datetime | None:
    value = told.get(name)
    try:
        at = dt.datetime.fromisoformat(value) if isinstance(value, str) else None
        return at.astimezone(dt.UTC) if at is not None and at.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
