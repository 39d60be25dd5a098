"""What the machine's words mean, said to a driver: flags, what became of a passage, the story of a charge."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from billing.cards.models import Attempt, Card, Charge
from billing.cards.queries import ChargeStory
from billing.invoices import words as document_words
from billing.passages.queries import Listed
from web.words import day, kroner, language, pick, t

_FLAGS: Mapping[str, tuple[str, str]] = {
    "hour_rule": (
        "Timesregel: du betaler for én passering i timen, den dyreste",
        "One-hour rule: you pay for one passage an hour, the dearest",
    ),
    "hour_free": (
        "Timesregel: gratis, du har betalt for en annen passering i samme time",
        "One-hour rule: free, you have paid for another passage in the same hour",
    ),
    "monthly_cap": (
        "Månedstak: kjøretøyet har nådd taket i området denne måneden",
        "Monthly cap: the vehicle has reached this month's cap in the area",
    ),
    "tag_discount": ("Brikkerabatt", "Tag discount"),
    "zero_emission": ("Nullutslipp: lavere pris", "Zero emission: lower price"),
    "by_plate": (
        "Lest på skiltet: brikken ble ikke lest",
        "Read by plate: the tag was not read",
    ),
    "tag_plate_mismatch": (
        "Brikke og skilt stemte ikke: kjøretøyet som brikken hører til, gjelder",
        "Tag and plate differ: the vehicle that the tag belongs to counts",
    ),
    "after_removal": (
        "Etter fjerning: operatøren hadde ikke fått beskjed da kjøretøyet passerte",
        "After removal: the operator had not been told when the vehicle passed",
    ),
    "additional_unavailable": (
        "Tilleggsavtalen kunne ikke ta turen: den var stengt, avsluttet eller gjaldt ikke kjøretøyet. "
        "Derfor er den her",
        "The additional agreement could not take this journey: it was blocked, had ended or did not cover the vehicle. "
        "That is why it is here",
    ),
}


def flags(names: Iterable[str]) -> list[str]:
    """Return what flags of a passage mean; one without words of ours as a document says it."""
    return [pick(_FLAGS[name]) if name in _FLAGS else _document_flag(name) for name in names]


def _document_flag(name: str) -> str:
    return document_words.flag("en" if language() == "en" else "nb", name)


def fate(row: Listed) -> list[str]:
    """Return what became of a passage, or why a counter-row is there (billing.passages.queries.Listed)."""
    said: list[str] = []
    if row.external:
        ref = t(" (avtale {ref})", " (agreement {ref})", ref=row.external_ref) if row.external_ref else ""
        said.append(
            t(
                "Gjøres opp på tilleggsavtalen din hos {charger}{ref}, ikke her",
                "Settled on your additional agreement with {charger}{ref}, not here",
                charger=row.charger_name,
                ref=ref,
            )
        )
    if row.reverses_id is not None:
        said.append(_counter(row.counter_cause, row.counter_reason))
    if row.taken_back in ("mass", "mass_credited"):
        said.append(
            t("Rettet for alle som passerte; se tilbakeføringen", "Corrected for all who passed; see the reversal")
        )
    elif row.taken_back == "moved":
        said.append(
            t(
                "Flyttet til den som har kjøretøyet; se tilbakeføringen",
                "Moved to who has the vehicle; see the reversal",
            )
        )
    elif row.taken_back == "credited":
        said.append(t("Kreditert; se tilbakeføringen", "Credited; see the reversal"))
    elif row.taken_back == "cancelled":
        said.append(
            t("Trukket tilbake av operatøren; se tilbakeføringen", "Withdrawn by the operator; see the reversal")
        )
    elif row.taken_back == "adjusted":
        said.append(t("Rettet av operatøren; se tilbakeføringen", "Corrected by the operator; see the reversal"))
    if (row.booked_at - row.passed_at) > dt.timedelta(days=14):
        said.append(
            t("Kom sent fra operatøren: {when}", "Came late from the operator: {when}", when=day(row.booked_at))
        )
    return said


def _counter(cause: str | None, reason: str | None) -> str:
    if cause == "moved":
        text = t(
            "Tilbakeført: kjøretøyet var ikke lenger ditt", "Reversed: the vehicle was no longer on your agreement"
        )
    elif cause in ("mass", "mass_credited"):
        text = t("Tilbakeført: noe var feil ved stasjonen", "Reversed: something was wrong at the station")
    elif cause == "credited":
        text = t("Tilbakeført: kreditert av kundeservice", "Reversed: credited by customer service")
    else:
        text = t("Rettelse fra operatøren", "Correction by the operator")
    return f"{text} – {reason}" if reason and cause == "credited" else text


_SOURCES: Mapping[str, tuple[str, str]] = {
    "payment": ("Innbetaling", "Payment"),
    "reversal": ("Innbetaling trukket tilbake av banken", "Payment taken back by the bank"),
    "credit": ("Brukt tilgodehavende", "Credit used"),
    "card": ("Trukket på kort", "Charged to card"),
    "vipps": ("Betalt med Vipps", "Paid with Vipps"),
    "write_off": ("Ettergitt restbeløp", "Remainder written off"),
    "released": ("Overført til tilgodehavende", "Moved to your credit"),
    "dispute": ("Tatt tilbake av kortets bank", "Taken back by the card's bank"),
}


_REFUNDS: Mapping[str, tuple[str, str, str]] = {
    "requested": ("Til godkjenning hos oss", "Being approved by us", ""),
    "approved": ("På vei til kortet", "On its way to your card", ""),
    "unknown": ("På vei til kortet", "On its way to your card", ""),
    "succeeded": ("Betalt tilbake", "Refunded", "good"),
    "failed": ("Gikk ikke gjennom; står til gode", "Did not go through; in credit", "bad"),
    "cancelled": ("Stanset; står til gode", "Stopped; in credit", ""),
}


def refund_word(state: str) -> tuple[str, str]:
    """Return how a refund to a card stands in plain words, and its tone."""
    bokmaal, english, tone = _REFUNDS[state]
    return t(bokmaal, english), tone


def source(name: str) -> str:
    """Say by what something was paid."""
    return pick(_SOURCES[name]) if name in _SOURCES else name


@dataclass(frozen=True)
class Step:
    """One line of a charge's story: when, what, and how it went (good, warn, bad or nothing)."""

    at: dt.datetime
    text: str
    tone: str = ""


