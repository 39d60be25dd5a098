"""From a view to what stands on the page: every figure, date and word as a string, ready to print.

Figures are Norwegian in both languages (1 234,50 and dd.mm.yyyy): they are typed into Norwegian banks, and the two
languages of one document must read the same. The result is JSON-able and holds no markup.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_date
from babel.numbers import format_decimal, get_decimal_symbol, get_group_symbol, get_minus_sign_symbol

from billing.invoices import words
from billing.invoices.presentation import DocumentView, Language, Party, PassageRow, Reference

LOCALE = "nb_NO"
OSLO = ZoneInfo("Europe/Oslo")
LONGEST_TEXT = 400  # characters of one text; more than any name or note needs, less than what fills a page
ADDRESS_LINES = 8  # more would push the sum and the slip off the first page
LONGEST_WORD = 24  # a longer one is allowed to break, else it would run out of its column

# What the template's font draws. PDF/A forbids a glyph that is missing, so the rest is replaced before it
# gets there. A test prints every character of every range.
PRINTABLE = (
    (0x0020, 0x007E),
    (0x00A0, 0x00AC),
    (0x00AE, 0x024F),  # Latin, with all of Norwegian, Sámi and the neighbours
    (0x0300, 0x036F),
    (0x0388, 0x038A),
    (0x038E, 0x03A1),
    (0x03A3, 0x0482),  # Greek, Cyrillic
    (0x048A, 0x04FF),
    (0x1E00, 0x1EFF),
    (0x2010, 0x2015),
    (0x2018, 0x2026),
    (0x202F, 0x203A),
    (0x20A0, 0x20C0),
    (0x2190, 0x2199),
    (0x2212, 0x2212),
    (0x25A0, 0x25A1),
)
MISSING = "□"
BREAK = "\u200b"

_DECIMAL = get_decimal_symbol(LOCALE)
_GROUP = get_group_symbol(LOCALE)
_MINUS = get_minus_sign_symbol(LOCALE)


def printable(text: str) -> str:
    """Return `text` with only what the font can draw: composed, on one line, of bounded length.

    Control, direction and joining characters go (a name must not be able to turn the line around); a letter
    without a glyph becomes its plain form where it has one, else □.
    """
    text = unicodedata.normalize("NFC", text[:LONGEST_TEXT])
    return "".join(_drawn(char) for char in " ".join(text.split()))


@lru_cache(maxsize=4096)
def _drawn(char: str) -> str:
    if _has_glyph(char):
        return char
    if unicodedata.category(char) in ("Cc", "Cf", "Mn", "Me", "Sk"):
        return ""
    plain = unicodedata.normalize("NFKC", char)
    return plain if all(_has_glyph(part) for part in plain) else MISSING


def _has_glyph(char: str) -> bool:
    point = ord(char)
    return any(first <= point <= last for first, last in PRINTABLE)


def breakable(text: str) -> str:
    """Return printable `text` for a narrow column: a word longer than the column may break."""
    parts = printable(text).split(" ")
    return " ".join(BREAK.join(part[i : i + LONGEST_WORD] for i in range(0, len(part), LONGEST_WORD)) for part in parts)


def amount(ore: int) -> str:
    """Write øre as kroner: 1 234,50, with no-break spaces and a real minus.

    Babel's symbols without babel's pattern machine, which would be half the time of a long invoice.
    """
    kroner, rest = divmod(abs(ore), 100)
    sign = _MINUS if ore < 0 else ""
    return f"{sign}{kroner:,}".replace(",", _GROUP) + f"{_DECIMAL}{rest:02d}"


def day(value: date) -> str:
    """Write a date as dd.mm.yyyy."""
    return format_date(value, "dd.MM.yyyy", locale=LOCALE)


def account(digits: str) -> str:
    """Write an account number as 1234.56.78901; what has not 11 digits stays as it is."""
    if len(digits) == 11 and digits.isdigit():
        return f"{digits[:4]}.{digits[4:6]}.{digits[6:]}"
    return printable(digits)


def rate(basis_points: int) -> str:
    """Write a VAT rate: 1200 is 12 %, 1250 is 12,5 %."""
    return f"{format_decimal(basis_points / 100, '0.##', locale=LOCALE)}\u00a0%"


def org_number(party: Party, language: Language) -> str:
    """Write the organisation number as law asks: `Org.nr. 999 999 999 MVA, Foretaksregisteret`."""
    if party.org_number is None:
        return ""
    digits, label = printable(party.org_number), words.LABELS[language]
    if len(digits) == 9 and digits.isdigit():
        digits = f"{digits[:3]}\u00a0{digits[3:6]}\u00a0{digits[6:]}"
    mva = "\u00a0MVA" if party.vat_registered else ""
    register = f", {label['register']}" if party.business_register else ""
    return f"{label['org']} {digits}{mva}{register}"


def layout(view: DocumentView) -> dict[str, Any]:
    """Return all that stands on the page of `view`, as JSON-able data of strings, lists and truth values.

    A credit note's sums are printed the other way round: what it says is credited, it credits.
    """
    if view.kind == "credit_note":
        view = _turned(view)
    label = words.LABELS[view.language]
    return {
        "language": view.language,
        "label": dict(label),
        "title": _title(view),
        "number": str(view.number),
        "seller": _party(view.seller, view.language),
        "buyer": _party(view.buyer, view.language),
        "facts": _facts(view),
        "box": _box(view),
        "slip": _slip(view),
        "vehicles": [
            [
                printable(row.plate),
                printable(row.country),
                str(row.count),
                *map(amount, (row.toll_ore, row.ferry_ore, row.total_ore)),
            ]
            for row in view.vehicles
        ],
        "vehicles_sum": _vehicles_sum(view),
        "totals": _totals(view),
        "vat": [
            [
                rate(row.rate_bp) if row.rate_bp else label["vat_exempt"],
                *map(amount, (row.net_ore, row.vat_ore, row.gross_ore)),
            ]
            for row in view.vat
        ],
        "passages_title": _passages_title(view),
        "passages": _passages(view),
        "passages_sum": _passages_sum(view),
        "chargers": [
            " · ".join(printable(part) for part in (row.name, row.org_number or "", row.contact) if part)
            for row in view.chargers
        ],
        "terms": printable(view.payment_terms),
    }


def _turned(view: DocumentView) -> DocumentView:
    """Return a view with all sums the other way round."""
    return replace(
        view,
        vehicles=tuple(
            replace(row, toll_ore=-row.toll_ore, ferry_ore=-row.ferry_ore, total_ore=-row.total_ore)
            for row in view.vehicles
        ),
        passages=tuple(
            replace(row, gross_ore=-row.gross_ore, discount_ore=-row.discount_ore, amount_ore=-row.amount_ore)
            for row in view.passages
        ),
        fees=tuple(replace(row, amount_ore=-row.amount_ore) for row in view.fees),
        vat=tuple(
            replace(row, net_ore=-row.net_ore, vat_ore=-row.vat_ore, gross_ore=-row.gross_ore) for row in view.vat
        ),
        total_ore=-view.total_ore,
    )


def _whole(view: DocumentView) -> bool:
    """Whether this is a credit note that takes back another document whole."""
    return any(reference.relation == "credits" for reference in view.references)


def _passages_title(view: DocumentView) -> str:
    """The heading over the passages; a sum below zero may have new ones in it, which are taken off."""
    label, credit = words.LABELS[view.language], view.kind == "credit_note"
    set_off = credit and not _whole(view) and any(row.kind == "passage" for row in view.passages)
    return label["passages_set_off" if set_off else "passages_credit" if credit else "passages"]


def _title(view: DocumentView) -> str:
    label = words.LABELS[view.language]
    receipt = view.paid and view.paid_with is not None
    return label["receipt" if receipt else view.kind]


def _party(party: Party, language: Language) -> dict[str, Any]:
    return {
        "name": breakable(party.name),
        "address": [breakable(line) for line in party.address if line.strip()][:ADDRESS_LINES],
        "org": org_number(party, language),
        "contact": [printable(part) for part in (party.phone, party.email, party.website) if part],
    }


def _facts(view: DocumentView) -> list[list[str]]:
    """The document's own facts, as pairs of label and value, top right of the page."""
    label, credit = words.LABELS[view.language], view.kind == "credit_note"
    pairs = [
        (label["credit_number" if credit else "number"], str(view.number)),
        (label["credit_issued" if credit else "issued"], day(view.issued_on)),
    ]
    if view.due_on is not None and not credit and not view.paid:
        pairs.append((label["due"], day(view.due_on)))
    pairs.append((label["agreement"], printable(view.agreement_number)))
    pairs.append((label["period"], _period(view.period_from, view.period_to)))
    if view.buyer_reference:
        pairs.append((label["buyer_reference"], breakable(view.buyer_reference)))
    pairs += [(label[ref.relation], _reference(ref)) for ref in view.references]
    return [list(pair) for pair in pairs]


