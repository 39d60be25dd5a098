"""The words of e-mails, in Bokmål and English.

A letter names its reader and the figures to pay by, and nothing that was driven: mail is read over shoulders and kept
on servers we do not know. What is to be paid comes with account, KID and due date to be typed in, never with a link:
a customer who is used to links from us is a customer who can be phished.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from billing.delivery.letter import Bill, Letter
from billing.invoices.pdf.layout import account, amount, day
from billing.invoices.words import brand

SUBJECTS: Mapping[str, Mapping[str, str]] = {
    "nb": {
        "invoice": "Faktura {number}, forfall {due}",
        "receipt": "Kvittering {number}",
        "card_failed": "Kortet kunne ikke belastes: faktura {number}, forfall {due}",
        "reminder": "Påminnelse: faktura {number} forfaller {due}",
        "blocked": "Avtalen din er stengt",
        "paid_call_us": "Betalingen er mottatt – ta kontakt for å åpne avtalen",
        "reopened": "Avtalen din er åpnet igjen",
        "unblocked": "Avtalen din er åpen – stengingen er opphevet",
        "welcome": "Velkommen som kunde",
        "closed": "Avtalen din avsluttes",
    },
    "en": {
        "invoice": "Invoice {number}, due {due}",
        "receipt": "Receipt {number}",
        "card_failed": "Your card could not be charged: invoice {number}, due {due}",
        "reminder": "Reminder: invoice {number} is due {due}",
        "blocked": "Your agreement is closed to traffic",
        "paid_call_us": "Payment received – contact us to reopen the agreement",
        "reopened": "Your agreement is open again",
        "unblocked": "Your agreement is open – the block is lifted",
        "welcome": "Welcome as a customer",
        "closed": "Your agreement is ending",
    },
}

BODIES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "nb": {
        "invoice": ("Her er fakturaen for avtale {agreement}. Alle passeringer står i vedlegget.",),
        "receipt": ("Vi har belastet kortet ditt ({card}). Kvitteringen for avtale {agreement} ligger ved.",),
        "card_failed": (
            "Kortet på avtale {agreement} kunne ikke belastes. Beløpet kommer derfor på faktura, som ligger ved.",
            "Se gjerne over kortet ditt på Min side, så trekkes neste beløp som vanlig.",
        ),
        "reminder": (
            "Dette er en vennlig påminnelse om en faktura på avtale {agreement} som snart forfaller. Har du nettopp "
            "betalt, kan du se bort fra denne e-posten.",
        ),
        "blocked": (
            "Forfallsdatoen er passert uten at vi har fått betalingen. Avtale {agreement} er derfor stengt, og brikken "
            "gjelder ikke for passeringer.",
            "Slik åpnes den: Betal alt som er forfalt, og ta deretter kontakt med oss. Avtalen åpnes ikke av seg selv.",
        ),
        "paid_call_us": (
            "Takk, alt som var forfalt på avtale {agreement} er betalt. Avtalen er fortsatt stengt.",
            "Ta kontakt med oss på {phone} eller {email}, så åpner vi den.",
        ),
        "reopened": ("Avtale {agreement} er åpen igjen, og brikken gjelder for passeringer.",),
        "unblocked": (
            "Betalingen din viste seg å være gjort i tide. Stengingen av avtale {agreement} er opphevet, og du trenger "
            "ikke å gjøre noe. Vi beklager.",
        ),
        "welcome": (
            "Takk for at du ble kunde. Avtalenummeret ditt er {agreement}.",
            "På Min side ser du passeringer og fakturaer, og der legger du til kjøretøy og kort. Så lenge et kjøretøy "
            "står på avtalen, er passeringene dine, uansett hvem som kjører. Husk å fjerne det når du selger.",
        ),
        "closed": (
            "Avtale {agreement} avsluttes {closes}. Passeringer fra før den tid kan komme på en siste faktura.",
        ),
    },
    "en": {
        "invoice": ("Here is the invoice for agreement {agreement}. All passages are in the attachment.",),
        "receipt": ("We have charged your card ({card}). The receipt for agreement {agreement} is attached.",),
        "card_failed": (
            "The card on agreement {agreement} could not be charged. The amount is on the attached invoice instead.",
            "Please check your card on My Page; the next amount is then charged as usual.",
        ),
        "reminder": (
            "This is a friendly reminder of an invoice on agreement {agreement} that is soon due. If you have just "
            "paid it, please disregard this e-mail.",
        ),
        "blocked": (
            "The due date has passed and we have not received your payment. Agreement {agreement} is therefore closed "
            "to traffic, and the tag is not valid for passages.",
            "To reopen it: pay everything that is due, then contact us. The agreement does not open by itself.",
        ),
        "paid_call_us": (
            "Thank you, everything due on agreement {agreement} has been paid. It is still closed to traffic.",
            "Contact us on {phone} or {email} and we will reopen it.",
        ),
        "reopened": ("Agreement {agreement} is open again, and the tag is valid for passages.",),
        "unblocked": (
            "Your payment turned out to have been made in time. The block on agreement {agreement} is lifted, and "
            "there is nothing you need to do. We apologise.",
        ),
        "welcome": (
            "Thank you for becoming a customer. Your agreement number is {agreement}.",
            "On My Page you see passages and invoices and add vehicles and a card. As long as a vehicle is on the "
            "agreement its passages are yours, whoever drives. Remember to remove it when you sell it.",
        ),
        "closed": ("Agreement {agreement} ends on {closes}. Passages from before then may come on a last invoice.",),
    },
}

LABELS: Mapping[str, Mapping[str, str]] = {
    "nb": {
        "hello": "Hei, {name}",
        "number": "Fakturanummer",
        "total": "Beløp",
        "open": "Å betale",
        "paid": "Betalt",
        "due": "Forfallsdato",
        "account": "Kontonummer",
        "kid": "KID",
        "nothing": "Det er ingenting å betale.",
        "questions": "Spørsmål? Ring {phone} eller skriv til {email}.",
        "regards": "Vennlig hilsen",
    },
    "en": {
        "hello": "Hello, {name}",
        "number": "Invoice number",
        "total": "Amount",
        "open": "To pay",
        "paid": "Paid",
        "due": "Due date",
        "account": "Account",
        "kid": "KID",
        "nothing": "There is nothing to pay.",
        "questions": "Questions? Call {phone} or write to {email}.",
        "regards": "Kind regards",
    },
}

ATTACHED = frozenset({"invoice", "receipt", "card_failed"})
"""Templates that carry the document as PDF."""

FILE_NAMES = {"nb": {True: "kvittering", False: "faktura"}, "en": {True: "receipt", False: "invoice"}}

TO_PAY = frozenset({"invoice", "card_failed", "reminder", "blocked"})


@dataclass(frozen=True)
class Text:
    """A letter in words: subject, greeting, paragraphs, a table per bill, and the end."""

    subject: str
    hello: str
    paragraphs: tuple[str, ...]
    tables: tuple[tuple[tuple[str, str], ...], ...]
    end: tuple[str, ...]


@dataclass(frozen=True)
class Sender:
    """Who writes: name, contact, and the account (11 digits) that is paid to."""

    name: str
    phone: str
    email: str
    account: str


def compose(letter: Letter, sender: Sender) -> Text:
    """Put a letter in words. Raises KeyError for a template that has none."""
    label, first = LABELS[letter.language], letter.bills[0] if letter.bills else None
    values = {
        "agreement": str(letter.agreement_number),
        "number": str(first.number) if first else "",
        "due": _day(first.due_on) if first else "",
        "card": f"{brand(letter.card[0])} {letter.card[1]}" if letter.card else "",
        "closes": _day(letter.closes_on),
        "phone": sender.phone,
        "email": sender.email,
    }
    paragraphs = [part.format(**values) for part in BODIES[letter.language][letter.template]]
    if letter.template in TO_PAY and letter.bills and all(bill.open_ore <= 0 for bill in letter.bills):
        paragraphs.append(label["nothing"])
    return Text(
        SUBJECTS[letter.language][letter.template].format(**values),
        label["hello"].format(name=letter.name),
        tuple(paragraphs),
        tuple(_table(bill, letter.template, sender, label) for bill in letter.bills if _has_table(letter.template)),
        (label["questions"].format(**values), label["regards"], sender.name),
    )


def _has_table(template: str) -> bool:
    return template in TO_PAY or template == "receipt"


def _table(bill: Bill, template: str, sender: Sender, label: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    rows: list[tuple[str, str]] = [(label["number"], str(bill.number))]
    if template == "receipt":
        return (*rows, (label["paid"], _kroner(bill.total_ore)))
    if bill.open_ore != bill.total_ore:
        rows.append((label["total"], _kroner(bill.total_ore)))
    rows.append((label["open"], _kroner(max(bill.open_ore, 0))))
    if bill.open_ore > 0:
        rows += [(label["due"], _day(bill.due_on)), (label["account"], account(sender.account))]
        rows.append((label["kid"], bill.kid or "–"))
    return tuple(rows)


def _kroner(ore: int) -> str:
    return f"kr {amount(ore)}"


def _day(value: dt.date | None) -> str:
    return day(value) if value is not None else "–"


def file_name(letter: Letter) -> str:
    """Return the name of the attached PDF."""
    numbers: Sequence[Bill] = letter.bills
    return f"{FILE_NAMES[letter.language][letter.template == 'receipt']}-{numbers[0].number}.pdf"
