"""Crediting a document whole, crediting what is below zero, and payouts."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from flask import flash, redirect, render_template, request, url_for

from accounts.access import idempotency, trail
from accounts.access.principal import principal
from accounts.agreements.models import Agreement
from billing.claims import credit
from billing.invoices import listed
from billing.invoices.below_zero import credit_now
from billing.invoices.reissue import LONGEST_REASON, reissue
from billing.invoices.seller import seller_of
from billing.passages import queries as driven
from billing.payments import payout_queries, payouts
from config import http
from config.clock import business_date
from config.problems import Conflict, Invalid
from web import words
from web.mypage import explain, forms
from web.mypage.payouts import mistakes, ore_of, state_word
from web.support.blueprint import Page, acted_on, actors, blp, looked_at, only, readers, subject
from web.support.leaving import Leaving

PAGE = 50
_FIELDS = ("account", "amount", "reason", "once")


@blp.get("/agreements/<int:number>/documents")
@readers
def documents(number: int) -> Page:
    """List an agreement's invoices, receipts and credit notes, each with what may be done about it."""
    one = looked_at(number)
    page = listed.listed(http.current_session(), one.id, after=request.args.get("after") or None, limit=PAGE)
    today = business_date(http.request_now())
    rows = [(row, *explain.invoice_word(row, today)) for row in page.items]
    return render_template(
        "support/documents.html", agreement=one, rows=rows, next=page.next, after=request.args.get("after")
    )


@blp.get("/agreements/<int:number>/documents/<int:document>/reissue")
@actors
def reissue_form(number: int, document: int) -> Page:
    """Say what crediting a document whole means, and ask why."""
    return _reissue(looked_at(number), document, {"reason": ""}, {})


def _reissue(one: Agreement, document: int, values: Mapping[str, str], errors: Mapping[str, str]) -> Page:
    row: Any = listed.one(http.current_session(), one.id, document)
    page = render_template("support/reissue.html", agreement=one, row=row, values=values, errors=errors)
    return (page, 422) if errors else page


@blp.post("/agreements/<int:number>/documents/<int:document>/reissue")
@actors
def do_reissue(number: int, document: int) -> Page:
    """Credit the document whole and issue what is left of it anew."""
    one = acted_on(number)
    session, now = http.current_session(), http.request_now()
    values = forms.given("reason")
    listed.one(session, one.id, document)  # another agreement's does not exist
    if len(values["reason"]) > LONGEST_REASON:
        return _reissue(one, document, values, {"reason": forms.mistake("too_long")})
    seller = seller_of(http.current_settings())
    try:
        done = reissue(session, document, reason=values["reason"], seller=seller, now=now, actor=principal().key)
    except Invalid as problem:
        session.rollback()
        return _reissue(acted_on(number), document, values, forms.said(problem, values))
    except Conflict:
        session.rollback()
        refused = words.t("En kreditnota kan ikke krediteres.", "A credit note cannot be credited.")
        return _reissue(acted_on(number), document, values, {forms.GENERAL: refused})
    if not done.already:
        detail = {"invoice": document, "credit_note": done.credit_note, "new": done.invoice}
        trail.record(session, principal(), "invoice.reissue", subject(one), now, values["reason"], detail)
    flash(words.t("{number} er kreditert med kreditnota {note}.", "{number} is credited by credit note {note}.",
                  number=document, note=done.credit_note), "good")  # fmt: skip
    return redirect(url_for("support.documents", number=number), 303)


@blp.get("/agreements/<int:number>/payouts")
@readers
def agreement_payouts(number: int) -> Page:
    """Show what is in credit, the form to have it paid out, and earlier payouts."""
    return _payouts(looked_at(number), dict.fromkeys(_FIELDS, ""), {})


def _payouts(one: Agreement, values: Mapping[str, str], errors: Mapping[str, str]) -> Page:
    session = http.current_session()
    found = payout_queries.page(session, agreement_id=one.id, after=request.args.get("after") or None, limit=PAGE)
    balance = driven.balance_of(session, one.id)
    page = render_template(
        "support/agreement_payouts.html",
        agreement=one,
        credit_ore=credit.held(session, [one.id]).get(one.id, 0),
        below_ore=min(balance.unbilled_ore, 0) if balance else 0,
        rows=[(row, *state_word(row["state"])) for row in found.items],
        next=found.next,
        after=request.args.get("after"),
        once=values["once"] or secrets.token_urlsafe(18),
        values=values,
        errors=errors,
    )
    return (page, 422) if errors else page