_CODES: Mapping[str, tuple[str, str]] = {
    "insufficient_funds": ("det var ikke dekning på kortet", "there was not enough money on the card"),
    "expired_card": ("kortet er utløpt", "the card has expired"),
    "lost_card": ("kortet er meldt tapt", "the card is reported lost"),
    "stolen_card": ("kortet er meldt stjålet", "the card is reported stolen"),
    "do_not_honor": ("banken sa nei", "the bank said no"),
    "generic_decline": ("banken sa nei", "the bank said no"),
    "processing_error": ("det var en feil hos banken", "there was an error at the bank"),
    "authentication_required": (
        "banken krever at du bekrefter betalingen selv",
        "the bank wants you to confirm the payment yourself",
    ),
}


_CAUSES: Mapping[str, tuple[str, str]] = {
    "threshold": ("Summen nådde grensen for trekk.", "The sum reached the limit for charging."),
    "week_over": ("Uken siden forrige trekk var over.", "The week since the last charge was over."),
    "closing": ("Avtalen ble avsluttet: det som var igjen.", "The agreement ended: what was left."),
    "method": ("Betalingsmåten ble endret: det som var igjen.", "The way to pay changed: what was left."),
    "agent": ("Kundeservice satte i gang trekket.", "Customer service had it charged."),
}


