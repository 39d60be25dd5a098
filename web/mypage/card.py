"""The cards: registering one on the provider's own page, what is open, and the story of what was charged."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from accounts.access import trail
from accounts.access.principal import principal
from accounts.agreements.models import Agreement
from billing.cards import queries, register
from billing.cards.card_rules import tell_of_expiry
from billing.cards.gateway import CardGateway, GatewayUnavailable
from billing.cards.models import Card
from billing.cards.provider import gateway_of, page_origin
from billing.invoices import listed
from billing.invoices.words import brand
from config import http
from config.clock import business_date
from config.problems import Conflict, NotFound, Unavailable
from config.rates import whole
from web import words
from web.mypage import explain
from web.mypage.blueprint import blp, customers_only, me, own
from web.mypage.card_change import refusal

PAGE = 20


@blp.get("/<int:number>/card")
@customers_only
def card(number: int) -> str | Response:
    """Show the card and what it was charged; coming back from the provider with ``setup``, take the card over."""
    agreement = own(number)
    if "setup" in request.args:
        return _finish(agreement, request.args["setup"][:255])
    session, now, settings = http.current_session(), http.request_now(), http.current_settings()
    today = business_date(now)
    page = queries.charges_of(session, agreement.id, after=request.args.get("after") or None, limit=PAGE)
    claims = [story.charge.claim_id for story in page.items if story.charge.claim_id]
    numbers = listed.numbers(session, claims)
    there = gateway_of(settings) is not None
    cards = queries.cards_of(session, agreement.id)
    opened = queries.open_story(session, agreement.id)
    usable = [card for card in cards if card.refused_code is None]
    if there:
        # The form leads to the provider's page by a redirect, which the browser holds against our policy too.
        http.allow_content("form-action", page_origin(settings))
    return render_template(
        "mypage/card.html",
        agreement=agreement,
        customer=me(),
        here="card",
        cards=cards,
        card=next((card for card in cards if card.is_default), None),
        works=bool(usable),
        may_register=agreement.standing != "closed" or register.may_pay(session, agreement, now=now),
        trying=opened is not None and opened.charge.state == "claimed",
        only_way=usable[0].id if len(usable) == 1 else None,
        open_sentence=explain.open_sentence(opened, cards) if opened is not None else None,
        expires_soon=_expires_soon(today),
        brand=brand,
        gateway=there,
        stories=[
            (
                story,
                explain.charge_word(story),
                explain.charge_story(story, numbers.get(story.charge.claim_id or 0)),
                numbers.get(story.charge.claim_id or 0),
            )
            for story in page.items
        ],
        next=page.next,
        threshold_ore=whole("card_threshold_ore", today),
        week_days=whole("card_week_days", today),
        fee_bp=whole("card_fee_commercial_bp", today),
        fee_ore=whole("card_fee_commercial_ore", today),
    )


def _expires_soon(today: dt.date) -> Callable[[Card], bool]:
    days = whole("card_expiry_notice_days", today)
    return lambda card: tell_of_expiry(card.exp_month, card.exp_year, today=today, notice_days=days)


def _finish(agreement: Agreement, setup: str) -> Response:
    back = redirect(url_for("mypage.card", number=agreement.number), 303)
    session, now = http.current_session(), http.request_now()
    agreement_id, number, closed = agreement.id, agreement.number, agreement.standing == "closed"
    session.rollback()  # nothing is held open while the provider is asked
    try:
        done = register.finish(http.current_sessions(), _gateway(), setup, agreement_id=agreement_id, now=now)
    except GatewayUnavailable:
        flash(_not_answering(), "warn")
        return back
    except Unavailable as refused:
        flash(refusal(refused), "warn")
        return back
    except Conflict:
        flash(words.t("Kortet kunne ikke tas i bruk.", "The card could not be used."), "bad")
        return back
    if done is None:
        flash(words.t("Kortet ble ikke registrert.", "The card was not registered."), "warn")
        return back
    trail.record(session, principal(), "register_card", f"agreement:{number}", now)
    said = (
        ("{brand} som slutter på {last4} er registrert.", "{brand} ending in {last4} is registered.")
        if closed
        else (
            "{brand} som slutter på {last4} er registrert og betaler avtalen fra nå av.",
            "{brand} ending in {last4} is registered and pays the agreement from now on.",
        )
    )
    flash(words.t(*said, brand=brand(done.brand), last4=done.last4), "good")
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


@blp.post("/<int:number>/card/register")
@customers_only
def register_card(number: int) -> Response:
    """Begin registering a card, and send the browser to the provider's page."""
    agreement = own(number)
    here = url_for("mypage.card", number=number)
    gateway, now, agreement_id = _gateway(), http.request_now(), agreement.id
    commercial = request.form.get("business") == "yes"
    http.current_session().rollback()  # nothing is held open while the provider is asked
    try:
        begun = register.begin(
            http.current_sessions(),
            gateway,
            agreement_id,
            return_url=http.current_settings().url + here,
            declared_commercial=commercial,
            now=now,
        )
    except GatewayUnavailable:
        flash(_not_answering(), "warn")
        return redirect(here, 303)
    except (Conflict, Unavailable) as refused:
        flash(refusal(refused), "warn")
        return redirect(here, 303)
    return redirect(begun.url, 303)
