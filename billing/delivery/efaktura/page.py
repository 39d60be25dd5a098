"""The signed address of the page that a bank opens for its customer: who has the address sees the document.

Its token (`billing.delivery.tokens`) names a document, and nothing of anybody. It opens the page for as long as
eFakturas are kept for presentation: the figure ``efaktura_page_months``, counted from the Oslo date it was made on.
"""

from __future__ import annotations

import calendar
import datetime as dt

from billing.delivery import tokens
from config.clock import business_date
from config.rates import whole
from config.settings import Settings

PATH = "/efaktura/"
PURPOSE = "efaktura"


class WrongTokenError(Exception):
    """No token of ours for this."""


class OldTokenError(Exception):
    """A token of ours whose time is over."""


def address(settings: Settings, document_id: int, now: dt.datetime) -> str:
    """Return the address of a document's page, made at ``now`` (real)."""
    made_on = business_date(now)
    days = (last_day(made_on, whole("efaktura_page_months", made_on)) - made_on).days
    return f"{settings.url}{PATH}{tokens.sign(settings, PURPOSE, document_id, days, real=now)}"


def opened(settings: Settings, token: str, now: dt.datetime) -> int:
    """Return the document that a token opens at ``now`` (real). Raises WrongTokenError or OldTokenError."""
    try:
        named = tokens.read(settings, PURPOSE, token, real=now)
    except tokens.BadTokenError:
        raise WrongTokenError from None
    if named.expired:
        raise OldTokenError
    return named.id


def last_day(made_on: dt.date, months: int) -> dt.date:
    """Return the same day so many months later, or the last one of that month.

    >>> last_day(dt.date(2026, 10, 31), 16)
    datetime.date(2028, 2, 29)
    """
    year, month = divmod(made_on.year * 12 + made_on.month - 1 + months, 12)
    return dt.date(year, month + 1, min(made_on.day, calendar.monthrange(year, month + 1)[1]))
