"""What support changes about an agreement's cards: removing one, which one is charged, what kind it is, receipts.

The verbs are those of the customer's own page; each has a reason in the trail.
"""

from __future__ import annotations

from flask import flash, redirect, url_for
from werkzeug.wrappers import Response

from accounts.access import trail
from accounts.access.principal import principal
from accounts.agreements.method import set_receipts
from billing.cards.cards import SEGMENTS, make_default, set_segment
from billing.cards.removal import take_away
from billing.invoices.words import brand
from config import http
from config.problems import Conflict, Unavailable
from web import words
from web.mypage import forms
from web.support.blueprint import Page, acted_on, actors, blp, subject
from web.support.card_words import refusal, segment_word
from web.support.cards import FIELDS, page, reason_missing


def _back(number: int, said: str) -> Response:
    flash(said, "good")
    return redirect(url_for("support.cards", number=number), 303)


@blp.post("/agreements/<int:number>/cards/<int:card_id>/remove")
@actors
def card_remove(number: int, card_id: int) -> Page:
    """Stop using a card; the provider forgets it."""
    one, values, about = acted_on(number), forms.given(*FIELDS), f"remove-{card_id}"
    errors = reason_missing(values)
    if errors:
        return page(one, values, errors, about)
    try:
        take_away(one, card_id, instead=values["instead"] == "yes", reason=values["reason"])
    except (Conflict, Unavailable) as refused:
        http.current_session().rollback()
        return page(acted_on(number), values, {forms.GENERAL: refusal(refused)}, about)
    gone = words.t("Kortet er fjernet.", "The card is removed.")
    if one.payment_method != "card":
        gone += " " + words.t("Avtalen betales nå med faktura.", "The agreement pays by invoice now.")
    return _back(number, gone)


@blp.post("/agreements/<int:number>/cards/<int:card_id>/default")
@actors
def card_default(number: int, card_id: int) -> Page:
    """Let a card be the one that is charged; an open charge is tried on it at once."""
    one, values, about = acted_on(number), forms.given(*FIELDS), f"default-{card_id}"
    session, now = http.current_session(), http.request_now()
    errors = reason_missing(values)
    if errors:
        return page(one, values, errors, about)
    try:
        card = make_default(session, one.id, card_id, now=now)
    except Conflict as conflict:
        session.rollback()
        return page(acted_on(number), values, {forms.GENERAL: refusal(conflict)}, about)
    trail.record(session, principal(), "card.default", subject(one), now, values["reason"], {"card": card_id})
    name = f"{brand(card.brand)} •••• {card.last4}"
    return _back(number, words.t("{card} trekkes fra nå av.", "{card} is charged from now on.", card=name))


@blp.post("/agreements/<int:number>/receipts")
@actors
def card_receipts(number: int) -> Page:
    """Have receipts sent by e-mail, or not."""
    one, values = acted_on(number), forms.given(*FIELDS)
    session, now = http.current_session(), http.request_now()
    errors = reason_missing(values)
    if values["by_mail"] not in ("yes", "no"):
        errors["by_mail"] = words.t("Velg hvordan kvitteringene kommer.", "Choose how receipts come.")
    if errors:
        return page(one, values, errors, "receipts")
    by_mail = values["by_mail"] == "yes"
    _, already = set_receipts(session, one.id, by_mail)
    if not already:
        trail.record(session, principal(), "receipts", subject(one), now, values["reason"], {"by_mail": by_mail})
    return _back(
        number,
        words.t("Kvitteringer sendes på e-post.", "Receipts are sent by e-mail.")
        if by_mail
        else words.t("Kvitteringer sendes ikke på e-post.", "Receipts are not sent by e-mail."),
    )


@blp.post("/agreements/<int:number>/cards/<int:card_id>/segment")
@actors
def card_segment(number: int, card_id: int) -> Page:
    """Say what kind of card it is."""
    one, values, about = acted_on(number), forms.given(*FIELDS), f"card-{card_id}"
    session, now = http.current_session(), http.request_now()
    errors = reason_missing(values)
    if values["segment"] not in SEGMENTS:
        errors["segment"] = words.t("Velg hva slags kort det er.", "Choose what kind of card it is.")
    if errors:
        return page(one, values, errors, about)
    _, already = set_segment(session, one.id, card_id, values["segment"])
    if not already:
        detail = {"card": card_id, "segment": values["segment"]}
        trail.record(session, principal(), "card.segment", subject(one), now, values["reason"], detail)
    return _back(
        number, words.t("Kortet er nå: {what}.", "The card is now: {what}.", what=segment_word(values["segment"]))
    )
