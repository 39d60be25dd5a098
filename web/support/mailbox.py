"""The mail that went out: the list, and each as it was sent."""

from __future__ import annotations

from flask import render_template, request

from accounts.access import trail
from accounts.access.principal import principal
from accounts.customers import desk as customers
from billing.delivery import desk as room
from config import http
from web.support.blueprint import Page, actors, blp, readers

PAGE = 50


@blp.get("/mailbox")
@actors
def mailbox() -> Page:
    """List what was sent, the last first."""
    session, after = http.current_session(), request.args.get("after") or None
    page = room.deliveries(session, after=after, limit=PAGE)
    held = customers.held(session, [one.agreement_id for one in page.items])
    trail.looked_up(session, principal(), "mailbox", http.request_now(), "list")
    return render_template("support/mailbox.html", rows=page.items, held=held, next=page.next, after=after)


@blp.get("/deliveries/<int:delivery_id>")
@readers
def delivery(delivery_id: int) -> Page:
    """Show one delivery: what was told, to which address, how it went, and the mail."""
    session = http.current_session()
    one = room.one(session, delivery_id)
    held = customers.held(session, [one.agreement_id])[one.agreement_id]
    trail.looked_up(session, principal(), f"agreement:{held.agreement.number}", http.request_now(), "look_up_mail")
    return render_template("support/delivery.html", one=one, held=held, mail=None)
