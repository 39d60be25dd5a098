"""Passages of an agreement, and crediting one of them."""

from __future__ import annotations

from collections.abc import Mapping

from flask import flash, redirect, render_template, request, url_for

from accounts.access import trail
from accounts.access.principal import principal
from accounts.agreements.models import Agreement
from accounts.vehicles import queries as vehicles
from accounts.vehicles.rules import normalise_plate
from billing.invoices import listed
from billing.passages import queries
from billing.passages.credit import credit
from billing.roadside.complaints import queries as complaints
from config import http
from config.checks import Wrong
from config.clock import business_date
from config.problems import Conflict, Invalid
from web import words
from web.mypage import explain, forms
from web.mypage.dispute import can_dispute, dispute_word
from web.mypage.passages import chosen
from web.support.blueprint import Page, acted_on, actors, blp, looked_at, readers, subject

PAGE = 100
LONGEST_REASON = 300


@blp.get("/agreements/<int:number>/passages")
@readers
def passages(number: int) -> Page:
    """Show passages of a period, of one vehicle or all."""
    one = looked_at(number, "look_up_passages")
    session, today = http.current_session(), business_date(http.request_now())
    period, plate = chosen(today), _plate()
    within = queries.days(one.id, period.first, period.last, plate)
    page = queries.page(session, within, after=request.args.get("after") or None, limit=PAGE, newest_first=True)
    return render_template(
        "support/passages.html",
        agreement=one,
        period=period,
        plate_asked=plate or "",
        plates=sorted({row.plate for row in vehicles.registrations(session, [one.id]) if row.plate}),
        sums=queries.sums(session, within),
        rows=[(row, explain.fate(row), explain.flags(row.flags)) for row in page.items],
        invoices=listed.numbers(session, sorted({row.claim_id for row in page.items if row.claim_id})),
        disputes=complaints.of_passages(session, [row.id for row in page.items], http.request_now()),
        can_dispute=can_dispute,
        dispute_word=dispute_word,
        next=page.next,
        after=request.args.get("after"),
    )


def _plate() -> str | None:
    """Return the plate asked for; what is no plate is passed over."""
    asked = request.args.get("plate", "")[:20]
    try:
        return normalise_plate("", asked) if asked.strip() else None
    except Wrong:
        return None


@blp.get("/agreements/<int:number>/passages/<int:passage_id>/credit")
@actors
def credit_form(number: int, passage_id: int) -> Page:
    """Ask why a passage is credited."""
    return _form(looked_at(number, "look_up_passages"), passage_id, {"reason": ""}, {})


def _form(one: Agreement, passage_id: int, values: Mapping[str, str], errors: Mapping[str, str]) -> Page:
    row = queries.one(http.current_session(), one.id, passage_id)
    page = render_template(
        "support/credit.html",
        agreement=one,
        row=row,
        fate=explain.fate(row),
        invoices=listed.numbers(http.current_session(), [row.claim_id] if row.claim_id else []),
        values=values,
        errors=errors,
    )
    return (page, 422) if errors else page


@blp.post("/agreements/<int:number>/passages/<int:passage_id>/credit")
@actors
def do_credit(number: int, passage_id: int) -> Page:
    """Credit the passage: the customer is freed of it, the charger is still owed."""
    one = acted_on(number)
    session, now = http.current_session(), http.request_now()
    values = forms.given("reason")
    if len(values["reason"]) > LONGEST_REASON:
        return _form(one, passage_id, values, {"reason": forms.mistake("too_long")})
    known = queries.one(session, one.id, passage_id).taken_back == "credited"
    try:
        credit(session, one.id, passage_id, reason=values["reason"], actor=principal().key, now=now)
    except Invalid as problem:
        session.rollback()
        return _form(acted_on(number), passage_id, values, forms.said(problem, values))
    except Conflict:
        session.rollback()
        refused = words.t("Denne passeringen kan ikke krediteres.", "This passage cannot be credited.")
        return _form(acted_on(number), passage_id, values, {forms.GENERAL: refused})
    if not known:
        detail = {"passage": passage_id}
        trail.record(session, principal(), "passage.credit", subject(one), now, values["reason"], detail)
    flash(words.t("Passeringen er kreditert; den trekkes fra på neste faktura.",
                  "The passage is credited; it is taken off the next invoice."), "good")  # fmt: skip
    return redirect(url_for("support.agreement", number=number), 303)
