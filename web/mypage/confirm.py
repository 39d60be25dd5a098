"""A charge that the bank wants confirmed: to the provider's page, and back from it."""

from __future__ import annotations

from flask import flash, redirect, request, url_for
from werkzeug.wrappers import Response

from accounts.access import trail
from accounts.access.principal import principal
from billing.cards import confirm
from billing.cards.gateway import CardGateway, GatewayUnavailable
from billing.cards.provider import gateway_of
from billing.invoices.seller import seller_of
from config import http
from config.problems import Conflict, NotFound
from web import words
from web.mypage.blueprint import blp, customers_only, own


@blp.post("/<int:number>/card/confirm/<int:charge_id>")
@customers_only
def confirm_charge(number: int, charge_id: int) -> Response:
    """Send the browser to the page where a charge is paid; pressed twice, to the same page."""
    agreement_id = own(number).id
    here = url_for("mypage.card", number=number)
    settings, now = http.current_settings(), http.request_now()
    http.current_session().rollback()  # nothing is held open while the provider is asked
    try:
        url = confirm.begin(
            http.current_sessions(),
            _gateway(),
            charge_id,
            agreement_id,
            return_url=settings.url + url_for("mypage.confirmed", number=number),
            seller=seller_of(settings),
            now=now,
        )
    except GatewayUnavailable:
        flash(_not_answering(), "warn")
        return redirect(here, 303)
    except Conflict as conflict:
        flash(_refusal(conflict), "warn")
        return redirect(here, 303)
    trail.record(http.current_session(), principal(), "confirm_charge", f"agreement:{number}", now)
    return redirect(url, 303)


@blp.get("/<int:number>/card/confirmed")
@customers_only
def confirmed(number: int) -> Response:
    """Come back from the provider's page: say what came of it, beside the card."""
    agreement_id = own(number).id
    back = redirect(url_for("mypage.card", number=number), 303)
    ref = request.args.get("confirmed", "")[:255]
    settings, now = http.current_settings(), http.request_now()
    sessions, gateway, seller = http.current_sessions(), _gateway(), seller_of(settings)
    http.current_session().rollback()  # nothing is held open while the provider is asked
    try:
        if ref:
            word = confirm.finish(sessions, gateway, ref, agreement_id=agreement_id, seller=seller, now=now)
        else:  # they left the page: what else they want can be done now
            word = confirm.leave(sessions, gateway, agreement_id, seller=seller, now=now) or "nothing"
    except GatewayUnavailable:
        flash(_not_answering(), "warn")
        return back
    if word == "succeeded":
        flash(words.t("Takk! Betalingen er bekreftet.", "Thank you! The payment is confirmed."), "good")
    elif word == "unknown":
        later = words.t(
            "Vi venter på svar fra banken, og sier fra her når det har kommet.",
            "We are waiting for the bank's answer, and show it here when it has come.",
        )
        flash(later, "warn")
    else:
        flash(words.t("Betalingen er ikke bekreftet.", "The payment is not confirmed."), "warn")
    return back


def _gateway() -> CardGateway:
    gateway = gateway_of(http.current_settings())
    if gateway is None:
        raise NotFound("No card gateway is configured here.")
    return gateway


def _not_answering() -> str:
    return words.t(
        "Kortleverandøren svarer ikke akkurat nå. Prøv igjen om et minutt.",
        "The card provider does not answer just now. Try again in a minute.",
    )


def _refusal(conflict: Conflict) -> str:
    if conflict.type.endswith("charge-unknown"):
        return words.t(
            "Vi venter på svar fra banken om dette trekket. Prøv igjen om noen minutter.",
            "We are waiting for the bank's answer about this charge. Try again in some minutes.",
        )
    return words.t("Dette trekket skal ikke bekreftes lenger.", "This charge is not to be confirmed any more.")
