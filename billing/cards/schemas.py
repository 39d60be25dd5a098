"""The HTTP shapes of cards."""

from __future__ import annotations

from typing import Any

from billing.cards.queries import ChargeStory
from config import http


class CardSchema(http.Schema):
    """A registered card; its number never comes to us."""

    id = http.whole("The card's id.", 7)
    is_default = http.flag("Whether this is the card that is charged.", True)
    brand = http.text("The card's brand.", "visa")
    last4 = http.text("The last four digits.", "4242")
    exp_month = http.whole("Month of expiry.", 11)
    exp_year = http.whole("Year of expiry.", 2028)
    funding = http.text("credit, debit, prepaid or unknown.", "debit")
    product = http.text("The provider's word for what card it is, where it gives one.", "F", allow_none=True)
    segment = http.choice(
        "What decides the business-card fee: consumer, commercial or unknown.",
        ("consumer", "commercial", "unknown"),
    )
    segment_source = http.choice("Who told the segment.", ("provider", "holder", "support"))
    refused_code = http.text(
        "The decline after which this card is not tried again; null while it may be.", "lost_card", allow_none=True
    )
    registered_at = http.instant("When it was registered.")
    updated_at = http.instant("When its bank last gave it another number or expiry.", allow_none=True)


class CardsSchema(http.Schema):
    """The cards of an agreement."""

    items = http.many(CardSchema, "The default first, then the newest.")


class RemoveCardQuery(http.QuerySchema):
    """What becomes of a charge that no other card can pay."""

    instead = http.choice(
        "`invoice`: a charge that is being tried becomes an invoice now.", ("invoice",), load_default=None
    )


class SegmentSchema(http.Schema):
    """What an agent says that a card is."""

    segment = http.choice("What decides the business-card fee from now on.", ("consumer", "commercial", "unknown"))
    reason = http.text("How we know.", "The holder's bank has confirmed it", min_length=1, max_length=300)


class RegisterCardSchema(http.Schema):
    """How a card's registration is begun."""

    return_url = http.text(
        "Where the customer's browser comes back to; `setup` is added to its query. On our own address.",
        "/mypage/10000001/card",
        max_length=500,
    )
    business_card = http.flag(
        "The holder's own word that this is a business card; counts where the provider does not tell.",
        False,
        load_default=False,
    )


class CardSetupSchema(http.Schema):
    """A registration under way."""

    url = http.text("The provider's page where the customer gives the card.", "https://checkout.example/c/cs_1")


class FinishCardSchema(http.Schema):
    """The end of a registration."""

    setup = http.text("The `setup` the browser came back with.", "cs_test_a1")


class AttemptSchema(http.Schema):
    """One call to the provider."""

    card_id = http.whole("The card it was made on.", 7)
    number = http.whole("Which attempt of the charge, from 1.", 1)
    state = http.choice(
        "unknown until the provider has told; nothing: it certainly never happened.",
        ("unknown", "succeeded", "declined", "nothing"),
        "succeeded",
    )
    amount_ore = http.ore("What was asked for, fee included.")
    fee_ore = http.ore("Business-card fee in it.", 450)
    code = http.text("The provider's decline code.", "insufficient_funds", allow_none=True)
    message = http.text("The provider's own sentence.", "Your card has insufficient funds.", allow_none=True)
    started_at = http.instant("When it was made.")
    ended_at = http.instant("When the outcome was known.", allow_none=True)


class ChargeSchema(http.Schema):
    """A sum a card shall pay, with its story."""

    id = http.whole("The charge's id.", 12)
    cause = http.choice(
        "What made it due: the sum, the week, the agreement's end, another way to pay, or an agent.",
        ("threshold", "week_over", "closing", "method", "agent"),
    )
    state = http.choice(
        "due, claimed (the sum is fixed), succeeded, invoiced (an invoice took over) or cancelled.",
        ("due", "claimed", "succeeded", "invoiced", "cancelled"),
    )
    amount_ore = http.ore("The passages' sum; null until it is fixed.", allow_none=True)
    due_at = http.instant("When it became due.")
    next_at = http.instant("When it is tried next, while it is open.")
    ended_at = http.instant("When it was settled.", allow_none=True)
    card_id = http.whole("The card that support chose for it; null: the default.", 7, allow_none=True)
    waits_for = http.text(
        "`customer`: the bank wants them to confirm, and it is not tried by itself.", "customer", allow_none=True
    )
    attempts = http.many(AttemptSchema, "The calls to the provider, oldest first.")


def shown(story: ChargeStory) -> dict[str, Any]:
    """Return a charge and its attempts as ``ChargeSchema`` shows them."""
    names = [name for name in ChargeSchema._declared_fields if name != "attempts"]
    return {**{name: getattr(story.charge, name) for name in names}, "attempts": story.attempts}


class ChargeReasonSchema(http.Schema):
    """Why support does something."""

    reason = http.text("Why; it stands in the audit trail.", "The customer has filled up the account", max_length=300)


class OtherCardSchema(ChargeReasonSchema):
    """By which card a charge is taken, and why."""

    card = http.whole("The card's id; one of the same agreement.", 7)


class ChargeNowSchema(ChargeReasonSchema):
    """Why a card is charged now, and which."""

    card = http.whole("The card's id; left out, the default.", 7, load_default=None, allow_none=True)


class PaymentMethodSchema(http.Schema):
    """How an agreement pays."""

    payment_method = http.choice("invoice, or card (a card must be registered).", ("invoice", "card"))
    receipts_by_mail = http.flag("Whether receipts of card payments come by e-mail; on My Page they are in any case.")


class ChoosePaymentMethodSchema(http.Schema):
    """How an agreement shall pay."""

    payment_method = http.choice(
        "invoice, or card (a card must be registered). What is not billed yet is settled at once when it changes.",
        ("invoice", "card"),
    )
    receipts_by_mail = http.flag("Whether receipts come by e-mail; left out, it stays.", load_default=None)
    instead = http.flag(
        "To invoice while a charge is being tried: the charge becomes an invoice too, and nothing more is taken from "
        "the card.",
        False,
        load_default=False,
    )


class WebhookAnswerSchema(http.Schema):
    """What an event did."""

    effect = http.choice(
        "What came of it.",
        ("succeeded", "declined", "unknown", "nothing", "finished", "updated", "gone", "ignored", "repeated"),
    )
