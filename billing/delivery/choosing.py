"""A customer chooses how they get invoices, over any face: a way that surely does not reach them is told of first."""

from __future__ import annotations

from dataclasses import dataclass

from accounts.access import trail
from accounts.access.principal import principal
from accounts.customers import queries
from accounts.customers.channel import check, choose
from accounts.customers.models import Customer
from billing.delivery import whys
from billing.delivery.channels import channels_of
from billing.delivery.port import No, Verdict
from billing.delivery.reach import ASKED, reaches, reader_of
from config import http
from config.clock import business_date
from config.problems import Conflict, PreconditionFailed
from config.sealed import sealing


@dataclass(frozen=True)
class Done:
    """``verdict``: what the look-up said, None where none was needed. ``changed``: whether it was another choice."""

    customer: Customer
    verdict: Verdict | None
    changed: bool


def choose_now(
    customer: Customer,
    channel: str,
    *,
    version: int,
    efaktura_beside: bool | None = None,
    details_in_copy: bool | None = None,
    anyway: bool = False,
) -> Done:
    """Let a customer, who is the caller's to change, get invoices by another channel; it goes into the trail.

    A partner who knows whom they reach is asked first, while nothing is open in the database. ``anyway``: a sure no is
    only told. Raises what `accounts.customers.channel.choose` raises, and Conflict ``not-reached`` with ``why`` and
    what that means in English (``said``).
    """
    session, number = http.current_session(), customer.number
    if customer.version != version:
        raise PreconditionFailed("The customer has changed since you read it; read it again.")
    check(session, customer, channel, efaktura_beside=efaktura_beside)
    verdict: Verdict | None = None
    if channel in ASKED and channel != customer.channel:
        verdict = _asked(customer, channel)
        if isinstance(verdict, No) and not anyway:
            raise _not_reached(channel, verdict.why)
    held, now = queries.by_number(session, number, lock=True), http.request_now()
    before = {"channel": held.channel, "beside": held.efaktura_beside, "details": held.details_in_copy}
    chosen = choose(
        session,
        held,
        channel,
        efaktura_beside=efaktura_beside,
        details_in_copy=details_in_copy,
        version=version,
        now=now,
    )
    if chosen.version != version:
        detail = {"before": before, "channel": chosen.channel, "beside": chosen.efaktura_beside,
                  "details": chosen.details_in_copy}  # fmt: skip
        trail.record(session, principal(), "customer.channel", f"customer:{number}", now, detail=detail)
    return Done(chosen, verdict, chosen.version != version)


def _asked(customer: Customer, channel: str) -> Verdict | None:
    session, settings = http.current_session(), http.current_settings()
    today = business_date(http.request_now())
    reader = reader_of(session, customer.id, sealing(settings))
    if reader is None:
        return None
    session.commit()  # that somebody looked is kept, and nothing is held open while the partner is asked
    return reaches(channels_of(settings).look_ups, channel, reader, today)


def _not_reached(channel: str, why: str) -> Conflict:
    said = whys.say(why, "en")
    return Conflict(
        f"Invoices cannot reach the customer that way: {said}. Choose another way, or send anyway: true.",
        slug="not-reached",
        extra={"channel": channel, "why": why, "said": said},
    )
