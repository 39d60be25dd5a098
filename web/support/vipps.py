"""Payments by Vipps on the desk: each with its story, refunds of them, and those that wait for a second person."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from flask import flash, redirect, render_template, request, url_for

from accounts.access import idempotency, trail
from accounts.access.principal import principal
from accounts.agreements.models import Agreement
from billing.claims import credit
from billing.invoices.reissue import LONGEST_REASON
from billing.payments.vipps import queries, refund
from config import http
from config.problems import Conflict, Invalid, NotFound
from web import words
from web.mypage import forms
from web.mypage.payouts import ore_of
from web.support.blueprint import Page, acted_on, actors, blp, looked_at, readers, subject
from web.support.leaving import Leaving

PAGE = 50
_FIELDS = ("reference", "amount", "reason", "once")

Line = tuple[dt.datetime, str]


def payment_word(state: str) -> tuple[str, str]:
    """Return how a payment stands in a word, and its tone."""
    return {
        "unknown": (words.t("Ikke svar fra Vipps", "No answer from Vipps"), "warn"),
        "created": (words.t("Venter på kunden", "Waits for the customer"), ""),
        "capturing": (words.t("Godkjent, trekkes", "Approved, being captured"), "warn"),
        "cancelling": (words.t("Frigis", "Being released"), "warn"),
        "captured": (words.t("Betalt", "Paid"), "good"),
        "cancelled": (words.t("Frigitt, ingenting trukket", "Released, nothing taken"), ""),
        "aborted": (words.t("Avbrutt av kunden", "Cancelled by the customer"), ""),
        "expired": (words.t("Utløpt", "Expired"), ""),
        "nothing": (words.t("Ble ikke laget", "Was never made"), ""),
    }[state]


def refund_word(state: str) -> tuple[str, str]:
    """Return how a refund stands in a word, and its tone."""
    return {
        "requested": (words.t("Venter på godkjenning", "Waits for approval"), "warn"),
        "approved": (words.t("Sendes til Vipps", "Goes to Vipps"), ""),
        "unknown": (words.t("Sendt, ikke bekreftet", "Sent, not confirmed"), "warn"),
        "succeeded": (words.t("Betalt tilbake", "Refunded"), "good"),
        "failed": (words.t("Gikk ikke; til gode igjen", "Failed; in credit again"), "bad"),
        "cancelled": (words.t("Stanset; til gode igjen", "Stopped; in credit again"), ""),
    }[state]


def story(row: Mapping[str, Any]) -> Sequence[Line]:
    """Tell what happened to a payment, in order."""
    begun = words.t(
        "Kunden begynte å betale {sum}.", "The customer began paying {sum}.", sum=words.kroner(row["amount_ore"])
    )
    lines = [(row["started_at"], begun)]
    if row["captured_at"] is not None:
        taken = words.t("{sum} trukket.", "{sum} captured.", sum=words.kroner(row["captured_ore"]))
        lines.append((row["captured_at"], taken))
    if row["ended_at"] is not None and row["state"] != "captured":
        lines.append((row["ended_at"], f"{payment_word(row['state'])[0]}."))
    if row["code"]:
        said = words.t("Vipps sa nei: {code}", "Vipps said no: {code}", code=row["code"])
        lines.append((row["ended_at"] or row["started_at"], said))
    return lines


def refusal(problem: Conflict | NotFound) -> str:
    """Say why something cannot be refunded."""
    extra, slug = problem.extra, problem.type.removeprefix("/problems/")
    if slug == "over-payment":
        return words.t("Det er {sum} igjen av betalingen.", "There is {sum} left of the payment.",
                       sum=words.kroner(int(extra["left_ore"])))  # fmt: skip
    if slug == "not-enough-credit":
        return words.t("Det er {sum} til gode.", "There is {sum} in credit.",
                       sum=words.kroner(int(extra["credit_ore"])))  # fmt: skip
    if slug == "credit-disputed":
        return words.t("Banken bestrider en betaling på avtalen. Av tilgodet kan {sum} gå ut til det er avgjort.",
                       "The bank disputes a payment of this agreement. {sum} of the credit may leave until that is "
                       "decided.", sum=words.kroner(int(extra["free_ore"])))  # fmt: skip
    if slug == "too-old":
        return words.t("Vipps betaler ikke tilbake etter et år. Utbetal til konto i stedet.",
                       "Vipps gives nothing back after a year. Pay it out to an account instead.")  # fmt: skip
    return words.t("Det går ikke slik den står nå.", "Not possible as it stands now.")


@blp.get("/agreements/<int:number>/vipps")
@readers
def agreement_vipps(number: int) -> Page:
    """Show an agreement's payments by Vipps, each with its story, and their refunds."""
    return _page(looked_at(number), dict.fromkeys(_FIELDS, ""), {})


