"""What a document is called in somebody else's mailbox: seen in notifications, so nothing of where anybody drove."""

from __future__ import annotations

from collections.abc import Mapping

from billing.delivery.port import Bill, Form

LONGEST = 200
_TITLES: Mapping[tuple[str, str], str] = {
    ("nb", "invoice"): "Faktura {number} fra {seller}",
    ("nb", "avtalegiro"): "Faktura {number} fra {seller}, betales med AvtaleGiro",
    ("nb", "receipt"): "Kvittering {number} fra {seller}",
    ("nb", "credit_note"): "Kreditnota {number} fra {seller}",
    ("en", "invoice"): "Invoice {number} from {seller}",
    ("en", "avtalegiro"): "Invoice {number} from {seller}, paid by AvtaleGiro",
    ("en", "receipt"): "Receipt {number} from {seller}",
    ("en", "credit_note"): "Credit note {number} from {seller}",
}


def title(bill: Bill, form: Form, language: str, seller: str) -> str:
    """Return the title of a document in the reader's language, at most LONGEST characters."""
    kind = "avtalegiro" if bill.kind == "invoice" and form == "avtalegiro" else bill.kind
    return _TITLES[language, kind].format(number=bill.number, seller=seller)[:LONGEST]


def payable(bill: Bill, form: Form) -> bool:
    """Say whether the mailbox may offer to pay it: an invoice with something open, by transfer. What AvtaleGiro pays
    goes as an ordinary letter, else it would be paid twice."""
    return bill.kind == "invoice" and form == "transfer" and bill.open_ore > 0 and bill.due_on is not None
