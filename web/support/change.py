"""Changing an agreement on a customer's behalf: additional ferry agreements, and closing it."""

from __future__ import annotations

from collections.abc import Mapping

from flask import flash, redirect, render_template, url_for

from accounts.access import trail
from accounts.access.principal import principal
from accounts.agreements import queries as agreements
from accounts.agreements.additional import add_additional
from accounts.agreements.models import Agreement
from accounts.chargers import queries as chargers
from accounts.customers.close import close_agreement
from accounts.vehicles import queries as vehicles
from accounts.vehicles.additional import On
from config import http
from config.clock import business_date
from config.problems import Conflict, Invalid, NotFound, Problem
from web import words
from web.mypage import forms
from web.mypage.vehicles import AHEAD, additional, instant_of, lasts
from web.support.blueprint import Page, acted_on, actors, blp, looked_at, subject

_FIELDS = ("on", "operator", "settlement", "external_ref", "from", "day")


@blp.get("/agreements/<int:number>/additional")
@actors
def additional_form(number: int) -> Page:
    """Show the additional agreements, with the form of a new one."""
    values = dict.fromkeys(_FIELDS, "") | {"settlement": "external", "from": "now"}
    return _additional(looked_at(number), values, {})


def _additional(one: Agreement, values: Mapping[str, str], errors: Mapping[str, str]) -> Page:
    session, now = http.current_session(), http.request_now()
    rows = vehicles.registrations(session, [one.id])
    others = vehicles.registrations(session, [each.id for each in agreements.family(session, one)], additional=True)
    page = render_template(
        "support/additional.html",
        agreement=one,
        additional=additional(one, [row for row in others if lasts(row, now)]),
        operators=[(each.code, each.name) for each in chargers.ferries(session)],
        on=[
            *(
                (f"plate:{row.country}:{row.plate}", words.plate(row.plate, row.country))
                for row in rows
                if lasts(row, now)
            ),
            *(
                (f"pan:{each.tag.pan}", words.t("Brikke {number}", "Tag {number}", number=each.tag.printed_number))
                for each in vehicles.tags(session, one.id)
                if each.tag.state == "active"
            ),
        ],
        today=business_date(now),
        latest=business_date(now) + AHEAD,
        values=values,
        errors=errors,
    )
    return (page, 422) if errors else page


@blp.post("/agreements/<int:number>/additional")
@actors
def add_additional_agreement(number: int) -> Page:
    """Add an additional ferry agreement on a vehicle or a tag."""
    one = acted_on(number)
    session, now = http.current_session(), http.request_now()
    values = forms.given(*_FIELDS)
    at, errors = instant_of(values, now)
    kind, _, rest = values["on"].partition(":")
    country, _, plate = rest.partition(":")
    on = On(pan=rest) if kind == "pan" else On(country=country, plate=plate)
    if kind not in ("pan", "plate"):
        errors["on"] = words.t("Velg et kjøretøy eller en brikke.", "Choose a vehicle or a tag.")
    if errors:
        return _additional(one, values, errors)
    try:
        done = add_additional(
            session, one.id, values["operator"], on, settlement=values["settlement"],
            external_ref=values["external_ref"] or None, valid_from=at, now=now, actor=principal().key,
        )  # fmt: skip
    except (Invalid, Conflict, NotFound) as problem:
        session.rollback()
        return _additional(acted_on(number), values, _mistakes(problem, values))
    if done.already:
        flash(words.t("Tilleggsavtalen fantes fra før.", "The additional agreement was there already."))
    else:
        detail = {"registration": done.registration.id}
        trail.record(session, principal(), "additional.add", subject(one), now, None, detail)
        flash(words.t("Tilleggsavtalen er lagt til.", "The additional agreement is added."), "good")
    return redirect(url_for("support.agreement", number=number), 303)


def _mistakes(problem: Problem, values: Mapping[str, str]) -> dict[str, str]:
    if isinstance(problem, NotFound):
        return {"operator": words.t("Velg et rederi.", "Choose an operator.")}
    found = forms.said(problem, values)
    if "external_ref" in found:
        found["external_ref"] = words.t(
            "Avtalenummeret hos rederiet må fylles ut når reisene gjøres opp der, og bare da.",
            "The operator's agreement number is needed when journeys settle there, and only then.",
        )
    return found


@blp.get("/agreements/<int:number>/close")
@actors
def close_form(number: int) -> Page:
    """Say what closing means, and ask from when."""
    return _close(looked_at(number), {"from": "now", "day": "", "reason": ""}, {})


def _close(one: Agreement, values: Mapping[str, str], errors: Mapping[str, str]) -> Page:
    today = business_date(http.request_now())
    page = render_template(
        "support/close.html", agreement=one, today=today, latest=today + AHEAD, values=values, errors=errors
    )
    return (page, 422) if errors else page


@blp.post("/agreements/<int:number>/close")
@actors
def do_close(number: int) -> Page:
    """Close the agreement and those additional to it."""
    one = acted_on(number)
    session, now = http.current_session(), http.request_now()
    values = forms.given("from", "day", "reason")
    at, errors = instant_of(values, now)
    if errors:
        return _close(one, values, errors)
    try:
        done = close_agreement(session, one.id, at=at, now=now, actor=principal().key)
    except (Invalid, Conflict):
        session.rollback()
        general = words.t("Den skal alt avsluttes en tidligere dag.", "It is to be closed on an earlier day already.")
        return _close(acted_on(number), values, {forms.GENERAL: general})
    if not done.already:
        detail = {"at": at.isoformat()}
        trail.record(session, principal(), "agreement.close", subject(one), now, values["reason"] or None, detail)
    flash(words.t("Avtalen avsluttes {when}.", "The agreement ends {when}.", when=words.moment(at)), "good")
    return redirect(url_for("support.agreement", number=number), 303)
