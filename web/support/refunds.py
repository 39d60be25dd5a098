"""Refunds to the card that paid: passages credited and refunded in one form, what waits, and what banks dispute."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping

from flask import flash, redirect, render_template, request, url_for

from accounts.access import idempotency, trail
from accounts.access.principal import principal
from accounts.agreements.models import Agreement
from billing.cards import refund, refund_queries
from billing.cards.models import Refund
from billing.cards.refund_queries import PaidCharge
from billing.claims import credit
from billing.invoices.reissue import LONGEST_REASON
from billing.invoices.seller import seller_of
from billing.invoices.words import brand
from config import http
from config.problems import Conflict, Invalid, NotFound
from web import words
from web.mypage import forms
from web.mypage.payouts import ore_of
from web.support.blueprint import Page, acted_on, actors, blp, looked_at, readers, subject
from web.support.leaving import Leaving

PAGE = 50
FEW_CHARGES = 12
MANY_PASSAGES = 500
_FIELDS = ("act", "amount", "reason", "once")


def state_word(state: str) -> tuple[str, str]:
    """Return how a refund stands in a word, and its tone."""
    return {
        "requested": (words.t("Venter på godkjenning", "Waits for approval"), "warn"),
        "approved": (words.t("Sendes til kortløsningen", "Goes to the card provider"), ""),
        "unknown": (words.t("Sendt, ikke bekreftet", "Sent, not confirmed"), "warn"),
        "succeeded": (words.t("Betalt tilbake", "Refunded"), "good"),
        "failed": (words.t("Gikk ikke; til gode igjen", "Failed; in credit again"), "bad"),
        "cancelled": (words.t("Stanset; til gode igjen", "Stopped; in credit again"), ""),
    }[state]


def dispute_word(state: str) -> tuple[str, str]:
    """Return how a dispute stands in a word, and its tone."""
    return {
        "opened": (words.t("Åpen", "Open"), "warn"),
        "won": (words.t("Vunnet", "Won"), "good"),
        "lost": (words.t("Tapt", "Lost"), "bad"),
    }[state]


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
    said = {
        "charge-disputed": words.t(
            "Banken bestrider betalingen. Vent til den er avgjort.", "The bank disputes the payment. Wait for the end."
        ),
        "charge-not-paid": words.t("Ingen kort har betalt dette trekket.", "No card has paid this charge."),
        "nothing-left": words.t("Alt er gitt tilbake alt.", "All of it is given back already."),
        "set-off-only": words.t(
            "Beløpet brukes på kommende fakturaer og betales ikke ut.",
            "The sum is used on coming invoices and is not paid out.",
        ),
    }
    return said.get(slug) or words.t("Det går ikke slik den står nå.", "Not possible as it stands now.")


@blp.get("/agreements/<int:number>/refunds")
@readers
def agreement_refunds(number: int) -> Page:
    """Show what cards paid, the passages of one charge to give back, and earlier refunds and disputes."""
    return _page(looked_at(number), dict.fromkeys(_FIELDS, ""), {}, ())


def _asked(one: Agreement) -> PaidCharge | None:
    """Return the charge that the address or the form names, however old; None where none is named.

    Raises NotFound for one that is not this agreement's, or that no card paid: another is never shown in its place.
    """
    asked = request.values.get("charge", "")
    if not asked:
        return None
    number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) <= 18 else 0
    found = refund_queries.paid_charges(http.current_session(), one.id, 1, charge_id=number)
    if not found:
        raise NotFound("No card has paid such a charge of this agreement.")
    return found[0]


def _charges(one: Agreement, asked: PaidCharge | None) -> list[PaidCharge]:
    """Return the last charges that cards paid, and the asked one after them where it is older."""
    last = refund_queries.paid_charges(http.current_session(), one.id, FEW_CHARGES)
    return last if asked is None or asked.id in {each.id for each in last} else [*last, asked]


def _page(one: Agreement, values: Mapping[str, str], errors: Mapping[str, str], ticked: Collection[str]) -> Page:
    session, after = http.current_session(), request.args.get("after") or None
    asked = _asked(one)
    charges = _charges(one, asked)
    chosen = asked or (charges[0] if charges else None)
    found = refund_queries.refunds(session, agreement_id=one.id, after=after, limit=PAGE)
    disputed = refund_queries.disputes(session, agreement_id=one.id, after=None, limit=PAGE).items
    page = render_template(
        "support/agreement_refunds.html",
        agreement=one,
        charges=charges,
        chosen=chosen,
        passages=refund_queries.passages(session, chosen.id, MANY_PASSAGES) if chosen and chosen.succeeded else (),
        credit_ore=credit.held(session, [one.id]).get(one.id, 0),
        rows=[(row, *state_word(row["state"])) for row in found.items],
        disputes=[(row, *dispute_word(row["state"])) for row in disputed],
        next=found.next,
        after=after,
        brand=brand,
        ticked=ticked,
        once=values["once"] or secrets.token_urlsafe(18),
        values=values,
        errors=errors,
    )
    return (page, 422) if errors else page


@blp.post("/agreements/<int:number>/refunds")
@actors
def ask_refund(number: int) -> Page:
    """Give passages of the charge that the form names back, or refund what is in credit; sent twice it is done once."""
    one = acted_on(number)
    session, now = http.current_session(), http.request_now()
    values, ticked = forms.given(*_FIELDS), request.form.getlist("passage")[:MANY_PASSAGES]
    chosen = _asked(one)
    errors = _wrong(values, ticked)
    if chosen is None or errors:
        return _page(one, values, errors or {"": refusal(Conflict("", slug="charge-not-paid"))}, ticked)
    key = f"card_refund:{number}:{values['once'][:100] or secrets.token_urlsafe(18)}"
    try:
        form = idempotency.begin_form(session, principal().key, key, now)
        if form is not None:
            _ask(one, chosen.id, values, ticked, form)
    except (Conflict, NotFound) as problem:
        session.rollback()
        return _page(acted_on(number), values, {forms.GENERAL: refusal(problem)}, ticked)
    except Invalid as problem:
        session.rollback()
        return _page(acted_on(number), values, forms.said(problem, values), ticked)
    return redirect(url_for("support.agreement_refunds", number=number, charge=chosen.id), 303)


def _wrong(values: Mapping[str, str], ticked: Collection[str]) -> dict[str, str]:
    """Say what is wrong with what was filled in."""
    if not values["reason"]:
        return {"reason": forms.mistake("empty")}
    if len(values["reason"]) > LONGEST_REASON:
        return {"reason": forms.mistake("too_long")}
    if values["act"] == "credit":
        if values["amount"] and not ore_of(values["amount"]):
            return {"amount": words.t("Skriv et beløp over null.", "Write a sum above zero.")}
    elif not ticked or not all(one.isascii() and one.isdigit() and len(one) <= 18 for one in ticked):
        return {"passage": words.t("Velg minst én passering.", "Choose at least one passage.")}
    return {}


def _ask(one: Agreement, charge: int, values: Mapping[str, str], ticked: Collection[str], form: int) -> None:
    session, now, who = http.current_session(), http.request_now(), principal().key
    detail: dict[str, object] = {"charge": charge}
    made: Refund | None
    waits = False
    if values["act"] == "credit":
        amount = ore_of(values["amount"]) if values["amount"] else None
        made = refund.request(session, charge, amount_ore=amount, reason=values["reason"], actor=who, now=now)
    else:
        seller = seller_of(http.current_settings())
        done = refund.give_back(
            session, charge, [int(one) for one in ticked], reason=values["reason"], seller=seller, actor=who, now=now
        )
        made, waits = done.refund, done.waits
        detail |= {"credit_note": done.reissued.credit_note, "passages": [int(one) for one in ticked]}
    detail |= {"refund": made.id if made else None, "amount_ore": made.amount_ore if made else 0}
    trail.record(session, principal(), "card_refund.request", subject(one), now, values["reason"], detail)
    idempotency.keep_form(session, form, {"refund": made.id if made else None})
    flash(_outcome(made, waits), "good")


def _outcome(made: Refund | None, waits: bool) -> str:
    if waits and made is None:
        return words.t("Passeringene er kreditert; beløpet står til gode til banken har avgjort en bestridt betaling.",
                       "The passages are credited; the sum stays in credit until the bank has decided a disputed "
                       "payment.")  # fmt: skip
    if made is None:
        return words.t("Passeringene er kreditert; beløpet er brukt på det som var ubetalt.",
                       "The passages are credited; the sum is used on what was unpaid.")  # fmt: skip
    total = words.kroner(made.amount_ore)
    if made.state == "requested":
        return words.t(
            "{sum} venter på at en annen godkjenner.", "{sum} waits for somebody else to approve.", sum=total
        )
    return words.t("{sum} betales tilbake til kortet.", "{sum} is refunded to the card.", sum=total)


_OUT = Leaving(
    endpoint="support.card_refunds",
    states=refund_queries.WAITING,
    key="refund",
    shown=refund_queries.refund,
    word=state_word,
    refusals=lambda: {
        "refund-called": words.t("Den er alt sendt og kan ikke stanses.", "It is sent already and cannot be stopped."),
    },
)


@blp.get("/card-refunds")
@readers
def card_refunds() -> Page:
    """List the refunds that wait for a second person or for the card provider, or all."""
    session, after = http.current_session(), request.args.get("after") or None
    state = _OUT.state()
    page = refund_queries.refunds(session, after=after, limit=PAGE, state=state)
    trail.looked_up(session, principal(), "card_refunds", http.request_now(), "list")
    return render_template(
        "support/card_refunds.html",
        rows=[(row, *state_word(row["state"])) for row in page.items],
        next=page.next,
        after=after,
        brand=brand,
        state=state or "all",
    )


@blp.post("/card-refunds/<int:refund_id>/approve")
@actors
def approve_refund(refund_id: int) -> Page:
    """Approve a refund that somebody else asked for."""
    return _OUT.act(refund_id, "card_refund.approve", refund.approve)


@blp.post("/card-refunds/<int:refund_id>/cancel")
@actors
def cancel_refund(refund_id: int) -> Page:
    """Stop a refund that the card provider has not been asked for."""
    return _OUT.act(refund_id, "card_refund.cancel", refund.cancel)


@blp.get("/card-disputes")
@readers
def card_disputes() -> Page:
    """List the payments that banks dispute: those that are open with the day by which they want an answer, or all."""
    session, after = http.current_session(), request.args.get("after") or None
    state = "opened" if request.args.get("state", "opened") == "opened" else None
    page = refund_queries.disputes(session, after=after, limit=PAGE, state=state)
    trail.looked_up(session, principal(), "card_disputes", http.request_now(), "list")
    return render_template(
        "support/card_disputes.html",
        rows=[(row, *dispute_word(row["state"])) for row in page.items],
        next=page.next,
        after=after,
        brand=brand,
        state=state or "all",
    )
