"""Whether a way reaches a customer, asked now: when they choose it, before it is kept. A call, so nothing is open in
the database meanwhile."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from accounts.customers import ways as choosable
from billing.delivery.port import LooksUp, No, Reader, Unsure, Verdict
from billing.delivery.readers import readers
from config.sealed import Sealing
from config.settings import Settings

log = structlog.get_logger(__name__)

ASKED = frozenset({"efaktura", "vipps", "digipost", "eboks"})
"""Ways whose partner knows whom they reach. Of the others we know it ourselves, or it shows when it is sent."""


def offered(settings: Settings, kind: str) -> tuple[str, ...]:
    """Return what a customer of a kind can choose here: what is for them and in use. AvtaleGiro is not among it."""
    used = {
        "best_digital": True,
        "efaktura": bool(settings.efaktura_url),
        "vipps": bool(settings.efaktura_url),
        "digipost": bool(settings.digipost_url),
        "eboks": bool(settings.eboks_url),
        "email": True,
        "paper": settings.print_target is not None,
    }
    return tuple(name for name in choosable.choices(kind) if used.get(name, False))


def reader_of(session: Session, customer_id: int, sealing: Sealing) -> Reader | None:
    """Return a customer as look-ups see them: the holder of their first agreement; None for who has none."""
    first = session.scalar(
        select(Agreement.id).where(Agreement.customer_id == customer_id).order_by(Agreement.id).limit(1)
    )
    return None if first is None else readers(session, [first], sealing)[first]


def reaches(look_ups: Mapping[str, LooksUp], channel: str, reader: Reader, today: dt.date) -> Verdict:
    """Return whether a channel reaches a reader on the Oslo date ``today``. Never raises: what goes wrong is Unsure."""
    looks_up = look_ups.get(channel)
    if looks_up is None:
        return No("not_set_up")
    try:
        return looks_up.look_up([reader], today).get(reader.agreement_id, Unsure("not_mentioned"))
    except Exception:  # a fault of ours in a channel keeps nobody from choosing; it is seen in the log
        log.exception("delivery.channel_fault", channel=channel, call="look_up")
        return Unsure("fault")