def open_sentence(story: ChargeStory, cards: Sequence[Card]) -> str:
    """Say what is open on the cards, why, and what happens next. ``cards``: those of the agreement."""
    charge, last = story.charge, story.attempts[-1] if story.attempts else None
    if charge.amount_ore is None:
        return t("Det som ikke er fakturert, trekkes på kortet nå.", "What is not billed is being charged to the card.")
    sum_ = kroner(last.amount_ore if last is not None else charge.amount_ore)
    if last is not None and last.state == "unknown" and last.kind == "off_session":
        return t(
            "{sum} er sendt til banken, men vi har ikke fått svar. Vi spør igjen, og trekker ikke to ganger.",
            "{sum} has been sent to the bank, but there is no answer. We ask again, and never charge twice.",
            sum=sum_,
        )
    if charge.waits_for == "customer":
        return t(
            "{sum} er ikke betalt: banken vil at du bekrefter betalingen selv. Gjør du ikke det før {when}, sender vi "
            "faktura.",
            "{sum} is not paid: the bank wants you to confirm the payment yourself. If you do not before {when}, we "
            "send an invoice.",
            sum=kroner(charge.amount_ore),  # no fee on the page, whatever card pays there
            when=day(charge.next_at),
        )
    if not any(card.refused_code is None for card in cards):
        return t(
            "{sum} er ikke betalt, og det er ikke noe kort som virker. Registrer et kort nå; ellers sender vi faktura.",
            "{sum} is not paid, and there is no card that works. Register a card now; otherwise we send an invoice.",
            sum=sum_,
        )
    if last is not None and last.state == "declined":
        return t(
            "{sum} er ikke betalt: {why}. {again} Velger eller registrerer du et annet kort, prøver vi det med en "
            "gang.",
            "{sum} is not paid: {why}. {again} If you choose or register another card, we try that at once.",
            sum=sum_,
            why=decline_word(last.code),
            again=_again(charge, last),
        )
    return t("{sum} trekkes på kortet nå.", "{sum} is being charged to the card.", sum=sum_)


def _again(charge: Charge, last: Attempt) -> str:
    """Say when a declined charge is tried again: at once where another card has taken over."""
    if last.ended_at is not None and charge.next_at <= last.ended_at:
        return t("Vi prøver et annet kort nå.", "We are trying another card now.")
    return t("Vi prøver igjen {when}.", "We try again on {when}.", when=day(charge.next_at))


def decline_word(code: str | None) -> str:
    """Say why a card was declined."""
    return pick(_CODES.get(code or "", _CODES["do_not_honor"]))


def charge_story(story: ChargeStory, invoice: int | None) -> Sequence[Step]:
    """Return how a charge went, step by step, oldest first. ``invoice``: the number of its receipt or invoice."""
    charge = story.charge
    steps = [Step(charge.due_at, pick(_CAUSES[charge.cause]))]
    steps += [_attempt(attempt) for attempt in story.attempts]
    end = charge.ended_at
    if charge.state == "invoiced" and end is not None:
        declined = bool(story.attempts) and story.attempts[-1].state == "declined"
        steps.append(Step(end, _invoiced(invoice, declined=declined), "warn"))
    elif charge.state == "cancelled" and end is not None:
        steps.append(
            Step(end, t("Ikke lenger nødvendig: ingenting ble trukket.", "Not needed any more: nothing was charged."))
        )
    elif charge.state == "claimed" and charge.waits_for == "customer":
        steps.append(
            Step(
                charge.next_at,
                t(
                    "Bekreft betalingen før {when}; ellers sender vi faktura.",
                    "Confirm the payment before {when}; otherwise we send an invoice.",
                    when=day(charge.next_at),
                ),
                "warn",
            )
        )
    elif charge.state == "claimed" and story.attempts and story.attempts[-1].state == "declined":
        steps.append(Step(charge.next_at, _again(charge, story.attempts[-1])))
    elif charge.state == "due":
        steps.append(Step(charge.next_at, t("Blir trukket snart.", "Will be charged soon.")))
    return sorted(steps, key=lambda step: step.at)  # a payment may turn out to have been made after its charge ended


