"""Taking a vehicle off an agreement on a customer's behalf, also from an earlier instant."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from contextlib import suppress

from flask import flash, redirect, render_template, url_for

from accounts.access import trail
from accounts.access.principal import principal
from accounts.agreements import queries as agreements
from accounts.agreements.models import Agreement
from accounts.vehicles import queries
from accounts.vehicles import remove as room
from accounts.vehicles.models import Registration
from accounts.vehicles.when import instant_of
from config import http
from config.clock import OSLO, business_date
from config.problems import Invalid, NotFound
from web import words
from web.mypage import forms
from web.mypage.remove import ticked_also
from web.mypage.vehicles import AHEAD, additional, tags_in
from web.support.blueprint import Page, acted_on, actors, blp, looked_at

_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
EARLIEST = dt.date(2000, 1, 1)
LONGEST_REASON = 300


@blp.get("/agreements/<int:number>/vehicles/<int:registration_id>/remove")
@actors
def remove_form(number: int, registration_id: int) -> Page:
    """Ask from when, and why."""
    one = looked_at(number)
    row = _registration(one, registration_id)
    return _form(one, row, {"from": "now", "day": "", "time": "", "reason": ""}, {}, None)


def _registration(one: Agreement, registration_id: int) -> Registration:
    """Return a vehicle of the agreement, or an additional registration of it or of its ferry agreements."""
    session = http.current_session()
    with suppress(NotFound):
        return queries.registration(session, [one.id], registration_id)
    ids = [each.id for each in agreements.family(session, one)]
    return queries.registration(session, ids, registration_id, additional=True)


def _name(row: Registration) -> str:
    return words.plate(row.plate, row.country) if row.plate else words.t("Brikken", "The tag")


def _form(
    one: Agreement,
    row: Registration,
    values: Mapping[str, str],
    errors: Mapping[str, str],
    also: frozenset[int] | None,
) -> Page:
    session, now = http.current_session(), http.request_now()
    others = additional(one, room.additional_with(session, row, now))
    page = render_template(
        "support/remove.html",
        agreement=one,
        row=row,
        name=_name(row),
        tags=tags_in(queries.tags(session, one.id), row, now),
        others=others,
        ticked={other.registration.id for other in others} if also is None else also,
        latest=business_date(now) + AHEAD,
        values=values,
        errors=errors,
    )
    return (page, 422) if errors else page


def _instant(values: Mapping[str, str], now: dt.datetime) -> tuple[dt.datetime, dict[str, str]]:
    """Return the instant a form means (now, or an Oslo day and perhaps a time of day), or what is wrong with it."""
    if values["from"] != "day":
        return now, {}
    day = forms.date_of(values["day"])
    if day is None or day < EARLIEST:
        return now, {"day": forms.mistake("date")}
    if day > business_date(now) + AHEAD:
        return now, {"day": forms.mistake("far")}
    at = None
    if values["time"]:
        found = _TIME.fullmatch(values["time"])
        if found is None:
            return now, {"time": words.t("Skriv klokkeslettet som 07:45.", "Write the time as 07:45.")}
        at = dt.datetime.combine(day, dt.time(int(found[1]), int(found[2])), OSLO).astimezone(dt.UTC)
    try:
        return instant_of(None if at else day, at, now, past=True, reason=values["reason"]), {}
    except Invalid as problem:
        return now, forms.said(problem, {**values, "at": ""})


@blp.post("/agreements/<int:number>/vehicles/<int:registration_id>/remove")
@actors
def remove_vehicle(number: int, registration_id: int) -> Page:
    """Remove the vehicle; what was driven since an earlier instant is moved to who has it."""
    one = acted_on(number)
    session, now = http.current_session(), http.request_now()
    row = _registration(one, registration_id)
    values = forms.given("from", "day", "time", "reason")
    at, errors = _instant(values, now)
    if len(values["reason"]) > LONGEST_REASON:
        errors["reason"] = forms.mistake("too_long")
    if errors:
        return _form(one, row, values, errors, ticked_also())
    try:
        done = room.remove(
            session, row.agreement_id, row.id, ends_at=at, reason=values["reason"] or None, also=sorted(ticked_also()),
            now=now, actor=principal().key,
        )  # fmt: skip
    except Invalid:
        session.rollback()
        one = acted_on(number)
        general = words.t("Noe ble endret i mellomtiden. Se over.", "Something changed meanwhile. Look it over.")
        row = _registration(one, registration_id)
        return _form(one, row, values, {forms.GENERAL: general}, None)
    for ended in (done.removed, *done.also):
        if not ended.already:
            subject = f"registration:{ended.registration.id}"
            detail = {"agreement": number, "from": at.isoformat()}
            trail.record(session, principal(), "vehicle.remove", subject, now, values["reason"] or None, detail)
    name = _name(row)
    if done.removed.already:
        flash(words.t("{plate} var alt fjernet da.", "{plate} had been removed by then already.", plate=name))
    else:
        flash(words.t("{plate} er fjernet fra {when}.", "{plate} is removed from {when}.", plate=name,
                      when=words.moment(at)), "good")  # fmt: skip
    for other in additional(one, done.still):
        still = words.t(
            "Kjøretøyet står fortsatt på tilleggsavtale med {name}.",
            "The vehicle is still on an additional agreement with {name}.",
            name=other.operator,
        )
        flash(still, "warn")
    return redirect(url_for("support.agreement", number=number), 303)
