"""Cards over HTTP: registering, removing, the story of charges, and the provider's webhooks."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin, urlparse

from flask import request
from flask.views import MethodView

from accounts.access import trail
from accounts.access.guard import principal, public, require
from accounts.agreements.method import set_receipts
from accounts.agreements.seen import seen
from billing.cards import queries, register, webhook
from billing.cards.cards import make_default, set_segment
from billing.cards.gateway import BadSignature, CardGateway, GatewayUnavailable
from billing.cards.methods import choose_method
from billing.cards.models import Card
from billing.cards.one_turn import OneTurn
from billing.cards.page_ended import end_page
from billing.cards.provider import gateway_of
from billing.cards.removal import take_away
from billing.cards.schemas import (
    CardSchema,
    CardSetupSchema,
    CardsSchema,
    ChargeSchema,
    ChoosePaymentMethodSchema,
    FinishCardSchema,
    PaymentMethodSchema,
    RegisterCardSchema,
    RemoveCardQuery,
    SegmentSchema,
    WebhookAnswerSchema,
    shown,
)
from billing.invoices.seller import seller_of
from config import http
from config.clock import now_utc
from config.problems import Conflict, Invalid, NotFound, Problem, Unavailable

blp = http.Blueprint("cards", __name__, url_prefix="/v1", description="Cards and what is charged on them.")

SIGNATURE_AGE_SECONDS = 300
HOLDERS = ("customer", "agent")


def _gateway() -> CardGateway:
    gateway = gateway_of(http.current_settings())
    if gateway is None:
        raise Conflict("No card gateway is configured here, so cards cannot be used.", slug="no-card-gateway")
    return gateway


def return_address(given: str) -> str:
    """Return the absolute address on our own site that a browser may be sent back to. Raises Invalid for another's."""
    own = http.current_settings().url
    found = urljoin(own + "/", given)
    if urlparse(found)[:2] != urlparse(own)[:2]:
        raise Invalid(
            "The browser can only be sent back to our own pages.",
            errors=[{"field": "return_url", "message": f"Must be under {own}."}],
        )
    return found


@blp.route("/agreements/<int:number>/card")
class AgreementCard(MethodView):
    """The card an agreement pays by."""

    @require("customer", "agent", "lead")
    @blp.response(200, CardSchema)
    @blp.problems(404)
    def get(self, number: int) -> Card:
        """Show the registered card."""
        card = queries.card_of(http.current_session(), seen(number).id)
        if card is None:
            raise NotFound("There is no card on this agreement.")
        return card

    @require(*HOLDERS)
    @blp.arguments(RegisterCardSchema)
    @blp.response(201, CardSetupSchema)
    @blp.problems(404, 409, 503)
    def post(self, args: dict[str, Any], number: int) -> dict[str, str]:
        """Begin registering a card: send the customer to the answered address, then call `card/finish`.

        On a closed agreement only while a charge is open or its card has something left to pay; 409 otherwise. Where
        the provider has lost its customer, that is made anew, but not while an attempt is unknown (409
        `charge-unknown`). 503 `card-provider-refuses` while the provider takes no registrations from us.
        """
        agreement = seen(number)
        try:
            begun = register.begin(
                http.current_sessions(),
                _gateway(),
                agreement.id,
                return_url=return_address(args["return_url"]),
                declared_commercial=args["business_card"],
                now=http.request_now(),
            )
        except GatewayUnavailable as error:
            raise Unavailable("The card provider does not answer just now. Try again in a minute.") from error
        return {"url": begun.url}

    @require(*HOLDERS)
    @blp.arguments(RemoveCardQuery, location="query")
    @blp.response(204)
    @blp.problems(404, 409, 503)
    def delete(self, query: dict[str, Any], number: int) -> None:
        """Remove the card: another registered one is charged from now on, or the agreement pays by invoice."""
        take_away(seen(number), None, instead=query["instead"] == "invoice")


@blp.route("/agreements/<int:number>/card/finish")
class FinishCard(MethodView):
    """The end of a card's registration."""

    @require(*HOLDERS)
    @blp.arguments(FinishCardSchema)
    @blp.response(200, CardSchema)
    @blp.problems(404, 409, 503)
    def post(self, args: dict[str, Any], number: int) -> Card:
        """Take over the card the customer gave; it becomes the way to pay. Again is harmless.

        409 where none was given, where it has been removed since, and where the provider does not know the
        registration any more: begin anew.
        """
        agreement_id, now = seen(number).id, http.request_now()
        http.current_session().rollback()  # nothing is held open while the provider is asked
        try:
            card = register.finish(
                http.current_sessions(), _gateway(), args["setup"], agreement_id=agreement_id, now=now
            )
        except GatewayUnavailable as error:
            raise Unavailable("The card provider does not answer just now. Try again in a minute.") from error
        if card is None:
            raise Conflict("The card has not been given yet, or its registration is over. Begin anew.")
        trail.record(http.current_session(), principal(), "register_card", f"agreement:{number}", now)
        return card


@blp.route("/agreements/<int:number>/cards")
class AgreementCards(MethodView):
    """The cards of an agreement; one of them is charged."""

    @require("customer", "agent", "lead")
    @blp.response(200, CardsSchema)
    @blp.problems(404)
    def get(self, number: int) -> dict[str, Any]:
        """List the registered cards, the default first."""
        return {"items": queries.cards_of(http.current_session(), seen(number).id)}


