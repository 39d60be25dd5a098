"""Tell customers that their passages were corrected: one message each, however many agreements they have."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from itertools import islice

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger, Station
from accounts.customers.tell import NewMessage, tell
from billing.passages.mass.models import MassCorrection
from config.clock import business_date

CHUNK = 1_000
_NAMED = 3
"""So many stations are named; of more the charger is."""

_CUSTOMERS = text("""
    SELECT a.customer_id, min(m.agreement_id) AS agreement_id, count(*) AS number, sum(m.amount_ore)::bigint AS ore
    FROM mass_passages AS m JOIN agreements AS a ON a.id = m.agreement_id
    WHERE m.mass_id = :mass AND m.outcome = 'done'
    GROUP BY a.customer_id ORDER BY a.customer_id
""")


def tell_customers(session: Session, row: MassCorrection, *, now: dt.datetime) -> int:
    """Write one message a customer: how many passages, where and when, what sum. Return how many."""
    template = "mass_corrected" if row.undoes_id is None else "mass_undone"
    where = _where(session, row)
    # Until is exclusive: midnight belongs to the day before.
    last = business_date(row.until - dt.timedelta(microseconds=1))
    facts = {"stations": where, "first_on": business_date(row.since).isoformat(), "last_on": last.isoformat()}
    found = iter(session.execute(_CUSTOMERS, {"mass": row.id}).all())
    told = 0
    while chunk := list(islice(found, CHUNK)):
        messages = [
            NewMessage(
                one.agreement_id,
                template,
                f"{row.name}/{one.customer_id}",
                data={"amount_ore": one.ore, "facts": facts | {"count": one.number}},
            )
            for one in chunk
        ]
        tell(session, messages, now=now)
        told += len(messages)
    return told


def _where(session: Session, row: MassCorrection) -> str:
    """Return what customers call the place: the stations' names, or the charger's where they are many."""
    names: Sequence[str] = session.scalars(
        select(Station.name)
        .where(Station.charger_id == row.charger_id, Station.code.in_(row.stations))
        .order_by(Station.name)
        .distinct()
    ).all()
    if 0 < len(names) <= _NAMED:
        return ", ".join(names)
    return session.get_one(Charger, row.charger_id).name
