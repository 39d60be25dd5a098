"""How a customer gets invoices and how long they have to pay, changed while they are on the telephone."""

from __future__ import annotations

from collections.abc import Mapping

from flask import flash, redirect, render_template, url_for

from accounts.access import trail
from accounts.access.principal import principal
from accounts.agreements.models import Agreement
from accounts.customers import queries as customers
from accounts.customers.channel import set_terms
from accounts.customers.ways import LONGEST_TERM, SHORTEST_TERM
from config import http
from config.clock import business_date
from config.problems import Invalid, PreconditionFailed
from config.rates import whole
from web import channels
from web.mypage import forms
from web.support.blueprint import Page, acted_on, actors, blp, looked_at
from web.words import t


@blp.get("/agreements/<int:number>/channel")
@actors
def channel_form(number: int) -> Page:
    """Show how the holder of an agreement gets invoices, ready to be changed."""
    return _page(looked_at(number), None, {})


def _page(one: Agreement, values: Mapping[str, str] | None, errors: Mapping[str, str], days: str | None = None) -> Page:
    customer = customers.by_id(http.current_session(), one.customer_id)
    agreed = "" if customer.payment_term_days is None else str(customer.payment_term_days)
    page = render_template(
        "support/channel.html",
        agreement=one,
        values=values or channels.held(customer),
        errors=errors,
        days={"days": agreed if days is None else days},
        ordinary=whole("invoice_term_days", business_date(http.request_now())),
        shortest=SHORTEST_TERM,
        longest=LONGEST_TERM,
        **channels.form(customer),
    )
    return (page, 422) if errors else page


@blp.post("/agreements/<int:number>/channel")
@actors
def choose_channel(number: int) -> Page:
    """Choose for the customer; a way that surely does not reach them is told of first."""
    one, values = acted_on(number), forms.given(*channels.FIELDS)
    customer = customers.by_id(http.current_session(), one.customer_id)
    try:
        done = channels.chosen(customer, values)
    except channels.REFUSALS as problem:
        http.current_session().rollback()
        if problem.status == PreconditionFailed.status:
            values["version"] = str(customers.by_id(http.current_session(), one.customer_id).version)
        slug = problem.type.removeprefix("/problems/")
        field = slug if slug == "not-reached" else forms.GENERAL
        return _page(acted_on(number), values, {field: channels.refusal(problem)})
    flash(channels.done(done), "good")
    return redirect(url_for("support.agreement", number=number), 303)


@blp.post("/agreements/<int:number>/payment-term")
@actors
def choose_term(number: int) -> Page:
    """Agree on days to pay; an empty field is the ordinary term."""
    one, given = acted_on(number), forms.given("days", "version")
    session, now = http.current_session(), http.request_now()
    customer = customers.by_id(session, one.customer_id)
    before = customer.payment_term_days, customer.version
    version = int(given["version"]) if given["version"].isdecimal() and len(given["version"]) < 9 else 0
    try:
        days = int(given["days"]) if given["days"].isdecimal() and len(given["days"]) < 4 else None
        if given["days"] and days is None:
            raise Invalid("The days are no number.")
        customer = set_terms(session, customer, days, version=version, now=now)
    except Invalid:
        session.rollback()
        said = t("Skriv {low} til {high} dager, eller ingenting.", "Write {low} to {high} days, or nothing.",
                 low=SHORTEST_TERM, high=LONGEST_TERM)  # fmt: skip
        return _page(acted_on(number), None, {"days": said}, given["days"])
    except PreconditionFailed as problem:
        session.rollback()
        return _page(acted_on(number), None, {forms.GENERAL: channels.refusal(problem)}, given["days"])
    if customer.version != before[1]:
        detail = {"before": before[0], "days": customer.payment_term_days}
        trail.record(
            session, principal(), "customer.payment_term", f"customer:{customer.number}", now, detail=detail
        )  # fmt: skip
    flash(t("Betalingsfristen er lagret.", "The time to pay is saved."), "good")
    return redirect(url_for("support.agreement", number=number), 303)
