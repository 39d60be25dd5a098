"""When a card is due, what a business card adds, and what follows a decline. Pure; figures are arguments."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from config.bankdays import add_bank_days
from config.clock import OSLO
from config.money import share

NEED_THE_SUM = frozenset({"threshold", "week_over"})
"""Causes of a charge that need the threshold and the week; the others take whatever is left."""


@dataclass(frozen=True)
class Due:
    """What to do now about an agreement that pays by card.

    ``charge``: a charge is due. ``not_before``: the Oslo date on which one will be, if the sum still stands.
    """

    charge: bool
    not_before: dt.date | None = None


def is_due(
    *,
    unbilled_ore: int,
    threshold_ore: int,
    open_charge: bool,
    last_charged_on: dt.date | None,
    week_days: int,
    today: dt.date,
    slice_on: dt.date | None = None,
) -> Due:
    """Decide whether a card is charged: sum at or over the threshold, nothing open, a week since the last success.

    Dates are Oslo dates; the week is over on the date ``week_days`` after the last successful charge. While a
    charge is open nothing is due, and nothing is noted either: its end decides anew. ``slice_on``: where a backlog is
    billed in slices, the date before which its next is not, whether the last could be charged or not.
    """
    if open_charge or unbilled_ore < threshold_ore:
        return Due(charge=False)
    week_over = last_charged_on + dt.timedelta(days=week_days) if last_charged_on is not None else today
    not_before = max(week_over, slice_on or week_over)
    if today >= not_before:
        return Due(charge=True)
    return Due(charge=False, not_before=not_before)


def fee(amount_ore: int, *, segment: str, fee_bp: int, fee_ore: int) -> int:
    """Return the provider's fee on a payment in øre: for commercial cards so many bp of the amount plus a fixed sum."""
    if segment != "commercial" or amount_ore <= 0:
        return 0
    return share(amount_ore, fee_bp) + fee_ore


def morning(day: dt.date) -> dt.datetime:
    """Return the instant at which cards are tried on an Oslo date: six o'clock, also when the clocks change."""
    return dt.datetime.combine(day, dt.time(6), OSLO).astimezone(dt.UTC)


Next = Literal["retry", "invoice"]


@dataclass(frozen=True)
class AfterDecline:
    """What follows a decline: try again on ``on`` (Oslo date), or give up and invoice (``on`` is None)."""

    then: Next
    on: dt.date | None = None


def after_decline(
    *, never: bool, needs_customer: bool, first_on: dt.date, today: dt.date, retry_bank_days: Sequence[int]
) -> AfterDecline:
    """Decide after a decline that was told of ``today``: the next of the bank days of retries after the first try.

    Only a day after today is one, so that tries by hand and other cards' use none up, and what was late does not come
    all at once. A card that must not be tried again, or that only its holder can make work, is not retried.
    """
    if never or needs_customer:
        return AfterDecline("invoice")
    days = (_bank_day(first_on, count) for count in retry_bank_days)
    on = next((day for day in days if day > today), None)
    return AfterDecline("invoice") if on is None else AfterDecline("retry", on)


def _bank_day(first_on: dt.date, count: int) -> dt.date:
    """Return the ``count``-th bank day after the first try."""
    return add_bank_days(first_on + dt.timedelta(days=1), count - 1)


def confirm_by(*, first_on: dt.date, today: dt.date, retry_bank_days: Sequence[int]) -> dt.date | None:
    """Return the last Oslo date on which a customer can confirm their charge: the last bank day of retries.

    Counted from the first try; None when that day has come.
    """
    last = _bank_day(first_on, retry_bank_days[-1])
    return last if last > today else None


def segment_of(told: str, *, declared_commercial: bool) -> tuple[str, str]:
    """Return (segment, who told): the provider's word where it gives one, else the holder's own."""
    if told in ("consumer", "commercial"):
        return told, "provider"
    return ("commercial" if declared_commercial else "unknown"), "holder"
