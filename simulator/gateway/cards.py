"""Cards to practise with, as a customer would type them: what they are and how they behave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Card:
    """A card. `charge_code`/`setup_code`: how a payment or a registration is declined; None = it works."""

    name: str
    label: str
    number: str
    brand: str = "visa"
    brand_product: str | None = "F"
    description: str | None = None
    funding: str = "debit"
    country: str = "NO"
    charge_code: str | None = None
    setup_code: str | None = None

    def public(self) -> dict[str, Any]:
        """Return the `card` part of a PaymentMethod."""
        return {
            "brand": self.brand,
            "brand_product": self.brand_product,
            "country": self.country,
            "description": self.description,
            "exp_month": 12,
            "exp_year": 2034,
            "fingerprint": f"fp_{self.name}",
            "funding": self.funding,
            "last4": self.number[-4:],
            "networks": {"available": [self.brand], "preferred": None},
            "wallet": None,
        }


_ALL = [
    Card("consumer", "Visa Classic, privat", "4242424242424242"),
    Card(
        "commercial",
        "Visa Business, bedrift",
        "4000005780000007",
        brand_product="G",
        description="Visa Business",
        funding="credit",
    ),
    Card("mastercard", "Mastercard World, privat", "5200000360000076", "mastercard", "MCW", funding="credit"),
    Card(
        "mastercard_business",
        "Mastercard World Elite, bedrift",
        "5200500000100004",
        "mastercard",
        "MAB",
        funding="credit",
    ),
    Card("unknown_product", "Visa, produktet er ikke kjent", "4000002080000001", brand_product=None),
    Card("foreign", "Visa fra Tyskland", "4000002760000016", country="DE"),
    Card("insufficient_funds", "Ikke dekning", "4000000000009995", charge_code="insufficient_funds"),
    Card("expired_card", "Utløpt", "4000000000000069", charge_code="expired_card"),
    Card("lost_card", "Meldt tapt", "4000000000009987", charge_code="lost_card"),
    Card("stolen_card", "Meldt stjålet", "4000000000009979", charge_code="stolen_card"),
    Card("do_not_honor", "Avvist av banken", "4000000000000341", charge_code="do_not_honor"),
    Card("processing_error", "Feil hos banken", "4000000000000119", charge_code="processing_error"),
    Card(
        "authentication_required",
        "Krever bekreftelse hver gang (3-D Secure)",
        "4000002760003184",
        charge_code="authentication_required",
    ),
    Card("setup_declined", "Avvises når den registreres", "4000000000000002", setup_code="generic_decline"),
]
CARDS = {card.name: card for card in _ALL}

# Codes Stripe gives as the error's own code; every other decline is `card_declined` with a decline_code.
_OWN_CODE = {"expired_card", "incorrect_cvc", "incorrect_number", "processing_error", "authentication_required"}

_SENTENCES = {
    "insufficient_funds": "Your card has insufficient funds.",
    "expired_card": "Your card has expired.",
    "authentication_required": "Your card was declined. This transaction requires authentication.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
}

_ADVICE = {"insufficient_funds": "try_again_later", "lost_card": "do_not_try_again", "stolen_card": "do_not_try_again"}


def decline_fields(code: str) -> dict[str, Any]:
    """Return the fields of a card_error that the decline code decides."""
    fields: dict[str, Any] = {
        "type": "card_error",
        "code": code if code in _OWN_CODE else "card_declined",
        "decline_code": code,
        "message": _SENTENCES.get(code, "Your card was declined."),
    }
    if code in _ADVICE:
        fields["advice_code"] = _ADVICE[code]
    return fields
