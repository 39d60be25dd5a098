"""One agreement on one screen: who, how it stands and why, what to do, what was sent, what was paid; and reopening."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from itertools import takewhile

from flask import Response, flash, redirect, render_template, request, url_for

from accounts.access import trail
from accounts.access.principal import principal
from accounts.agreements import queries as agreements
from accounts.agreements.models import Agreement
from accounts.chargers import queries as chargers
from accounts.customers import queries as customers
from accounts.customers.channel import mandates_of
from accounts.vehicles import queries as vehicles
from accounts.vehicles.models import Registration
from billing.cards import queries as cards
from billing.cards.queries import ChargeStory
from billing.claims.queries import OpenClaim
from billing.collection.reopen import reopen
from billing.delivery import desk as delivery
from billing.delivery.desk import Told
from billing.invoices import listed
from billing.invoices.render import pdf
from billing.invoices.words import brand
from billing.passages import mismatch
from billing.passages import queries as driven
from billing.passages.backlog import queries as backlog
from billing.payments import queries as payments
from billing.roadside.complaints import queries as complaints
from billing.roadside.lists.validity import knew
from config import http
from config.clock import business_date
from config.problems import Conflict, Invalid
from config.rates import whole
from web import channels, words
from web.mypage import explain, forms
from web.mypage.dispute import dispute_word, kind_word
from web.mypage.overview import next_billing, owed
from web.mypage.vehicles import Vehicle, additional, lasts, tags_in
from web.support import advice, story
from web.support.blueprint import Page, acted_on, actors, blp, looked_at, readers, subject
from web.support.words import contacts

RECENT_MAIL = 20
FEW_VEHICLES = 8
FEW_DISPUTES = 5


@blp.get("/agreements/<int:number>")
@readers
def agreement(number: int) -> Page:
    """Show everything about an agreement."""
    return _page(looked_at(number), {"channel": "phone", "note": ""}, {}, ())


def _page(
    one: Agreement, values: Mapping[str, str], errors: Mapping[str, str], due: Sequence[Mapping[str, object]]
) -> Page:
    session, now = http.current_session(), http.request_now()
    today = business_date(now)
    balance = driven.balance_of(session, one.id)
    card = cards.card_of(session, one.id)
    money = owed(one, balance)
    history = agreements.story(session, one)
    facts = _facts(one, history, money.overdue, money.open, money.on_card)
    family = [(other, _operator(other)) for other in _family(one) if other.id != one.id]
    stories = vehicles.tags(session, one.id)
    rows = [row for row in vehicles.registrations(session, [one.id]) if lasts(row, now)]
    events = story.story_of(one, history, now)
    every = "all" in request.args
    last = _last_charge(one)
    page = render_template(
        "support/agreement.html",
        agreement=one,
        customer=customers.by_id(session, one.customer_id),
        operator=_operator(one),
        family=family,
        advice=advice.advise(facts),
        owed=money,
        coming=next_billing(one, balance, card, today),
        backlog=backlog.lasting(session, one.id),
        card=card,
        last_charge=last,
        last_word=explain.charge_word(last) if last else None,
        last_steps=explain.charge_story(last, None) if last else (),
        vehicles=[Vehicle(row, tags_in(stories, row, now)) for row in rows[:FEW_VEHICLES]],
        vehicle_count=len(rows),
        additional=additional(one, [row for row in _additional(one) if lasts(row, now)]),
        settings=http.current_settings(),
        knew=knew(session, one.id, now),
        events=events if every else events[: story.SHOWN],
        hidden=0 if every else max(len(events) - story.SHOWN, 0),
        disputes=complaints.of_agreement(session, one.id, now, after=None, limit=FEW_DISPUTES).items,
        dispute_word=dispute_word,
        kind_word=kind_word,
        mismatches=mismatch.of_agreement(session, one.id, now - mismatch.SHOWN, FEW_DISPUTES),
        today=today,
        now=now,
        contacts=contacts(),
        **_invoiced(one, today),
        values=values,
        errors=errors,
        due=due,
    )
    return (page, 409 if due else 422) if errors else page


def _invoiced(one: Agreement, today: dt.date) -> dict[str, object]:
    """Return what is shown of how invoices come and are paid."""
    return {
        "mandates": mandates_of(http.current_session(), one.customer_id),
        "channel_name": channels.name,
        "ordinary_days": whole("invoice_term_days", today),
        "brand": brand,
    }


def _facts(
    one: Agreement,
    history: agreements.Story,
    overdue: Sequence[OpenClaim],
    opened: Sequence[OpenClaim],
    on_card: Sequence[OpenClaim],
) -> advice.Facts:
    session = http.current_session()
    sums = sorted({claim.open_ore for claim in overdue} | {sum(claim.open_ore for claim in overdue)} - {0})
    return advice.Facts(
        agreement=one,
        story=history,
        overdue=overdue,
        open=opened,
        on_card=on_card,
        candidates=payments.waiting_of(session, sums, 3) if sums else (),
        undelivered=_undelivered(delivery.told(session, one.id, RECENT_MAIL)),
        account=http.current_settings().bank_account,
        now=http.request_now(),
    )


def _operator(one: Agreement) -> str | None:
    """Return the name of a ferry agreement's operator."""
    return chargers.charger(http.current_session(), one.operator).name if one.operator else None


