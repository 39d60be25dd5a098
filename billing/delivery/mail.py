"""Build an e-mail: plain text and the same as simple HTML, the PDF where there is one, a Message-ID that stays."""

from __future__ import annotations

import datetime as dt
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape

from billing.delivery.words import Text

# Seven bits: every server takes them.
POLICY = SMTP.clone(cte_type="7bit")

TEMPLATE_HEADER = "X-Brikke-Template"


class BadAddress(ValueError):
    """An address that no mail can be sent to."""


def message_id(delivery_id: int, queued_at: dt.datetime, sender: str) -> str:
    """Return the Message-ID of a delivery: the same at every attempt, so that a repeat can be recognised."""
    return f"<{delivery_id}.{int(queued_at.timestamp())}@{sender.rpartition('@')[2]}>"


def ascii_address(address: str) -> str:
    """Return an address as mail servers take it, an international domain in its ASCII form. Raises BadAddress."""
    local, at, domain = address.strip().rpartition("@")
    try:
        domain = domain.encode("idna").decode()
    except UnicodeError:
        raise BadAddress("the address has a domain that cannot be") from None
    if not at or not local.isascii() or not domain or any(c in '<>(),;:\\"[]' or c.isspace() for c in local + domain):
        raise BadAddress("the address cannot be written to")
    return f"{local}@{domain}"


def build(
    words: Text,
    *,
    rfc_id: str,
    sender_name: str,
    sender: str,
    reply_to: str,
    recipient: str,
    language: str,
    template: str,
    dated: dt.datetime,
    pdf: tuple[str, bytes] | None,
) -> bytes:
    """Return the message as bytes with CR LF. ``pdf`` is (file name, content). Raises BadAddress."""
    message = EmailMessage(policy=POLICY)
    message["From"] = Address(sender_name, addr_spec=ascii_address(sender))
    message["To"] = ascii_address(recipient)
    message["Reply-To"] = ascii_address(reply_to)
    message["Subject"] = words.subject
    message["Date"] = format_datetime(dated)
    message["Message-ID"] = rfc_id
    message["Auto-Submitted"] = "auto-generated"
    message["Content-Language"] = language
    message[TEMPLATE_HEADER] = template
    message.set_content(as_text(words))
    message.add_alternative(as_html(words, language), subtype="html")
    if pdf is not None:
        message.add_attachment(pdf[1], maintype="application", subtype="pdf", filename=pdf[0])
    return message.as_bytes()


def as_text(words: Text) -> str:
    """Return the letter as plain text."""
    blocks = [words.hello, *words.paragraphs]
    for table in words.tables:
        width = max(len(label) for label, _ in table) + 2
        blocks.append("\n".join(f"{label + ':':<{width}}{value}" for label, value in table))
    blocks += [words.end[0], "\n".join(words.end[1:])]
    return "\n\n".join(blocks) + "\n"


def as_html(words: Text, language: str) -> str:
    """Return the letter as HTML: no pictures, no links, nothing that is loaded."""
    parts = [f"<p>{escape(words.hello)}</p>", *(f"<p>{escape(text)}</p>" for text in words.paragraphs)]
    for table in words.tables:
        rows = "".join(
            f'<tr><td style="padding:4px 24px 4px 0;color:#555">{escape(label)}</td>'
            f'<td style="padding:4px 0;font-weight:600">{escape(value)}</td></tr>'
            for label, value in table
        )
        parts.append(f'<table style="border-collapse:collapse;border-top:2px solid #0b5;margin:16px 0">{rows}</table>')
    parts.append(f"<p>{escape(words.end[0])}</p><p>{'<br>'.join(escape(text) for text in words.end[1:])}</p>")
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        f"<title>{escape(words.subject)}</title></head>"
        '<body style="font:16px/1.5 system-ui,sans-serif;color:#111;max-width:36em;margin:24px">'
        f"{''.join(parts)}</body></html>\n"
    )
