"""Deliveries over HTTP: what a customer was told, and sending it again."""

from __future__ import annotations

from typing import Any

from flask.views import MethodView

from accounts.access import trail
from accounts.access.guard import principal, require
from accounts.access.idempotency import idempotent
from accounts.agreements.seen import seen
from accounts.customers import ways as choosable
from accounts.customers.channel import mandates_of, set_terms
from accounts.customers.models import Customer
from accounts.customers.seen import seen as seen_customer
from billing.delivery import choices, desk, ways, whys
from billing.delivery.again import send_again
from billing.delivery.channel_schemas import (
    ChannelChoicesSchema,
    ChannelSchema,
    ChooseChannelSchema,
    PaymentTermSchema,
    SendAgainSchema,
)
from billing.delivery.choices import Decision
from billing.delivery.choosing import choose_now
from billing.delivery.port import No, Verdict, Yes
from billing.delivery.reach import offered
from billing.delivery.schemas import DeliverySchema, SentAgainSchema
from billing.delivery.send_by import send_by
from config import http
from config.clock import now_utc
from config.problems import NotFound

blp = http.Blueprint("deliveries", __name__, url_prefix="/v1", description="What customers are told, and by what way.")


@blp.route("/agreements/<int:number>/deliveries")
class Deliveries(MethodView):
    """The messages to the holder of an agreement."""

    @require("agent", "lead", "accountant")
    @blp.arguments(http.PageQuery, location="query")
    @blp.response(200, http.page_of(DeliverySchema))
    def get(self, query: dict[str, Any], number: int) -> http.Page:
        """List what the holder of an agreement was sent, or is to be, the last first."""
        agreement = seen(number, what="look_up_mail")
        return desk.of_agreement(http.current_session(), agreement.id, **query)


@blp.route("/agreements/<int:number>/deliveries/<int:delivery_id>/send-again")
class SendAgain(MethodView):
    """Sending what the customer did not get."""

    @require("agent", "lead")
    @idempotent
    @blp.arguments(SendAgainSchema)
    @blp.response(200, SentAgainSchema)
    @blp.problems(404, 409)
    def post(self, given: dict[str, Any], number: int, delivery_id: int) -> dict[str, int | bool]:
        """Send a message again, to the address the customer has now.

        What was sent goes as a delivery of its own, once; to send it yet again, send that one again. 409
        `/problems/no-longer-true` for what was dropped.

        With a `channel` a document goes by that one first, once: what presents it now is taken back before, and where
        the channel does not reach the customer the next one follows. 409 `/problems/no-document` for what carries none,
        `/problems/not-carried` and `/problems/avtalegiro-at-your-bank`.
        """
        session, now = http.current_session(), http.request_now()
        agreement, channel = seen(number), given["channel"]
        if channel is None:
            done = send_again(session, agreement.id, delivery_id, now=now, real=now_utc())
        else:
            done = send_by(session, agreement.id, delivery_id, channel, now=now, real=now_utc())
        if done:
            detail = {"delivery": delivery_id} | ({"channel": channel} if channel else {})
            trail.record(session, principal(), "delivery.again", f"agreement:{number}", now, None, detail)
        return {"id": delivery_id, "already": not done}


@blp.route("/agreements/<int:number>/invoices/<int:invoice>/channel-choices")
class ChannelChoices(MethodView):
    """Why an invoice went the ways it went."""

    @require("agent", "lead", "accountant")
    @blp.response(200, ChannelChoicesSchema)
    @blp.problems(404)
    def get(self, number: int, invoice: int) -> dict[str, Any]:
        """Show by which channel an invoice went and why: each channel that was considered, and what was found.

        A decision a message: the first sending, each fall-back, each time support had it sent by another channel. Empty
        for a document that has gone out by no channel.
        """
        agreement, session = seen(number), http.current_session()
        document_id = choices.document_of(session, agreement.id, invoice)
        if document_id is None:
            raise NotFound("There is no such invoice.")
        return {"items": [_said(one) for one in choices.of_document(session, document_id)]}


def _said(one: Decision) -> dict[str, Any]:
    considered = [
        {"channel": each.channel, "verdict": each.verdict, "why": each.why, "said": whys.say(each.why, "en")}
        for each in one.considered
    ]
    return {
        "at": one.at, "template": one.template, "cause": one.cause, "channel": one.channel, "considered": considered,
        "next_at": one.next_at,
    }  # fmt: skip


