"""The wire to the hub: SOAP over HTTPS by zeep, and every way a call can end without an answer that can be read.

The WSDL is the file beside this one: nothing is fetched. What comes back is limited in size and time, is XML without
DTD or entities, and is checked against the schema before a field of it is read. Nothing here logs: requests hold
national ids, and zeep's own messages quote answers. zeep is imported when it is first needed: it takes its time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import urllib3.exceptions
from lxml import etree

WSDL = Path(__file__).with_name("efaktura.wsdl")
XSD = Path(__file__).with_name("efaktura.xsd")
SPACE = "urn:brikke:efaktura-atg:1"
MAX_ANSWER = 8 * 1024 * 1024
"""Bytes of an answer; that of a thousand transactions is half a megabyte."""

_BINDING = f"{{{SPACE}}}EfakturaAtgSoap"
_ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
_CHUNK = 64 * 1024
_XML = frozenset({"text/xml", "application/xml", "application/soap+xml"})
_OURS = frozenset(
    {
        "FailedAuthentication",
        "FailedCheck",
        "InvalidSecurity",
        "InvalidSecurityToken",
        "SecurityTokenUnavailable",
        "UnsupportedSecurityToken",
    }
)
"""Codes of WS-Security faults: it is our account that was turned away, not what we sent."""


class HubError(Exception):
    """The hub gave no answer that can be used. ``why`` is a short code without anybody's data; ``code`` is the hub's
    own number, where it gave one."""

    def __init__(self, why: str, code: int | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.code = code


class NotReached(HubError):
    """Nothing was sent."""


class Turned(HubError):
    """It was surely not done: the hub refused the call as a whole. ``account``: it did not know us."""

    def __init__(self, why: str, code: int | None = None, *, account: bool = False) -> None:
        super().__init__(why, code)
        self.account = account


class NoReply(HubError):
    """It may have been done."""


@dataclass(frozen=True)
class Account:
    """Where the hub is and who we are there. ``issuer`` is our id as one who sends invoices; ``seconds`` is how long it
    may take to answer."""

    url: str
    user: str
    password: str = field(repr=False)
    issuer: str
    seconds: float


def call(account: Account, operation: str, **what: Any) -> dict[str, Any]:
    """Make one call and return its answer as plain dicts and lists, true to the schema.

    Raises NotReached, Turned or NoReply; and what zeep raises for a message that cannot be written, which is a mistake
    of ours.
    """
    from zeep.exceptions import Fault
    from zeep.helpers import serialize_object

    line = _line(account)
    line.wire.sent = False
    try:
        answer = line.service[operation](issuerId=account.issuer, **what)
    except HubError:
        raise
    except Fault as fault:
        raise _told(fault.code, fault.detail) from None
    except Exception as error:
        if not line.wire.sent:
            raise
        # Whatever an answer does to a parser, it is an answer that cannot be read. Its text may be anybody's.
        raise NoReply(f"unreadable_{type(error).__name__}") from None
    read: dict[str, Any] | None = serialize_object(answer, dict)
    if not isinstance(read, dict):
        raise NoReply("empty")
    return read


@dataclass(frozen=True)
class _Line:
    service: Any
    wire: _Wire


_THREAD = threading.local()  # a session of requests is not made for several threads at once


def _line(account: Account) -> _Line:
    """Return this thread's client of an account; reading the WSDL is what costs, and is done once."""
    import zeep
    from zeep.wsse.username import UsernameToken

    held: dict[Account, _Line] = _THREAD.__dict__.setdefault("lines", {})
    if account not in held:
        held.clear()  # settings have changed: what stood for the old ones is of no use
        wire = _Wire(account.seconds)
        client = zeep.Client(
            str(WSDL),
            transport=wire,
            wsse=UsernameToken(account.user, account.password),
            plugins=[_Checked()],
            settings=zeep.Settings(
                strict=True, forbid_dtd=True, forbid_entities=True, forbid_external=True, xml_huge_tree=False
            ),
        )
        held[account] = _Line(client.create_service(_BINDING, account.url), wire)
    return held[account]


@dataclass(frozen=True)
class _Answer:
    """What zeep reads of a response."""

    status_code: int
    content: bytes
    headers: Mapping[str, str]
    encoding: str | None = "utf-8"


