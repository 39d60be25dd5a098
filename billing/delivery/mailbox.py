"""The mailbox folder, read: what was sent, for the support desk and for whoever tries Brikke out.

Only files that our folder transport has named are seen; nothing a caller gives becomes a path of its own.
"""

from __future__ import annotations

import heapq
import os
import re
from dataclasses import dataclass
from email.message import EmailMessage, MIMEPart
from email.parser import BytesHeaderParser, BytesParser
from email.policy import default
from pathlib import Path

from billing.delivery.mail import TEMPLATE_HEADER
from billing.delivery.transports import file_name
from config.problems import NotFound

MAX_BYTES = 32 * 1024 * 1024
NAME = re.compile(r"[0-9]{12,19}\.eml")


@dataclass(frozen=True)
class Listed:
    """The head of a mail. ``name`` is its file's, ``date`` as the header has it."""

    name: str
    delivery_id: int
    to: str
    subject: str
    date: str
    template: str


@dataclass(frozen=True)
class Part:
    """An attachment: its place among them, its name, type and bytes."""

    index: int
    name: str
    content_type: str
    content: bytes


@dataclass(frozen=True)
class Opened:
    """A whole mail. ``html`` is what we wrote into it; show ``plain``, or the other in a sandbox."""

    head: Listed
    sender: str
    rfc_message_id: str
    plain: str
    html: str
    attachments: tuple[Part, ...]


def listed(folder: Path, limit: int) -> list[Listed]:
    """Return the heads of the newest mails; none when there is no folder."""
    try:
        with os.scandir(folder) as entries:
            names = heapq.nlargest(limit, (entry.name for entry in entries if NAME.fullmatch(entry.name)))
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        try:
            content = _content(folder, name)
        except NotFound:
            continue  # gone meanwhile
        found.append(_head(name, BytesHeaderParser(policy=default).parsebytes(content)))
    return found


def opened(folder: Path, name: str) -> Opened:
    """Return a mail by its file's name. Raises NotFound, also for one above MAX_BYTES."""
    mail = BytesParser(policy=default).parsebytes(_content(folder, name))
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    parts = tuple(
        Part(index, part.get_filename() or f"{index}", part.get_content_type(), _bytes(part))
        for index, part in enumerate(mail.iter_attachments())
    )
    return Opened(
        _head(name, mail),
        str(mail["From"]),
        str(mail["Message-ID"]).strip(),
        _text(plain),
        _text(html),
        parts,
    )


def of_delivery(folder: Path, delivery_id: int, rfc_message_id: str | None) -> Opened | None:
    """Return the mail of a delivery, None when the folder has none of it: a folder may outlive its database."""
    try:
        mail = opened(folder, file_name(delivery_id))
    except NotFound:
        return None
    return mail if mail.rfc_message_id == rfc_message_id else None


def attachment(folder: Path, name: str, index: int) -> Part:
    """Return an attachment of a mail by its place. Raises NotFound."""
    parts = opened(folder, name).attachments
    if not 0 <= index < len(parts):
        raise NotFound("The mail has no such attachment.")
    return parts[index]


def _content(folder: Path, name: str) -> bytes:
    if not NAME.fullmatch(name):
        raise NotFound("There is no such mail.")
    try:
        with os.fdopen(os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError:
        raise NotFound("There is no such mail.") from None
    if len(content) > MAX_BYTES:
        raise NotFound("The mail is too large to be shown here.")
    return content


def _head(name: str, mail: EmailMessage) -> Listed:
    return Listed(
        name,
        int(name.partition(".")[0]),
        str(mail["To"]),
        str(mail["Subject"]),
        str(mail["Date"]),
        str(mail[TEMPLATE_HEADER] or ""),
    )


def _text(part: MIMEPart | None) -> str:
    return str(part.get_content()).replace("\r\n", "\n") if part is not None else ""


def _bytes(part: EmailMessage) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""
