"""Digipost as a server: in a thread of a test or a demo, or as a process of its own.

| call | what |
|---|---|
| `POST /_control/mailboxes` | `address`, with `national_id`, `org_no` or `name street postal_code city`: whose it is |
| `POST /_control/persons` | somebody whom Digipost knows but who has none: the same without `address` |
| `DELETE /_control/mailboxes/{address}` | the mailbox is closed |
| `GET /_control/messages` | every message taken, oldest first |
| `POST /_control/messages/{id}` | `{"do": "open"}`: the reader opens it |
| `POST /_control/clock` | `{"ahead_seconds": 600}`: its clock is ahead of ours |
| `POST /_control/certificate` | it signs by a new certificate from now on |
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from lxml import etree

from simulator import clock
from simulator.digipost import letters, signatures
from simulator.digipost.letters import V8, Letter, Refusal
from simulator.partner import Asked, BadControl, Partner, Told

MEDIA = "application/vnd.digipost-v8+xml"
PLACES = ("name", "street", "postal_code", "city")


@dataclass
class Message:
    """A message in a mailbox."""

    letter: Letter
    mailbox: str
    delivered_at: dt.datetime
    opened_at: dt.datetime | None = None


class DigipostServer(Partner):
    """Digipost. ``senders`` are those who may send: their number and the key they sign with. ``key`` is its own."""

    calls = ("entry", "identification", "message", "status", "events")

    def __init__(self, senders: dict[str, RSAPublicKey], *, port: int = 0, key: RSAPrivateKey | None = None) -> None:
        super().__init__(port=port)
        self.senders = senders
        self.mailboxes: list[dict[str, str]] = []
        self.persons: list[dict[str, str]] = []
        self.messages: dict[str, Message] = {}
        self.ahead = dt.timedelta(0)
        self.tells_read = True
        self._key = key or signatures.new_key()
        self._certificate = signatures.certificate(self._key)

    def now(self) -> dt.datetime:
        """Return this server's instant."""
        return clock.wall() + self.ahead

    def add_mailbox(self, address: str, **who: str) -> None:
        """Give somebody a mailbox."""
        self.mailboxes.append({"address": address, **who})

    def open(self, message_id: str) -> None:
        """Let the reader open a message. Raises KeyError."""
        self.messages[message_id].opened_at = self.now()

    def change_certificate(self) -> None:
        """Sign by another certificate from now on."""
        self._key = signatures.new_key()
        self._certificate = signatures.certificate(self._key)

    def call_of(self, asked: Asked) -> str:
        """See `Partner`."""
        if asked.path == "/":
            return "entry"
        if asked.path.startswith("/documents/"):
            return "events" if asked.path == "/documents/events" else "status"
        return {"/identification": "identification", "/messages": "message"}.get(asked.path, "")

    def answer(self, asked: Asked) -> Told:
        """See `Partner`."""
        refused = signatures.refuse(asked, self.senders, self.now())
        if refused is not None:
            return _error(*refused)
        try:
            call = (asked.method, self.call_of(asked))
            if call == ("GET", "entry"):
                return self._entry()
            if call == ("POST", "identification"):
                return self._identify(asked)
            if call == ("POST", "message"):
                return self._deliver(asked)
            if call == ("GET", "status"):
                return self._status(asked)
            if call == ("GET", "events"):
                return self._events(asked)
        except Refusal as refusal:
            return _error(refusal.status, refusal.code)
        return _error(404, "DOCUMENT_NOT_FOUND")

    def finish(self, asked: Asked, told: Told, *, wrongly: bool) -> Told:
        """See `Partner`."""
        key = signatures.new_key() if wrongly else self._key
        return signatures.signed(key, asked, told, self.now())

    def control(self, method: str, name: str, rest: str, given: dict[str, Any]) -> Any:
        """See `Partner`."""
        if (method, name) == ("GET", "messages"):
            return {"messages": [_shown(one) for one in self.messages.values()]}
        if (method, name) == ("POST", "messages") and given == {"do": "open"}:
            self.open(rest)
        elif (method, name) in {("POST", "mailboxes"), ("POST", "persons")}:
            who = {str(key): str(value) for key, value in given.items()}
            if name == "mailboxes" and not who.get("address"):
                raise BadControl("a mailbox has an address")
            (self.mailboxes if name == "mailboxes" else self.persons).append(who)
        elif (method, name) == ("DELETE", "mailboxes"):
            self.mailboxes = [one for one in self.mailboxes if one["address"] != rest]
        elif (method, name) == ("POST", "clock"):
            self.ahead = dt.timedelta(seconds=float(given["ahead_seconds"]))
        elif (method, name) == ("POST", "certificate"):
            self.change_certificate()
        else:
            raise LookupError(name)
        return None

    def _entry(self) -> Told:
        root = etree.Element(f"{V8}entrypoint")
        etree.SubElement(root, f"{V8}certificate").text = f"\n{self._certificate}"
        for rel, path in (("create_message", "/messages"), ("document_events", "/documents/events")):
            etree.SubElement(
                root, f"{V8}link", {"rel": f"https://api.digipost.no/relations/{rel}", "uri": f"{self.url}{path}"}
            )
        return _xml(200, root)

    def _identify(self, asked: Asked) -> Told:
        question = letters.question(asked.body)
        found = [one for one in self.mailboxes if _is(one, question)]
        root = etree.Element(f"{V8}identification-result")
        result = etree.SubElement(root, f"{V8}result")
        if len(found) > 1:
            result.text = "UNIDENTIFIED"
            etree.SubElement(root, f"{V8}unidentified-reason").text = "MULTIPLE_MATCHES"
        elif found:
            result.text = "DIGIPOST"
            etree.SubElement(root, f"{V8}digipost-address").text = found[0]["address"]
        elif not str(question.get("national_id", "0")).isdecimal():
            result.text = "INVALID"
            etree.SubElement(root, f"{V8}invalid-reason").text = "INVALID_PERSONAL_IDENTIFICATION_NUMBER"
        elif any(_is(one, question) for one in self.persons):
            result.text = "IDENTIFIED"
            etree.SubElement(root, f"{V8}person-alias").text = "alias-1"
        else:
            result.text = "UNIDENTIFIED"
            etree.SubElement(root, f"{V8}unidentified-reason").text = "NOT_FOUND"
        return _xml(200, root)

    def _deliver(self, asked: Asked) -> Told:
        letter = letters.letter(asked.headers.get("content-type", ""), asked.body)
        if letter.message_id in self.messages:
            raise Refusal(400, "DUPLICATE_MESSAGE")
        if any(one.letter.uuid == letter.uuid for one in self.messages.values()):
            raise Refusal(400, "DUPLICATE_DOCUMENT_ID")
        found = [one for one in self.mailboxes if _is(one, letter.recipient)]
        if len(found) != 1:
            raise Refusal(404, "UNKNOWN_RECIPIENT")
        now = self.now()
        self.messages[letter.message_id] = Message(letter, found[0]["address"], now)
        root = etree.Element(f"{V8}message-delivery")
        for name, value in (
            ("message-id", letter.message_id),
            ("delivery-method", "DIGIPOST"),
            ("sender-id", asked.headers["x-digipost-userid"]),
            ("status", "DELIVERED"),
            ("delivery-time", now.isoformat(timespec="milliseconds")),
        ):
            etree.SubElement(root, V8 + name).text = value
        document = etree.SubElement(root, f"{V8}primary-document")
        etree.SubElement(document, f"{V8}uuid").text = letter.uuid
        return _xml(201, root)

    def _status(self, asked: Asked) -> Told:
        _, _, sender, uuid, *rest = asked.path.split("/")
        message = next((one for one in self.messages.values() if one.letter.uuid == uuid), None)
        if rest != ["status"] or sender != asked.headers["x-digipost-userid"] or message is None:
            raise Refusal(404, "DOCUMENT_NOT_FOUND")
        told = {
            "uuid": uuid,
            "status": "DELIVERED",
            "channel": "DIGIPOST",
            "created": message.delivered_at.isoformat(timespec="milliseconds"),
            "delivered": message.delivered_at.isoformat(timespec="milliseconds"),
            "is-primary-document": "true",
        }
        if self.tells_read:
            told["read"] = "N" if message.opened_at is None else "Y"
        return _xml(200, etree.Element(f"{V8}document-status", told))

    def _events(self, asked: Asked) -> Told:
        try:
            query = {name: values[0] for name, values in parse_qs(asked.query, strict_parsing=True).items()}
            first, last = dt.datetime.fromisoformat(query["from"]), dt.datetime.fromisoformat(query["to"])
            offset, most = int(query["offset"]), int(query["maxResults"])
        except (ValueError, KeyError):
            raise Refusal(400, "INVALID_QUERY_PARAMETER") from None
        root = etree.Element(f"{V8}document-events")
        happened = [
            (one.opened_at, one) for one in self.messages.values() if one.opened_at and first <= one.opened_at <= last
        ]
        for at, one in sorted(happened, key=lambda pair: pair[0])[offset : offset + most]:
            told = {"uuid": one.letter.uuid, "type": "OPENED", "created": at.isoformat(timespec="milliseconds")}
            told["document-created"] = one.delivered_at.isoformat(timespec="milliseconds")
            etree.SubElement(root, f"{V8}event", told)
        return _xml(200, root)


def _is(one: dict[str, str], who: dict[str, Any]) -> bool:
    if "name" in who:
        return all(one.get(name, "").casefold() == who[name].casefold() for name in PLACES)
    return all(one.get(name) == value for name, value in who.items())


def _shown(one: Message) -> dict[str, Any]:
    return {
        "id": one.letter.message_id,
        "mailbox": one.mailbox,
        "subject": one.letter.subject,
        "login": one.letter.login,
        "invoice": one.letter.invoice,
        "bytes": len(one.letter.pdf),
        "delivered_at": one.delivered_at.isoformat(),
        "opened_at": one.opened_at.isoformat() if one.opened_at else None,
    }


def _xml(status: int, root: etree._Element) -> Told:
    body = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    return Told(status, body, {"Content-Type": MEDIA})


def _error(status: int, code: str) -> Told:
    root = etree.Element(f"{V8}error")
    for name, value in (("error-code", code), ("error-message", "Refused."), ("error-type", "CLIENT_TECHNICAL")):
        etree.SubElement(root, V8 + name).text = value
    return _xml(status, root)
