"""Becoming a customer: who one is, the agreement, and if one likes the first vehicle, in one form."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from babel import Locale
from flask import redirect, render_template, url_for
from werkzeug.wrappers import Response

from accounts.access import browser, idempotency, trail
from accounts.access.principal import Principal, principal
from accounts.agreements import queries as agreements
from accounts.agreements.models import Agreement
from accounts.customers import queries as customers
from accounts.customers import rules
from accounts.customers.models import Customer
from accounts.customers.sign_up import add_agreement, sign_up
from accounts.vehicles import queries as vehicle_queries
from accounts.vehicles.register import register
from config import http
from config.problems import Conflict, Invalid, Problem
from web import words
from web.mypage import forms
from web.mypage.blueprint import blp, customers_only, me, own

_PERSON = ("kind", *rules.FIELDS)
_VEHICLE = ("plate", "plate_country")
_FORM = "form:sign-up"
_FIRST: Mapping[str, str] = {"kind": "private", "country": "NO", "plate_country": "NO"}

Page = str | tuple[str, int] | Response


@lru_cache(maxsize=2)
def countries(language: str) -> list[tuple[str, str]]:
    """Return (code, name) of all countries by name, Norway and its neighbours first."""
    names = {code: str(Locale(language).territories[code]) for code in rules.countries()}
    first = ("NO", "SE", "DK", "FI")
    rest = sorted((code for code in names if code not in first), key=lambda code: names[code].casefold())
    return [(code, names[code]) for code in (*first, *rest)]


@blp.get("/new")
def new() -> Page:
    """Show the form of a new customer, or to who is one the short form of a further agreement."""
    who = browser.signed_in_principal()
    values = {**dict.fromkeys((*_PERSON, *_VEHICLE), ""), **_FIRST, "language": words.language()}
    return _form(values, {}, known=who is not None and who.role == "customer")


def _form(values: Mapping[str, str], errors: Mapping[str, str], *, known: bool) -> Page:
    page = render_template(
        "mypage/new.html",
        values=values,
        errors=errors,
        known=known,
        countries=countries(words.language()),
        settings=http.current_settings(),
        once=values.get("once") or secrets.token_urlsafe(18),
    )
    return (page, 422) if errors else page


@blp.post("/new")
def create() -> Page:
    """Make the customer with an agreement, sign them in, and welcome them."""
    values = forms.given(*_PERSON, *_VEHICLE, "once")
    words.choose(values["language"])
    person: dict[str, str | None] = {name: values[name] for name in rules.FIELDS}
    if values["kind"] == "private":
        person["org_no"] = None  # the field is not shown then
    session, now = http.current_session(), http.request_now()
    # A form that is sent twice at once makes one customer: the second waits for the first and then goes where it went.
    key = values["once"][:100] or secrets.token_urlsafe(18)
    form = idempotency.begin_form(session, _FORM, key, now)
    if form is None:
        return _enter(int(idempotency.kept_form(session, _FORM, key)["agreement"]))
    try:
        made = sign_up(session, values["kind"], person, now=now, actor="customer")
    except Invalid as problem:
        return _form(values, forms.said(problem, values), known=False)
    who = _principal(made.customer)
    errors = _first_vehicle(made.agreement, values, now, who.key)
    if errors:
        return _form(values, errors, known=False)
    trail.record(session, who, "customer.sign_up", f"agreement:{made.agreement.number}", now)
    idempotency.keep_form(session, form, {"agreement": made.agreement.number})
    return _enter(made.agreement.number)


def _principal(customer: Customer) -> Principal:
    return Principal(f"customer-{customer.id}", "customer", customer.id, name=customer.name)


def _enter(number: int) -> Response:
    """Sign the new customer of an agreement in, and lead them to their welcome."""
    session = http.current_session()
    customer = customers.by_id(session, agreements.by_number(session, number).customer_id)
    browser.sign_in(_principal(customer))
    words.choose(customer.language)
    return redirect(url_for("mypage.welcome", number=number), 303)


@blp.post("/new/agreement")
@customers_only
def create_further() -> Page:
    """Make a further agreement for the customer who is signed in."""
    values = forms.given(*_VEHICLE)
    session, now = http.current_session(), http.request_now()
    agreement = add_agreement(session, me().id, now=now, actor=principal().key)
    errors = _first_vehicle(agreement, values, now, principal().key)
    if errors:
        return _form(values, errors, known=True)
    trail.record(session, principal(), "agreement.open", f"agreement:{agreement.number}", now)
    return redirect(url_for("mypage.welcome", number=agreement.number), 303)


def _first_vehicle(agreement: Agreement, values: Mapping[str, str], now: dt.datetime, actor: str) -> dict[str, str]:
    """Put the first vehicle on, when one was named; return what was wrong with it."""
    if not values["plate"]:
        return {}
    try:
        register(
            http.current_session(), agreement.id, values["plate_country"], values["plate"],
            valid_from=now, now=now, actor=actor,
        )  # fmt: skip
    except (Invalid, Conflict) as problem:
        return vehicle_mistakes(problem, values)
    return {}


def vehicle_mistakes(problem: Problem, values: Mapping[str, str]) -> dict[str, str]:
    """Return what was wrong with a vehicle, beside its fields."""
    named: dict[str, Any] = {"plate": "plate", "country": "plate_country", "valid_from": "day", "day": "day"}
    if not problem.errors:
        return {"plate": forms.problem_sentence(problem)}
    return {
        named.get(str(error.get("field")), "plate"): forms.sentence(error, values.get(str(error.get("field"))))
        for error in problem.errors
    }


@blp.get("/<int:number>/welcome")
@customers_only
def welcome(number: int) -> str:
    """Say what happens next."""
    agreement = own(number)
    vehicles = vehicle_queries.current(http.current_session(), agreement.id, http.request_now())
    return render_template(
        "mypage/welcome.html",
        agreement=agreement,
        customer=me(),
        vehicles=vehicles,
        settings=http.current_settings(),
    )
