"""Checkout in payment mode: a page where a customer pays while they are there, until it is paid, ended or over.

A bank that wants to be asked by the customer is satisfied here; a card that is declined may be tried again, or another
one, as long as the page is open. What has expired can never be paid: its payment is cancelled with it.
"""

from __future__ import annotations

from typing import Any

from simulator.gateway import payments
from simulator.gateway.cards import CARDS, Card, decline_fields
from simulator.gateway.errors import ApiError, invalid, missing
from simulator.gateway.objects import Call, public
from simulator.gateway.store import new_id
from simulator.gateway.world import World

Answer = tuple[int, dict[str, Any]]
LIST = {"created", "customer", "expand", "limit", "starting_after"}
SHORTEST_SECONDS, LONGEST_SECONDS = 30 * 60, 24 * 3600
REDISPLAY = ("always", "limited", "unspecified")
ON_SESSION = "authentication_required"
"""The decline that does not come where the customer is there to confirm."""


def create(call: Call) -> Answer:
    """POST /v1/checkout/sessions in payment mode. The PaymentIntent is made when somebody pays."""
    if call.params.get("allowed_payment_method_types") != ["card"]:
        raise invalid("This stand-in takes cards only.", param="allowed_payment_method_types")
    customer = call.find("customer", "customer", call.required("customer"))
    total, names = _lines(call.required("line_items"))
    data = call.params.get("payment_intent_data") or {}
    if not isinstance(data, dict) or set(data) - {"description", "metadata"}:
        raise invalid("This stand-in takes description and metadata only.", param="payment_intent_data")
    saved = _saved(call)
    now = call.world.seconds()
    number = new_id("cs_test")
    session = {
        "id": number,
        "object": "checkout.session",
        "_description": data.get("description") or names,
        "_intent_metadata": dict(data.get("metadata") or {}),
        "amount_total": total,
        "cancel_url": call.params.get("cancel_url"),
        "client_secret": None,
        "created": now,
        "currency": "nok",
        "customer": customer["id"],
        "expires_at": _ends(call, now),
        "livemode": False,
        "locale": call.params.get("locale"),
        "metadata": call.metadata(),
        "mode": "payment",
        "payment_intent": None,
        "payment_method_types": ["card"],
        "payment_status": "unpaid",
        "saved_payment_method_options": saved,
        "setup_intent": None,
        "status": "open",
        "success_url": call.required("success_url"),
        "ui_mode": "hosted_page",
        "url": f"{call.world.address}/pay/payment/{number}",
    }
    call.world.store.put("checkout.session", session)
    return 200, call.show(session)


def _saved(call: Call) -> dict[str, Any]:
    """Return which of the customer's cards the page offers: those that they let be shown always, or what is said."""
    said = call.params.get("saved_payment_method_options") or {}
    name = "saved_payment_method_options[allow_redisplay_filters]"
    if not isinstance(said, dict) or set(said) - {"allow_redisplay_filters"}:
        raise invalid("This stand-in takes allow_redisplay_filters only.", param="saved_payment_method_options")
    filters = said.get("allow_redisplay_filters", ["always"])
    if not isinstance(filters, list) or not filters or any(one not in REDISPLAY for one in filters):
        raise invalid(f"Invalid {name}: must be of {', '.join(REDISPLAY)}", param=name)
    return {"allow_redisplay_filters": filters}


def list_(call: Call) -> Answer:
    """GET /v1/checkout/sessions, newest first."""
    return 200, call.show_list("checkout.session", "/v1/checkout/sessions")


def expire(call: Call) -> Answer:
    """POST /v1/checkout/sessions/{id}/expire. Only an open one can be."""
    session = session_now(call.world, call.id)
    if session is None:
        raise missing("checkout.session", call.id, "id")
    if session["status"] != "open":
        raise invalid(
            f'Only Checkout Sessions with a status in ["open"] can be expired. This one is {session["status"]}.'
        )
    return 200, call.show(end(call.world, session))


def session_now(world: World, wanted: str) -> dict[str, Any] | None:
    """Return a page of either mode as it is now: an open one whose time is over has expired, with its payment."""
    session = world.store.get("checkout.session", wanted)
    if session is None or session["status"] != "open" or world.seconds() < session["expires_at"]:
        return session
    with world.store.transaction():
        return end(world, session)


def end(world: World, session: dict[str, Any]) -> dict[str, Any]:
    """Expire a page. Its payment, where somebody has tried one, is cancelled; both are told of.

    Call within a transaction.
    """
    session |= {"status": "expired", "url": None}
    world.store.put("checkout.session", session)
    intent = world.store.get("payment_intent", session.get("payment_intent"))
    if intent is not None and intent["status"].startswith("requires_"):
        intent |= {"status": "canceled", "canceled_at": world.seconds(), "cancellation_reason": "abandoned"}
        world.store.put("payment_intent", intent)
        world.emit("payment_intent.canceled", public(intent))
    world.emit("checkout.session.expired", public(session))
    return session