WHO = ("customer", "agent", "lead")


@blp.route("/customers/<int:number>/channel")
class CustomerChannel(MethodView):
    """How a customer gets invoices."""

    @require(*WHO)
    @blp.response(200, ChannelSchema)
    def get(self, number: int) -> tuple[dict[str, Any], dict[str, str]]:
        """Show how a customer gets invoices, and what there is to choose for them."""
        customer = seen_customer(number)
        return shown(customer), http.etag(customer.version)

    @require(*WHO)
    @http.if_match
    @blp.arguments(ChooseChannelSchema)
    @blp.response(200, ChannelSchema)
    @blp.problems(404, 409)
    def put(self, given: dict[str, Any], number: int) -> tuple[dict[str, Any], dict[str, str]]:
        """Choose how a customer gets invoices.

        For eFaktura, Vipps, Digipost and e-Boks their partner is asked first. 409 `/problems/not-reached` where they
        surely do not reach the customer, with `why`, unless `anyway`; without an answer it is chosen and looked up
        before each sending (`looked_up.found` is `unsure`). AvtaleGiro is set up and ended by the payer in their own
        bank: 409 `/problems/avtalegiro-at-your-bank`, and for anything else while a mandate stands 409
        `/problems/mandate-stands`; what else is asked for beside it may be changed. What is sent already stays.
        """
        customer = seen_customer(number)
        http.check_if_match(customer.version)
        done = choose_now(customer, version=customer.version, **given)
        return shown(done.customer, done.verdict), http.etag(done.customer.version)


@blp.route("/customers/<int:number>/payment-term")
class PaymentTerm(MethodView):
    """How long a customer has to pay."""

    @require("agent", "lead")
    @http.if_match
    @blp.arguments(PaymentTermSchema)
    @blp.response(200, ChannelSchema)
    @blp.problems(404)
    def put(self, given: dict[str, Any], number: int) -> tuple[dict[str, Any], dict[str, str]]:
        """Agree on days to pay, from the next invoice on: 30 for public bodies, null for the ordinary 14."""
        session, now = http.current_session(), http.request_now()
        customer = seen_customer(number, lock=True)
        http.check_if_match(customer.version)
        before = customer.payment_term_days, customer.version
        customer = set_terms(session, customer, given["payment_term_days"], version=customer.version, now=now)
        if customer.version != before[1]:
            detail = {"before": before[0], "days": customer.payment_term_days}
            trail.record(session, principal(), "customer.payment_term", f"customer:{number}", now, detail=detail)
        return shown(customer), http.etag(customer.version)


def shown(customer: Customer, verdict: Verdict | None = None) -> dict[str, Any]:
    """Return how a customer gets invoices, as ChannelSchema shows it."""
    here = offered(http.current_settings(), customer.kind)
    names = ("channel", "efaktura_beside", "details_in_copy", "payment_term_days")
    mandates = mandates_of(http.current_session(), customer.id)
    return {name: getattr(customer, name) for name in names} | {
        "mandates": [{"agreement": number, "since": one.since, "notice": one.notice} for one, number in mandates],
        "choices": [_way(name, name in here) for name in choosable.choices(customer.kind)],
        "looked_up": None if verdict is None else _found(verdict),
    }


def _way(name: str, here: bool) -> dict[str, Any]:
    if name == ways.BEST:
        every = sorted({what for one in ways.TABLE for what in one.carries})
        where, needs = "on My Page or by support", "one of the digital ways; e-mail and paper come last"
        return {"channel": name, "offered": here, "where": where, "needs": needs, "ends": ["email"], "carries": every}
    one = ways.BY_NAME[name]
    return {
        "channel": name, "offered": here, "where": one.chosen, "needs": one.needs, "ends": list(one.ends),
        "carries": sorted(one.carries),
    }  # fmt: skip


def _found(verdict: Verdict) -> dict[str, Any]:
    if isinstance(verdict, Yes):
        return {"found": "yes", "why": None, "said": None}
    found = "no" if isinstance(verdict, No) else "unsure"
    return {"found": found, "why": verdict.why, "said": whys.say(verdict.why, "en")}
