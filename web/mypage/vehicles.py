"""Vehicles of an agreement: which, since when and until when, with which tag; and adding one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask import flash, redirect, render_template, url_for
from werkzeug.wrappers import Response

from accounts.access import trail
from accounts.access.principal import principal
from accounts.agreements.models import Agreement
from accounts.agreements.queries import family
from accounts.chargers import queries as chargers
from accounts.vehicles import queries, rules
from accounts.vehicles.models import Registration
from accounts.vehicles.queries import TagStory
from accounts.vehicles.register import register
from billing.passages import mismatch
from billing.passages.mismatch_models import TagMismatch
from config import http
from config.checks import Wrong
from config.clock import business_date
from config.problems import Conflict, Invalid
from web import words
from web.mypage import forms
from web.mypage.become import countries, vehicle_mistakes
from web.mypage.blueprint import blp, customers_only, own

AHEAD = dt.timedelta(days=366)
"""How far ahead a customer may say that a vehicle comes or goes; a date beyond that is a slip of the hand."""

Page = str | tuple[str, int] | Response


@dataclass(frozen=True)
class Vehicle:
    """A registration with the printed numbers of the tags that are in the vehicle now."""

    registration: Registration
    tags: Sequence[str]


@dataclass(frozen=True)
class Additional:
    """An additional ferry agreement of the customer: its registration, whose it is by name, and its own agreement's
    number where the journeys settle with us."""

    registration: Registration
    operator: str
    number: int | None


def lasts(row: Registration, now: dt.datetime) -> bool:
    """Say whether a registration lasts after now, also when it has not begun."""
    return row.valid_to is None or (row.valid_to > now and row.valid_to > row.valid_from)


def additional(agreement: Agreement, rows: Sequence[Registration]) -> list[Additional]:
    """Return additional registrations of an agreement's family with the names a customer knows them by."""
    session = http.current_session()
    numbers = {one.id: one.number for one in family(session, agreement)}
    names: dict[str, str] = {}
    for row in rows:
        names.setdefault(row.scope, chargers.charger(session, row.scope).name)
    return [
        Additional(row, names[row.scope], numbers.get(row.agreement_id) if row.settlement == "own" else None)
        for row in rows
    ]


def tags_in(stories: Sequence[TagStory], row: Registration, now: dt.datetime) -> list[str]:
    """Return the printed numbers of tags that are in a vehicle now."""
    return [
        story.tag.printed_number
        for story in stories
        for mount in story.mounts
        if (mount.country, mount.plate) == (row.country, row.plate)
        and mount.valid_from <= now
        and (mount.valid_to is None or mount.valid_to > now)
    ]


def read_elsewhere(
    agreement: Agreement, stories: Sequence[TagStory], now: dt.datetime
) -> list[tuple[str, TagMismatch]]:
    """Return the tags (printed numbers) that were lately read in a vehicle they are still not mounted in."""
    tags = {story.tag.pan: story for story in stories}
    found: dict[str, TagMismatch] = {}
    for one in mismatch.of_agreement(http.current_session(), agreement.id, now - mismatch.SHOWN):
        found.setdefault(one.pan, one)
    return [
        (tags[pan].tag.printed_number, one)
        for pan, one in found.items()
        if pan in tags
        and not any(
            mount.plate == one.read_plate and mount.country == one.read_country and mount.valid_to is None
            for mount in tags[pan].mounts
        )
    ]


@blp.get("/<int:number>/vehicles")
@customers_only
def vehicles(number: int) -> Page:
    """List the vehicles, with the form to add one."""
    return _page(own(number), {"plate": "", "plate_country": "NO", "from": "now", "day": ""}, {})


def _page(agreement: Agreement, values: Mapping[str, str], errors: Mapping[str, str]) -> Page:
    session, now = http.current_session(), http.request_now()
    rows = queries.registrations(session, [agreement.id])
    stories = queries.tags(session, agreement.id)
    others = queries.registrations(session, [one.id for one in family(session, agreement)], additional=True)
    page = render_template(
        "mypage/vehicles.html",
        agreement=agreement,
        here="vehicles",
        now=now,
        today=business_date(now),
        latest=business_date(now) + AHEAD,
        current=[Vehicle(row, tags_in(stories, row, now)) for row in rows if lasts(row, now)],
        past=[row for row in rows if not lasts(row, now) and row.valid_to != row.valid_from],
        tags=stories,
        mismatches=read_elsewhere(agreement, stories, now),
        additional=additional(agreement, [row for row in others if lasts(row, now)]),
        values=values,
        errors=errors,
        countries=countries(words.language()),
    )
    return (page, 422) if errors else page


def instant_of(values: Mapping[str, str], now: dt.datetime) -> tuple[dt.datetime, dict[str, str]]:
    """Return the instant a form means, by ``from`` (now or day) and ``day``; or what is wrong with the day."""
    if values["from"] != "day":
        return now, {}
    day = forms.date_of(values["day"])
    if day is None:
        return now, {"day": forms.mistake("date")}
    if day > business_date(now) + AHEAD:
        return now, {"day": forms.mistake("far")}
    try:
        return rules.effective_at(day, None, now, past=False), {}
    except Wrong as wrong:
        return now, {"day": forms.sentence({"code": wrong.code, "message": str(wrong)})}


@blp.post("/<int:number>/vehicles")
@customers_only
def add_vehicle(number: int) -> Page:
    """Put a vehicle on the agreement, from now or a later day."""
    agreement = own(number)
    session, now = http.current_session(), http.request_now()
    values = forms.given("plate", "plate_country", "from", "day")
    at, errors = instant_of(values, now)
    if not values["plate"]:
        errors["plate"] = forms.mistake("empty")
    if errors:
        return _page(agreement, values, errors)
    try:
        done = register(
            session, agreement.id, values["plate_country"], values["plate"],
            valid_from=at, now=now, actor=principal().key,
        )  # fmt: skip
    except (Invalid, Conflict) as problem:
        return _page(agreement, values, vehicle_mistakes(problem, values))
    row = done.registration
    name = words.plate(row.plate, row.country)
    if done.already:
        flash(words.t("{plate} står allerede på avtalen.", "{plate} is on the agreement already.", plate=name))
    else:
        trail.record(session, principal(), "vehicle.add", f"registration:{row.id}", now)
        flash(_added(name, row.valid_from, now), "good")
    return redirect(url_for("mypage.vehicles", number=number), 303)


def _added(name: str, since: dt.datetime, now: dt.datetime) -> str:
    if since > now:
        return words.t(
            "{plate} er lagt til fra og med {day}.", "{plate} is added from {day}.", plate=name, day=words.day(since)
        )
    return words.t(
        "{plate} er lagt til. Det kan ta 1–5 virkedager før alle operatører vet om det.",
        "{plate} is added. It can take 1–5 working days until every operator knows.",
        plate=name,
    )
