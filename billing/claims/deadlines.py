"""AvtaleGiro: when a claim must reach the bank, and until when it can be taken back: pure rules on bank days.

They stand here, and not with the files (billing.delivery.avtalegiro), because they set due dates, which documents have
before they are delivered.

The figures are in `config/rates.toml` (``avtalegiro_…``): nothing here knows an hour or a number of days. Two notices
have two deadlines. *Own* (02, we tell the payer): the due date is so many days after the claim reaches the bank; fewer
than we want, but not fewer than the bank takes, where a file had to be sent again. *Bank* (21, the bank tells): what
reaches it by the last bank day of a month can be due from a day of the next month on.
"""

from __future__ import annotations

import datetime as dt
from calendar import monthrange
from dataclasses import dataclass
from typing import Literal

from config.bankdays import DAY, is_bank_day, on_or_after
from config.clock import OSLO, business_date, to_oslo
from config.rates import whole

Notice = Literal["own", "bank"]


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The figures in force. ``cutoff_minute``: of the Oslo day, until which a file counts as having come that day.
    ``own_days`` between arrival and due date when we tell (``own_least_days``: the fewest the bank takes);
    ``bank_first_day``: of the month after, from which on it may be due when the bank tells."""

    cutoff_minute: int
    own_days: int
    own_least_days: int
    bank_first_day: int


def deadlines(on: dt.date) -> Deadlines:
    """Return the figures in force on an Oslo date."""
    return Deadlines(
        whole("avtalegiro_cutoff_minute", on),
        whole("avtalegiro_own_days", on),
        whole("avtalegiro_own_least_days", on),
        whole("avtalegiro_bank_first_day", on),
    )


def notice_for(wanted: bool, *, beside: bool, policy: Notice) -> Notice:
    """Return who tells the payer of a claim.

    ``wanted``: the mandate says J. ``beside``: an eFaktura shows it too, which is our notice (always 02, the clearing
    house says). ``policy``: who tells those who want it otherwise. Who wants no notice (N) gets none from the bank
    whatever the code, so 02, whose deadline is the shorter one.
    """
    return "bank" if wanted and not beside and policy == "bank" else "own"


def arrives_on(made_at: dt.datetime, figures: Deadlines) -> dt.date:
    """Return the bank day (Oslo) on which a file made at an instant counts as having come."""
    at = to_oslo(made_at)
    day = at.date()
    if is_bank_day(day) and at <= _cutoff(day, figures):
        return day
    return on_or_after(day + DAY)


def earliest_due(made_at: dt.datetime, notice: Notice, figures: Deadlines) -> dt.date:
    """Return the first bank day that a document may be due on, when its claim is made at an instant."""
    arrives = arrives_on(made_at, figures)
    if notice == "own":
        return on_or_after(arrives + figures.own_days * DAY)
    return on_or_after(_bank_first(arrives, figures))


def in_time(made_at: dt.datetime, due_on: dt.date, notice: Notice, figures: Deadlines) -> bool:
    """Return whether the bank takes a claim that is made at an instant and due on an Oslo date."""
    arrives = arrives_on(made_at, figures)
    first = arrives + figures.own_least_days * DAY if notice == "own" else _bank_first(arrives, figures)
    return first <= due_on <= latest_due(business_date(made_at))


def latest_due(made_on: dt.date) -> dt.date:
    """Return the last date a claim made on an Oslo date may be due on: twelve months ahead."""
    year = made_on.year + 1
    return made_on.replace(year=year, day=min(made_on.day, monthrange(year, made_on.month)[1]))


def cancel_by(due_on: dt.date, figures: Deadlines) -> dt.datetime:
    """Return the instant (UTC) until which a claim can be taken back: the cut-off of the last bank day before."""
    day = due_on - DAY
    while not is_bank_day(day):
        day -= DAY
    return _cutoff(day, figures).astimezone(dt.UTC)


def can_cancel(due_on: dt.date, now: dt.datetime, figures: Deadlines) -> bool:
    """Return whether a claim due on an Oslo date can still be taken back at an instant."""
    return now <= cancel_by(due_on, figures)


def _cutoff(day: dt.date, figures: Deadlines) -> dt.datetime:
    """The Oslo instant of the cut-off: by the clock on the wall, also on days of 23 and 25 hours."""
    return dt.datetime.combine(day, dt.time(*divmod(figures.cutoff_minute, 60)), OSLO)


def _bank_first(arrives: dt.date, figures: Deadlines) -> dt.date:
    following = arrives.replace(day=1) + 32 * DAY
    return following.replace(day=min(figures.bank_first_day, monthrange(following.year, following.month)[1]))
