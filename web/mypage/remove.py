"""Taking a vehicle off an agreement: what it means, doing it, and where the vehicle still is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from accounts.access import trail
from accounts.access.principal import principal
from accounts.agreements.models import Agreement
from accounts.agreements.queries import family
from accounts.vehicles import queries
from accounts.vehicles import remove as room
from accounts.vehicles.models import Registration
from config import http
from config.clock import business_date
from config.problems import Invalid
from web import words
from web.mypage import forms
from web.mypage.blueprint import blp, customers_only, own
from web.mypage.vehicles import AHEAD, additional, instant_of, lasts, tags_in

Page = str | tuple[str, int] | Response


def _registration(agreement: Agreement, registration_id: int) -> Registration:
    return queries.registration(http.current_session(), [agreement.id], registration_id)


@blp.get("/<int:number>/vehicles/<int:registration_id>/remove")
@customers_only
def remove(number: int, registration_id: int) -> Page:
    """Say what removing means, and ask from when."""
    agreement = own(number)
    row = _registration(agreement, registration_id)
    if not lasts(row, http.request_now()):
        return redirect(url_for("mypage.removed", number=number, registration_id=registration_id))
    return _form(agreement, row, {"from": "now", "day": ""}, {}, None)


def _form(
    agreement: Agreement,
    row: Registration,
    values: Mapping[str, str],
    errors: Mapping[str, str],
    also: frozenset[int] | None,
) -> Page:
    """``also``: which additional agreements are ticked; None ticks all."""
    session, now = http.current_session(), http.request_now()
    others = additional(agreement, room.additional_with(session, row, now))
    page = render_template(
        "mypage/remove.html",
        agreement=agreement,
        here="vehicles",
        row=row,
        tags=tags_in(queries.tags(session, agreement.id), row, now),
        others=others,
        ticked={one.registration.id for one in others} if also is None else also,
        today=business_date(now),
        latest=business_date(now) + AHEAD,
        values=values,
        errors=errors,
    )
    return (page, 422) if errors else page


def ticked_also() -> frozenset[int]:
    """Return the additional registrations that were ticked; what is no number is passed over."""
    sent = request.form.getlist("also")[:100]
    return frozenset(int(one) for one in sent if one.isascii() and one.isdecimal() and len(one) <= 18)


@blp.post("/<int:number>/vehicles/<int:registration_id>/remove")
@customers_only
def do_remove(number: int, registration_id: int) -> Page:
    """Remove the vehicle, with the additional agreements that were ticked."""
    agreement = own(number)
    row = _registration(agreement, registration_id)
    values = forms.given("from", "day")
    now = http.request_now()
    at, errors = instant_of(values, now)
    if not errors and row.valid_to is not None and at > row.valid_to:
        errors["day"] = words.t(
            "Kjøretøyet går ut {day} allerede. Velg en tidligere dag.",
            "The vehicle leaves on {day} already. Choose an earlier day.",
            day=words.day(row.valid_to),
        )
    if errors:
        return _form(agreement, row, values, errors, ticked_also())
    try:
        _end(agreement, row, at, ticked_also())
    except Invalid:
        general = words.t("Noe ble endret i mellomtiden. Se over.", "Something changed meanwhile. Look it over.")
        return _form(agreement, row, values, {forms.GENERAL: general}, None)
    return redirect(url_for("mypage.removed", number=number, registration_id=registration_id), 303)


def _end(agreement: Agreement, row: Registration, at: dt.datetime, also: frozenset[int]) -> None:
    session, now = http.current_session(), http.request_now()
    done = room.remove(
        session, agreement.id, row.id, ends_at=at, reason=None, also=sorted(also), now=now, actor=principal().key
    )
    for one in (done.removed, *done.also):
        if not one.already:
            trail.record(session, principal(), "vehicle.remove", f"registration:{one.registration.id}", now)


@blp.get("/<int:number>/vehicles/<int:registration_id>/removed")
@customers_only
def removed(number: int, registration_id: int) -> Page:
    """Say from when the vehicle is off, and name the additional agreements that still have it."""
    agreement = own(number)
    row = _registration(agreement, registration_id)
    if row.valid_to is None:
        return redirect(url_for("mypage.remove", number=number, registration_id=registration_id))
    session, now = http.current_session(), http.request_now()
    still = room.additional_with(session, row, max(now, row.valid_to))
    family_ids = [one.id for one in family(session, agreement)]
    rows = queries.registrations(session, family_ids, additional=True)
    ended = [one for one in rows if _same_end(one, row)]
    return render_template(
        "mypage/removed.html",
        agreement=agreement,
        here="vehicles",
        row=row,
        ahead=row.valid_to > now,
        still=additional(agreement, still),
        ended=additional(agreement, ended),
        tags=tags_in(queries.tags(session, agreement.id), row, now),
    )


def _same_end(one: Registration, row: Registration) -> bool:
    """Say whether an additional registration of the same vehicle was ended together with it or since."""
    same = one.plate is not None and (one.country, one.plate) == (row.country, row.plate)
    return same and one.valid_to is not None and row.valid_to is not None and one.valid_to >= row.valid_to


@blp.post("/<int:number>/vehicles/<int:registration_id>/removed")
@customers_only
def remove_also(number: int, registration_id: int) -> Page:
    """Remove the vehicle from the additional agreements that were ticked, as of when it left this one."""
    agreement = own(number)
    row = _registration(agreement, registration_id)
    back = url_for("mypage.removed", number=number, registration_id=registration_id)
    also = ticked_also()
    if row.valid_to is None:
        return redirect(url_for("mypage.remove", number=number, registration_id=registration_id), 303)
    if not also:
        flash(words.t("Kryss av for det som skal fjernes.", "Tick what shall be removed."), "warn")
        return redirect(back, 303)
    try:
        _end(agreement, row, max(http.request_now(), row.valid_to), also)
    except Invalid:
        flash(words.t("Noe ble endret i mellomtiden. Se over.", "Something changed meanwhile. Look it over."), "warn")
        return redirect(back, 303)
    flash(words.t("Fjernet der også.", "Removed there too."), "good")
    return redirect(back, 303)
