"""An agreement's cards, and every charge with its story: what was tried, what came of it, who did what; and acting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask import flash, redirect, render_template, request, url_for

from accounts.access import trail
from accounts.access.models import TrailEntry
from accounts.access.principal import principal
from accounts.access.queries import acts as acts_of
from accounts.agreements.models import Agreement
from billing.cards import acts, queries
from billing.cards.acts import LONGEST_REASON
from billing.cards.cards import SEGMENTS
from billing.cards.models import Card
from billing.cards.page_ended import end_page
from billing.cards.queries import ChargeStory
from billing.invoices import listed
from billing.invoices.seller import seller_of
from billing.invoices.words import brand
from billing.passages import queries as driven
from config import http
from config.problems import Conflict, NotFound, Unavailable
from web import words
from web.mypage import explain, forms
from web.support.blueprint import Page, acted_on, actors, blp, looked_at, readers, subject
from web.support.card_words import attempt_word, card_facts, refusal, refused_word, segment_word
from web.support.words import action_word, actor

PAGE = 20
ACTIONS = ("charge.retry", "charge.cancel", "charge.card", "charge.invoice", "charge.now")
MANY = 200
FIELDS = ("act", "reason", "segment", "card", "instead", "by_mail")


@dataclass(frozen=True)
class Shown:
    """A charge as the page shows it: its story, word and steps (with who did what), its document's number, what may be
    done."""

    story: ChargeStory
    word: tuple[str, str]
    steps: Sequence[explain.Step]
    number: int | None
    choices: Sequence[tuple[str, str]]


@blp.get("/agreements/<int:number>/cards")
@readers
def cards(number: int) -> Page:
    """Show the cards, and the charges with all that was tried."""
    return page(looked_at(number), dict.fromkeys(FIELDS, ""), {})


def page(one: Agreement, values: Mapping[str, str], errors: Mapping[str, str], about: str = "") -> Page:
    """Return the page; ``errors`` stand in the form that ``about`` names (``charge-7``, ``card-3``, ``now`` …)."""
    session, after = http.current_session(), request.args.get("after") or None
    held, opened = queries.cards_of(session, one.id), queries.open_charge(session, one.id)
    usable = [card for card in held if card.refused_code is None]
    found = queries.charges_of(session, one.id, after=after, limit=PAGE)
    numbers = listed.numbers(session, [story.charge.claim_id for story in found.items if story.charge.claim_id])
    done = acts_of(session, subject(one), ACTIONS, MANY)
    balance = driven.balance_of(session, one.id)
    shown = render_template(
        "support/cards.html",
        agreement=one,
        cards=held,
        every_card=queries.named(session, one.id),
        charges=[_shown(story, numbers, done, held) for story in found.items],
        next=found.next,
        after=after,
        unbilled_ore=balance.unbilled_ore if balance else 0,
        opened=opened,
        trying=opened is not None and opened.state == "claimed",
        only_way=usable[0].id if len(usable) == 1 else None,
        works=any(card.is_default for card in usable),
        brand=brand,
        facts=card_facts,
        attempt_word=attempt_word,
        refused_word=refused_word,
        segments=[(name, segment_word(name)) for name in SEGMENTS],
        segment_word=segment_word,
        values=values,
        errors=errors,
        about=about,
    )
    return (shown, 422 if forms.GENERAL not in errors else 409) if errors else shown


def _shown(story: ChargeStory, numbers: Mapping[int, int], done: Sequence[TrailEntry], held: Sequence[Card]) -> Shown:
    charge = story.charge
    number = numbers.get(charge.claim_id or 0)
    ours = [_act(one) for one in done if one.detail.get("charge") == charge.id]
    return Shown(
        story=story,
        word=explain.charge_word(story),
        steps=sorted([*explain.charge_story(story, number), *ours], key=lambda step: step.at),
        number=number,
        choices=_choices(story, held),
    )


def _act(entry: TrailEntry) -> explain.Step:
    """Say who of ours did what to a charge, and why."""
    who, what = actor(f"{entry.role}:{entry.actor}"), action_word(entry.action)
    text = f"{who} {what}" + (f": «{entry.reason}»" if entry.reason else ".")
    return explain.Step(entry.at, text[:1].upper() + text[1:])


def _choices(story: ChargeStory, held: Sequence[Card]) -> list[tuple[str, str]]:
    """Return what an agent may do with a charge: (what the form sends, its words)."""
    charge = story.charge
    if charge.state not in ("due", "claimed"):
        return []
    found = [("retry", words.t("Prøv nå", "Try now"))]
    for card in held:
        if card.refused_code is None and not (
            card.id == charge.card_id or (charge.card_id is None and card.is_default)
        ):
            text = words.t("Ta det på {card}", "Take it by {card}", card=f"{brand(card.brand)} •••• {card.last4}")
            found.append((f"card:{card.id}", text))
    found.append(("invoice", words.t("Legg det på faktura", "Put it on an invoice")))
    if charge.state == "due":
        found.append(("cancel", words.t("Stopp trekket", "Call it off")))
    return found


def reason_missing(values: Mapping[str, str]) -> dict[str, str]:
    """Return what is wrong with the reason that was typed, under its field; empty where nothing is."""
    if not values["reason"]:
        return {"reason": forms.mistake("empty")}
    return {"reason": forms.mistake("too_long")} if len(values["reason"]) > LONGEST_REASON else {}


@blp.post("/agreements/<int:number>/charges/<int:charge_id>")
@actors
def act_on_charge(number: int, charge_id: int) -> Page:
    """Do with a charge what was chosen; the reason is in the trail."""
    one, values, about = acted_on(number), forms.given(*FIELDS), f"charge-{charge_id}"
    session, now = http.current_session(), http.request_now()
    if queries.agreement_of(session, charge_id) != one.id:
        raise NotFound("There is no such charge on this agreement.")
    errors = reason_missing(values)
    act, _, card = values["act"].partition(":")
    if act not in ("retry", "cancel", "invoice", "card") or (act == "card") != card.isdecimal() or len(card) > 18:
        errors["act"] = words.t("Velg hva som skal gjøres.", "Choose what is to be done.")
    if errors:
        return page(one, values, errors, about)
    detail: dict[str, int] = {"charge": charge_id}
    try:
        if act in ("invoice", "card"):
            end_page(one.id)
        if act == "retry":
            acts.retry(session, charge_id, now=now)
        elif act == "cancel":
            acts.cancel(session, charge_id, now=now)
        elif act == "card":
            detail["card"] = int(card)
            acts.by_card(session, charge_id, int(card), now=now)
        else:
            acts.to_invoice(session, charge_id, seller=seller_of(http.current_settings()), now=now)
    except (Conflict, Unavailable) as refused:
        session.rollback()
        return page(acted_on(number), values, {forms.GENERAL: refusal(refused)}, about)
    trail.record(session, principal(), f"charge.{act}", subject(one), now, values["reason"], detail)
    flash(_said(act), "good")
    return redirect(url_for("support.cards", number=number), 303)


def _said(act: str) -> str:
    return {
        "retry": words.t("Trekket prøves nå.", "The charge is tried now."),
        "card": words.t("Trekket prøves nå på kortet du valgte.", "The charge is tried now on the card you chose."),
        "invoice": words.t("Trekket er lagt på faktura.", "The charge is on an invoice."),
        "cancel": words.t(
            "Trekket er stoppet. Summen vurderes på nytt i morgen.",
            "The charge is called off. The sum is looked at anew tomorrow.",
        ),
    }[act]


@blp.post("/agreements/<int:number>/charges/now")
@actors
def charge_now(number: int) -> Page:
    """Have what is not billed charged now."""
    one, values = acted_on(number), forms.given(*FIELDS)
    session, now = http.current_session(), http.request_now()
    errors = reason_missing(values)
    if errors:
        return page(one, values, errors, "now")
    try:
        charge = acts.charge_now(session, one.id, card_id=None, now=now)
    except Conflict as conflict:
        session.rollback()
        return page(acted_on(number), values, {forms.GENERAL: refusal(conflict)}, "now")
    trail.record(session, principal(), "charge.now", subject(one), now, values["reason"], {"charge": charge.id})
    flash(words.t("Kortet trekkes nå.", "The card is being charged."), "good")
    return redirect(url_for("support.cards", number=number), 303)
