"""The HTTP shapes of cards."""

from __future__ import annotations

from config import http


class CardSchema(http.Schema):
    """A registered card; its number never comes to us."""

    brand = http.text("The card's brand.", "visa")
    last4 = http.text("The last four digits.", "4242")
    exp_month = http.whole("Month of expiry.", 11)
    exp_year = http.whole("Year of expiry.", 2028)
    funding = http.text("credit, debit, prepaid or unknown.", "debit")
    segment = http.choice(
        "What decides the business-card fee: consumer, commercial or unknown.",
        ("consumer", "commercial", "unknown"),
    )
    segment_source = http.choice("Who told the segment.", ("provider", "holder", "support"))
    refused_code = http.text(
        "The decline after which this card is not tried again; null while it may be.", "lost_card", allow_none=True
    )
    registered_at = http.instant("When it was registered.")


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
    cause = http.choice("What made it due.", ("threshold", "week_over"))
    state = http.choice(
        "due, claimed (the sum is fixed), succeeded, invoiced (an invoice took over) or cancelled.",
        ("due", "claimed", "succeeded", "invoiced", "cancelled"),
    )
    amount_ore = http.ore("The passages' sum; null until it is fixed.", allow_none=True)
    due_at = http.instant("When it became due.")
    next_at = http.instant("When it is tried next, while it is open.")
    ended_at = http.instant("When it was settled.", allow_none=True)
    attempts = http.many(AttemptSchema, "The calls to the provider, oldest first.")


class PaymentMethodSchema(http.Schema):
    """How an agreement pays."""

    payment_method = http.choice("invoice, or card (a card must be registered).", ("invoice", "card"))


class WebhookAnswerSchema(http.Schema):
    """What an event did."""

    effect = http.choice(
        "What came of it.", ("succeeded", "declined", "unknown", "nothing", "finished", "ignored", "repeated")
    )