@blp.post("/agreements/<int:number>/payouts")
@actors
def ask_payout(number: int) -> Page:
    """Ask for credit to be paid to the customer's account; a form that is sent twice does it once."""
    one = acted_on(number)
    session, now = http.current_session(), http.request_now()
    values = forms.given(*_FIELDS)
    amount = ore_of(values["amount"]) if values["amount"] else None
    if not values["reason"]:
        return _payouts(one, values, {"reason": forms.mistake("empty")})
    if values["amount"] and not amount:
        return _payouts(one, values, {"amount": words.t("Skriv et beløp over null.", "Write a sum above zero.")})
    key = f"payout:{number}:{values['once'][:100] or secrets.token_urlsafe(18)}"
    try:
        form = idempotency.begin_form(session, principal().key, key, now)
        if form is not None:
            _ask(one, amount, values, form)
    except (Invalid, Conflict) as problem:
        session.rollback()
        return _payouts(acted_on(number), values, mistakes(problem))
    return redirect(url_for("support.agreement_payouts", number=number), 303)


def _ask(one: Agreement, amount: int | None, values: Mapping[str, str], form: int) -> None:
    session, now = http.current_session(), http.request_now()
    row = payouts.request(
        session, one.id, amount_ore=amount, account=values["account"], reason=values["reason"][:LONGEST_REASON],
        actor=principal().key, now=now,
    )  # fmt: skip
    detail = {"payout": row.id, "amount_ore": row.amount_ore}
    trail.record(session, principal(), "payout.request", subject(one), now, row.reason, detail)
    idempotency.keep_form(session, form, {"payout": row.id})
    said = (
        words.t("Utbetalingen venter på at en leder godkjenner den.", "The payout waits for a lead to approve it.")
        if row.state == "requested"
        else words.t("Utbetalingen går med neste ordre til banken.", "The payout goes with the next order to the bank.")
    )
    flash(said, "good")


@blp.post("/agreements/<int:number>/credit-note")
@actors
def do_credit_note(number: int) -> Page:
    """Credit what is not billed and below zero now, without waiting for the monthly run."""
    one = acted_on(number)
    session, now = http.current_session(), http.request_now()
    reason = forms.given("reason")["reason"][:LONGEST_REASON]
    values = dict.fromkeys(_FIELDS, "") | {"reason": reason}
    if not reason:
        return _payouts(one, values, {"reason": forms.mistake("empty")})
    seller = seller_of(http.current_settings())
    made = credit_now(session, one.id, reason=reason, seller=seller, now=now, actor=principal().key)
    if made is None:
        flash(words.t("Det er ingenting å kreditere.", "There is nothing to credit."))
    else:
        trail.record(session, principal(), "agreement.credit_note", subject(one), now, reason, {"document": made})
        flash(words.t("Kreditnotaen er laget.", "The credit note is made."), "good")
    return redirect(url_for("support.agreement_payouts", number=number), 303)


_OUT = Leaving(
    endpoint="support.payout_list",
    states=payout_queries.UNDER_WAY,
    key="payout",
    shown=payout_queries.one,
    word=state_word,
    refusals=lambda: {
        "not-written": words.t("Banken har ikke fått filen ennå.", "The bank has not been given the file yet."),
        "payout-ordered": words.t("Banken har ordren; den kan ikke stanses.", "The bank has it; it cannot be stopped."),
    },
)


@blp.get("/payouts")
@readers
def payout_list() -> Page:
    """List the payouts that wait for a second person or for the bank, or all."""
    session, after = http.current_session(), request.args.get("after") or None
    state = _OUT.state()
    page = payout_queries.page(session, after=after, limit=PAGE, state=state)
    trail.looked_up(session, principal(), "payouts", http.request_now(), "list")
    return render_template(
        "support/payouts.html",
        rows=[(row, *state_word(row["state"])) for row in page.items],
        next=page.next,
        after=after,
        state=state or "all",
    )


@blp.post("/payouts/<int:payout_id>/approve")
@only("lead")
def approve_payout(payout_id: int) -> Page:
    """Approve a payout that somebody else asked for."""
    return _OUT.act(payout_id, "payout.approve", payouts.approve)


@blp.post("/payouts/<int:payout_id>/cancel")
@actors
def cancel_payout(payout_id: int) -> Page:
    """Stop a payout that the bank has not been told of."""
    return _OUT.act(payout_id, "payout.cancel", payouts.cancel)


@blp.post("/payouts/<int:payout_id>/outcome")
@only("accountant")
def payout_outcome(payout_id: int) -> Page:
    """Note what the bank said: paid under a reference, or refused and why."""
    values = forms.given("outcome", "reference")
    said = values["reference"]
    if not said or values["outcome"] not in ("paid", "rejected"):
        flash(words.t("Skriv bankens referanse eller grunn.", "Write the bank's reference or reason."), "bad")
        return _OUT.back()
    note = said[: payouts.LONGEST]
    if values["outcome"] == "paid":
        return _OUT.act(payout_id, "payout.paid", payouts.paid, note, reference=said)
    return _OUT.act(payout_id, "payout.rejected", payouts.rejected, note, why=said)
