"""What Digipost tells, read: entry point, identification, delivery, status, events, errors. XML of api v8.

Every reader raises Garbled for what is not that. Documents with a DTD are refused, entities are never followed.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lxml import etree

from billing.delivery.digipost.writing import NAMESPACE

_N = f"{{{NAMESPACE}}}"
RESULTS = ("DIGIPOST", "IDENTIFIED", "UNIDENTIFIED", "INVALID")
_CODE = re.compile(r"[A-Z][A-Z0-9_]{1,59}")
_LONGEST = 200


class Garbled(ValueError):
    """An answer that is not what it should be."""


@dataclass(frozen=True)
class Entry:
    """The entry point: the certificate (PEM) that answers are signed by, and paths by the last word of their rel."""

    certificate: str
    paths: Mapping[str, str]


@dataclass(frozen=True)
class Identified:
    """Whether somebody has a mailbox: one of RESULTS, their address there, and why not where Digipost says it."""

    result: str
    address: str | None
    reason: str | None


@dataclass(frozen=True)
class Taken:
    """A message that Digipost took. ``status``: DELIVERED, or what is still missing."""

    method: str
    status: str
    delivered_at: dt.datetime | None


@dataclass(frozen=True)
class Status:
    """What became of a document. ``read`` is None where Digipost does not tell."""

    delivered: bool
    delivered_at: dt.datetime | None
    method: str
    read: bool | None


@dataclass(frozen=True)
class Event:
    """Something that happened to a document: OPENED, …"""

    document: str
    kind: str
    at: dt.datetime


def entry(body: bytes) -> Entry:
    """Read the entry point."""
    root = _root(body, "entrypoint")
    certificate = root.findtext(f"{_N}certificate") or ""
    if "BEGIN CERTIFICATE" not in certificate:
        raise Garbled("the entry point has no certificate")
    paths = {}
    for link in root.findall(f"{_N}link"):
        rel, uri = link.get("rel", ""), link.get("uri", "")
        path = re.sub(r"^https?://[^/]+", "", uri)
        if rel and path.startswith("/") and len(path) <= _LONGEST:
            paths[rel.rpartition("/")[2].lower()] = path.partition("?")[0]
    return Entry(certificate, paths)


def identified(body: bytes) -> Identified:
    """Read the answer to an identification."""
    root = _root(body, "identification-result")
    result = _text(root, "result")
    if result not in RESULTS:
        raise Garbled("an identification has no result that we know")
    reason = _text(root, "unidentified-reason") or _text(root, "invalid-reason")
    return Identified(result, _text(root, "digipost-address"), reason)


def taken(body: bytes) -> Taken:
    """Read the answer to a message."""
    root = _root(body, "message-delivery")
    method, status = _text(root, "delivery-method"), _text(root, "status")
    if method is None or status is None:
        raise Garbled("a delivery has no method or no status")
    return Taken(method, status, _instant(_text(root, "delivery-time")))


def status(body: bytes, key: str) -> Status:
    """Read the status of the document ``key``."""
    root = _root(body, "document-status")
    if (root.get("uuid") or key).lower() != key.lower():
        raise Garbled("the status is another document's")
    told = root.get("status")
    if told not in {"DELIVERED", "NOT_DELIVERED"}:
        raise Garbled("a document has no status that we know")
    read = {"Y": True, "N": False}.get(root.get("read", ""))
    return Status(told == "DELIVERED", _instant(root.get("delivered")), root.get("channel", "")[:20], read)


def events(body: bytes) -> list[Event]:
    """Read events; those without an instant are left out."""
    found = []
    for one in _root(body, "document-events").findall(f"{_N}event"):
        at = _instant(one.get("created"))
        if at is not None:
            found.append(Event(one.get("uuid", "").lower(), one.get("type", ""), at))
    return found


def error_code(body: bytes) -> str:
    """Return the code of an error (``UNKNOWN_RECIPIENT``), empty where it tells none. Its text is not kept: it may
    repeat what was sent."""
    try:
        code = _text(_root(body, "error"), "error-code") or ""
    except Garbled:
        return ""
    return code if _CODE.fullmatch(code) else ""


def _root(body: bytes, name: str) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False, recover=False)
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Garbled("not XML") from error
    tree: Any = root.getroottree()
    if tree.docinfo.doctype:
        raise Garbled("a document type is not taken")
    if root.tag != f"{_N}{name}":
        raise Garbled(f"no {name}")
    return root


def _text(root: etree._Element, name: str) -> str | None:
    found = (root.findtext(f"{_N}{name}") or "").strip()
    return found[:_LONGEST] or None


def _instant(value: str | None) -> dt.datetime | None:
    if not value:
        return None
    try:
        at = dt.datetime.fromisoformat(value)
        return at.astimezone(dt.UTC) if at.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
