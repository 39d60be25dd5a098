"""What may be done with registered cards, and what follows. Pure."""

from __future__ import annotations

import calendar
import datetime as dt
from dataclasses import dataclass
from typing import Literal

Removal = Literal["nothing", "another", "invoice", "instead", "refused"]


def after_removal(*, usable: bool, is_default: bool, others_usable: bool, charge: str | None, instead: bool) -> Removal:
    """Decide what follows when a card is removed.

    ``charge``: the state of the agreement's open charge (due, claimed), None without one. ``instead``: an invoice was
    chosen instead. Returns ``another`` where other cards go on paying, ``invoice`` where the agreement pays by invoice
    from now on, ``instead`` where the open charge becomes an invoice too, ``refused`` where the card is the only way to
    pay a charge that is being tried, and ``nothing`` for a card that paid for nothing anyhow.
    """
    if others_usable:
        return "another"
    if not usable and not is_default:
        return "nothing"
    if charge == "claimed" and usable:
        return "instead" if instead else "refused"
    return "invoice"


@dataclass(frozen=True)
class Looks:
    """What of a card its bank may change: brand, the last four digits, and the month it expires in."""

    brand: str
    last4: str
    exp_month: int
    exp_year: int


def segment_after(told: str, *, segment: str, source: str) -> tuple[str, str]:
    """Return (segment, who told) of a card that was read again: what support has set stays, silence changes nothing."""
    if source != "support" and told in ("consumer", "commercial"):
        return told, "provider"
    return segment, source


def works_again(refused_code: str | None, before: Looks, after: Looks) -> bool:
    """Say whether a refused card may be tried again, its bank having given it another number or expiry.

    Not one whose payment is disputed: that says nothing of the number.
    """
    return refused_code not in (None, "disputed") and before != after


def last_day(exp_month: int, exp_year: int) -> dt.date:
    """Return the last day on which a card can be used."""
    return dt.date(exp_year, exp_month, calendar.monthrange(exp_year, exp_month)[1])


def tell_of_expiry(exp_month: int, exp_year: int, *, today: dt.date, notice_days: int) -> bool:
    """Say whether a holder is told now that the card expires: so many days before its last, until that day."""
    last = last_day(exp_month, exp_year)
    return last - dt.timedelta(days=notice_days) <= today <= last
