"""An open invoice paid with Vipps: to its page at Vipps, and back from it."""

from __future__ import annotations

from typing import Any

from flask import Response, flash, make_response, redirect, render_template, url_for
from werkzeug.wrappers import Response as Redirect

from accounts.access import trail
from accounts.access.principal import principal
from billing.payments.vipps import queries
from billing.payments.vipps.begin import begin
from billing.payments.vipps.carry import carry_on
from billing.payments.vipps.client import VippsClient, VippsUnavailable
from billing.payments.vipps.models import UNENDED
from billing.payments.vipps.provider import client_of, page_origins
from config import http
from config.problems import Conflict, NotFound
from web import words
from web.mypage.blueprint import blp, customers_only, own

LOOK_AGAIN_SECONDS = 10


def offered() -> bool:
    """Say whether a page may offer to pay with Vipps, and let its form lead there."""
    settings = http.current_settings()
    if not settings.vipps_url:
        return False
    for origin in page_origins(settings):
        http.allow_content("form-action", origin)
    return True


@blp.post("/<int:number>/invoices/<int:invoice_number>/vipps")
@customers_only
def pay_with_vipps(number: int, invoice_number: int) -> Redirect:
    """Send the browser to Vipps's page for what is open of an invoice; pressed twice, to the same page."""
    agreement_id = own(number).id
    settings, now = http.current_settings(), http.request_now()
    here = url_for("mypage.invoice", number=number, invoice_number=invoice_number)
    back = settings.url + url_for("mypage.paid_with_vipps", number=number, reference="-reference-")
    http.current_session().rollback()  # nothing is held open while Vipps is asked
    try:
        made = begin(
            http.current_sessions(), _client(), agreement_id, invoice_number,
            return_url=back.replace("-reference-", "{reference}"), actor=principal().key, now=now,
        )  # fmt: skip
    except VippsUnavailable:
        flash(_not_answering(), "warn")
        return redirect(here, 303)
    except Conflict as conflict:
        flash(_refusal(conflict), "warn")
        return redirect(here, 303)
    about = {"reference": made.reference}
    trail.record(http.current_session(), principal(), "vipps.begin", f"agreement:{number}", now, detail=about)
    return redirect(made.url, 303)


@blp.get("/<int:number>/vipps/<string:reference>")
@customers_only
def paid_with_vipps(number: int, reference: str) -> Response:
    """Come back from Vipps: ask what came of it, and say so; what still waits is looked at again."""
    agreement_id, now = own(number).id, http.request_now()
    row = _own(agreement_id, reference)
    if row["state"] in UNENDED:
        http.current_session().rollback()  # nothing is held open while Vipps is asked
        try:
            carry_on(http.current_sessions(), _client(), row["id"], now=now)
        except VippsUnavailable:
            flash(_not_answering(), "warn")
        row = _own(agreement_id, reference)
    waits = row["state"] in UNENDED
    page = make_response(
        render_template(
            "mypage/vipps.html", agreement=own(number), here="invoices", row=row, waits=waits, offered=offered()
        )
    )
    if waits:
        page.headers["Refresh"] = str(LOOK_AGAIN_SECONDS)
    return page


def _own(agreement_id: int, reference: str) -> dict[str, Any]:
    """Return a payment of the agreement's. Raises NotFound for another's."""
    row = queries.payment(http.current_session(), reference)
    if row["agreement_id"] != agreement_id:
        raise NotFound("There is no such payment.")
    return row


def _client() -> VippsClient:
    client = client_of(http.current_settings())
    if client is None:
        raise NotFound("Vipps is not set up here.")
    return client


def _not_answering() -> str:
    return words.t(
        "Vipps svarer ikke akkurat nå. Prøv igjen om et minutt.",
        "Vipps does not answer just now. Try again in a minute.",
    )


def _refusal(conflict: Conflict) -> str:
    if conflict.type.endswith("vipps-under-way"):
        return words.t(
            "En Vipps-betaling av denne fakturaen er underveis. Se her igjen om et minutt.",
            "A Vipps payment of this invoice is under way. Look here again in a minute.",
        )
    return words.t("Det er ikke noe å betale på denne fakturaen.", "There is nothing to pay on this invoice.")
