"""The signed address of the page that a bank opens for its customer: who has the address sees the document.

Its token (`billing.delivery.tokens`) names a document and how it was to be paid when it was sent, and nothing of
anybody. It opens the page for as long as eFakturas are kept for presentation: the figure ``efaktura_page_months``,
counted from the Oslo date it was made on.
"""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from accounts.customers.models import Customer
from billing.delivery import tokens
from billing.delivery.port import Form
from billing.invoices.models import Document
from config.clock import business_date
from config.rates import whole
from config.settings import Settings

PATH = "/efaktura/"
PURPOSES: Mapping[Form, str] = {"transfer": "efaktura", "avtalegiro": "efaktura-avtalegiro"}
"""What a token is signed for: one of the two does not open the other's page."""


class WrongTokenError(Exception):
    """No token of ours for this."""


class OldTokenError(Exception):
    """A token of ours whose time is over."""


@dataclass(frozen=True)
class Page:
    """What a token opens: a document, as it is to be paid."""

    document_id: int
    form: Form


@dataclass(frozen=True)
class Shown:
    """What is needed to show it: its number, and whether the holder wants passages on copies."""

    number: int
    details: bool


def address(settings: Settings, document_id: int, form: Form, now: dt.datetime) -> str:
    """Return the address of a document's page, made at ``now`` (real)."""
    made_on = business_date(now)
    days = (last_day(made_on, whole("efaktura_page_months", made_on)) - made_on).days
    return f"{settings.url}{PATH}{tokens.sign(settings, PURPOSES[form], document_id, days, real=now)}"


def opened(settings: Settings, token: str, now: dt.datetime) -> Page:
    """Return what a token opens at ``now`` (real). Raises WrongTokenError or OldTokenError."""
    for form, purpose in PURPOSES.items():
        try:
            named = tokens.read(settings, purpose, token, real=now)
        except tokens.BadTokenError:
            continue
        if named.expired:
            raise OldTokenError
        return Page(named.id, form)
    raise WrongTokenError


def shown(session: Session, document_id: int) -> Shown | None:
    """Return how a document is shown on its page, None where there is none such."""
    row = session.execute(
        select(Document.number, Customer.details_in_copy)
        .join(Agreement, Agreement.id == Document.agreement_id)
        .join(Customer, Customer.id == Agreement.customer_id)
        .where(Document.id == document_id)
    ).one_or_none()
    return None if row is None else Shown(row.number, row.details_in_copy)


def last_day(made_on: dt.date, months: int) -> dt.date:
    """Return the same day so many months later, or the last one of that month.

    >>> last_day(dt.date(2026, 10, 31), 16)
    datetime.date(2028, 2, 29)
    """
    year, month = divmod(made_on.year * 12 + made_on.month - 1 + months, 12)
    return dt.date(year, month + 1, min(made_on.day, calendar.monthrange(year, month + 1)[1]))
