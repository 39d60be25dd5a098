"""The words of e-mails, in Bokmål and English: a template and the facts become a subject, plain text and HTML.

The texts are in ``words.toml``. A letter holds the customer's name and agreement number and, where something is to be
paid, the invoice's number, sum, KID and account: no passages, plates, cards or addresses. Its only link, where
documents are not attached, opens the document and nothing else.
"""

from __future__ import annotations

import datetime as dt
import html
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from babel.dates import format_date

TEXTS = Path(__file__).with_name("words.toml")
LOCALES = {"nb": "nb_NO", "en": "en_GB"}
_SPACE = "\u00a0"
_STYLE = "font-family:Arial,Helvetica,sans-serif;font-size:16px;line-height:1.5;color:#1a1a1a;max-width:36em;margin:1em"
_CELL = "padding:2px 16px 2px 0;text-align:left;vertical-align:top"

Rows = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Anchor:
    """A link as it stands in a letter."""

    url: str
    text: str


Block = str | Rows | Anchor


class UnknownTemplateError(LookupError):
    """There are no words for a template, or a fact that they need is missing; the message says which."""


@dataclass(frozen=True)
class Bill:
    """What is to be paid of an invoice: øre, KID and 11-digit account. ``due_on`` is an Oslo date."""

    invoice: int
    open_ore: int
    kid: str
    account: str
    due_on: dt.date


@dataclass(frozen=True)
class Link:
    """Where a document that is not attached is opened, and for how many days."""

    url: str
    days: int


@dataclass(frozen=True)
class Sender:
    """Who writes: our name, telephone and e-mail of support."""

    name: str
    phone: str
    email: str


@dataclass(frozen=True)
class Told:
    """What a letter is about. ``amount_ore`` is the sum of a receipt or credit note; ``from_when`` local time of a
    closing; ``before`` the number of the document that this one credits or takes the place of. ``facts``: what else the
    words need; a name that ends with ``_ore`` is øre, with ``_on`` an ISO date."""

    name: str
    language: str
    agreement: int
    invoice: int | None = None
    amount_ore: int = 0
    bill: Bill | None = None
    due: Sequence[Bill] = ()
    from_when: dt.datetime | None = None
    before: int | None = None
    facts: Mapping[str, str | int] = field(default_factory=dict)
    link: Link | None = None


@dataclass(frozen=True)
class Letter:
    """The words of an e-mail."""

    subject: str
    plain: str
    html: str


def templates() -> frozenset[str]:
    """Return the templates that have words."""
    return frozenset(_texts()) - {"frame"}


def letter(template: str, told: Told, sender: Sender) -> Letter:
    """Return the words of a template. Raises UnknownTemplateError when there are none, or a fact is missing."""
    texts = _texts()
    if template not in texts or template == "frame":
        raise UnknownTemplateError(f"there are no words for the template {template!r}")
    own, frame = texts[template][told.language], texts["frame"][told.language]
    values = _values(told, sender)
    values["why"] = frame[f"why_{told.facts.get('why', 'bank')}"]  # messages of before there were reasons have none
    values["enclosed"] = frame["enclosed_attached" if told.link is None else "enclosed_link"]
    settled = "settled" in own and told.bill is not None and told.bill.open_ore <= 0
    paragraphs = own["settled" if settled else "paragraphs"]
    try:
        blocks: list[Block] = [block for paragraph in paragraphs for block in _blocks(paragraph, told, values, frame)]
        subject = own["subject"].format_map(values) if not settled else f"{frame['invoice']} {values['invoice']}"
    except KeyError as missing:
        raise UnknownTemplateError(f"the template {template!r} needs {missing}, which the message has not") from None
    if told.link is not None:
        blocks += [frame["link"].format(days=told.link.days), Anchor(told.link.url, frame["link_text"])]
    blocks.insert(0, frame["greeting"].format(name=told.name))
    closing = (frame["closing"], sender.name, f"{sender.phone} · {sender.email}")
    return Letter(subject, _plain(blocks, closing), _html(blocks, closing, told.language, subject))


@cache
def _texts() -> dict[str, Any]:
    return tomllib.loads(TEXTS.read_text(encoding="utf-8"))


