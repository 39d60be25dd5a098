"""Who looked at and did something to whom: for leads."""

from __future__ import annotations

from flask import render_template, request

from accounts.access import trail as room
from accounts.access.principal import principal
from accounts.access.queries import trail_of
from config import http
from web.support.blueprint import Page, blp, only

PAGE = 100


@blp.get("/trail/<string:subject>")
@only("lead")
def trail(subject: str) -> Page:
    """Show the trail of a subject, as ``agreement:10000001``; that it was looked at is in it too."""
    session = http.current_session()
    after = request.args.get("after") or None
    page = trail_of(session, subject, after=after, limit=PAGE)
    room.record(session, principal(), "look_up_trail", subject, http.request_now())
    return render_template("support/trail.html", subject=subject, rows=page.items, next=page.next, after=after)
