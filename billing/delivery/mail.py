"""Make an e-mail: words, sender, recipient and a PDF become the bytes that are sent.

Headers are set through the standard library's e-mail policy, which refuses a line break in any of them; names are
cleaned first, so that a strange name costs nobody their invoice.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from billing.delivery.words import Letter
from config.clock import to_oslo

TEMPLATE_HEADER = "X-Brikke-Template"
LONGEST_NAME = 100

_LOCAL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}")
_DOMAIN = re.compile(r"(?=.{1,253}$)([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9-]{2,63}")


class BadAddressError(ValueError):
    """An address that no plain SMTP server takes."""


@dataclass(frozen=True)
class Attachment:
    """A PDF and what it is called."""

    name: str
    content: bytes


def message_id(delivery_id: int, queued_at: dt.datetime, sender: str) -> str:
    """Return the Message-ID of a delivery: the same at each attempt, another in another database."""
    return f"<{delivery_id}.{queued_at.astimezone(dt.UTC):%Y%m%d%H%M%S%f}@{envelope(sender).rpartition('@')[2]}>"


def envelope(address: str) -> str:
    """Return an address as SMTP's commands take it: ASCII, its domain in IDNA. Raises BadAddressError."""
    local, _, domain = address.strip().rpartition("@")
    try:
        domain = domain.encode("idna").decode("ascii")
    except UnicodeError:
        domain = ""
    if not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        raise BadAddressError("the address is not one that mail can be sent to")
    return f"{local}@{domain}"


def compose(
    letter: Letter,
    *,
    sender_name: str,
    sender: str,
    reply_to: str,
    recipient_name: str,
    recipient: str,
    rfc_message_id: str,
    template: str,
    language: str,
    now: dt.datetime,
    attachment: Attachment | None = None,
) -> bytes:
    """Return the whole e-mail, CRLF lines, ASCII only. ``now`` is its date. Raises BadAddressError."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = _address(sender_name, sender)
    mail["To"] = _address(recipient_name, recipient)
    mail["Reply-To"] = _address(sender_name, reply_to)
    mail["Subject"] = _one_line(letter.subject, 200)
    mail["Date"] = format_datetime(to_oslo(now))
    mail["Message-ID"] = rfc_message_id
    mail["Auto-Submitted"] = "auto-generated"
    mail[TEMPLATE_HEADER] = _one_line(template, 50)
    mail.set_content(letter.plain, cte="quoted-printable")
    mail.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    if attachment is not None:
        mail.add_attachment(attachment.content, maintype="application", subtype="pdf", filename=attachment.name)
    mail["Content-Language"] = language  # last: parts that are added take such headers with them
    return mail.as_bytes()


def _address(name: str, address: str) -> Address:
    local, _, domain = envelope(address).rpartition("@")
    return Address(_one_line(name, LONGEST_NAME), local, domain)


def _one_line(text: str, longest: int) -> str:
    """Return text as a header may hold it: control characters and line breaks become spaces."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(shown.split())[:longest]