def _period(first: date, last: date) -> str:
    return day(first) if first == last else f"{day(first)}–{day(last)}"


def _reference(reference: Reference) -> str:
    number = str(reference.number)
    return number if reference.issued_on is None else f"{number} ({day(reference.issued_on)})"


def _box(view: DocumentView) -> dict[str, Any]:
    """The box on page 1: what is to be done about this document, and the figures for it."""
    label = words.LABELS[view.language]
    fields: list[list[str]] = []
    tone, headline, sum_ore, text = "open", label["to_pay"], view.payable_ore, ""
    if view.kind == "credit_note":
        said = label["credited_whole_text" if _whole(view) else "credited_text"]
        tone, headline, sum_ore, text = "credit", label["credited"], view.total_ore, said
    elif view.paid:
        tone, headline, sum_ore, text = "paid", label["paid"], view.total_ore, label["settled"]
        if view.paid_with is not None:
            card, sum_ore = view.paid_with, view.paid_ore
            text = label["paid_card"].format(
                brand=printable(words.brand(card.brand)), last4=printable(card.last4), on=day(card.on)
            )
    else:
        if view.due_on is not None:
            fields.append([label["due"], day(view.due_on)])
        if view.settlement == "avtalegiro":
            headline, text = label["avtalegiro"], label["avtalegiro_text"]
        else:
            fields += [[label["account"], account(view.account)], [label["kid"], printable(view.kid or "–")]]
    return {"tone": tone, "headline": headline, "amount": amount(sum_ore), "fields": fields, "text": text}


