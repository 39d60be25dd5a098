"""Passages by period: where, when, how much, and what became of each."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from flask import render_template, request

from billing.invoices import listed
from billing.passages import queries
from billing.roadside.complaints import queries as complaints
from config import http
from config.clock import business_date
from web.mypage import explain, forms
from web.mypage.blueprint import blp, customers_only, own
from web.mypage.dispute import can_dispute, dispute_word
from web.words import t

PAGE = 100
SUMMED = 2_000
"""Passages that are added up without being asked; a fleet's month is counted when its driver wants to know."""
LONGEST = dt.timedelta(days=366)
_OLDEST, _LATEST = dt.date(1990, 1, 1), dt.date(2999, 1, 1)


@dataclass(frozen=True)
class Chosen:
    """The days asked for, both inclusive, and a field's mistake where they could not be used."""

    first: dt.date
    last: dt.date
    errors: dict[str, str]


def chosen(today: dt.date) -> Chosen:
    """Return the period asked for: by default this month; at most a year."""
    this_month = today.replace(day=1)
    asked = (request.args.get("from", ""), request.args.get("to", ""))
    first, last = map(forms.date_of, asked)
    errors: dict[str, str] = {}
    for name, text, found in (("from", asked[0], first), ("to", asked[1], last)):
        if text and found is None:
            errors[name] = forms.mistake("date")
    if first is None and last is None:
        first, last = this_month, today
    first = first or (last or today).replace(day=1)
    last = last or max(first, today)
    if not all(_OLDEST <= day <= _LATEST for day in (first, last)):
        return Chosen(this_month, today, {"from": forms.mistake("date")})
    if last < first:
        first, last = last, first
    if last - first > LONGEST:
        last = first + LONGEST
        errors["to"] = t(
            "Vi viser høyst ett år om gangen, så her er det første året.",
            "We show at most a year at a time, so this is the first year.",
        )
    return Chosen(first, last, errors)


@blp.get("/<int:number>/passages")
@customers_only
def passages(number: int) -> str:
    """Show passages of a period, by when they happened."""
    agreement = own(number)
    session, today = http.current_session(), business_date(http.request_now())
    period = chosen(today)
    within = queries.days(agreement.id, period.first, period.last)
    page = queries.page(session, within, after=request.args.get("after") or None, limit=PAGE, newest_first=True)
    this_month = today.replace(day=1)
    return render_template(
        "mypage/passages.html",
        agreement=agreement,
        here="passages",
        period=period,
        months=_months(this_month),
        today=today,
        sums=queries.sums(session, within, None if "sums" in request.args else SUMMED),
        summed=SUMMED,
        rows=[(row, explain.fate(row), explain.flags(row.flags)) for row in page.items],
        invoices=listed.numbers(session, sorted({row.claim_id for row in page.items if row.claim_id})),
        disputes=complaints.of_passages(session, [row.id for row in page.items], http.request_now()),
        can_dispute=can_dispute,
        dispute_word=dispute_word,
        next=page.next,
        after=request.args.get("after"),
    )


def _months(this_month: dt.date) -> list[tuple[dt.date, dt.date]]:
    """Return the first and last days of this month and the three before it, this one first."""
    found = []
    first = this_month
    for _ in range(4):
        last = (first + dt.timedelta(days=32)).replace(day=1) - dt.timedelta(days=1)
        found.append((first, last))
        first = (first - dt.timedelta(days=1)).replace(day=1)
    return found
