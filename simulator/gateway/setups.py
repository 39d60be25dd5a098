"""Customers and their cards, and the hosted page where a card is given (Checkout in setup mode)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from simulator.gateway import checkout
from simulator.gateway.cards import CARDS, Card, decline_fields
from simulator.gateway.errors import ApiError, invalid, missing
from simulator.gateway.objects import Call, public
from simulator.gateway.store import new_id
from simulator.gateway.world import World

Answer = tuple[int, dict[str, Any]]
RENEWALS = {
    "renewed": "payment_method.automatically_updated",
    "expired": "payment_method.updated",
    "detached": "payment_method.detached",
}
"""What can become of a card by itself, and the event that tells of it."""
PAGE_LIVES_SECONDS = 24 * 3600

CUSTOMER = {"description", "email", "expand", "metadata", "name"}
SESSION = {
    "allowed_payment_method_types",
    "cancel_url",
    "client_reference_id",
    "currency",
    "customer",
    "expand",
    "expires_at",
    "line_items",
    "locale",
    "metadata",
    "mode",
    "payment_intent_data",
    "saved_payment_method_options",
    "success_url",
}
PAYMENT_ONLY = ("expires_at", "line_items", "payment_intent_data", "saved_payment_method_options")


def create_customer(call: Call) -> Answer:
    """POST /v1/customers."""
    customer = {
        "id": new_id("cus"),
        "object": "customer",
        "created": call.world.seconds(),
        "description": call.params.get("description"),
        "email": call.params.get("email"),
        "livemode": False,
        "metadata": call.metadata(),
        "name": call.params.get("name"),
    }
    call.world.store.put("customer", customer)
    return 200, call.show(customer)


def retrieve_customer(call: Call) -> Answer:
    """GET /v1/customers/{id}."""
    return 200, call.show(call.find("customer", "id", call.id))


def create_session(call: Call) -> Answer:
    """POST /v1/checkout/sessions. In setup mode it makes the SetupIntent (usage off_session) with it."""
    mode = call.required("mode")
    if mode not in ("setup", "payment"):
        raise invalid("This stand-in has Checkout in setup mode and in payment mode only.", param="mode")
    for name in ("success_url", "cancel_url"):
        if name in call.params and not str(call.params[name]).startswith(("http://", "https://")):
            raise invalid("Not a valid URL", code="url_invalid", param=name)
    return checkout.create(call) if mode == "payment" else _create_setup(call)


def _create_setup(call: Call) -> Answer:
    for name in PAYMENT_ONLY:
        if name in call.params:
            raise invalid(f"You can not pass `{name}` in `setup` mode.", param=name)
    if call.params.get("allowed_payment_method_types") != ["card"] and "currency" not in call.params:
        raise invalid("Missing required param: currency.", code="parameter_missing", param="currency")
    customer = call.find("customer", "customer", call.required("customer"))
    now = call.world.seconds()
    intent = {
        "id": new_id("seti"),
        "object": "setup_intent",
        "created": now,
        "customer": customer["id"],
        "last_setup_error": None,
        "livemode": False,
        "metadata": call.metadata(),
        "payment_method": None,
        "payment_method_types": ["card"],
        "status": "requires_payment_method",
        "usage": "off_session",
    }
    number = new_id("cs_test")
    session = {
        "id": number,
        "object": "checkout.session",
        "cancel_url": call.params.get("cancel_url"),
        "client_secret": None,
        "created": now,
        "currency": call.params.get("currency"),
        "customer": customer["id"],
        "expires_at": now + PAGE_LIVES_SECONDS,
        "livemode": False,
        "locale": call.params.get("locale"),
        "metadata": call.metadata(),
        "mode": "setup",
        "payment_method_types": ["card"],
        "payment_status": "no_payment_required",
        "setup_intent": intent["id"],
        "status": "open",
        "success_url": call.required("success_url"),
        "ui_mode": "hosted_page",
        "url": f"{call.world.address}/pay/setup/{number}",
    }
    call.world.store.put("setup_intent", intent)
    call.world.store.put("checkout.session", session)
    return 200, call.show(session)


def retrieve_session(call: Call) -> Answer:
    """GET /v1/checkout/sessions/{id}."""
    session = session_now(call.world, call.id)
    if session is None:
        raise missing("checkout.session", call.id, "id")
    return 200, call.show(session)


def retrieve_setup_intent(call: Call) -> Answer:
    """GET /v1/setup_intents/{id}."""
    return 200, call.show(call.find("setup_intent", "id", call.id))


def retrieve_method(call: Call) -> Answer:
    """GET /v1/payment_methods/{id}."""
    return 200, call.show(call.find("payment_method", "id", call.id))


def detach_method(call: Call) -> Answer:
    """POST /v1/payment_methods/{id}/detach. It can never be used again."""
    method = call.find("payment_method", "id", call.id)
    if method["customer"] is None:
        raise invalid("The payment method you provided is not attached to a customer so detachment is impossible.")
    method["customer"] = None
    call.world.store.put("payment_method", method)
    call.world.emit("payment_method.detached", public(method), call.request_id)
    return 200, call.show(method)


def session_now(world: World, wanted: str) -> dict[str, Any] | None:
    """Return a card page as it is now: only an open one has a url."""
    session = checkout.session_now(world, wanted)
    if session is not None and session["status"] != "open":
        session["url"] = None
    return session


def give_card(world: World, session_id: str, card_name: str) -> dict[str, Any]:
    """Do what the customer does on the page: type this card. Returns the finished session.

    Raises ApiError: 404 no such page, 400 no such card or the page is no longer open, 402 the bank declined.
    """
    card = _card(card_name)
    with world.store.transaction():
        session = session_now(world, session_id)
        if session is None or session["mode"] != "setup":
            raise missing("checkout.session", session_id, "id")
        if session["status"] != "open":
            raise invalid(f"This page is {session['status']}.", code="checkout_session_not_open")
        intent = world.store.get("setup_intent", session["setup_intent"])
        assert intent is not None, "a session is written together with its setup intent"
        if card.setup_code is None:
            method = _attach(world, session["customer"], card)
            intent |= {"status": "succeeded", "payment_method": method["id"], "last_setup_error": None}
            session |= {"status": "complete", "url": None}
            world.store.put("checkout.session", session)
            world.emit("setup_intent.succeeded", intent)
            world.emit("checkout.session.completed", session)
        else:
            intent["last_setup_error"] = decline_fields(card.setup_code)
        world.store.put("setup_intent", intent)
    if card.setup_code is not None:
        fields = decline_fields(card.setup_code)
        raise ApiError(402, fields.pop("type"), fields.pop("message"), **fields)
    return session


def add_card(world: World, customer_id: str, card_name: str) -> dict[str, Any]:
    """Give a customer a card without the page: for tests and large worlds. Returns the PaymentMethod."""
    card = _card(card_name)
    with world.store.transaction():
        if world.store.get("customer", customer_id) is None:
            raise missing("customer", customer_id, "customer")
        shown: dict[str, Any] = public(_attach(world, customer_id, card))
        return shown


def change_card(world: World, payment_method: str, card_name: str) -> None:
    """Let a card behave like another from now on (its looks stay): it is stolen, or empty, or well again."""
    card = _card(card_name)
    with world.store.transaction():
        method = world.store.get("payment_method", payment_method)
        if method is None:
            raise missing("payment_method", payment_method, "payment_method")
        world.store.put("payment_method", method | {"_card": card.name})


def renew_card(world: World, payment_method: str, how: str) -> None:
    """Do what a bank does with a card: ``renewed`` gives it another number and expiry, and it works (the account
    updater tells); ``expired`` lets it run out; ``detached`` takes it from its customer. Each sends its event."""
    if how not in RENEWALS:
        raise invalid(f"A card can be {', '.join(RENEWALS)}, not {how!r}", param="becomes")
    with world.store.transaction():
        method = world.store.get("payment_method", payment_method)
        if method is None:
            raise missing("payment_method", payment_method, "payment_method")
        card = dict(method["card"])
        if how == "renewed":
            last4 = f"{(int(card['last4']) + 1111) % 10_000:04d}"
            card |= {"last4": last4, "exp_year": card["exp_year"] + 4, "fingerprint": f"{card['fingerprint']}_{last4}"}
            working = method["_card"] if CARDS[method["_card"]].charge_code is None else "consumer"
            method |= {"card": card, "_card": working}
        elif how == "expired":
            before = world.now().replace(day=1) - timedelta(days=1)
            card |= {"exp_month": before.month, "exp_year": before.year}
            method |= {"card": card, "_card": "expired_card"}
        else:
            method["customer"] = None
        world.store.put("payment_method", method)
        world.emit(RENEWALS[how], public(method))


def _attach(world: World, customer_id: str, card: Card) -> dict[str, Any]:
    method = {
        "id": new_id("pm"),
        "object": "payment_method",
        "_card": card.name,
        "billing_details": {"email": None, "name": None},
        "card": card.public(),
        "created": world.seconds(),
        "customer": customer_id,
        "livemode": False,
        "metadata": {},
        "type": "card",
    }
    world.store.put("payment_method", method)
    return method


def _card(name: str) -> Card:
    if name not in CARDS:
        raise invalid(f"No such test card: {name!r}. There are: {', '.join(CARDS)}", param="card")
    return CARDS[name]
