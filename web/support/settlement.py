"""Settlement with chargers: whether the days hold, what is owed, what was claimed, and the orders that pay it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flask import flash, redirect, render_template, request, url_for

from accounts.access import trail
from accounts.access.principal import principal
from billing.payments.pain001 import Debtor
from billing.roadside.files import gaps
from billing.roadside.reconcile import keep
from billing.roadside.settlement import order as orders
from billing.roadside.settlement import queries
from billing.roadside.settlement.agree import agree
from billing.roadside.settlement.claim import kinds
from billing.roadside.settlement.models import Settlement
from config import http
from config.problems import Invalid, Problem
from web.mypage import forms
from web.support.blueprint import Page, blp, only
from web.support.roadside_words import sort_word
from web.words import pick, t

SEERS = ("accountant", "lead", "operator")
KEEPERS = ("accountant", "lead")
PAGE, DAYS, BATCHES = 24, 40, 20
LONGEST_WHY, LONGEST_REFERENCE = 300, 64

_STATES: Mapping[str, tuple[str, str, str]] = {
    "draft": ("utkast", "draft", "warn"),
    "agreed": ("godkjent", "agreed", ""),
    "carried": ("overført", "carried", ""),
    "ordered": ("betaling bestilt", "payment ordered", ""),
    "paid": ("betalt", "paid", "good"),
    "waiting": ("venter på frigivelse", "waits to be released", "warn"),
    "released": ("frigitt", "released", ""),
    "written": ("sendt til banken", "sent to the bank", ""),
    "rejected": ("avvist av banken", "refused by the bank", "bad"),
    "withdrawn": ("trukket tilbake", "withdrawn", ""),
}
_KINDS: Mapping[str, tuple[str, str]] = {
    "missing_here": ("har ikke kommet til oss", "has not come to us"),
    "not_accepted": ("avvist av oss", "refused by us"),
    "amount_differs": ("annet beløp", "another sum"),
    "missing_there": ("ikke krevd", "not claimed"),
    "reversed_here": ("tilbakeført hos oss", "taken back here"),
    "other_period": ("hører til en annen periode", "of another period"),
    "claimed_twice": ("krevd to ganger", "claimed twice"),
}
_WHYS: Mapping[str, tuple[str, str]] = {
    "differences-unexplained": (
        "Kravet fra operatøren avviker. Skriv hvorfor oppgjøret står ved lag.",
        "The charger's claim differs. Say why the settlement stands.",
    ),
    "no-account": ("Operatøren mangler kontonummer.", "The charger has no bank account."),
    "second-person": (
        "Den som laget betalingen, kan ikke frigi den. Det må en annen gjøre.",
        "Who made the order cannot release it. Somebody else must.",
    ),
    "not-written": (
        "Banken har ikke fått filen ennå. Prøv igjen om litt.",
        "The bank has not been given the file yet. Try again shortly.",
    ),
    "account-changed": (
        "Kontonummeret er endret siden betalingen ble laget. Trekk den tilbake.",
        "The account has changed since the order was made. Withdraw it.",
    ),
}


def state_word(state: str) -> tuple[str, str]:
    """Say how a settlement or an order stands, and its tone."""
    found = _STATES.get(state)
    return (t(found[0], found[1]), found[2]) if found else (state, "")


def kind_word(kind: str) -> str:
    """Say how a claim differs."""
    return pick(_KINDS[kind]) if kind in _KINDS else kind


@blp.get("/settlement")
@only(*SEERS)
def settlement() -> Page:
    """Show the days that do not hold and the last ones, what is not finished, and the settlements."""
    session = http.current_session()
    after = request.args.get("after") or None
    page = http.paged(session, queries.settlements(), [Settlement.id], after=after, limit=PAGE, descending=True)
    return render_template(
        "support/settlements.html",
        days=keep.kept(session, limit=DAYS),
        unfinished=keep.unfinished(session, limit=BATCHES),
        gaps=gaps(session),
        rows=queries.shown(session, page.items),
        next=page.next,
        after=after,
        state_word=state_word,
        sort_word=sort_word,
    )


@blp.get("/settlement/<int:settlement_id>")
@only(*SEERS)
def one_settlement(settlement_id: int) -> Page:
    """Show a settlement, the claims for its days, its orders, and what may be done."""
    session = http.current_session()
    shown = queries.one(session, settlement_id)
    return render_template(
        "support/settlement.html",
        shown=shown,
        row=shown.row,
        claims=[(one.row, one.replaced, kinds(session, one.row.id)) for one in shown.claims],
        order=next((one for one in shown.orders if one.state not in orders.ENDED), None),
        keeps=principal().role in KEEPERS,
        state_word=state_word,
        kind_word=kind_word,
        values={"note": "", "why": "", "reference": "", "paid_on": ""},
        errors={},
    )


def _done(settlement_id: int, action: str, act: Callable[[], object], why: str | None = None) -> Page:
    """Do what a form asks for, and show the settlement again with what came of it."""
    session = http.current_session()
    try:
        act()
        trail.record(session, principal(), action, f"settlement:{settlement_id}", http.request_now(), why)
        flash(t("Det er gjort.", "It is done."), "good")
    except Problem as problem:
        session.rollback()
        said = _WHYS.get(problem.type.removeprefix("/problems/"))
        flash(pick(said) if said else forms.problem_sentence(problem), "bad")
    return redirect(url_for("support.one_settlement", settlement_id=settlement_id), 303)


def _given(name: str, longest: int) -> str:
    text = forms.given(name)[name]
    if not text or len(text) > longest:
        raise Invalid("It is empty or too long.", errors=[{"field": name, "code": "empty"}])
    return text


@blp.post("/settlement/<int:settlement_id>/agree")
@only(*KEEPERS)
def agree_settlement(settlement_id: int) -> Page:
    """Agree to it."""
    note = forms.given("note")["note"][:LONGEST_WHY] or None
    session, now, by = http.current_session(), http.request_now(), principal().key
    return _done(
        settlement_id, "settlement.agree", lambda: agree(session, settlement_id, note=note, actor=by, now=now), note
    )


@blp.post("/settlement/<int:settlement_id>/order")
@only(*KEEPERS)
def order_settlement(settlement_id: int) -> Page:
    """Make its payment order."""
    session, now, by = http.current_session(), http.request_now(), principal().key
    return _done(settlement_id, "settlement.order", lambda: orders.order(session, settlement_id, actor=by, now=now))


@blp.post("/settlement/<int:settlement_id>/orders/<int:order_id>/release")
@only("lead")
def release_order(settlement_id: int, order_id: int) -> Page:
    """Release the order."""
    session, now, by = http.current_session(), http.request_now(), principal().key
    us = Debtor.of(http.current_settings())
    return _done(
        settlement_id, "order.release", lambda: orders.release(session, order_id, debtor=us, actor=by, now=now)
    )


@blp.post("/settlement/<int:settlement_id>/orders/<int:order_id>/withdraw")
@only(*KEEPERS)
def withdraw_order(settlement_id: int, order_id: int) -> Page:
    """Take the order back."""
    session, now, by = http.current_session(), http.request_now(), principal().key

    def act() -> None:
        orders.withdraw(session, order_id, why=_given("why", LONGEST_WHY), actor=by, now=now)

    return _done(settlement_id, "order.withdraw", act, forms.given("why")["why"][:LONGEST_WHY])


@blp.post("/settlement/<int:settlement_id>/orders/<int:order_id>/rejected")
@only("accountant")
def rejected_order(settlement_id: int, order_id: int) -> Page:
    """Note that the bank refused it."""
    session, now, by = http.current_session(), http.request_now(), principal().key

    def act() -> None:
        orders.rejected(session, order_id, why=_given("why", LONGEST_WHY), actor=by, now=now)

    return _done(settlement_id, "order.rejected", act, forms.given("why")["why"][:LONGEST_WHY])


@blp.post("/settlement/<int:settlement_id>/orders/<int:order_id>/paid")
@only("accountant")
def paid_order(settlement_id: int, order_id: int) -> Page:
    """Note that the bank has paid it."""
    session, now, by = http.current_session(), http.request_now(), principal().key

    def act() -> None:
        day = forms.date_of(forms.given("paid_on")["paid_on"])
        if day is None:
            raise Invalid("Which day?", errors=[{"field": "paid_on", "code": "empty"}])
        orders.paid(session, order_id, reference=_given("reference", LONGEST_REFERENCE), paid_on=day, actor=by, now=now)

    return _done(settlement_id, "order.paid", act, forms.given("reference")["reference"][:LONGEST_REFERENCE])
