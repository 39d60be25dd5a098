"""Why a driver got a full-price invoice: what chargers knew of an agreement at an instant, and what was refused."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace

from flask import render_template, request

from accounts.agreements.models import Agreement
from accounts.vehicles import queries as vehicles
from accounts.vehicles.register import check_vehicle
from billing.roadside.lists.near import DAYS, near_misses
from billing.roadside.lists.validity import Validity, validity
from config import http
from config.clock import OSLO, business_date
from config.problems import Invalid
from web import words
from web.mypage import forms
from web.support.blueprint import Page, blp, looked_at, readers
from web.support.roadside_words import answer_word

_TIME = re.compile(r"([01]?[0-9]|2[0-3])[:.]?([0-5][0-9])")
EARLIEST = dt.date(2000, 1, 1)
LONGEST_READ = 40
MOST_COUNTRIES = 2
_WHYS = {
    "one_sign": ("ett tegn fra", "one sign from"),
    "country": ("samme skilt, annet land, som", "the same plate, another country, as"),
    "exact": ("nettopp", "the very"),
    "tag": ("brikken", "the tag"),
}


@blp.get("/agreements/<int:number>/validity")
@readers
def validity_page(number: int) -> Page:
    """Show what each charger had been told by an instant, in the words of its answer, and refused records near it."""
    one = looked_at(number, "look_up_validity")
    now = http.request_now()
    here = now.astimezone(OSLO)
    values = {
        "day": request.args.get("day", "")[:10] or here.date().isoformat(),
        "time": request.args.get("time", "")[:5].strip() or f"{here:%H:%M}",
        "read": request.args.get("read", "")[:LONGEST_READ].strip(),
        "country": request.args.get("country", "")[:MOST_COUNTRIES].strip() or "NO",
    }
    found, errors = _found(one, values, now)
    page = render_template(
        "support/validity.html",
        agreement=one,
        values=values,
        errors=errors,
        found=found,
        days=DAYS,
        why=lambda miss: words.t(*_WHYS[miss]),
        answer_word=answer_word,
    )
    return (page, 422) if errors else page


def _found(one: Agreement, values: dict[str, str], now: dt.datetime) -> tuple[Validity | None, dict[str, str]]:
    """Return what there was, or what is wrong with the form."""
    at, errors = _instant(values, now)
    session = http.current_session()
    if errors or not values["read"]:
        return (None if errors else validity(session, one, at)), errors
    given = re.sub(r"\W", "", values["read"]).upper()
    tags = [tag.tag for tag in vehicles.tags(session, one.id)]
    pans = {tag.pan for tag in tags if given in (tag.pan, re.sub(r"\W", "", tag.printed_number).upper())}
    if pans:
        whole = validity(session, one, at)
        return replace(
            whole,
            tags=[tag for tag in whole.tags if tag.pan in pans],
            near_misses=near_misses(session, (), sorted(pans), at, None),
            looked_for=sorted(pans),
        ), {}
    try:
        vehicle = check_vehicle(values["country"], values["read"])
    except Invalid:
        return None, {"read": words.t("Skriv et skilt, eller en brikke på avtalen.",
                                      "Write a plate, or a tag of the agreement.")}  # fmt: skip
    return validity(session, one, at, vehicle=vehicle), {}


def _instant(values: dict[str, str], now: dt.datetime) -> tuple[dt.datetime, dict[str, str]]:
    """Return the instant of an Oslo day and a time of day, or what is wrong with them. Of an hour that comes twice, the
    first one."""
    day = forms.date_of(values["day"])
    if day is None or not EARLIEST <= day <= business_date(now) + dt.timedelta(days=1):
        return now, {"day": forms.mistake("date")}
    found = _TIME.fullmatch(values["time"])
    if found is None:
        return now, {"time": words.t("Skriv klokkeslettet som 07:45.", "Write the time as 07:45.")}
    at = dt.datetime.combine(day, dt.time(int(found[1]), int(found[2])), OSLO).astimezone(dt.UTC)
    # The form says minutes, and a change may be some seconds old: of this minute what counts is now.
    return (now if at <= now < at + dt.timedelta(minutes=1) else at), {}
