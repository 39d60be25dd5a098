"""Mass corrections: the list, the form, what a preview found, confirming it, how far it is, undoing it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from flask import flash, redirect, render_template, request, url_for

from accounts.access import trail
from accounts.access.principal import principal
from accounts.chargers.queries import codes
from billing.passages.mass import queries
from billing.passages.mass.preview import Asked, confirm, preview, undo
from config import http
from config.clock import OSLO
from config.problems import Conflict, Invalid, NotFound
from web.mypage import forms
from web.support.blueprint import Page, blp, only
from web.words import t

PAGE = 50
MASS_ACTORS = ("operator", "lead")
MASS_READERS = ("operator", "lead", "agent", "accountant")
_FIELDS = ("charger", "stations", "since", "until", "service", "vehicle_class", "plate", "bearer", "reason")


@blp.get("/mass")
@only(*MASS_READERS)
def mass() -> Page:
    """List the mass corrections; those who may make one find the form."""
    return _list(dict.fromkeys(_FIELDS, "") | {"bearer": "charger"}, {})


def _list(values: Mapping[str, str], errors: Mapping[str, str]) -> Page:
    session, after = http.current_session(), request.args.get("after") or None
    page = queries.page(session, after=after, limit=PAGE)
    text = render_template(
        "support/mass.html",
        rows=page.items,
        next=page.next,
        after=after,
        may=principal().role in MASS_ACTORS,
        chargers=[(code, code) for code in sorted(codes(session).values())],
        values=values,
        errors=errors,
    )
    return (text, 422) if errors else text


@blp.post("/mass")
@only(*MASS_ACTORS)
def mass_preview() -> Page:
    """Count what a correction would take back, and show it; nothing is booked."""
    session, now, who = http.current_session(), http.request_now(), principal()
    values = forms.given(*_FIELDS)
    errors = {name: forms.mistake("empty") for name in ("charger", "stations", "reason") if not values[name]}
    times = {name: _instant(values[name]) for name in ("since", "until")}
    errors |= {name: forms.mistake("date") for name, at in times.items() if at is None}
    if values["bearer"] not in ("charger", "us"):
        errors["bearer"] = forms.mistake("empty")
    since, until = times["since"], times["until"]
    if errors or since is None or until is None:
        return _list(values, errors)
    asked = Asked(
        values["charger"], values["stations"].replace(",", " ").split(), since, until,
        "us" if values["bearer"] == "us" else "charger", values["reason"], service=values["service"] or None,
        vehicle_class=values["vehicle_class"] or None, plate=values["plate"] or None,
    )  # fmt: skip
    try:
        row = preview(session, asked, actor=who.key, now=now)
    except (Invalid, NotFound) as problem:
        session.rollback()
        return _list(values, forms.said(problem, values))
    detail = {"passages": row.passages, "sum_ore": row.sum_ore}
    trail.record(session, who, "mass.preview", row.name, now, row.reason, detail)
    return redirect(url_for("support.mass_one", number=row.id), 303)


@blp.get("/mass/<int:number>")
@only(*MASS_READERS)
def mass_one(number: int) -> Page:
    """Show one: what it found, how far it is, and what can be done with it."""
    return _page(number, {"reason": ""}, {})


def _page(number: int, values: Mapping[str, str], errors: Mapping[str, str]) -> Page:
    one = queries.one(http.current_session(), number)
    may = principal().role in MASS_ACTORS
    text = render_template("support/mass_one.html", one=one, row=one.row, may=may, values=values, errors=errors)
    return (text, 422) if errors else text


@blp.post("/mass/<int:number>/confirm")
@only(*MASS_ACTORS)
def mass_confirm(number: int) -> Page:
    """Have what was shown carried out."""
    session, now, who = http.current_session(), http.request_now(), principal()
    try:
        row = confirm(session, number, forms.given("digest")["digest"], actor=who.key, now=now)
    except Conflict as problem:
        session.rollback()
        return _page(number, {"reason": ""}, {forms.GENERAL: forms.problem_sentence(problem)})
    detail = {"passages": row.passages, "sum_ore": row.sum_ore, "digest": row.digest}
    trail.record(session, who, "mass.confirm", row.name, now, row.reason, detail)
    flash(t("Rettelsen er i gang.", "The correction is under way."), "good")
    return redirect(url_for("support.mass_one", number=number), 303)


@blp.post("/mass/<int:number>/undo")
@only(*MASS_ACTORS)
def mass_undo(number: int) -> Page:
    """Begin the undoing of one that is done."""
    session, now, who = http.current_session(), http.request_now(), principal()
    values = forms.given("reason")
    try:
        row = undo(session, number, reason=values["reason"], actor=who.key, now=now)
    except (Invalid, Conflict) as problem:
        session.rollback()
        return _page(number, values, forms.said(problem, values))
    trail.record(session, who, "mass.undo", f"mass:{number}", now, row.reason, {"by": row.id})
    flash(t("Rettelsen gjøres om.", "The correction is being undone."), "good")
    return redirect(url_for("support.mass_one", number=row.id), 303)


def _instant(value: str) -> dt.datetime | None:
    """Return the instant of ``<input type=datetime-local>``, Oslo time; None for what is none.

    Of the hour that an autumn night has twice the first is meant.
    """
    try:
        local = dt.datetime.fromisoformat(value)
    except ValueError:
        return None
    return local.replace(tzinfo=OSLO).astimezone(dt.UTC) if local.tzinfo is None else None