def end_now(world: World, session_id: str) -> dict[str, Any]:
    """Let a page's time be over now. Raises ApiError: 404 no such page, 400 no longer open."""
    with world.store.transaction():
        session = session_now(world, session_id)
        if session is None:
            raise missing("checkout.session", session_id, "id")
        if session["status"] != "open":
            raise invalid(f"This page is {session['status']}.", code="checkout_session_not_open")
        shown: dict[str, Any] = public(end(world, session))
        return shown


def pay(world: World, session_id: str, card_name: str, *, fails: bool = False) -> dict[str, Any]:
    """Do what the customer does on the page: pay with this card. Returns the page, complete.

    ``fails``: the bank says no. Raises ApiError: 404 no such page, 400 no such card or no longer open, 402 declined.
    """
    if card_name not in CARDS:
        raise invalid(f"No such test card: {card_name!r}. There are: {', '.join(CARDS)}", param="card")
    card = CARDS[card_name]
    code = "generic_decline" if fails else None if card.charge_code == ON_SESSION else card.charge_code
    with world.store.transaction():
        session = session_now(world, session_id)
        if session is None or session["mode"] != "payment":
            raise missing("checkout.session", session_id, "id")
        if session["status"] != "open":
            raise invalid(f"This page is {session['status']}.", code="checkout_session_not_open")
        _take(world, session, card, code)
    if code is not None:
        fields = decline_fields(code)
        raise ApiError(402, fields.pop("type"), fields.pop("message"), **fields)
    return session


def _take(world: World, session: dict[str, Any], card: Card, code: str | None) -> None:
    call = Call(world, {}, "", "")
    intent = world.store.get("payment_intent", session["payment_intent"]) or _intent(world, session)
    method = {
        "id": new_id("pm"),
        "object": "payment_method",
        "_card": card.name,
        "billing_details": {"email": None, "name": None},
        "card": card.public(),
        "created": world.seconds(),
        "customer": None,  # used once: it is not kept for later
        "livemode": False,
        "metadata": {},
        "type": "card",
    }
    world.store.put("payment_method", method)
    session["payment_intent"] = intent["id"]
    if code is not None:
        payments.declined(call, intent, method, code)
    else:
        payments.succeeded(call, intent | {"payment_method": method["id"], "last_payment_error": None}, method)
        session |= {"status": "complete", "payment_status": "paid", "url": None}
        world.emit("checkout.session.completed", public(session))
    world.store.put("checkout.session", session)


def _intent(world: World, session: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": new_id("pi"),
        "object": "payment_intent",
        "amount": session["amount_total"],
        "amount_received": 0,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "created": world.seconds(),
        "currency": "nok",
        "customer": session["customer"],
        "description": session["_description"],
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": session["_intent_metadata"],
        "next_action": None,
        "payment_method": None,
        "payment_method_types": ["card"],
        "status": "requires_payment_method",
    }


def _lines(given: Any) -> tuple[int, str]:
    """Return the sum in øre of the line items and their names."""
    if not isinstance(given, list) or not given:
        raise invalid("Invalid array", param="line_items")
    total, names = 0, []
    for line in given:
        price = line.get("price_data") if isinstance(line, dict) else None
        if not isinstance(price, dict) or price.get("currency") != "nok":
            raise invalid("This stand-in takes price_data in NOK only.", param="line_items")
        name = (price.get("product_data") or {}).get("name")
        unit, quantity = str(price.get("unit_amount", "")), str(line.get("quantity", ""))
        if not name or not unit.isdigit() or not quantity.isdigit() or int(quantity) < 1:
            raise invalid("A line needs product_data[name], unit_amount and quantity.", param="line_items")
        total += int(unit) * int(quantity)
        names.append(name)
    if total < payments.SMALLEST_ORE:
        raise invalid(
            "The Checkout Session's total amount due must add up to at least kr3.00 nok",
            code="amount_too_small",
        )
    return total, ", ".join(names)


def _ends(call: Call, now: int) -> int:
    if "expires_at" not in call.params:
        return now + LONGEST_SECONDS
    ends = call.whole("expires_at")
    if ends < now + SHORTEST_SECONDS:
        raise invalid(
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.",
            param="expires_at",
        )
    if ends > now + LONGEST_SECONDS:
        raise invalid(
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.",
            param="expires_at",
        )
    return ends
