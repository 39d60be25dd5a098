"""From a view to what stands on the page: every figure, date and word as a string, ready to print (`printing.py`).

The result is JSON-able and holds no markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from itertools import groupby
from typing import Any

from billing.invoices import words
from billing.invoices.pdf.printing import account, amount, breakable, day, month, printable, rate
from billing.invoices.pdf.rows import groups, in_order, joined, passage_rows
from billing.invoices.presentation import CapRow, DocumentView, Language, Party, Reference, VehicleSummary

ADDRESS_LINES = 8  # more would push the sum and the slip off the first page


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
    rows = in_order(view) if view.details else []
    together = joined(rows)
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
        "vehicles": _vehicles(view),
        "vehicles_sum": _vehicles_sum(view),
        "totals": _totals(view),
        "vat": _vat(view),
        "notes": _notes(view),
        "caps": [_cap(row, view.language) for row in view.caps],
        "passages_title": _passages_title(view),
        "passages": passage_rows(view, rows),
        "passages_joined": together,
        "passages_groups": groups(together),
        "passages_left_out": "" if view.details else label["passages_short"].format(number=view.number),
        "passages_sum": _passages_sum(view),
        "chargers": [
            [
                breakable(row.name),
                printable(row.org_number or ""),
                printable(row.contact) or "–",
                "" if row.total_ore is None else amount(row.total_ore),
            ]
            for row in view.chargers
        ],
        "chargers_text": _chargers_text(view),
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
        chargers=tuple(
            replace(row, total_ore=None if row.total_ore is None else -row.total_ore) for row in view.chargers
        ),
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
    if view.settlement == "avtalegiro" and view.kid and not view.paid:
        pairs.append((label["kid"], printable(view.kid)))  # no slip says it, but the bank does
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
        if view.due_was is not None and view.due_on is not None:
            text = label["due_later"].format(due=day(view.due_on), was=day(view.due_was))
        if view.settlement == "avtalegiro":
            due = day(view.due_on) if view.due_on is not None else "–"
            headline, text = label["avtalegiro"], f"{label['avtalegiro_text'].format(due=due)} {text}".strip()
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


def _vehicles(view: DocumentView) -> list[dict[str, Any]]:
    """The rows of the vehicle table; where there are cost centres, each with its sum over its vehicles."""
    label = words.LABELS[view.language]
    if not any(row.cost_centre for row in view.vehicles):
        return [_vehicle(row) for row in view.vehicles]
    made = []
    ordered = sorted(view.vehicles, key=lambda row: (not row.cost_centre, row.cost_centre))
    for name, rows in groupby(ordered, key=lambda row: row.cost_centre):
        mine = list(rows)
        title = label["cost_centre"].format(name=breakable(name)) if name else label["no_cost_centre"]
        made.append({"centre": True, "cells": [title, "", *_summed(mine)]})
        made += [_vehicle(row) for row in mine]
    return made


def _vehicle(row: VehicleSummary) -> dict[str, Any]:
    return {"centre": False, "cells": [breakable(row.plate), printable(row.country), *_summed([row])]}


def _summed(rows: Sequence[VehicleSummary]) -> list[str]:
    columns = zip(*((row.toll_ore, row.ferry_ore, row.total_ore) for row in rows), strict=True)
    return [str(sum(row.count for row in rows)), *(amount(sum(column)) for column in columns)]


def _vehicles_sum(view: DocumentView) -> list[str]:
    """The foot of the vehicle table; empty for one vehicle, whose row is the sum already."""
    if len(view.vehicles) < 2:
        return []
    return _summed(view.vehicles)


def _vat(view: DocumentView) -> list[list[str]]:
    """The sums per rate, and over all where there are several."""
    label = words.LABELS[view.language]
    rows = [
        [
            rate(row.rate_bp) if row.rate_bp else label["vat_exempt"],
            *map(amount, (row.net_ore, row.vat_ore, row.gross_ore)),
        ]
        for row in view.vat
    ]
    if len(view.vat) > 1:
        sums = zip(*((row.net_ore, row.vat_ore, row.gross_ore) for row in view.vat), strict=True)
        rows.append([label["vat_sum"], *(amount(sum(column)) for column in sums)])
    return rows


def _notes(view: DocumentView) -> list[str]:
    """What is to be said of the passages on the first page: those of earlier periods."""
    label, older = words.LABELS[view.language], [row for row in view.passages if row.earlier]
    if not older or view.begins_on is None:
        return []
    text = label["earlier_text_one" if len(older) == 1 else "earlier_text"]
    total = amount(sum(row.amount_ore for row in older))
    return [text.format(count=len(older), sum=total, begins=day(view.begins_on))]


def _cap(row: CapRow, language: Language) -> list[str]:
    label = words.LABELS[language]
    left = None if row.cap is None else max(row.cap - row.counted, 0)
    reached = row.reached or left == 0
    return [
        breakable(row.plate),
        breakable(row.area),
        month(row.month, language),
        str(row.counted),
        "–" if row.cap is None else str(row.cap),
        label["cap_reached"] if reached else str(left),
    ]


def _chargers_text(view: DocumentView) -> str:
    contact = ", ".join(printable(part) for part in (view.seller.phone, view.seller.email) if part)
    return words.LABELS[view.language]["chargers_text"].format(contact=contact or printable(view.seller.name))


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


def _passages_sum(view: DocumentView) -> list[str]:
    label, rows = words.LABELS[view.language], view.passages
    text = label["passages_sum_one"] if len(rows) == 1 else label["passages_sum"].format(count=len(rows))
    return [
        text,
        amount(sum(row.gross_ore for row in rows)),
        amount(sum(row.discount_ore for row in rows)),
        amount(sum(row.amount_ore for row in rows)),
    ]