@blp.route("/agreements/<int:number>/cards/<int:card_id>")
class OneCard(MethodView):
    """One card of an agreement."""

    @require(*HOLDERS)
    @blp.arguments(RemoveCardQuery, location="query")
    @blp.response(204)
    @blp.problems(404, 409, 503)
    def delete(self, query: dict[str, Any], number: int, card_id: int) -> None:
        """Remove a card; was it the default, another usable one is from now on, or the agreement pays by invoice.

        409 while it is the only way to pay a charge that is being tried, unless `instead=invoice`: then a payment page
        that the customer has open is ended first (409 `charge-paid` where they have paid meanwhile).
        """
        take_away(seen(number), card_id, instead=query["instead"] == "invoice")


@blp.route("/agreements/<int:number>/cards/<int:card_id>/default")
class DefaultCard(MethodView):
    """Which card is charged."""

    @require(*HOLDERS)
    @blp.response(200, CardSchema)
    @blp.problems(404, 409)
    def put(self, number: int, card_id: int) -> Card:
        """Let this card be the one that is charged; an open charge is tried on it at once."""
        agreement = seen(number)
        session, now = http.current_session(), http.request_now()
        card = make_default(session, agreement.id, card_id, now=now)
        trail.record(session, principal(), "card.default", f"agreement:{number}", now, detail={"card": card_id})
        return card


@blp.route("/agreements/<int:number>/cards/<int:card_id>/segment")
class CardSegment(MethodView):
    """What kind of card it is."""

    @require("agent", "lead")
    @blp.arguments(SegmentSchema)
    @blp.response(200, CardSchema)
    @blp.problems(404)
    def put(self, args: dict[str, Any], number: int, card_id: int) -> Card:
        """Say what kind of card it is, and how we know; it decides the fee of payments from now on."""
        agreement = seen(number)
        session, now = http.current_session(), http.request_now()
        card, already = set_segment(session, agreement.id, card_id, args["segment"])
        if not already:
            detail = {"card": card_id, "segment": args["segment"]}
            trail.record(
                session, principal(), "card.segment", f"agreement:{number}", now, args["reason"].strip(), detail
            )
        return card


@blp.route("/agreements/<int:number>/charges")
class AgreementCharges(MethodView):
    """What cards have been, and are being, charged."""

    @require("customer", "agent", "lead", "accountant")
    @blp.arguments(http.PageQuery, location="query")
    @blp.response(200, http.page_of(ChargeSchema))
    @blp.problems(404)
    def get(self, page: dict[str, Any], number: int) -> dict[str, Any]:
        """List charges, newest first, each with its attempts."""
        found = queries.charges_of(http.current_session(), seen(number).id, **page)
        return {"items": [shown(story) for story in found.items], "next": found.next}


@blp.route("/agreements/<int:number>/payment-method")
class PaymentMethod(MethodView):
    """How an agreement pays."""

    @require("customer", "agent", "lead", "accountant")
    @blp.response(200, PaymentMethodSchema)
    @blp.problems(404)
    def get(self, number: int) -> tuple[Any, dict[str, str]]:
        """Show how the agreement pays."""
        agreement = seen(number)
        return agreement, http.etag(agreement.version)

    @require(*HOLDERS)
    @http.if_match
    @blp.arguments(ChoosePaymentMethodSchema)
    @blp.response(200, PaymentMethodSchema)
    @blp.problems(404, 409, 503)
    def put(self, args: dict[str, Any], number: int) -> tuple[Any, dict[str, str]]:
        """Choose invoice or card; card needs a registered one that has not been refused.

        What is not billed yet is charged or invoiced at once, whatever the sum. While a charge is being tried, invoice
        is refused unless `instead` puts that on an invoice too; a payment page that the customer has open is ended
        first (409 `charge-paid` where they have paid meanwhile).
        """
        agreement = seen(number)
        http.check_if_match(agreement.version)
        if args["instead"]:
            end_page(agreement.id)
        session, now = http.current_session(), http.request_now()
        changed = choose_method(
            session, agreement.id, args["payment_method"], version=agreement.version,
            seller=seller_of(http.current_settings()), now=now, instead=args["instead"],
        )  # fmt: skip
        if args["receipts_by_mail"] is not None:
            changed, _ = set_receipts(session, agreement.id, args["receipts_by_mail"])
        detail = {"to": args["payment_method"], "receipts_by_mail": changed.receipts_by_mail}
        trail.record(session, principal(), "payment_method", f"agreement:{number}", now, detail=detail)
        return changed, http.etag(changed.version)


@blp.route("/webhooks/stripe")
class StripeWebhook(MethodView):
    """Where the card provider tells what has happened."""

    @public
    @blp.response(200, WebhookAnswerSchema)
    @blp.problems(409, 503)
    def post(self) -> dict[str, str]:
        """Take in a signed event. Repeats and events that are not ours are answered 200 and do nothing."""
        gateway, settings = _gateway(), http.current_settings()
        try:
            event = gateway.parse_event(
                request.get_data(),
                request.headers.get("Stripe-Signature"),
                secrets=settings.stripe_webhook_secrets,
                tolerance_seconds=SIGNATURE_AGE_SECONDS,
                now=now_utc(),
            )
        except BadSignature as error:
            raise Problem(f"This event is not taken: {error}.", slug="bad-signature") from None
        now = http.request_now()
        http.current_session().rollback()  # nothing is held open while the provider is asked
        try:
            effect = webhook.receive(
                http.current_sessions(),
                gateway,
                event,
                seller=seller_of(settings),
                now=now,
                turns=OneTurn.of(http.current_sessions(), settings),
            )
        except GatewayUnavailable as error:
            raise Unavailable("The provider could not be asked about this; send it again.") from error
        return {"effect": effect}
