"""Payments: those nobody knows the owner of, one of them, and placing it."""

from __future__ import annotations

from collections.abc import Mapping

from flask import flash, redirect, render_template, request, url_for

from accounts.access import trail
from accounts.access.principal import principal
from accounts.agreements.queries import by_number
from accounts.customers import desk as customers
from billing.claims.kid import AGREEMENT_DIGITS, INVOICE_DIGITS
from billing.claims.queries import locate, open_claims
from billing.claims.story import settled_by
from billing.payments import queries
from billing.payments.assign import assign
from config import http
from config.problems import Conflict, Invalid, NotFound, Problem
from web import words
from web.mypage import forms
from web.support.blueprint import Page, actors, blp, readers
from web.support.desk import Hit, judged, search

PAGE = 50
LONGEST_REASON = 300
SUGGESTED = 5


@blp.get("/payments")
@readers
def suspense() -> Page:
    """List the payments that wait to be placed."""
    session, after = http.current_session(), request.args.get("after") or None
    page = queries.page(session, after=after, limit=PAGE, state="suspense")
    count, ore = queries.waiting(session)
    trail.looked_up(session, principal(), "payments", http.request_now(), "list")
    return render_template(
        "support/suspense.html", rows=page.items, next=page.next, after=after, count=count, sum_ore=ore
    )


@blp.get("/payments/<int:payment_id>")
@readers
def payment(payment_id: int) -> Page:
    """Show one payment: what the bank said, what became of it; while it waits, the form to place it."""
    asked = {name: request.args.get(name, "")[:20] for name in ("agreement", "invoice")}
    return _page(payment_id, {**asked, "reason": ""}, {})


def _page(payment_id: int, values: Mapping[str, str], errors: Mapping[str, str]) -> Page:
    session = http.current_session()
    row = queries.one(session, payment_id)
    trail.looked_up(session, principal(), f"payment:{payment_id}", http.request_now())
    waits = row["state"] == "suspense" and row["amount_ore"] > 0
    source = "payment" if row["amount_ore"] > 0 else "reversal"
    page = render_template(
        "support/payment.html",
        row=row,
        settled=settled_by(session, source, payment_id),
        waits=waits,
        suggested=_suggested(row["kid"], row["amount_ore"]) if waits else (),
        values=values,
        errors=errors,
    )
    return (page, 422) if errors else page


def _suggested(kid: str | None, amount_ore: int) -> list[tuple[Hit, int | None]]:
    """Return agreements that a payment with a slip in its KID may be meant for, each with the invoice it may be of.

    The agreement's number and the invoice's are looked for where a KID of ours has them: one of them is often right.
    """
    session = http.current_session()
    digits = "".join(char for char in kid or "" if char.isascii() and char.isdigit())
    found: dict[int, int | None] = {}
    for part in dict.fromkeys((digits, digits[AGREEMENT_DIGITS : AGREEMENT_DIGITS + INVOICE_DIGITS])):
        claim = locate(session, part) if part else None
        if claim is not None:
            found.setdefault(claim.agreement_id, claim.number)
    for held in search(digits[:AGREEMENT_DIGITS]) if len(digits) >= AGREEMENT_DIGITS else ():
        found.setdefault(held.agreement.id, None)
    ids = list(found)[:SUGGESTED]
    for claim in open_claims(session, ids):
        if claim.open_ore == amount_ore:
            found[claim.agreement_id] = claim.number
    return [(hit, found[hit.held.agreement.id]) for hit in judged(list(customers.held(session, ids).values()))]


@blp.post("/payments/<int:payment_id>/assign")
@actors
def place(payment_id: int) -> Page:
    """Give the payment to an agreement, and perhaps an invoice of it."""
    session, now = http.current_session(), http.request_now()
    values = forms.given("agreement", "invoice", "reason")
    numbers = {name: "".join(values[name].split()) for name in ("agreement", "invoice")}
    errors = {
        name: words.t("Skriv nummeret med sifre.", "Write the number in digits.")
        for name, text in numbers.items()
        if (text or name == "agreement") and not (text.isascii() and text.isdigit() and len(text) <= 18)
    }
    if not values["reason"]:
        errors["reason"] = forms.mistake("empty")
    elif len(values["reason"]) > LONGEST_REASON:
        errors["reason"] = forms.mistake("too_long")
    if errors:
        return _page(payment_id, values, errors)
    try:
        agreement = by_number(session, int(numbers["agreement"]))
        claim = locate(session, numbers["invoice"]) if numbers["invoice"] else None
        if numbers["invoice"] and claim is None:
            raise Invalid("There is no such invoice.", errors=[{"field": "invoice", "code": "unknown"}])
        assign(session, payment_id, agreement.id, claim.claim_id if claim else None, now, principal().key)
    except (Invalid, NotFound, Conflict) as problem:
        session.rollback()
        return _page(payment_id, values, _mistake(problem))
    subject = f"agreement:{agreement.number}"
    detail = {"payment": payment_id, "invoice": claim.number if claim else None}
    trail.record(session, principal(), "payment.assign", subject, now, values["reason"], detail)
    flash(words.t("Innbetalingen er plassert.", "The payment is placed."), "good")
    return redirect(url_for("support.agreement", number=agreement.number), 303)


def _mistake(problem: Problem) -> dict[str, str]:
    if isinstance(problem, NotFound):
        return {"agreement": words.t("Det finnes ingen avtale med dette nummeret.", "No agreement has this number.")}
    if isinstance(problem, Invalid):
        return {
            "invoice": words.t("Avtalen har ingen faktura med dette nummeret.", "The agreement has no such invoice.")
        }
    return {
        forms.GENERAL: words.t(
            "Denne innbetalingen kan ikke plasseres lenger.", "This payment cannot be placed any more."
        )
    }