def _slip(view: DocumentView) -> list[list[str]]:
    if not view.has_slip:
        return []
    label = words.LABELS[view.language]
    return [
        [label["account"], account(view.account)],
        [label["kid"], printable(view.kid or "–")],
        [label["due"], day(view.due_on) if view.due_on is not None else "–"],
        [label["amount"], amount(view.payable_ore)],
    ]


def _vehicles_sum(view: DocumentView) -> list[str]:
    """The foot of the vehicle table; empty for one vehicle, whose row is the sum already."""
    if len(view.vehicles) < 2:
        return []
    rows = view.vehicles
    return [str(sum(row.count for row in rows))] + [
        amount(sum(column))
        for column in zip(*((row.toll_ore, row.ferry_ore, row.total_ore) for row in rows), strict=True)
    ]


def _totals(view: DocumentView) -> list[list[str]]:
    label = words.LABELS[view.language]
    passages = sum(row.amount_ore for row in view.passages)
    pairs = [[label["passages"], amount(passages)]] if view.passages else []
    pairs += [[printable(words.fee(view.language, row.text_key)), amount(row.amount_ore)] for row in view.fees]
    total = label["total_credit" if view.kind == "credit_note" else "total"]
    pairs.append([total, amount(view.total_ore)])
    if view.credit_used_ore:
        pairs.append([label["credit_used"], amount(-view.credit_used_ore)])
    if view.paid_ore:
        paid = label["paid" if view.paid else "already_paid"]
        pairs.append([paid, amount(-view.paid_ore)])
    if view.kind == "invoice" and (view.credit_used_ore or view.paid_ore):
        pairs.append([label["to_pay"], amount(view.payable_ore)])
    return pairs


def _passages(view: DocumentView) -> list[list[str]]:
    """Rows of the passage table, in the order they happened, a counter-row after what it takes back."""
    label = words.LABELS[view.language]
    ordered = sorted(view.passages, key=lambda row: (row.at_local, row.kind == "reversal"))
    return [
        [
            *_when(row.at_local, label),
            breakable(row.station),
            breakable(row.charger),
            breakable(row.plate),
            label[row.service],
            breakable(row.vehicle_class),
            _remarks(row, view.language),
            amount(row.gross_ore),
            amount(row.discount_ore) if row.discount_ore else "–",
            amount(row.amount_ore),
        ]
        for row in ordered
    ]


def _when(at: datetime, label: Mapping[str, str]) -> tuple[str, str]:
    """Date and time; in the autumn hour that comes twice, also which of the two it was."""
    time = f"{at.hour:02d}:{at.minute:02d}"
    if at.month == 10 and at.hour == 2:
        wall = at.replace(tzinfo=OSLO, fold=0)
        if wall.utcoffset() != wall.replace(fold=1).utcoffset():
            time += " " + label["summer_time" if at.utcoffset() == wall.utcoffset() else "winter_time"]
    return f"{at.day:02d}.{at.month:02d}.{at.year}", time


def _remarks(row: PassageRow, language: Language) -> str:
    said: Sequence[str] = [words.flag(language, key) for key in row.flags]
    if row.kind == "reversal" and not {"reversal", "correction", "credit"} & set(row.flags):
        said = [words.flag(language, "reversal"), *said]
    return breakable(" · ".join([*said, row.note] if row.note else said))


def _passages_sum(view: DocumentView) -> list[str]:
    label, rows = words.LABELS[view.language], view.passages
    text = label["passages_sum_one"] if len(rows) == 1 else label["passages_sum"].format(count=len(rows))
    return [
        text,
        amount(sum(row.gross_ore for row in rows)),
        amount(sum(row.discount_ore for row in rows)),
        amount(sum(row.amount_ore for row in rows)),
    ]