def _values(told: Told, sender: Sender) -> dict[str, str]:
    """Return what may stand in braces; what is not known is left out, so that a text that needs it is noticed."""
    values = {
        "agreement": str(told.agreement),
        "seller": sender.name,
        "phone": sender.phone,
        "support": sender.email,
        "amount": kroner(told.amount_ore, told.language),
    }
    if told.invoice is not None:
        values["invoice"] = str(told.invoice)
    if told.before is not None:
        values["before"] = str(told.before)
    if told.bill is not None:
        values["due_on"] = day(told.bill.due_on, told.language)
    for name, value in told.facts.items():
        if name.endswith("_ore"):
            values[name.removesuffix("_ore")] = kroner(int(value), told.language)
        elif name.endswith("_on"):
            values[name.removesuffix("_on")] = day(dt.date.fromisoformat(str(value)), told.language)
        else:
            values[name] = str(value)
    if told.from_when is not None:
        at = "" if told.from_when.time() == dt.time() else f"{told.from_when: %H:%M}"
        said = {"nb": " kl.", "en": " at"}[told.language] + at if at else ""
        values["from_when"] = day(told.from_when.date(), told.language) + said
    return values


def _blocks(paragraph: str, told: Told, values: Mapping[str, str], frame: Mapping[str, str]) -> Iterator[Block]:
    if paragraph == "@payment":
        if told.bill is None:
            raise KeyError("a bill")
        yield _rows(told.bill, frame, told.language)
    elif paragraph == "@due":
        if not told.due:
            raise KeyError("what is due")
        for bill in told.due:
            yield _rows(bill, frame, told.language)
    else:
        yield paragraph.format_map(values)


def _rows(bill: Bill, frame: Mapping[str, str], language: str) -> Rows:
    return (
        (frame["invoice"], str(bill.invoice)),
        (frame["amount"], kroner(bill.open_ore, language)),
        (frame["kid"], bill.kid),
        (frame["account"], account(bill.account)),
        (frame["due_on"], day(bill.due_on, language)),
    )


def _plain(blocks: Sequence[Block], closing: Sequence[str]) -> str:
    parts = []
    for block in blocks:
        if isinstance(block, Anchor):
            parts.append(block.url)
        elif isinstance(block, str):
            parts.append(block)
        else:
            parts.append("\n".join(f"    {label + ':':<26}{value}" for label, value in block))
    return "\n\n".join([*parts, "\n".join(closing)]) + "\n"


def _html(blocks: Sequence[Block], closing: Sequence[str], language: str, subject: str) -> str:
    parts = []
    for block in blocks:
        if isinstance(block, str):
            parts.append(f"<p>{html.escape(block)}</p>")
            continue
        if isinstance(block, Anchor):
            parts.append(f'<p><a href="{html.escape(block.url)}">{html.escape(block.text)}</a></p>')
            continue
        rows = "".join(
            f'<tr><th scope="row" style="{_CELL};font-weight:normal">{html.escape(label)}</th>'
            f'<td style="{_CELL}"><strong>{html.escape(value)}</strong></td></tr>'
            for label, value in block
        )
        parts.append(f'<table style="border-collapse:collapse;margin:1em 0">{rows}</table>')
    parts.append("<p>" + "<br>".join(html.escape(line) for line in closing) + "</p>")
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8"><title>{html.escape(subject)}</title>'
        f'</head>\n<body style="{_STYLE}">\n' + "\n".join(parts) + "\n</body></html>\n"
    )


def kroner(ore: int, language: str) -> str:
    """Write øre as ``1 234,50 kr``, in English ``NOK 1,234.50``; it never breaks over a line."""
    whole, rest = divmod(abs(ore), 100)
    sign = "−" if ore < 0 else ""
    if language == "en":
        return f"NOK{_SPACE}{sign}{whole:,}.{rest:02d}"
    return f"{sign}{whole:,}".replace(",", _SPACE) + f",{rest:02d}{_SPACE}kr"


def day(value: dt.date, language: str) -> str:
    """Write a date in full: ``16. februar 2026``, in English ``16 February 2026``."""
    return format_date(value, "long", locale=LOCALES[language])


def account(digits: str) -> str:
    """Write a bank account as ``1503.00.12345``."""
    return f"{digits[:4]}.{digits[4:6]}.{digits[6:]}" if len(digits) == 11 else digits
