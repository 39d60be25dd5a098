"""What we send to Digipost: who to look for, and messages. XML of api v8 (api_v8.xsd, datatypes.xsd)."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from lxml import etree

from billing.delivery.port import Bill, Parcel, Reader
from billing.delivery.titles import payable, title
from config.clock import OSLO

NAMESPACE = "http://api.digipost.no/schema/v8"
DATA_TYPES = "http://api.digipost.no/schema/datatypes"
LOGIN = "TWO_FACTOR"
"""What the reader must sign in with to open it: an invoice tells where somebody drove."""
_NAME, _LINE, _CITY, _CODE = 130, 100, 80, 10  # the longest that api_v8.xsd takes
_OF_API: Any = {None: NAMESPACE}
_OF_DATA_TYPES: Any = {None: DATA_TYPES}
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def identification(reader: Reader) -> bytes | None:
    """Return the question whether a reader has a mailbox: by organisation number, national id, or name and Norwegian
    address; None where we know too little to ask."""
    root = _root("identification")
    if reader.kind == "business" and reader.org_no:
        _add(root, "organisation-number", reader.org_no)
    elif reader.national_id:
        _add(root, "personal-identification-number", reader.national_id)
    elif reader.country == "NO" and reader.street.strip() and reader.postal_code.strip():
        who = etree.SubElement(root, f"{{{NAMESPACE}}}name-and-address")
        _add(who, "fullname", reader.name[:_NAME])
        _add(who, "addressline1", reader.street[:_LINE])
        _add(who, "postalcode", reader.postal_code[:_CODE])
        _add(who, "city", reader.city[:_CITY])
    else:
        return None
    return _bytes(root)


def message(parcel: Parcel, seller: str) -> bytes:
    """Return the description of a message to the mailbox ``parcel.address``: its id and its document's are the
    parcel's key."""
    root = _root("message")
    _add(root, "message-id", parcel.key)
    recipient = etree.SubElement(root, f"{{{NAMESPACE}}}recipient")
    _add(recipient, "digipost-address", parcel.address or "")
    document = etree.SubElement(root, f"{{{NAMESPACE}}}primary-document")
    _add(document, "uuid", parcel.key)
    _add(document, "subject", title(parcel.bill, parcel.form, parcel.reader.language, seller))
    _add(document, "file-type", "pdf")
    _add(document, "authentication-level", LOGIN)
    _add(document, "sensitivity-level", "NORMAL")
    if payable(parcel.bill, parcel.form):
        document.append(_invoice(parcel.bill))
    return _bytes(root)


def multipart(parcel: Parcel, seller: str, pdf: bytes) -> tuple[bytes, str]:
    """Return the body of a message with its document, and the body's content type."""
    described = message(parcel, seller)
    boundary = f"brikke-{parcel.key}"
    while boundary.encode() in pdf or boundary.encode() in described:  # a page that holds the line is made of malice
        boundary += "-"
    line = f"--{boundary}\r\n".encode()
    body = b"".join((
        line,
        b'Content-Type: application/vnd.digipost-v8+xml\r\nContent-Disposition: attachment; filename="message"\r\n\r\n',
        described,
        b"\r\n" + line,
        f'Content-Type: application/pdf\r\nContent-Disposition: attachment; filename="{parcel.key}"\r\n\r\n'.encode(),
        pdf,
        f"\r\n--{boundary}--\r\n".encode(),
    ))  # fmt: skip
    return body, f"multipart/vnd.digipost-v8+xml; boundary={boundary}"


def kroner(ore: int) -> str:
    """Return øre as kroner with two decimals.

    >>> kroner(123405)
    '1234.05'
    """
    return f"{ore // 100}.{ore % 100:02}"


def _invoice(bill: Bill) -> etree._Element:
    """Return what the mailbox offers to pay: the data type ``invoice``."""
    assert bill.due_on is not None
    assert bill.open_ore > 0
    holder = etree.Element(f"{{{NAMESPACE}}}data-type")
    invoice = etree.SubElement(holder, f"{{{DATA_TYPES}}}invoice", nsmap=_OF_DATA_TYPES)
    due = dt.datetime.combine(bill.due_on, dt.time.min, OSLO)
    for name, value in (
        ("due-date", due.isoformat()),
        ("sum", kroner(bill.open_ore)),
        ("creditor-account", bill.account),
        ("kid", bill.kid),
    ):
        if value is not None:
            etree.SubElement(invoice, f"{{{DATA_TYPES}}}{name}").text = value
    return holder


def _root(name: str) -> etree._Element:
    return etree.Element(f"{{{NAMESPACE}}}{name}", nsmap=_OF_API)


def _add(parent: etree._Element, name: str, value: str) -> None:
    etree.SubElement(parent, f"{{{NAMESPACE}}}{name}").text = _NOT_XML.sub(" ", value)


def _bytes(root: etree._Element) -> bytes:
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")
