"""What a delivery costs us: its channel's dated figure (``delivery_cost_<channel>_ore``), added when it is sent."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import update
from sqlalchemy.orm import Session

from billing.delivery.models import Delivery
from config.clock import business_date
from config.rates import whole


def add_cost(session: Session, delivery_ids: Sequence[int], channel: str, *, now: dt.datetime) -> int:
    """Add what one sending by a channel costs (øre, at the Oslo date of ``now``) to deliveries; return that figure."""
    ore = whole(f"delivery_cost_{channel}_ore", business_date(now))
    session.execute(
        update(Delivery).where(Delivery.id.in_(delivery_ids)).values(cost_ore=Delivery.cost_ore + ore),
        execution_options={"synchronize_session": False},
    )
    return ore
