"""What the bank tells the payer of a claim (records 49): who claims how much, for what, and when it is paid.

No passages, plates or addresses, and no account: the notice of what is paid by itself must not look like a bill to pay.
"""

from __future__ import annotations

from typing import Any

from billing.delivery.avtalegiro.latin import written
from billing.delivery.words import day, kroner

_LINES = {
    "nb": (
        "{seller}: bompenger og ferge på avtale {agreement}",
        "Faktura {invoice} av {issued}",
        "Beløp: {amount}",
        "Trekkes fra kontoen din ved AvtaleGiro {due}.",
        "Du trenger ikke å betale selv. Passeringene ser du på Min side.",
    ),
    "en": (
        "{seller}: tolls and ferries on agreement {agreement}",
        "Invoice {invoice} of {issued}",
        "Amount: {amount}",
        "Drawn from your account by AvtaleGiro on {due}.",
        "You need not pay it yourself. The passages are on My Page.",
    ),
}
_WIDTH, _SELLER = 80, 30


def lines(bill: Any, seller: str) -> tuple[str, ...]:
    """Return the lines, at most 80 characters each. ``bill`` has the document's number, issued_on, language, the
    agreement's number, due_on and open_ore."""
    values = {
        "seller": written(seller, _SELLER).text,
        "agreement": bill.agreement,
        "invoice": bill.number,
        "issued": day(bill.issued_on, bill.language),
        "amount": kroner(bill.open_ore, bill.language),
        "due": day(bill.due_on, bill.language),
    }
    return tuple(written(line.format_map(values), _WIDTH).text for line in _LINES[bill.language])
