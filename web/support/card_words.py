"""Words of cards for the support desk: what kind, who said so, what an attempt came to, why an act is refused."""

from __future__ import annotations

from collections.abc import Mapping

from billing.cards.models import Attempt, Card
from billing.cards.outcome import NOT_TRIED
from config.problems import Problem
from web.mypage.explain import decline_word
from web.words import pick, t

_SEGMENTS: Mapping[str, tuple[str, str]] = {
    "consumer": ("privat", "consumer"),
    "commercial": ("bedrift", "business"),
    "unknown": ("ukjent", "unknown"),
}

_SOURCES: Mapping[str, tuple[str, str]] = {
    "provider": ("etter kortleverandøren", "by the card provider"),
    "holder": ("etter kundens eget ord", "by the holder's own word"),
    "support": ("bestemt av oss", "set by us"),
}

_FUNDINGS: Mapping[str, tuple[str, str]] = {
    "credit": ("kreditt", "credit"),
    "debit": ("debet", "debit"),
    "prepaid": ("forhåndsbetalt", "prepaid"),
}

_REFUSED: Mapping[str, tuple[str, str]] = {
    "disputed": ("en betaling på kortet er bestridt hos banken", "a payment on it is disputed with the bank"),
    "detached": ("kortleverandøren har det ikke lenger", "the card provider has it no more"),
}

_REFUSALS: Mapping[str, tuple[str, str]] = {
    "charge-ended": ("Trekket er alt avsluttet.", "The charge has ended already."),
    "charge-unknown": (
        "Banken har ikke svart på det siste forsøket. Vi spør igjen av oss selv; før det prøves ikke noe nytt.",
        "The bank has not answered the last attempt. We ask again by ourselves; nothing new is tried before that.",
    ),
    "charge-paid": (
        "Kunden har nettopp betalt trekket selv, på siden der det bekreftes.",
        "The customer has just paid the charge, on the page where it is confirmed.",
    ),
    "page-open": (
        "Kunden har betalingssiden åpen, og kortleverandøren, som må lukke den først, svarer ikke akkurat nå. Prøv "
        "igjen om et minutt.",
        "The customer has the payment page open, and the card provider, which must close it first, does not answer "
        "just now. Try again in a minute.",
    ),
    "only-way-to-pay": (
        "Et trekk prøves, og dette er det eneste kortet som kan betale det. Få kunden til å registrere et annet kort "
        "først, eller velg å legge det åpne trekket på faktura.",
        "A charge is being tried, and this is the only card that can pay it. Have the customer register another card "
        "first, or choose to put the open charge on an invoice.",
    ),
    "charge-claimed": (
        "Summen er fastsatt og trekket prøves. Legg det heller på faktura.",
        "The sum is fixed and the charge is being tried. Put it on an invoice instead.",
    ),
    "charge-open": ("Et trekk prøves alt.", "A charge is being tried already."),
    "card-refused": ("Kortet er avvist for godt.", "The card was declined for good."),
    "no-card": ("Det er ikke noe kort som virker.", "There is no card that works."),
    "nothing-left": ("Det er ingenting å trekke.", "There is nothing to charge."),
}


def segment_word(segment: str) -> str:
    """Say what kind of card it is."""
    return pick(_SEGMENTS[segment]) if segment in _SEGMENTS else segment


def card_facts(card: Card) -> list[str]:
    """Say what is known of a card: kind and who said so, funding, country, product, and why it is not tried."""
    source = pick(_SOURCES[card.segment_source]) if card.segment_source in _SOURCES else card.segment_source
    found = [f"{segment_word(card.segment)} ({source})"]
    if card.funding in _FUNDINGS:
        found.append(pick(_FUNDINGS[card.funding]))
    if card.country:
        found.append(card.country)
    if card.product:
        found.append(t("produkt {code}", "product {code}", code=card.product))
    return found


def refused_word(code: str) -> str:
    """Say why a card is not tried any more."""
    return pick(_REFUSED[code]) if code in _REFUSED else decline_word(code)


def attempt_word(attempt: Attempt) -> tuple[str, str]:
    """Return how an attempt stands in a word, and its tone."""
    if attempt.credited:
        return t("betalt etterpå, til gode", "paid afterwards, in credit"), "good"
    if attempt.state == "unknown" and attempt.kind == "on_session":
        return t("hos kunden", "with the customer"), "warn"
    if attempt.state == "unknown" and attempt.message == NOT_TRIED and attempt.sent_at is None:
        return t("ikke prøvd ennå", "not tried yet"), "warn"
    return {
        "unknown": (t("uten svar", "no answer"), "warn"),
        "succeeded": (t("betalt", "paid"), "good"),
        "declined": (t("avvist", "declined"), "bad"),
        "nothing": (t("skjedde aldri", "never happened"), ""),
    }[attempt.state]


def refusal(refused: Problem) -> str:
    """Say why an act is refused."""
    slug = refused.type.removeprefix("/problems/")
    return pick(_REFUSALS[slug]) if slug in _REFUSALS else refused.detail