def _invoiced(number: int | None, *, declined: bool) -> str:
    if number is None:
        return t("Vi sender faktura i stedet.", "We send an invoice instead.")
    if not declined:
        return t("Sendt på faktura {number} i stedet.", "Sent on invoice {number} instead.", number=number)
    return t(
        "Vi ga opp kortet og sendte faktura {number} i stedet.",
        "We gave the card up and sent invoice {number} instead.",
        number=number,
    )


def _attempt(attempt: Attempt) -> Step:
    sum_ = kroner(attempt.amount_ore)
    at = attempt.ended_at or attempt.started_at
    if attempt.credited:
        text = t("Trukket {sum} likevel; det er til gode.", "Charged {sum} after all; it is in credit.", sum=sum_)
        return Step(at, text, "good")
    if attempt.state == "succeeded":
        fee = (
            t(", derav {fee} i kortgebyr", ", of which {fee} card fee", fee=kroner(attempt.fee_ore))
            if attempt.fee_ore
            else ""
        )
        return Step(at, t("Trukket {sum}{fee}.", "Charged {sum}{fee}.", sum=sum_, fee=fee), "good")
    if attempt.state == "declined":
        why = decline_word(attempt.code)
        return Step(at, t("Avvist: {why}.", "Declined: {why}.", why=why), "bad")
    if attempt.kind == "on_session":
        return Step(at, _page(attempt))
    if attempt.state == "nothing":
        return Step(at, t("Nådde aldri banken. Ingenting ble trukket.", "Never reached the bank. Nothing was charged."))
    return Step(
        at,
        t(
            "Sendt til banken, men vi har ikke fått svar ennå. Vi spør igjen og trekker ikke to ganger.",
            "Sent to the bank, but there is no answer yet. We ask again and never charge twice.",
        ),
        "warn",
    )


def _page(attempt: Attempt) -> str:
    """Say how it went with a page where the customer confirms."""
    if attempt.state == "nothing":
        return t("Ble ikke bekreftet. Ingenting ble trukket.", "Was not confirmed. Nothing was charged.")
    return t(
        "Betalingssiden er åpen: der bekrefter du betalingen.",
        "The payment page is open: you confirm the payment there.",
    )


def charge_word(story: ChargeStory) -> tuple[str, str]:
    """Return how a charge stands in a word, and its tone."""
    state = story.charge.state
    if state == "claimed" and story.charge.waits_for == "customer":
        return t("Venter på at du bekrefter", "Waits for you to confirm"), "warn"
    if state == "claimed" and story.attempts:
        last = story.attempts[-1].state
        if last == "unknown":
            return t("Venter på svar", "Waiting for the bank"), "warn"
        if last == "declined":
            return t("Avvist, prøves igjen", "Declined, will be tried again"), "bad"
    return {
        "due": (t("Skal trekkes", "To be charged"), ""),
        "claimed": (t("Skal trekkes", "To be charged"), ""),
        "succeeded": (t("Betalt", "Paid"), "good"),
        "invoiced": (t("Ble faktura", "Became an invoice"), "warn"),
        "cancelled": (t("Falt bort", "Fell away"), ""),
    }[state]


def invoice_word(row: Any, today: dt.date) -> tuple[str, str]:
    """Return how a listed document stands in a word, and its tone."""
    if row.kind == "credit_note":
        return t("Kreditnota", "Credit note"), ""
    if row.credited_by:
        return t("Kreditert", "Credited"), ""
    if row.open_ore <= 0:
        return t("Betalt", "Paid"), "good"
    part = row.open_ore < row.total_ore
    if row.due_on is not None and row.due_on < today:
        return (t("Forfalt, delvis betalt", "Overdue, part paid") if part else t("Forfalt", "Overdue")), "bad"
    return (t("Delvis betalt", "Part paid") if part else t("Å betale", "To pay")), "warn"
