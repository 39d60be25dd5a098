"""The front of the desk: finding an agreement, and the heap that waits for somebody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask import redirect, render_template, request, url_for

from accounts.access import trail
from accounts.access.principal import principal
from accounts.customers import desk as customers
from accounts.customers.desk import WAITING, Held
from accounts.customers.queries import LONGEST_QUERY
from billing.cards import desk as cards
from billing.cards import reconcile, refund_queries
from billing.claims.queries import locate, open_claims
from billing.claims.rules import is_overdue
from billing.delivery import desk as delivery
from billing.payments import queries as payments
from billing.payments.vipps import queries as vipps
from config import http
from config.clock import business_date
from config.problems import Invalid, NotFound
from config.rates import whole
from web.support.blueprint import READERS, Page, actors, blp, readers, staff

FOUND = 50
PAGE = 50


@dataclass(frozen=True)
class Hit:
    """An agreement as a list shows it: what is open on it, and how much of that is past due (øre)."""

    held: Held
    open_ore: int
    overdue_ore: int


@blp.get("/")
@staff
def desk() -> Page:
    """Search, and below it what waits. Where the words find one agreement, go there at once."""
    words = " ".join(request.args.get("q", "").split())[:LONGEST_QUERY]
    hits: Sequence[Hit] = ()
    if words and principal().role in READERS:
        found = search(words)
        if len(found) == 1 and not request.args.get("list"):
            return redirect(url_for("support.agreement", number=found[0].agreement.number), 303)
        hits = judged(found)
        trail.looked_up(http.current_session(), principal(), "customers", http.request_now(), "search")
    return render_template("support/desk.html", words=words, hits=hits, more=len(hits) == FOUND, heap=heap())


def search(words: str) -> list[Held]:
    """Return the agreements that words find: by customer, vehicle or tag, else by invoice number or KID."""
    session = http.current_session()
    bare = "".join(words.split())
    if bare.isascii() and bare.isdigit():
        claim = locate(session, bare)
        if claim is not None:
            return list(customers.held(session, [claim.agreement_id]).values())
    try:
        found = customers.found(session, words, FOUND)
    except Invalid:
        return []
    exact = [one for one in found if str(one.agreement.number) == bare]
    return exact or found


def judged(rows: Sequence[Held]) -> list[Hit]:
    """Return agreements with what is open on them."""
    session, today = http.current_session(), business_date(http.request_now())
    remainder = whole("overdue_remainder_ore", today)
    opened: dict[int, int] = {}
    overdue: dict[int, int] = {}
    for claim in open_claims(session, [one.agreement.id for one in rows]):
        opened[claim.agreement_id] = opened.get(claim.agreement_id, 0) + claim.open_ore
        if is_overdue(claim.open_ore, claim.due_on, today, remainder):
            overdue[claim.agreement_id] = overdue.get(claim.agreement_id, 0) + claim.open_ore
    return [Hit(one, opened.get(one.agreement.id, 0), overdue.get(one.agreement.id, 0)) for one in rows]


def heap() -> Mapping[str, int]:
    """Count what waits for somebody."""
    session = http.current_session()
    waiting = customers.waiting(session)
    count, ore = payments.waiting(session)
    refunds, disputes = refund_queries.waiting(session)
    return {
        **waiting,
        "suspense": count,
        "suspense_ore": ore,
        "deliveries": delivery.count_troubled(session),
        "attempts": cards.count_unanswered(session),
        "refunds": refunds,
        "vipps": vipps.waiting(session),
        "disputes": disputes,
        "card_account": reconcile.waiting(session),
    }


@blp.get("/standing/<string:standing>")
@readers
def in_standing(standing: str) -> Page:
    """List the agreements that are blocked, or await reopening."""
    if standing not in WAITING:
        raise NotFound("There is no such list.")
    session, after = http.current_session(), request.args.get("after") or None
    page = customers.in_standing(session, standing, after=after, limit=PAGE)
    trail.looked_up(session, principal(), f"standing:{standing}", http.request_now(), "list")
    return render_template(
        "support/standing.html", standing=standing, hits=judged(page.items), next=page.next, after=after
    )


@blp.get("/card-attempts")
@readers
def attempts() -> Page:
    """List card charges that were sent to the bank and have no answer."""
    session, after = http.current_session(), request.args.get("after") or None
    page = cards.unanswered(session, after=after, limit=PAGE)
    held = customers.held(session, [one.agreement_id for one in page.items])
    trail.looked_up(session, principal(), "card_attempts", http.request_now(), "list")
    return render_template("support/attempts.html", rows=page.items, held=held, next=page.next, after=after)


@blp.get("/deliveries")
@actors
def deliveries() -> Page:
    """List what was not delivered, or got no answer."""
    session, after = http.current_session(), request.args.get("after") or None
    page = delivery.troubled(session, after=after, limit=PAGE)
    held = customers.held(session, [one.agreement_id for one in page.items])
    trail.looked_up(session, principal(), "deliveries", http.request_now(), "list")
    return render_template("support/deliveries.html", rows=page.items, held=held, next=page.next, after=after)