def _page(one: Agreement, values: Mapping[str, str], errors: Mapping[str, str]) -> Page:
    session, after = http.current_session(), request.args.get("after") or None
    found = queries.payments(session, agreement_id=one.id, after=after, limit=PAGE)
    given = queries.refunds(session, agreement_id=one.id, after=None, limit=PAGE)
    page = render_template(
        "support/agreement_vipps.html",
        agreement=one,
        rows=[(row, *payment_word(row["state"]), story(row), queries.left(session, row["id"])) for row in found.items],
        refunds=[(row, *refund_word(row["state"])) for row in given.items],
        credit_ore=credit.held(session, [one.id]).get(one.id, 0),
        next=found.next,
        after=after,
        once=values["once"] or secrets.token_urlsafe(18),
        values=values,
        errors=errors,
    )
    return (page, 422) if errors else page


@blp.post("/agreements/<int:number>/vipps")
@actors
def ask_vipps_refund(number: int) -> Page:
    """Refund what is in credit to the payment that the form names; sent twice it is done once."""
    one = acted_on(number)
    session, now, who = http.current_session(), http.request_now(), principal()
    values = forms.given(*_FIELDS)
    errors = _wrong(values)
    if errors:
        return _page(one, values, errors)
    key = f"vipps_refund:{number}:{values['once'][:100] or secrets.token_urlsafe(18)}"
    try:
        form = idempotency.begin_form(session, who.key, key, now)
        if form is not None:
            _ask(one, values, form)
    except (Conflict, NotFound) as problem:
        session.rollback()
        return _page(acted_on(number), values, {forms.GENERAL: refusal(problem)})
    except Invalid as problem:
        session.rollback()
        return _page(acted_on(number), values, forms.said(problem, values))
    return redirect(url_for("support.agreement_vipps", number=number), 303)


def _wrong(values: Mapping[str, str]) -> dict[str, str]:
    if not values["reason"]:
        return {"reason": forms.mistake("empty")}
    if len(values["reason"]) > LONGEST_REASON:
        return {"reason": forms.mistake("too_long")}
    if values["amount"] and not ore_of(values["amount"]):
        return {"amount": words.t("Skriv et beløp over null.", "Write a sum above zero.")}
    return {}


def _ask(one: Agreement, values: Mapping[str, str], form: int) -> None:
    session, now, who = http.current_session(), http.request_now(), principal()
    if refund.of_reference(session, values["reference"][:100]).agreement_id != one.id:
        raise NotFound("There is no such payment.")
    amount = ore_of(values["amount"]) if values["amount"] else None
    made = refund.request(
        session, values["reference"], amount_ore=amount, reason=values["reason"], actor=who.key, now=now
    )
    detail = {"reference": values["reference"], "refund": made.id, "amount_ore": made.amount_ore}
    trail.record(session, who, "vipps_refund.request", subject(one), now, values["reason"], detail)
    idempotency.keep_form(session, form, {"refund": made.id})
    total = words.kroner(made.amount_ore)
    if made.state == "requested":
        said = words.t(
            "{sum} venter på at en annen godkjenner.", "{sum} waits for somebody else to approve.", sum=total
        )
    else:
        said = words.t("{sum} betales tilbake med Vipps.", "{sum} is refunded by Vipps.", sum=total)
    flash(said, "good")


_OUT = Leaving(
    endpoint="support.vipps_refunds",
    states=refund.WAITING,
    key="refund",
    shown=queries.refund,
    word=refund_word,
    refusals=lambda: {
        "refund-called": words.t("Den er alt sendt og kan ikke stanses.", "It is sent already and cannot be stopped."),
    },
)


@blp.get("/vipps-refunds")
@readers
def vipps_refunds() -> Page:
    """List the refunds that wait for a second person or for Vipps, or all."""
    session, after = http.current_session(), request.args.get("after") or None
    state = _OUT.state()
    page = queries.refunds(session, after=after, limit=PAGE, state=state)
    trail.looked_up(session, principal(), "vipps_refunds", http.request_now(), "list")
    return render_template(
        "support/vipps_refunds.html",
        rows=[(row, *refund_word(row["state"])) for row in page.items],
        next=page.next,
        after=after,
        state=state or "all",
    )


@blp.post("/vipps-refunds/<int:refund_id>/approve")
@actors
def approve_vipps_refund(refund_id: int) -> Page:
    """Approve a refund that somebody else asked for."""
    return _OUT.act(refund_id, "vipps_refund.approve", refund.approve)


@blp.post("/vipps-refunds/<int:refund_id>/cancel")
@actors
def cancel_vipps_refund(refund_id: int) -> Page:
    """Stop a refund that Vipps has not been asked for."""
    return _OUT.act(refund_id, "vipps_refund.cancel", refund.cancel)
