"""A distributor of mail to e-Boks as a server: in a thread of a test or a demo, or as a process of its own.

| call | what |
|---|---|
| `POST /_control/mailboxes` | `address`, with `national_id`, `org_no` or `name street postal_code city`: whose it is |
| `POST /_control/persons` | somebody whom e-Boks knows but who has no mailbox: the same without `address` |
| `DELETE /_control/mailboxes/{address}` | the mailbox is closed |
| `GET /_control/messages` | every message taken, oldest first |
| `POST /_control/messages/{id}` | `{"do": "deliver"}`, or `open`, `pay`, `fail`: what becomes of it |
| `POST /_control/settings` | `{"by_hand": true}`: a message is only received until control delivers it |
| `POST /_control/tokens` | every token given so far is good no more |
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from simulator import clock
from simulator.partner import Asked, BadControl, Partner, Told, told_json

PLACES = ("name", "street", "postal_code", "city")
AT_ONCE = 100


@dataclass
class Message:
    """A message that was taken; ``body`` as it was sent."""

    key: str
    body: dict[str, Any]
    pdf: bytes
    state: str
    delivered_at: dt.datetime | None = None
    opened_at: dt.datetime | None = None
    paid: bool = False
    reason: str | None = None


class EboksServer(Partner):
    """The distributor. Lets in who has ``key``, or with a ``client`` (its name) who got a token for name and key."""

    calls = ("token", "recipients", "message", "status", "withdrawal")

    def __init__(self, key: str, *, client: str = "", port: int = 0) -> None:
        super().__init__(port=port)
        self._key, self._client = key, client
        self._tokens: set[str] = set()
        self.token_seconds = 3600
        self.by_hand = False
        self.mailboxes: list[dict[str, str]] = []
        self.persons: list[dict[str, str]] = []
        self.messages: dict[str, Message] = {}

    def add_mailbox(self, address: str, **who: str) -> None:
        """Give somebody a mailbox."""
        self.mailboxes.append({"address": address, **who})

    def become(self, key: str, what: str) -> None:
        """Let something happen to a message: deliver, open, pay or fail. Raises KeyError, BadControl."""
        message, now = self.messages[key], clock.wall()
        if what not in {"deliver", "open", "pay", "fail"}:
            raise BadControl("say deliver, open, pay or fail")
        if what == "fail":
            message.state, message.reason = "failed", "mailbox_closed"
            return
        message.state, message.delivered_at = "delivered", message.delivered_at or now
        message.opened_at = message.opened_at or (now if what in {"open", "pay"} else None)
        message.paid = message.paid or what == "pay"

    def forget_tokens(self) -> None:
        """Take no token any more that was given so far."""
        self._tokens.clear()

    def call_of(self, asked: Asked) -> str:
        """See `Partner`."""
        if asked.path.startswith("/messages/"):
            return {"PUT": "message", "GET": "status", "DELETE": "withdrawal"}.get(asked.method, "")
        return {"/token": "token", "/recipients": "recipients"}.get(asked.path, "")

    def answer(self, asked: Asked) -> Told:
        """See `Partner`."""
        call, key = self.call_of(asked), asked.path.rpartition("/")[2]
        if (call, asked.method) == ("token", "POST"):
            return self._token(asked)
        bearer = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if bearer not in (self._tokens if self._client else {self._key}):
            return _error(401, "unauthorized")
        try:
            if (call, asked.method) == ("recipients", "POST"):
                return self._recipients(asked)
            if call == "message":
                return self._take(key, asked)
        except (ValueError, KeyError, TypeError, AttributeError):
            return _error(422, "invalid")
        if call in {"status", "withdrawal"}:
            message = self.messages.get(key)
            if message is None:
                return _error(404, "unknown_message")
            return self._withdraw(message) if call == "withdrawal" else told_json(200, _status(message))
        return _error(404, "nothing_here")

    def control(self, method: str, name: str, rest: str, given: dict[str, Any]) -> Any:
        """See `Partner`."""
        if (method, name) == ("GET", "messages"):
            return {"messages": [_shown(one) for one in self.messages.values()]}
        if (method, name) == ("POST", "messages"):
            self.become(rest, str(given.get("do")))
        elif (method, name) in {("POST", "mailboxes"), ("POST", "persons")}:
            who = {str(key): str(value) for key, value in given.items()}
            if name == "mailboxes" and not who.get("address"):
                raise BadControl("a mailbox has an address")
            (self.mailboxes if name == "mailboxes" else self.persons).append(who)
        elif (method, name) == ("DELETE", "mailboxes"):
            self.mailboxes = [one for one in self.mailboxes if one["address"] != rest]
        elif (method, name) == ("POST", "settings"):
            self.by_hand = bool(given["by_hand"])
        elif (method, name) == ("POST", "tokens"):
            self.forget_tokens()
        else:
            raise LookupError(name)
        return None

    def _token(self, asked: Asked) -> Told:
        who = f"Basic {base64.b64encode(f'{self._client}:{self._key}'.encode()).decode()}"
        form = parse_qs(asked.body.decode("latin-1"))
        if not self._client or asked.headers.get("authorization") != who:
            return told_json(401, {"error": "invalid_client"})
        if form.get("grant_type") != ["client_credentials"]:
            return told_json(400, {"error": "unsupported_grant_type"})
        token = secrets.token_urlsafe(24)
        self._tokens.add(token)
        return told_json(200, {"access_token": token, "token_type": "Bearer", "expires_in": self.token_seconds})

    def _recipients(self, asked: Asked) -> Told:
        rows = json.loads(asked.body)["recipients"]
        if not 0 < len(rows) <= AT_ONCE:
            return _error(422, "too_many")
        return told_json(200, {"recipients": [{"ref": row["ref"], **self._result(row)} for row in rows]})

    def _result(self, row: dict[str, Any]) -> dict[str, str]:
        national_id = row.get("national_id")
        if national_id is not None and not (national_id.isdecimal() and len(national_id) == 11):
            return {"result": "invalid"}
        found = [one for one in self.mailboxes if _is(one, row)]
        if len(found) == 1:
            return {"result": "member", "address": found[0]["address"]}
        if found:
            return {"result": "several"}
        return {"result": "not_member" if any(_is(one, row) for one in self.persons) else "not_found"}

    def _take(self, key: str, asked: Asked) -> Told:
        given = json.loads(asked.body)
        before = self.messages.get(key)
        if before is not None:
            if before.body != given:
                return _error(409, "other_content")
            return told_json(200, _status(before))
        if not any(one["address"] == given["address"] for one in self.mailboxes):
            return _error(404, "unknown_address")
        try:
            pdf = base64.b64decode(given["document"]["content"], validate=True)
        except binascii.Error:
            return _error(422, "invalid")
        if hashlib.sha256(pdf).hexdigest() != given["document"]["sha256"] or pdf[:5] != b"%PDF-":
            return _error(422, "invalid_document")
        payment = given["payment"]
        if payment is not None and not (type(payment["amount_ore"]) is int and payment["amount_ore"] > 0):
            return _error(422, "invalid_payment")
        self.messages[key] = Message(key, given, pdf, "received")
        if not self.by_hand:
            self.become(key, "deliver")
        return told_json(201, _status(self.messages[key]))

    def _withdraw(self, message: Message) -> Told:
        if message.opened_at is not None:
            return _error(409, "paid" if message.paid else "opened")
        message.state = "withdrawn"
        return Told(204)


def _is(one: dict[str, str], who: dict[str, Any]) -> bool:
    for name in ("national_id", "org_no"):
        if name in who:
            return one.get(name) == str(who[name])
    return all(one.get(name, "").casefold() == str(who[name]).casefold() for name in PLACES)


def _status(message: Message) -> dict[str, Any]:
    told: dict[str, Any] = {"id": message.key, "state": message.state}
    for name, at in (("delivered_at", message.delivered_at), ("opened_at", message.opened_at)):
        if at is not None:
            told[name] = at.isoformat()
    return told | ({"reason": message.reason} if message.reason else {})


def _shown(message: Message) -> dict[str, Any]:
    kept = {name: value for name, value in message.body.items() if name != "document"}
    return {**_status(message), **kept, "bytes": len(message.pdf)}


def _error(status: int, code: str) -> Told:
    return told_json(status, {"error": code})
