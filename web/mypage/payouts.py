"""What we owe the customer, paid to their bank account: how much there is, the form, what became of earlier ones."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from accounts.access import idempotency, trail
from accounts.access.principal import principal
from accounts.agreements.models import Agreement
from billing.claims import credit
from billing.payments import payout_queries
from billing.payments.payouts import request as ask_for
from config import http
from config.problems import Conflict, Invalid
from web import words
from web.mypage import forms
from web.mypage.blueprint import blp, customers_only, own

Page = str | tuple[str, int] | Response

PAGE = 20
_FIELDS = ("account", "amount", "once")


def state_word(state: str) -> tuple[str, str]:
    """Return how a payout stands in a word, and its tone."""
    return {
        "requested": (words.t("Venter på godkjenning", "Waits for approval"), "warn"),
        "approved": (words.t("Sendes til banken", "Goes to the bank"), ""),
        "ordered": (words.t("I banken", "With the bank"), ""),
        "paid": (words.t("Utbetalt", "Paid out"), "good"),
        "rejected": (words.t("Avvist av banken", "Refused by the bank"), "bad"),
        "cancelled": (words.t("Stanset", "Stopped"), ""),
    }[state]


def ore_of(text: str) -> int | None:
    """Return what was typed as kroner in øre: ``1 234,50``; None for what is no sum."""
    bare = "".join(text.split()).replace("\u00a0", "").replace(",", ".")
    whole, _, rest = bare.partition(".")
    if not (whole.isascii() and whole.isdigit() and len(whole) <= 12 and len(rest) <= 2):
        return None
    if rest and not (rest.isascii() and rest.isdigit()):
        return None
    return int(whole) * 100 + int(rest.ljust(2, "0"))


def mistakes(problem: Invalid | Conflict) -> dict[str, str]:
    """Say on the form why a payout cannot be asked for."""
    slug = problem.type.removeprefix("/problems/")
    if slug == "not-enough-credit":
        there = words.kroner(int(problem.extra["credit_ore"]))
        return {"amount": words.t("Det er {sum} til gode.", "There is {sum} in credit.", sum=there)}
    if slug == "credit-disputed":
        free = words.kroner(int(problem.extra["free_ore"]))
        waits = words.t(
            "Banken bestrider en kortbetaling. Til det er avgjort, kan {sum} betales ut.",
            "The bank disputes a card payment. Until that is decided {sum} can be paid out.",
            sum=free,
        )
        return {"amount": waits}
    if slug == "set-off-only":
        only = words.t("Beløpet brukes på kommende fakturaer og betales ikke ut.",
                       "The sum is used on coming invoices and is not paid out.")  # fmt: skip
        return {forms.GENERAL: only}
    if isinstance(problem, Conflict):
        return {forms.GENERAL: words.t("Dette er alt under arbeid. Prøv igjen.", "This is under way. Try again.")}
    if any(error.get("field") == "account" for error in problem.errors):
        wrong = words.t(
            "Skriv et norsk kontonummer med elleve sifre.", "Write a Norwegian account number of 11 digits."
        )
        return {"account": wrong}
    return {"amount": words.t("Skriv et beløp over null.", "Write a sum above zero.")}


@blp.get("/<int:number>/payout")
@customers_only
def payout(number: int) -> Page:
    """Show what is in credit, the form to have it paid out, and earlier payouts."""
    return _page(own(number), {"account": "", "amount": "", "once": ""}, {})


def _page(agreement: Agreement, values: Mapping[str, str], errors: Mapping[str, str]) -> Page:
    session = http.current_session()
    found = payout_queries.page(session, agreement_id=agreement.id, after=request.args.get("after"), limit=PAGE)
    page = render_template(
        "mypage/payout.html",
        agreement=agreement,
        here="invoices",
        credit_ore=credit.held(session, [agreement.id]).get(agreement.id, 0),
        rows=[(row, *state_word(row["state"])) for row in found.items],
        once=values["once"] or secrets.token_urlsafe(18),
        values=values,
        errors=errors,
    )
    return (page, 422) if errors else page


@blp.post("/<int:number>/payout")
@customers_only
def request_payout(number: int) -> Page:
    """Have credit paid out; a form that is sent twice does it once."""
    agreement = own(number)
    session, now = http.current_session(), http.request_now()
    values = forms.given(*_FIELDS)
    amount = ore_of(values["amount"]) if values["amount"] else None
    if values["amount"] and not amount:
        return _page(agreement, values, {"amount": words.t("Skriv et beløp over null.", "Write a sum above zero.")})
    key = f"payout:{number}:{values['once'][:100] or secrets.token_urlsafe(18)}"
    try:
        form = idempotency.begin_form(session, principal().key, key, now)
        if form is not None:
            row = ask_for(
                session, agreement.id, amount_ore=amount, account=values["account"], reason=None,
                actor=principal().key, now=now,
            )  # fmt: skip
            detail = {"payout": row.id, "amount_ore": row.amount_ore}
            trail.record(session, principal(), "payout.request", f"agreement:{number}", now, None, detail)
            idempotency.keep_form(session, form, {"payout": row.id})
    except (Invalid, Conflict) as problem:
        session.rollback()
        return _page(own(number), values, mistakes(problem))
    flash(
        words.t(
            "Utbetalingen er bestilt. Du får e-post når den er på vei.",
            "The payout is ordered. You get an e-mail when it is on its way.",
        ),
        "good",
    )
    return redirect(url_for("mypage.payout", number=number), 303)