class _Wire:
    """The transport zeep asks for: files of ours in, one POST out."""

    def __init__(self, seconds: float) -> None:
        self.sent = False
        self._seconds = seconds
        self._session = requests.Session()
        # No compression: a small answer could become a huge one. No connection is kept: one that the hub has
        # closed meanwhile would look like a call without an answer.
        self._session.headers.update({"Accept-Encoding": "identity", "Connection": "close", "User-Agent": "Brikke"})

    def load(self, url: str) -> bytes:
        """Read a part of the WSDL; only what lies beside this file."""
        path = Path(url).resolve()
        if path not in (WSDL.resolve(), XSD.resolve()):
            raise PermissionError("a WSDL asked for something else than its own files")
        return path.read_bytes()

    def post_xml(self, address: str, envelope: etree._Element, headers: Mapping[str, str]) -> _Answer:
        """Send an envelope. Raises NotReached, Turned or NoReply where no SOAP came back."""
        body = etree.tostring(envelope, xml_declaration=True, encoding="utf-8")
        until = time.monotonic() + self._seconds
        self.sent = True
        try:
            with self._session.post(
                address, data=body, headers=dict(headers), timeout=self._seconds, allow_redirects=False, stream=True
            ) as answer:
                return _read(answer, until)
        except requests.RequestException as error:
            raise _unconnected(error) from None
        except urllib3.exceptions.HTTPError as error:
            raise NoReply("time_out" if isinstance(error, urllib3.exceptions.TimeoutError) else "cut_off") from None


def _read(answer: requests.Response, until: float) -> _Answer:
    media = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    status = answer.status_code
    if status not in (200, 400, 500) or media not in _XML:  # a fault comes with 500, of some servers with 400
        if 300 <= status < 500:
            raise Turned(f"http_{status}", account=status in (401, 403))
        raise NoReply(f"http_{status}" if status != 200 else "not_soap")
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise NoReply("compressed")
    parts, size = [], 0
    # What is there, as it comes: waiting for a whole chunk, a hub that drips could hold us for hours.
    while part := answer.raw.read1(_CHUNK, decode_content=False):
        size += len(part)
        if size > MAX_ANSWER:
            raise NoReply("too_large")
        if time.monotonic() > until:
            raise NoReply("too_slow")
        parts.append(part)
    return _Answer(status, b"".join(parts), {"Content-Type": "text/xml"})


def _unconnected(error: requests.RequestException) -> HubError:
    """Say whether a failed call may have been heard. Only what never got a connection was surely not."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return NotReached("no_connection")
    inner = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(inner, urllib3.exceptions.NewConnectionError):
        return NotReached("no_connection")
    if isinstance(inner, urllib3.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(inner):
        return NotReached("certificate")
    return NoReply("time_out" if isinstance(error, requests.Timeout) else "cut_off")


class _Checked:
    """A plugin of zeep's: answers are of our schema, or none."""

    def __init__(self) -> None:
        self._schema = etree.XMLSchema(etree.parse(str(XSD)))

    def egress(self, envelope: Any, headers: Any, _operation: Any, _options: Any) -> tuple[Any, Any]:
        """Leave what is sent as it is."""
        return envelope, headers

    def ingress(self, envelope: etree._Element, headers: Any, operation: Any) -> tuple[Any, Any]:
        """Check what came. Raises NoReply."""
        body = envelope.find(f"{{{_ENVELOPE}}}Body")
        held = [] if body is None else list(body)
        if envelope.tag != f"{{{_ENVELOPE}}}Envelope" or len(held) != 1:
            raise NoReply("not_soap")
        if held[0].tag == f"{{{_ENVELOPE}}}Fault":
            return envelope, headers
        if held[0].tag != f"{{{SPACE}}}{operation.name}Response" or not self._schema.validate(held[0]):
            raise NoReply("wrong_schema")
        return envelope, headers


def _told(fault_code: str | None, detail: Any) -> HubError:
    """Return a SOAP fault in our words: the caller's (surely not done), or anything else."""
    word = (fault_code or "").strip().rpartition(":")[2]
    code = _number(detail)
    said = f"fault_{code}" if code is not None else f"fault_{word[:40]}" if word.isalnum() else "fault"
    if word in _OURS:
        return Turned(said, code, account=True)
    if word.startswith("Client"):
        return Turned(said, code)
    return NoReply(said, code)


def _number(detail: Any) -> int | None:
    if not isinstance(detail, etree._Element):
        return None
    text = (detail.findtext(f"{{{SPACE}}}hubFault/{{{SPACE}}}code") or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else None
