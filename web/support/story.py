"""The story of an agreement: everything that happened, one timeline, newest first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import url_for

from accounts.agreements.models import Agreement, Block, StandingChange
from accounts.agreements.queries import Story
from accounts.vehicles.story import Taken, removals
from billing.cards.queries import ChargeStory, charges_of
from billing.claims.models import CreditEntry
from billing.claims.story import Settled, credit_entries, settled
from billing.delivery import desk as delivery
from billing.delivery.desk import Told
from billing.invoices import listed
from billing.passages.backlog import queries as backlog
from billing.passages.backlog.models import Backlog
from billing.passages.mass import queries as mass
from billing.passages.story import TakenBack, taken_back
from billing.payments import queries as payments
from billing.roadside.complaints import queries as complaints
from billing.roadside.complaints.queries import Shown
from config import http
from web.mypage import explain
from web.mypage.dispute import dispute_word, kind_word
from web.support.words import actor, contact_word, delivery_sentence, why_in_suspense
from web.words import clock, day, kroner, plate, t

EACH = 60
"""Of every kind of event so many of the last are looked at."""
SHOWN = 40


@dataclass(frozen=True)
class Event:
    """One line: when, what kind (for its sign), the sentence, how it went, lines under it, where it leads, and the
    delivery that may be sent again."""

    at: dt.datetime
    kind: str
    text: str
    tone: str = ""
    lines: Sequence[str] = field(default_factory=list)
    link: str = ""
    link_text: str = ""
    again: int | None = None


def story_of(agreement: Agreement, standing: Story, now: dt.datetime) -> list[Event]:
    """Return the events of an agreement, newest first. Of one instant what followed stands above what it followed
    from: each list below comes newest first, and the lists in that order."""
    session = http.current_session()
    documents = listed.listed(session, agreement.id, after=None, limit=EACH).items
    charges = charges_of(session, agreement.id, after=None, limit=EACH).items
    numbers = listed.numbers(session, [one.charge.claim_id for one in charges if one.charge.claim_id])
    money = settled(session, agreement.id, EACH)
    disputes = complaints.of_agreement(session, agreement.id, now, after=None, limit=EACH).items
    events = [
        *_standings(standing),
        *(_document(row, agreement.number) for row in documents),
        *(_told(one) for one in delivery.told(session, agreement.id, EACH)),
        *_payments(payments.page(session, after=None, limit=EACH, agreement_id=agreement.id).items, money),
        *_settlements(money),
        *_credit(credit_entries(session, agreement.id, EACH)),
        *(event for one in charges for event in _charge(one, numbers, now)),
        *(_removal(one) for one in removals(session, [agreement.id], EACH)),
        *_taken_back(taken_back(session, agreement.id, EACH)),
        *(_mass(one) for one in mass.of_agreement(session, agreement.id, EACH)),
        *_backlogs(backlog.history(session, agreement.id, EACH)),
        *(event for one in disputes for event in _disputed(one, agreement.number)),
    ]
    return sorted(events, key=lambda event: event.at, reverse=True)


def _standings(story: Story) -> list[Event]:
    return [_standing(one, story.blocks) for one in reversed(story.changes)]


def _standing(change: StandingChange, blocks: Sequence[Block]) -> Event:
    who = actor(change.actor)
    lines: list[str] = []
    if change.reason == "reopened":
        ended = next((one for one in blocks if one.ending == "reopened" and one.ended_at == change.at), None)
        if ended is not None and ended.contact:
            note = ended.contact.get("note")
            lines.append(contact_word(ended.contact.get("channel", "")) + (f": «{note}»" if note else ""))
        return Event(change.at, "standing", t("Gjenåpnet av {who}.", "Reopened by {who}.", who=who), "good", lines)
    text, tone = {
        "opened": (t("Avtalen ble opprettet.", "The agreement was made."), ""),
        "overdue": (t("Sperret: ubetalt etter forfall.", "Blocked: unpaid past the due date."), "bad"),
        "paid": (t("Alt forfalt er betalt: venter på gjenåpning.", "All that is due is paid: waits to be reopened."),
                 "warn"),
        "paid_in_time": (t("Åpnet av seg selv: betalingen var i tide.", "Opened by itself: the payment was in time."),
                         "good"),
        "closed": (t("Avtalen ble avsluttet av {who}.", "The agreement was closed by {who}.", who=who), ""),
    }.get(change.reason, (standing_word(change.standing), ""))  # fmt: skip
    if change.reason not in ("paid_in_time", "reopened") and change.standing == "blocked":
        tone = "bad"
    return Event(change.at, "standing", text, tone, lines)


def standing_word(standing: str) -> str:
    """Say a standing."""
    return {
        "open": t("Åpen", "Open"),
        "blocked": t("Sperret", "Blocked"),
        "awaiting_reopen": t("Venter på gjenåpning", "Waiting to be reopened"),
        "closed": t("Avsluttet", "Closed"),
    }.get(standing, standing)


def _document(row: Any, number: int) -> Event:
    link = url_for("support.document_pdf", number=number, document=row.number)
    total = kroner(row.total_ore)
    if row.kind == "credit_note":
        total = kroner(-row.total_ore)
        text = t("Kreditnota {number} på {sum}.", "Credit note {number} of {sum}.", number=row.number, sum=total)
    elif row.paid_by:
        text = t("Kvittering {number} på {sum}, betalt med kort.", "Receipt {number} of {sum}, paid by card.",
                 number=row.number, sum=total)  # fmt: skip
    else:
        text = t("Faktura {number} på {sum}, forfall {due}.", "Invoice {number} of {sum}, due {due}.",
                 number=row.number, sum=total, due=day(row.due_on))  # fmt: skip
    lines = [t(nb, en, number=number) for nb, en, number in (
        ("Krediterer {number}", "Credits {number}", row.credits),
        ("Kreditert med kreditnota {number}", "Credited by credit note {number}", row.credited_by),
        ("Kommer i stedet for {number}", "Takes the place of {number}", row.replaces),
    ) if number]  # fmt: skip
    if row.credit_used_ore:
        lines.append(t("Tilgodehavende brukt: {sum}", "Credit used: {sum}", sum=kroner(row.credit_used_ore)))
    return Event(row.made_at, "document", text, "", lines, link, "PDF")


def _told(one: Told) -> Event:
    text, tone = delivery_sentence(one)
    link = url_for("support.delivery", delivery_id=one.delivery_id) if one.delivery_id else ""
    again = one.delivery_id if one.repeatable else None
    return Event(one.at, "mail", text, tone, [], link, t("som sendt", "as sent") if link else "", again)


def _payments(rows: Sequence[Mapping[str, Any]], money: Sequence[Settled]) -> list[Event]:
    events = []
    for row in rows:
        into = [one for one in money if one.source in ("payment", "reversal") and one.source_id == row["id"]]
        lines = [_into(one) for one in into]
        booked = day(row["received_at"])
        if row["amount_ore"] < 0:
            text, tone = (
                t("Banken tok {sum} tilbake, valutert {value}.", "The bank took {sum} back, value date {value}.",
                  sum=kroner(-row["amount_ore"]), value=day(row["value_date"])), "bad",
            )  # fmt: skip
        else:
            text, tone = (
                t("Innbetalt {sum}, valutert {value}, bokført {booked}.",
                  "Paid {sum}, value date {value}, booked {booked}.",
                  sum=kroner(row["amount_ore"]), value=day(row["value_date"]), booked=booked), "good",
            )  # fmt: skip
        if row["why"]:
            lines.append(t("Kom uten eier: {why}", "Came without owner: {why}", why=why_in_suspense(row["why"])))
        link = url_for("support.payment", payment_id=row["id"])
        events.append(Event(row["received_at"], "payment", text, tone, lines, link, t("betalingen", "the payment")))
    return events


def _into(one: Settled) -> str:
    if one.source == "released":
        return t("{sum} fra faktura {number}", "{sum} from invoice {number}", sum=kroner(-one.amount_ore),
                 number=one.number or "–")  # fmt: skip
    if one.amount_ore < 0:
        return t("{sum} er åpent igjen på faktura {number}", "{sum} is open again on invoice {number}",
                 sum=kroner(-one.amount_ore), number=one.number or "–")  # fmt: skip
    return t("{sum} på faktura {number}", "{sum} on invoice {number}", sum=kroner(one.amount_ore),
             number=one.number or "–")  # fmt: skip


def _settlements(money: Sequence[Settled]) -> list[Event]:
    """Credit used and remainders written off; payments and charges tell of their own."""
    return [
        Event(one.at, "money", f"{explain.source(one.source)}: {_into(one)}.")
        for one in money
        if one.source in ("credit", "write_off", "released", "dispute", "vipps")
    ]


def _credit(entries: Sequence[CreditEntry]) -> list[Event]:
    texts = {
        "overpaid": t("For mye betalt: {sum} til gode.", "Paid too much: {sum} in credit.", sum="{sum}"),
        "assigned": t("Plassert av oss: {sum} til gode.", "Placed by us: {sum} in credit.", sum="{sum}"),
        "card_extra": t(
            "Kortet betalte det som var gjort opp på annen måte: {sum} til gode.",
            "The card paid what had been settled another way: {sum} in credit.",
            sum="{sum}",
        ),
        "reversed": t("{sum} av tilgodehavendet falt bort.", "{sum} of the credit fell away.", sum="{sum}"),
        "credit_note": t("Kreditnota: {sum} til gode.", "Credit note: {sum} in credit.", sum="{sum}"),
        "payout": t("{sum} satt av til utbetaling.", "{sum} set aside to be paid out.", sum="{sum}"),
        "payout_back": t("Ikke utbetalt: {sum} til gode igjen.", "Not paid out: {sum} in credit again.", sum="{sum}"),
        "card_refund": t(
            "{sum} satt av til å betales tilbake til kortet.",
            "{sum} set aside to be refunded to the card.",
            sum="{sum}",
        ),
        "card_refund_back": t(
            "Ikke betalt tilbake til kortet: {sum} til gode igjen.",
            "Not refunded to the card: {sum} in credit again.",
            sum="{sum}",
        ),
        "vipps_extra": t(
            "Vipps-betaling av det som var gjort opp på annen måte: {sum} til gode.",
            "A Vipps payment of what had been settled another way: {sum} in credit.",
            sum="{sum}",
        ),
        "vipps_refund": t(
            "{sum} satt av til å betales tilbake med Vipps.",
            "{sum} set aside to be refunded by Vipps.",
            sum="{sum}",
        ),
        "vipps_refund_back": t(
            "Ikke betalt tilbake med Vipps: {sum} til gode igjen.",
            "Not refunded by Vipps: {sum} in credit again.",
            sum="{sum}",
        ),
        "dispute": t(
            "Kortets bank tok tilbake {sum} som var til gode.",
            "The card's bank took back {sum} that was in credit.",
            sum="{sum}",
        ),
    }
    return [
        Event(one.at, "money", texts[one.code].format(sum=kroner(abs(one.amount_ore))))
        for one in entries
        if one.code in texts
    ]


def _charge(one: ChargeStory, numbers: Mapping[int, int], now: dt.datetime) -> list[Event]:
    invoice = numbers.get(one.charge.claim_id or 0)
    return [
        Event(step.at, "card", f"{t('Kort', 'Card')}: {step.text[:1].lower()}{step.text[1:]}", step.tone)
        for step in reversed(explain.charge_story(one, invoice))
        if step.at <= now
    ]


def _removal(one: Taken) -> Event:
    row, of = one.removal, one.registration
    name = plate(of.plate, of.country) if of.plate else t("brikken", "the tag")
    lines = [f"«{row.reason}»"] if row.reason else []
    if row.ends_at < row.requested_at and row.moved_at is None:
        lines.append(t("Passeringene flyttes snart.", "The passages are moved soon."))
    text = t(
        "{plate} fjernet fra {when} av {who}.", "{plate} removed from {when} by {who}.",
        plate=name, when=f"{day(row.ends_at)} {clock(row.ends_at)}", who=actor(row.actor),
    )  # fmt: skip
    return Event(row.requested_at, "vehicle", text, "", lines)


_BY_CHARGER = ("cancelled", "adjusted", "uncredited")


def _corrected(row: TakenBack) -> Event:
    """Say what a charger's correction did; its reason is the correction's record."""
    values = {"where": row.station, "when": day(row.passed_at), "sum": kroner(abs(row.amount_ore))}
    if row.cause == "cancelled":
        text = t("Operatøren trakk tilbake en passering: {where} {when}, {sum}.",
                 "The operator withdrew a passage: {where} {when}, {sum}.", **values)  # fmt: skip
    elif row.cause == "adjusted":
        text = t("Operatøren rettet en passering: {where} {when}, {sum} falt bort.",
                 "The operator corrected a passage: {where} {when}, {sum} fell away.", **values)  # fmt: skip
    else:
        text = t("Kreditering avløst av operatørens rettelse: {where} {when}, {sum}.",
                 "A crediting gave way to the operator's correction: {where} {when}, {sum}.", **values)  # fmt: skip
    record = t("Rettelse {id}", "Correction {id}", id=row.reason) if row.reason else ""
    return Event(row.at, "vehicle", text, "", [record] if record else [])


def _disputed(one: Shown, number: int) -> list[Event]:
    """A dispute, and its answer."""
    link = url_for("support.dispute_form", number=number, passage_id=one.passage)
    text = t(
        "Innsigelse mot en passering: {what}.", "A passage was disputed: {what}.", what=kind_word(one.kind).lower()
    )
    events = [Event(one.made_at, "vehicle", text, "", [f"«{one.text}»"] if one.text else [], link, t("se", "see"))]
    if one.answered_at is not None:
        word = dispute_word(one)
        said = f"{one.charger_name}: {word[0]}."
        events.append(Event(one.answered_at, "vehicle", said, word[1], [f"«{one.response}»"] if one.response else []))
    return events


def _taken_back(rows: Sequence[TakenBack]) -> list[Event]:
    """Credited passages one by one; those that were moved at once, as one event."""
    events, moved = [], dict[dt.datetime, list[TakenBack]]()
    for row in rows:
        if row.cause in ("mass", "mass_credited"):
            continue  # told of by the mass correction
        if row.cause == "moved":
            moved.setdefault(row.at, []).append(row)
            continue
        if row.cause in _BY_CHARGER:
            events.append(_corrected(row))
            continue
        text = t(
            "Passering kreditert av {who}: {where} {when}, {sum}.", "Passage credited by {who}: {where} {when}, {sum}.",
            who=actor(row.actor), where=row.station, when=day(row.passed_at), sum=kroner(row.amount_ore),
        )  # fmt: skip
        events.append(Event(row.at, "vehicle", text, "", [f"«{row.reason}»"] if row.reason else []))
    for at, group in moved.items():
        text = t(
            "{count} passeringer på til sammen {sum} flyttet til den som har kjøretøyet.",
            "{count} passages of {sum} altogether moved to who has the vehicle.",
            count=len(group), sum=kroner(sum(one.amount_ore for one in group)),
        )  # fmt: skip
        events.append(Event(at, "vehicle", text))
    return events


def _mass(one: mass.Touched) -> Event:
    sum_, who = kroner(one.sum_ore), actor(one.actor)
    if one.undoing:
        text = t("Masserettelse gjort om av {who}: {count} passeringer på {sum} er tilbake.",
                 "Mass correction undone by {who}: {count} passages of {sum} are back.",
                 who=who, count=one.count, sum=sum_)  # fmt: skip
    else:
        text = t("{count} passeringer på {sum} rettet for alle ved stasjonen, av {who}.",
                 "{count} passages of {sum} corrected for all at the station, by {who}.",
                 who=who, count=one.count, sum=sum_)  # fmt: skip
    link = url_for("support.mass_one", number=one.mass_id)
    return Event(one.at, "vehicle", text, "", [f"«{one.reason}»"], link, t("masserettelsen", "the mass correction"))


def _backlogs(rows: Sequence[Backlog]) -> list[Event]:
    events = []
    for row in rows:
        if row.ended_at is not None:
            text = t("De eldre passeringene er fakturert; resten faktureres som vanlig.",
                     "The older passages are billed; the rest is billed as usual.")  # fmt: skip
            events.append(Event(row.ended_at, "money", text))
        text = t("{old} i eldre passeringer kom på én gang: faktureres i deler, høyst {slice} i uken.",
                 "{old} of older passages arrived at once: billed in parts, at most {slice} a week.",
                 old=kroner(row.old_ore), slice=kroner(row.slice_ore))  # fmt: skip
        events.append(Event(row.noticed_at, "money", text))
    return events
