"""The card provider's account of us: what it holds, what it paid out, and what differs from our books."""

from __future__ import annotations

from collections.abc import Mapping

from flask import redirect, render_template, request, url_for
from sqlalchemy import select

from accounts.access import trail
from accounts.access.principal import principal
from billing.cards.account import JOB
from billing.cards.models import CardPayout
from billing.cards.reconcile import compare
from config import http
from config.clock import now_utc
from config.jobs import ring
from web.support.blueprint import Page, blp, only
from web.words import pick

SEERS = ("accountant", "lead")
PAGE = 20

_WORDS: Mapping[str, tuple[str, str]] = {
    "missing_there": ("finnes ikke hos leverandøren", "the provider does not have it"),
    "missing_here": ("finnes ikke hos oss", "we do not have it"),
    "amount": ("annet beløp", "another sum"),
    "payout_lines": ("linjene stemmer ikke med utbetalingen", "its lines do not add up to it"),
    "payout_refused": ("leverandøren sier ikke hva som er i den", "the provider does not say what is in it"),
}
_KINDS: Mapping[str, tuple[str, str]] = {
    "payment": ("Betaling", "Payment"),
    "refund": ("Tilbakebetaling", "Refund"),
    "dispute": ("Innsigelse", "Dispute"),
    "payout": ("Utbetaling", "Payout"),
}
_STATES: Mapping[str, tuple[str, str, str]] = {
    "pending": ("skal sendes", "to be sent", ""),
    "in_transit": ("på vei", "under way", ""),
    "paid": ("kommet", "arrived", "good"),
    "failed": ("sendt tilbake av banken", "sent back by the bank", "bad"),
    "canceled": ("stanset", "stopped", "warn"),
}


def word(name: str) -> str:
    """Say how something differs."""
    return pick(_WORDS[name]) if name in _WORDS else name


def kind_word(name: str) -> str:
    """Say what differs."""
    return pick(_KINDS[name]) if name in _KINDS else name


def state_word(name: str) -> tuple[str, str]:
    """Say how a payout stands, and its tone."""
    found = _STATES.get(name)
    return (pick((found[0], found[1])), found[2]) if found else (name, "")


@blp.get("/card-account")
@only(*SEERS)
def card_account() -> Page:
    """Show card clearing against the provider's account, the differences, and the payouts."""
    session = http.current_session()
    after = request.args.get("after") or None
    page = http.paged(session, select(CardPayout), [CardPayout.id], after=after, limit=PAGE, descending=True)
    return render_template(
        "support/card_account.html",
        report=compare(http.current_sessions(), real=now_utc()),
        asked="read" in request.args,
        payouts=page.items,
        next=page.next,
        after=after,
        word=word,
        kind_word=kind_word,
        state_word=state_word,
    )


@blp.post("/card-account/read")
@only(*SEERS)
def read_card_account() -> Page:
    """Have the provider's account read now, by a worker, as the day's own job does."""
    session = http.current_session()
    ring(session, JOB)
    trail.record(session, principal(), "read", "card_account", http.request_now())
    return redirect(url_for("support.card_account", read="now"), 303)
