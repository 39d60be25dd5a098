"""Payments: PaymentIntents that are made and confirmed in one call while the customer is away."""

from __future__ import annotations

from typing import Any

from simulator.gateway import disputes
from simulator.gateway.cards import CARDS, decline_fields
from simulator.gateway.errors import invalid, missing
from simulator.gateway.faults import STATES
from simulator.gateway.objects import Call, public
from simulator.gateway.store import new_id
from simulator.gateway.world import World

SMALLEST_ORE = 300  # Stripe takes no less than NOK 3.00
LARGEST_ORE = 99_999_999
Answer = tuple[int, dict[str, Any]]

CREATE = {
    "allowed_payment_method_types",
    "amount",
    "confirm",
    "currency",
    "customer",
    "description",
    "error_on_requires_action",
    "expand",
    "metadata",
    "off_session",
    "payment_method",
    "statement_descriptor_suffix",
}
LIST = {"created", "customer", "expand", "limit", "starting_after"}


def create(call: Call) -> Answer:
    """POST /v1/payment_intents. 402 when the card is declined: the intent exists then, without money."""
    amount = _amount(call)
    if call.required("currency") != "nok":
        raise invalid("This stand-in takes NOK only.", param="currency")
    customer = call.find("customer", "customer", call.required("customer"))
    confirm = call.params.get("confirm") == "true"
    if confirm and call.params.get("off_session") != "true":
        raise invalid("This stand-in confirms off_session only.", param="off_session")
    method = call.find("payment_method", "payment_method", call.required("payment_method"))
    if method["customer"] != customer["id"]:
        raise invalid(
            f"The customer does not have a payment method with the ID {method['id']}. "
            "The payment method must be attached to the customer.",
            code="resource_missing",
            param="payment_method",
        )
    intent = {
        "id": new_id("pi"),
        "object": "payment_intent",
        "amount": amount,
        "amount_received": 0,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "created": call.world.seconds(),
        "currency": "nok",
        "customer": customer["id"],
        "description": call.params.get("description"),
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": call.metadata(),
        "next_action": None,
        "payment_method": method["id"],
        "payment_method_types": ["card"],
        "status": "requires_confirmation",
    }
    if not confirm:
        call.world.store.put("payment_intent", intent)
        return 200, call.show(intent)
    pending = call.world.faults.take("pending", on="charge", customer=customer["id"])
    if pending is not None:
        intent["status"] = pending.state
        call.world.store.put("payment_intent", intent)
        return 200, call.show(intent)
    fault = call.world.faults.take("decline", on="charge", customer=customer["id"])
    code = fault.code if fault is not None else CARDS[method["_card"]].charge_code
    return succeeded(call, intent, method) if code is None else declined(call, intent, method, code)


def retrieve(call: Call) -> Answer:
    """GET /v1/payment_intents/{id}."""
    return 200, call.show(call.find("payment_intent", "id", call.id))


def list_(call: Call) -> Answer:
    """GET /v1/payment_intents."""
    return 200, call.show_list("payment_intent", "/v1/payment_intents")


def cancel(call: Call) -> Answer:
    """POST /v1/payment_intents/{id}/cancel."""
    intent = call.find("payment_intent", "id", call.id)
    if not intent["status"].startswith("requires_"):
        raise invalid(
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}.",
            code="payment_intent_unexpected_state",
        )
    intent |= {"status": "canceled", "canceled_at": call.world.seconds(), "cancellation_reason": None}
    call.world.store.put("payment_intent", intent)
    call.world.emit("payment_intent.canceled", public(intent), call.request_id)
    return 200, call.show(intent)


def end(world: World, payment: str, how: str) -> None:
    """Let a payment that is under way ``succeed`` or ``fail``; each sends its event."""
    if how not in ("succeed", "fail"):
        raise invalid(f"A payment can succeed or fail, not {how!r}", param="do")
    with world.store.transaction():
        intent = world.store.get("payment_intent", payment)
        if intent is None:
            raise missing("payment_intent", payment, "payment")
        if intent["status"] not in STATES:
            raise invalid(f"The payment is {intent['status']}.", code="payment_intent_unexpected_state")
        method = world.store.get("payment_method", intent["payment_method"])
        assert method is not None
        call = Call(world, {}, payment, "")
        if how == "succeed":
            succeeded(call, intent, method)
        else:
            declined(call, intent, method, "insufficient_funds")