def _undelivered(told: Sequence[Told]) -> list[Told]:
    """Return the mail that did not arrive since the last that did."""
    since = takewhile(lambda mail: mail.state != "sent", told)
    return [mail for mail in since if mail.state == "failed"]


def _family(one: Agreement) -> Sequence[Agreement]:
    """Return the agreement and its relatives: the tag agreement and the ferry agreements additional to it."""
    session = http.current_session()
    root = agreements.by_id(session, one.parent_id) if one.parent_id else one
    return agreements.family(session, root)


def _additional(one: Agreement) -> Sequence[Registration]:
    return vehicles.registrations(
        http.current_session(), [other.id for other in agreements.family(http.current_session(), one)], additional=True
    )


def _last_charge(one: Agreement) -> ChargeStory | None:
    items = cards.charges_of(http.current_session(), one.id, after=None, limit=1).items
    return items[0] if items else None


@blp.post("/agreements/<int:number>/reopen")
@actors
def reopen_agreement(number: int) -> Page:
    """Reopen after everything due is paid; while something is, say what."""
    one = acted_on(number)
    session, now = http.current_session(), http.request_now()
    values = forms.given("channel", "note")
    try:
        done = reopen(session, number, values, now, principal().key)
    except Invalid:
        session.rollback()
        chosen = words.t("Velg hvordan kunden tok kontakt.", "Choose how the customer made contact.")
        return _page(acted_on(number), values, {"channel": chosen}, ())
    except Conflict as problem:
        session.rollback()
        return _page(acted_on(number), values, {forms.GENERAL: _refusal(problem)}, problem.extra.get("due") or ({},))
    if done.already:
        flash(words.t("Avtalen var alt gjenåpnet.", "The agreement had been reopened already."))
    else:
        detail = {"channel": values["channel"], "block": done.block_id}
        trail.record(session, principal(), "agreement.reopen", subject(one), now, values["note"] or None, detail)
        flash(words.t("Avtalen er gjenåpnet, og kunden får e-post.",
                      "The agreement is reopened, and the customer gets an e-mail."), "good")  # fmt: skip
    return redirect(url_for("support.agreement", number=number), 303)


def _refusal(problem: Conflict) -> str:
    """Say why it cannot be reopened."""
    slug = problem.type.removeprefix("/problems/")
    if slug == "still-due":
        return words.t(
            "Kan ikke gjenåpnes ennå: {sum} er forfalt og ikke betalt.",
            "Cannot be reopened yet: {sum} is overdue and not paid.",
            sum=words.kroner(int(problem.extra.get("open_ore", 0))),
        )
    if slug == "not-blocked":
        return words.t("Avtalen er ikke sperret.", "The agreement is not blocked.")
    return words.t("Avtalen er avsluttet. Opprett en ny.", "The agreement is closed. Make a new one.")


@blp.get("/agreements/<int:number>/documents/<int:document>.pdf")
@readers
def document_pdf(number: int, document: int) -> Response:
    """Return a document as it was sent."""
    one = looked_at(number, "look_up_document")
    session = http.current_session()
    document_id = listed.one(session, one.id, document).id
    session.commit()  # the look-up is kept, and nothing is held open while the page is made
    body = pdf(http.current_sessions(), document_id)
    name = f'inline; filename="brikke-{document}.pdf"'
    return Response(body, content_type="application/pdf", headers={"Content-Disposition": name})
