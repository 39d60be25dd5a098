"""Reading what senders send to Digipost, strictly: the order of elements is the schema's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email import message_from_bytes
from typing import Any

from lxml import etree

V8 = "{http://api.digipost.no/schema/v8}"
TYPES = "{http://api.digipost.no/schema/datatypes}"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ORDERS = {
    "message": ("message-id", "sender-id", "recipient", "delivery-time", "invoice-reference", "primary-document"),
    "primary-document": ("uuid", "subject", "file-type", "authentication-level", "sensitivity-level", "data-type"),
    "name-and-address": ("fullname", "addressline1", "addressline2", "postalcode", "city"),
    "invoice": ("link", "due-date", "sum", "creditor-account", "kid"),
}


class Refusal(Exception):
    """A request that is refused: status and code."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


@dataclass(frozen=True)
class Letter:
    """A message as it was read."""

    message_id: str
    uuid: str
    recipient: dict[str, Any]
    subject: str
    login: str
    invoice: dict[str, str] | None
    pdf: bytes


def question(body: bytes) -> dict[str, Any]:
    """Return whom an identification asks for: ``{"national_id"}``, ``{"org_no"}``, or name and address."""
    return _who(_root(body, "identification"))


def letter(kind: str, body: bytes) -> Letter:
    """Return the message of a multipart body. Raises Refusal."""
    if not kind.startswith("multipart/vnd.digipost-v8+xml;"):
        raise Refusal(415, "ILLEGAL_CONTENT_TYPE")
    parts: Any = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body).get_payload()
    if not isinstance(parts, list) or len(parts) != 2 or parts[0].get_filename() != "message":
        raise Refusal(400, "MISSING_BODYPART_FILENAME")
    root = _root(parts[0].get_payload(decode=True), "message")
    _ordered(root)
    document = root.find(f"{V8}primary-document")
    if document is None:
        raise Refusal(400, "SCHEMA_VALIDATION_ERROR")
    _ordered(document)
    fields = {etree.QName(one).localname: (one.text or "").strip() for one in document}
    if not _UUID.fullmatch(fields.get("uuid", "")) or parts[1].get_filename() != fields["uuid"]:
        raise Refusal(400, "DOCUMENTS_AND_FILES_MISMATCH")
    if not fields.get("subject"):
        raise Refusal(400, "MISSING_SUBJECT")
    pdf = parts[1].get_payload(decode=True)
    if fields.get("file-type") != "pdf" or parts[1].get_content_type() != "application/pdf" or pdf[:5] != b"%PDF-":
        raise Refusal(400, "INVALID_PDF_CONTENT")
    return Letter(
        message_id=root.findtext(f"{V8}message-id") or fields["uuid"],
        uuid=fields["uuid"],
        recipient=_who(root.find(f"{V8}recipient")),
        subject=fields["subject"],
        login=fields.get("authentication-level", "PASSWORD"),
        invoice=_invoice(document.find(f"{V8}data-type")),
        pdf=pdf,
    )


def _invoice(holder: etree._Element | None) -> dict[str, str] | None:
    if holder is None:
        return None
    invoice = holder.find(f"{TYPES}invoice")
    if invoice is None:
        raise Refusal(400, "SCHEMA_VALIDATION_ERROR")
    _ordered(invoice)
    fields = {etree.QName(one).localname: (one.text or "") for one in invoice}
    due = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"
    if not re.fullmatch(due, fields.get("due-date", "")) or not re.fullmatch(
        r"\d{11}", fields.get("creditor-account", "")
    ):
        raise Refusal(400, "SCHEMA_VALIDATION_ERROR")
    if not re.fullmatch(r"\d+(\.\d\d)?", fields.get("sum", "")) or float(fields["sum"]) <= 0:
        raise Refusal(400, "INVALID_MONETARY_AMOUNT")
    if len(fields.get("kid", "")) > 25:
        raise Refusal(400, "SCHEMA_VALIDATION_ERROR")
    return fields


def _who(root: etree._Element | None) -> dict[str, Any]:
    if root is None or len(root) != 1:
        raise Refusal(400, "SCHEMA_VALIDATION_ERROR")
    given = root[0]
    name, text = etree.QName(given).localname, given.text or ""
    if name == "personal-identification-number" and len(text) == 11:
        return {"national_id": text}
    if name == "organisation-number" and len(text) == 9:
        return {"org_no": text}
    if name == "digipost-address":
        return {"address": text}
    if name == "name-and-address":
        _ordered(given)
        fields = {etree.QName(one).localname: (one.text or "") for one in given}
        if {"fullname", "addressline1", "postalcode", "city"} <= set(fields):
            return {
                "name": fields["fullname"],
                "street": fields["addressline1"],
                "postal_code": fields["postalcode"],
                "city": fields["city"],
            }
    raise Refusal(400, "SCHEMA_VALIDATION_ERROR")


def _ordered(root: etree._Element) -> None:
    order = _ORDERS[etree.QName(root).localname]
    places = [order.index(name) if name in order else -1 for name in (etree.QName(one).localname for one in root)]
    if -1 in places or places != sorted(set(places)):
        raise Refusal(400, "SCHEMA_VALIDATION_ERROR")


def _root(body: bytes, name: str) -> etree._Element:
    try:
        root = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))
    except (etree.XMLSyntaxError, ValueError):
        raise Refusal(400, "SCHEMA_VALIDATION_ERROR") from None
    if root.tag != V8 + name:
        raise Refusal(400, "SCHEMA_VALIDATION_ERROR")
    return root
