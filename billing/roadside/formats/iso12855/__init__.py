"""ISO 12855 / EN 16986 as XML: our profile of it (docs/formats/iso12855.md, profile.xsd).

In: BillingDetails (the ``FORMAT``), PaymentClaim, UserComplaintResponse, Ack. Out: Ack, ExceptionList, UserComplaint.
Bytes to records and back; no database. A file is read in flat memory whatever is in it; a DTD, and with it every
entity and external reference, is refused before it is looked at.
"""

from __future__ import annotations

from typing import BinaryIO

from billing.roadside.formats.form import Format
from billing.roadside.formats.iso12855.answers import answers, refused
from billing.roadside.formats.iso12855.claim import ClaimLine, PaymentClaim, read_claim
from billing.roadside.formats.iso12855.complaints import (
    Complaint,
    Response,
    Responses,
    read_responses,
    render_complaints,
)
from billing.roadside.formats.iso12855.details import check, parse
from billing.roadside.formats.iso12855.lists import Acked, read_ack, render_list
from billing.roadside.formats.iso12855.message import Message
from billing.roadside.formats.iso12855.names import Header, Provider

__all__ = [
    "FORMAT",
    "Acked",
    "ClaimLine",
    "Complaint",
    "Header",
    "PaymentClaim",
    "Provider",
    "Response",
    "Responses",
    "read_ack",
    "read_claim",
    "read_header",
    "read_responses",
    "refused",
    "render_complaints",
    "render_list",
]

FORMAT = Format(
    name="iso12855",
    suffixes=(".xml",),
    media=("application/xml", "text/xml"),
    check=check,
    parse=parse,
    answers=answers,
    answer_suffix=".answers.xml",
    answer_type="application/xml",
)


def read_header(stream: BinaryIO) -> Header:
    """Return a message's header, of whatever type it is, having read little more. Raises BrokenFile."""
    return Message(stream).header
