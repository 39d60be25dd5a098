"""The customer's agreements, and how one of them stands: what is owed, what comes, what to do."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from flask import redirect, render_template, url_for
from werkzeug.wrappers import Response

from accounts.agreements import queries as agreements_room
from accounts.agreements.models import Agreement
from accounts.chargers import queries as chargers
from accounts.vehicles import queries as vehicles
from billing.cards import queries as cards
from billing.cards.models import Card
from billing.claims import credit
from billing.claims.queries import OpenClaim, open_claims
from billing.claims.rules import is_overdue
from billing.passages import queries as driven
from billing.passages.backlog import queries as backlog
from billing.passages.models import Balance
from config import http
from config.clock import business_date
from config.rates import whole
from web import channels
from web.mypage.blueprint import blp, customers_only, me, own


@dataclass(frozen=True)
class Owed:
    """What an agreement owes and has coming, in øre.

    ``overdue``: past due, what must be paid before it can be reopened. ``open``: all that has a due date. ``on_card``:
    what a card is being charged for. ``credit``: what we owe them.
    """

    overdue: Sequence[OpenClaim]
    open: Sequence[OpenClaim]
    on_card: Sequence[OpenClaim]
    credit_ore: int
    unbilled_ore: int
    unbilled_count: int

    @property
    def overdue_ore(self) -> int:
        """What is past due."""
        return sum(claim.open_ore for claim in self.overdue)

    @property
    def open_ore(self) -> int:
        """What is to be paid, past due or not."""
        return sum(claim.open_ore for claim in self.open)


@dataclass(frozen=True)
class Next:
    """When what is not billed will be: how (a key of the page), the Oslo date if there is one, the sum it waits for."""

    how: str
    on: dt.date | None = None
    limit_ore: int = 0


def owed(agreement: Agreement, balance: Balance | None) -> Owed:
    """Return what an agreement owes now."""
    session, today = http.current_session(), business_date(http.request_now())
    remainder = whole("overdue_remainder_ore", today)
    claims = open_claims(session, [agreement.id])
    return Owed(
        overdue=[one for one in claims if is_overdue(one.open_ore, one.due_on, today, remainder)],
        open=[one for one in claims if one.due_on is not None],
        on_card=[one for one in claims if one.due_on is None],
        credit_ore=credit.held(session, [agreement.id]).get(agreement.id, 0),
        unbilled_ore=balance.unbilled_ore if balance else 0,
        unbilled_count=balance.unbilled_count if balance else 0,
    )


def next_billing(agreement: Agreement, balance: Balance | None, card: Card | None, today: dt.date) -> Next:
    """Say when what is not billed yet will be charged or invoiced."""
    unbilled = balance.unbilled_ore if balance else 0
    if agreement.payment_method == "card" and card is not None and agreement.standing != "closed":
        limit = whole("card_threshold_ore", today)
        if balance is not None and balance.open_charge_id is not None:
            return Next("card_now", limit_ore=limit)
        if unbilled < limit:
            return Next("card_limit", limit_ore=limit)
        if balance is not None and balance.charge_not_before is not None and balance.charge_not_before > today:
            return Next("card_week", balance.charge_not_before, limit)
        return Next("card_now", limit_ore=limit)
    first = (today.replace(day=1) + dt.timedelta(days=32)).replace(day=1)
    limit = whole("invoice_minimum_ore", today)
    if unbilled < limit and agreement.standing != "closed":
        return Next("invoice_small", first, limit)
    return Next("invoice", first, limit)


@blp.get("/")
@customers_only
def agreements() -> str | Response:
    """List the customer's agreements, each with how it stands."""
    session = http.current_session()
    customer = me()
    found = agreements_room.of_customers(session, [customer.id])
    rows = []
    for one in found:
        balance = driven.balance_of(session, one.id)
        operator = chargers.charger(session, one.operator).name if one.operator else None
        rows.append((one, owed(one, balance), operator))
    if len(found) == 1 and not found[0].closed_at:
        return redirect(url_for("mypage.overview", number=found[0].number))
    return render_template(
        "mypage/agreements.html",
        customer=customer,
        rows=rows,
        today=business_date(http.request_now()),
        channel_name=channels.name,
    )


@blp.get("/<int:number>")
@customers_only
def overview(number: int) -> str:
    """Show how an agreement stands and what to do."""
    agreement = own(number)
    session, now = http.current_session(), http.request_now()
    today = business_date(now)
    balance = driven.balance_of(session, agreement.id)
    card = cards.card_of(session, agreement.id)
    story = agreements_room.story(session, agreement)
    lately = driven.Period(agreement.id, since=now - dt.timedelta(days=366))
    latest = driven.page(session, lately, limit=4, newest_first=True)
    return render_template(
        "mypage/overview.html",
        channel_name=channels.name,
        agreement=agreement,
        customer=me(),
        here="overview",
        settings=http.current_settings(),
        now=now,
        today=today,
        owed=owed(agreement, balance),
        coming=next_billing(agreement, balance, card, today),
        backlog=backlog.lasting(session, agreement.id),
        block=story.active_block,
        fine_ore=whole("fine_no_valid_agreement_ore", today),
        card=card,
        operator=chargers.charger(session, agreement.operator).name if agreement.operator else None,
        vehicles=vehicles.current(session, agreement.id, now),
        latest=latest.items,
    )
