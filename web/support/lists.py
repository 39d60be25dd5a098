"""Status lists: how each charger's stand, and which are not acknowledged."""

from __future__ import annotations

from flask import render_template

from billing.roadside.lists import queries
from config import http
from config.clock import business_date
from config.rates import whole
from web.support.blueprint import Page, blp, staff

SHOWN = 50


@blp.get("/lists")
@staff
def lists() -> Page:
    """Show what was told to whom, and first what somebody must look at."""
    session, now = http.current_session(), http.request_now()
    minutes = whole("status_list_ack_minutes", business_date(now))
    return render_template(
        "support/lists.html",
        troubles=queries.troubled(session, now, minutes, SHOWN),
        stands=queries.stands(session),
        minutes=minutes,
    )
