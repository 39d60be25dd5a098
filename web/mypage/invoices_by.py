"""How one gets invoices, and the national id that digital mailboxes are asked by."""

from __future__ import annotations

from collections.abc import Mapping

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from accounts.access import trail
from accounts.access.principal import principal
from accounts.customers import queries
from accounts.customers.models import Customer
from accounts.customers.national_id import keep
from config import http
from config.problems import Invalid, Problem
from config.sealed import sealing
from web import channels
from web.mypage import forms
from web.mypage.blueprint import blp, customers_only, me
from web.words import t

Page = str | tuple[str, int] | Response


@blp.get("/invoices-by")
@customers_only
def invoices_by() -> Page:
    """Show how invoices come, and what else there is."""
    customer = me()
    return _form(customer, channels.held(customer), {})


def _form(customer: Customer, values: Mapping[str, str], errors: Mapping[str, str]) -> Page:
    page = render_template(
        "mypage/invoices_by.html",
        values=values,
        errors=errors,
        mailboxes=bool({"digipost", "eboks"} & {one.channel for one in channels.form(customer)["ways"]}),
        **channels.form(customer),
    )
    return (page, 422) if errors else page


@blp.post("/invoices-by")
@customers_only
def choose_invoices_by() -> Page:
    """Choose, when nobody else has since the page was shown; a mailbox that surely does not get there is told of."""
    values = forms.given(*channels.FIELDS)
    try:
        done = channels.chosen(me(), values)
    except channels.REFUSALS as problem:
        http.current_session().rollback()
        return _form(me(), _fresh(values, problem), {_field(problem): channels.refusal(problem)})
    flash(channels.done(done), "good")
    return redirect(url_for("mypage.invoices_by"), 303)


def _fresh(values: dict[str, str], problem: Problem) -> dict[str, str]:
    """Return what was chosen, on what is there now: whoever looks it over and sends it again means that."""
    return values | ({"version": str(me().version)} if problem.status == 412 else {})


def _field(problem: Problem) -> str:
    slug = problem.type.removeprefix("/problems/")
    return slug if slug == "not-reached" else forms.GENERAL


@blp.post("/national-id")
@customers_only
def change_national_id() -> Page:
    """Keep the national id, sealed, or forget it; it is never shown again."""
    session, settings = http.current_session(), http.current_settings()
    customer = queries.by_number(session, me().number, lock=True)
    value = None if "forget" in request.form else forms.given("national_id")["national_id"]
    try:
        changed = keep(
            session, customer, value, sealing=sealing(settings), synthetic=settings.takes_synthetic_ids()
        )  # fmt: skip
    except Invalid:
        session.rollback()
        said = t("Dette er ikke et fødselsnummer. Det har elleve sifre.",
                 "This is not a national id. It has eleven digits.")  # fmt: skip
        return _form(me(), channels.held(me()), {"national_id": said})
    if changed:
        act = "customer.national_id.forget" if value is None else "customer.national_id.keep"
        trail.record(session, principal(), act, f"customer:{customer.number}", http.request_now())
    flash(t("Lagret.", "Saved."), "good")
    return redirect(url_for("mypage.invoices_by"), 303)
