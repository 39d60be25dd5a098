"""Something wrong with a passage: saying it, and what the operator answers."""

from __future__ import annotations

from collections.abc import Mapping

from flask import flash, redirect, render_template, url_for
from werkzeug.wrappers import Response

from accounts.access import trail
from accounts.access.principal import principal
from accounts.agreements.models import Agreement
from billing.passages import queries
from billing.passages.queries import Listed
from billing.roadside.complaints import queries as complaints
from billing.roadside.complaints.make import dispute
from billing.roadside.complaints.queries import Shown
from billing.roadside.complaints.rules import KINDS
from billing.roadside.complaints.withdraw import withdraw
from config import http
from config.problems import Conflict, Invalid
from web.mypage import explain, forms
from web.mypage.blueprint import blp, customers_only, own
from web.words import pick, t

Page = str | tuple[str, int] | Response

_KINDS: Mapping[str, tuple[str, str]] = {
    "wrong_vehicle": ("Det er ikke mitt kjøretøy", "It is not my vehicle"),
    "wrong_class": ("Feil kjøretøyklasse eller lengde", "Wrong vehicle class or length"),
    "not_there": ("Kjøretøyet var ikke der", "The vehicle was not there"),
    "double": ("Den er regnet to ganger", "It is counted twice"),
    "price": ("Prisen er feil", "The price is wrong"),
    "other": ("Noe annet", "Something else"),
}


def kinds() -> list[tuple[str, str]]:
    """Return what can be wrong with a passage, for a choice."""
    return [(kind, pick(_KINDS[kind])) for kind in KINDS]


def kind_word(kind: str) -> str:
    """Say what is wrong with a passage."""
    return pick(_KINDS[kind]) if kind in _KINDS else kind


def dispute_word(one: Shown) -> tuple[str, str]:
    """Return how a dispute stands in some words, and its tone."""
    if one.let_go_why == "withdrawn" and one.outcome is None:
        return t("Trukket tilbake", "Withdrawn"), ""
    if one.let_go_why is not None and one.outcome is None:
        return t("Operatøren har ikke svart", "The operator has not answered"), "warn"
    if one.open:
        return t("Til behandling hos operatøren", "With the operator"), "warn"
    if one.outcome == "rejected":
        return t("Operatøren: riktig som den står", "The operator: right as it is"), ""
    if one.correction is not None:
        return t("Rettet av operatøren", "Corrected by the operator"), "good"
    if one.outcome == "upheld":
        return t("Operatøren er enig, rettes", "The operator agrees, to be corrected"), "good"
    return t("Operatøren er delvis enig, rettes", "The operator agrees in part, to be corrected"), "good"


def can_dispute(row: Listed, last: Shown | None, *, again: bool = False) -> bool:
    """Say whether a passage can be disputed now; the last word has the verb. Once is enough, unless somebody of ours
    disputes it ``again``."""
    taken = row.external or row.taken_back is not None or row.reverses_id is not None
    return not taken and (last is None or (again and not last.open and not last.promised))


@blp.get("/<int:number>/passages/<int:passage_id>/dispute")
@customers_only
def dispute_passage(number: int, passage_id: int) -> Page:
    """Ask what is wrong with a passage; where that was said, show what came of it."""
    return form("mypage/dispute.html", own(number), passage_id, {"kind": "", "text": ""}, {})


def form(
    template: str, agreement: Agreement, passage_id: int, values: Mapping[str, str], errors: Mapping[str, str]
) -> Page:
    """Return the page of a passage's dispute. Raises NotFound."""
    session, now = http.current_session(), http.request_now()
    row = queries.one(session, agreement.id, passage_id)
    last = complaints.of_passages(session, [passage_id], now).get(passage_id)
    page = render_template(
        template,
        agreement=agreement,
        here="passages",
        row=row,
        fate=explain.fate(row),
        flags=explain.flags(row.flags),
        last=last,
        possible=can_dispute(row, last, again=principal().role != "customer"),
        kinds=[("", t("Velg …", "Choose …")), *kinds()],
        kind_word=kind_word,
        dispute_word=dispute_word,
        values=values,
        errors=errors,
    )
    return (page, 422) if errors else page


@blp.post("/<int:number>/passages/<int:passage_id>/dispute")
@customers_only
def do_dispute(number: int, passage_id: int) -> Page:
    """Dispute the passage."""
    agreement = own(number)
    refused = make(agreement, passage_id)
    if refused is not None:
        return form("mypage/dispute.html", own(number), passage_id, *refused)
    return redirect(url_for("mypage.dispute_passage", number=number, passage_id=passage_id), 303)


@blp.post("/<int:number>/disputes/<int:complaint>/withdrawal")
@customers_only
def withdraw_dispute(number: int, complaint: int) -> Page:
    """Withdraw a dispute that has not been answered."""
    session, now, who = http.current_session(), http.request_now(), principal()
    try:
        row, new = withdraw(session, own(number).id, complaint, now)
    except Conflict:
        session.rollback()
        flash(t("Operatøren har alt svart.", "The operator has already answered."), "bad")
        return redirect(url_for("mypage.passages", number=number), 303)
    if new:
        trail.record(session, who, "dispute.withdraw", f"agreement:{number}", now, detail={"complaint": row.id})
    flash(t("Innsigelsen er trukket tilbake.", "The dispute is withdrawn."), "good")
    return redirect(url_for("mypage.dispute_passage", number=number, passage_id=row.passage_id), 303)


def make(agreement: Agreement, passage_id: int) -> tuple[Mapping[str, str], Mapping[str, str]] | None:
    """Dispute a passage by the form that was sent, and say that it was done; return what was typed and what was wrong
    with it where it was not, with nothing changed."""
    session, now, who = http.current_session(), http.request_now(), principal()
    values = forms.given("kind", "text")
    try:
        made, new = dispute(
            session, agreement.id, passage_id, values["kind"], values["text"], actor=who.key, now=now,
            again=who.role != "customer",
        )  # fmt: skip
    except Invalid as problem:
        session.rollback()
        errors = forms.said(problem, values)
        if "kind" in errors:
            errors["kind"] = t("Velg hva som er galt.", "Choose what is wrong.")
        return values, errors
    except Conflict:
        session.rollback()
        return values, {forms.GENERAL: t("Denne passeringen kan ikke klages på nå.",
                                         "This passage cannot be disputed now.")}  # fmt: skip
    if new:
        detail = {"passage": passage_id, "complaint": made.id}
        trail.record(session, who, "passage.dispute", f"agreement:{agreement.number}", now, detail=detail)
    flash(t("Takk. Vi sender det til operatøren, og gir beskjed når de har svart.",
            "Thank you. We send it to the operator, and tell when they have answered."), "good")  # fmt: skip
    return None
