"""Support's acts on charges over HTTP: each once by its Idempotency-Key, each with a reason in the trail."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import request
from flask.views import MethodView

from accounts.access import trail
from accounts.access.guard import principal, require
from accounts.access.idempotency import idempotent
from accounts.agreements.queries import by_id
from accounts.agreements.seen import seen
from billing.cards import acts, queries
from billing.cards.models import Charge
from billing.cards.page_ended import end_page
from billing.cards.schemas import ChargeNowSchema, ChargeReasonSchema, ChargeSchema, OtherCardSchema, shown
from billing.invoices.seller import seller_of
from config import http

blp = http.Blueprint("charges", __name__, url_prefix="/v1", description="What support does with charges on cards.")

ACTORS = ("agent", "lead")


def _act(schema: type[http.Schema], *, ends_page: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a method an act of support's: once by its key, ``schema`` is its body, the charge its answer.

    ``ends_page``: it settles the charge another way, so the page on which the customer may be paying is ended first.
    """

    def decorate(post: Callable[..., Any]) -> Callable[..., Any]:
        answered = blp.response(200, ChargeSchema)(blp.problems(404, 409, *([503] if ends_page else []))(post))
        act = idempotent(blp.arguments(schema)(answered))
        return require(*ACTORS)(_page_ended(act, schema) if ends_page else act)

    return decorate


def _page_ended(act: Callable[..., Any], schema: type[http.Schema]) -> Callable[..., Any]:
    """End the page before the act's transaction begins, since the provider is asked; not for a body that is refused."""

    @wraps(act)
    def wrapper(self: MethodView, charge_id: int) -> Any:
        agreement_id = queries.agreement_of(http.current_session(), charge_id)
        asked = request.get_json(silent=True)
        if agreement_id is not None and isinstance(asked, dict) and not schema().validate(asked):
            end_page(agreement_id)
        return act(self, charge_id=charge_id)

    return wrapper


def _done(charge: Charge, action: str, reason: str, **detail: Any) -> dict[str, Any]:
    """Write in the trail what was done to a charge, and return it with its attempts."""
    session = http.current_session()
    number = by_id(session, charge.agreement_id).number
    trail.record(
        session, principal(), action, f"agreement:{number}", http.request_now(), reason, {"charge": charge.id, **detail}
    )
    return shown(queries.story_of_charge(session, charge))


@blp.route("/charges/<int:charge_id>/retry")
class RetryCharge(MethodView):
    """Trying a charge now."""

    @_act(ChargeReasonSchema)
    def post(self, args: dict[str, Any], charge_id: int) -> dict[str, Any]:
        """Try an open charge now; it uses up none of the days on which it is tried by itself.

        409 while an attempt has no answer, and where no card may be tried.
        """
        charge = acts.retry(http.current_session(), charge_id, now=http.request_now())
        return _done(charge, "charge.retry", args["reason"])


@blp.route("/charges/<int:charge_id>/cancel")
class CancelCharge(MethodView):
    """Calling a charge off."""

    @_act(ChargeReasonSchema)
    def post(self, args: dict[str, Any], charge_id: int) -> dict[str, Any]:
        """Call off a charge whose sum is not fixed yet; its passages are not billed, as before.

        From tomorrow on they are charged by the ordinary rules.
        """
        charge = acts.cancel(http.current_session(), charge_id, now=http.request_now())
        return _done(charge, "charge.cancel", args["reason"])


@blp.route("/charges/<int:charge_id>/card")
class CardOfCharge(MethodView):
    """Taking a charge by another card."""

    @_act(OtherCardSchema, ends_page=True)
    def post(self, args: dict[str, Any], charge_id: int) -> dict[str, Any]:
        """Try an open charge now on another card of the agreement; which one is the default stays.

        A payment page that the customer has open is ended first: 409 `charge-paid` where they have paid meanwhile.
        """
        charge = acts.by_card(http.current_session(), charge_id, args["card"], now=http.request_now())
        return _done(charge, "charge.card", args["reason"], card=args["card"])


@blp.route("/charges/<int:charge_id>/invoice")
class InvoiceOfCharge(MethodView):
    """Putting a charge on an invoice."""

    @_act(ChargeReasonSchema, ends_page=True)
    def post(self, args: dict[str, Any], charge_id: int) -> dict[str, Any]:
        """Put an open charge on an invoice now; no fee is on it. 409 while an attempt has no answer.

        A payment page that the customer has open is ended first: 409 `charge-paid` where they have paid meanwhile, 503
        where the provider does not answer.
        """
        session, seller = http.current_session(), seller_of(http.current_settings())
        charge = acts.to_invoice(session, charge_id, seller=seller, now=http.request_now())
        return _done(charge, "charge.invoice", args["reason"])


@blp.route("/agreements/<int:number>/charges/now")
class ChargeNow(MethodView):
    """Charging without waiting for the sum or the week."""

    @_act(ChargeNowSchema)
    def post(self, args: dict[str, Any], number: int) -> dict[str, Any]:
        """Have what is not billed charged now, by the default card or the one that is named.

        Where the default must not be tried any more, by another one that works.
        """
        agreement = seen(number)
        charge = acts.charge_now(http.current_session(), agreement.id, card_id=args["card"], now=http.request_now())
        return _done(charge, "charge.now", args["reason"], card=args["card"])