def books(world: World) -> dict[str, Any]:
    """Return the gateway's own books: every payment that succeeded, every refund and dispute, with the sums in øre.

    What is refunded is what refunds gave that succeeded; what is disputed is what banks keep.
    """
    charges = [charge for charge in world.store.everything("charge") if charge["paid"]]
    payments = [
        {
            "id": charge["payment_intent"],
            "amount_ore": charge["amount"],
            "refunded_ore": charge["amount_refunded"],
            "customer": charge["customer"],
            "payment_method": charge["payment_method"],
            "created": charge["created"],
            "metadata": charge["metadata"],
        }
        for charge in charges
    ]
    given_back = [
        {
            "id": one["id"],
            "payment": one["payment_intent"],
            "amount_ore": one["amount"],
            "status": one["status"],
            "metadata": one["metadata"],
        }
        for one in world.store.everything("refund")
    ]
    taken_back = disputes.books(world)
    taken = sum(one["amount_ore"] for one in payments)
    given = sum(one["amount_ore"] for one in given_back if one["status"] == "succeeded")
    gone = sum(one["taken_ore"] for one in taken_back)
    return {
        "payments": payments,
        "refunds": given_back,
        "disputes": taken_back,
        "count": len(payments),
        "sum_ore": taken,
        "refunded_ore": given,
        "disputed_ore": gone,
        "net_ore": taken - given - gone,
    }


def _amount(call: Call) -> int:
    amount = call.whole("amount")
    if amount < 1:
        raise invalid("Invalid positive integer", code="parameter_invalid_integer", param="amount")
    if amount < SMALLEST_ORE:
        raise invalid("Amount must be at least kr3.00 nok", code="amount_too_small", param="amount")
    if amount > LARGEST_ORE:
        raise invalid("Amount must be no more than kr999,999.99", code="amount_too_large", param="amount")
    return amount


def _charge(call: Call, intent: dict[str, Any], method: dict[str, Any], error: dict[str, Any] | None) -> dict[str, Any]:
    charge = {
        "id": new_id("ch"),
        "object": "charge",
        "amount": intent["amount"],
        "amount_refunded": 0,
        "captured": error is None,
        "created": call.world.seconds(),
        "currency": "nok",
        "customer": intent["customer"],
        "description": intent["description"],
        "failure_code": None if error is None else error["code"],
        "failure_message": None if error is None else error["message"],
        "metadata": intent["metadata"],
        "paid": error is None,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {"card": method["card"], "type": "card"},
        "refunded": False,
        "status": "succeeded" if error is None else "failed",
    }
    call.world.store.put("charge", charge)
    intent["latest_charge"] = charge["id"]
    return charge


def succeeded(call: Call, intent: dict[str, Any], method: dict[str, Any]) -> Answer:
    """Let a payment succeed with this card: its charge, its state and the events about it."""
    charge = _charge(call, intent, method, None)
    intent |= {"status": "succeeded", "amount_received": intent["amount"]}
    call.world.store.put("payment_intent", intent)
    call.world.emit("charge.succeeded", charge, call.request_id)
    call.world.emit("payment_intent.succeeded", public(intent), call.request_id)
    return 200, call.show(intent)


def declined(call: Call, intent: dict[str, Any], method: dict[str, Any], code: str) -> Answer:
    """Let a payment be declined with this card; the intent exists then, without money."""
    error = decline_fields(code)
    charge = _charge(call, intent, method, error)
    error |= {"charge": charge["id"], "payment_method": public(method)}
    intent |= {"status": "requires_payment_method", "payment_method": None, "last_payment_error": dict(error)}
    call.world.store.put("payment_intent", intent)
    call.world.emit("charge.failed", charge, call.request_id)
    call.world.emit("payment_intent.payment_failed", public(intent), call.request_id)
    return 402, {"error": error | {"payment_intent": public(intent)}}
