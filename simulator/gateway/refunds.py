"""Refunds: made at once, or pending until control says what becomes of them; one that succeeded may fail later."""

from __future__ import annotations

from typing import Any

from simulator.gateway.errors import invalid, missing
from simulator.gateway.objects import Call, public
from simulator.gateway.store import new_id
from simulator.gateway.world import World

Answer = tuple[int, dict[str, Any]]
CREATE = {"amount", "expand", "metadata", "payment_intent", "reason"}
LIST = {"created", "expand", "limit", "payment_intent", "starting_after"}
ENDS = {"succeed": "succeeded", "fail": "failed", "cancel": "canceled"}


def create(call: Call) -> Answer:
    """POST /v1/refunds. Never more than is left of the payment, and nothing while its bank disputes it."""
    intent = call.find("payment_intent", "payment_intent", call.required("payment_intent"))
    charge = call.world.store.get("charge", intent["latest_charge"])
    if intent["status"] != "succeeded" or charge is None:
        raise invalid("This PaymentIntent does not have a successful charge to refund.", param="payment_intent")
    if charge.get("disputed"):
        raise invalid(f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed")
    left = refundable(charge)
    if left == 0:
        raise invalid(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    amount = call.whole("amount") if "amount" in call.params else left
    if amount < 1:
        raise invalid("Invalid positive integer", code="parameter_invalid_integer", param="amount")
    if amount > left:
        raise invalid(f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})", param="amount")
    pending = call.world.faults.take("pending", on="refund", customer=intent["customer"])
    made = {
        "id": new_id("re"),
        "object": "refund",
        "amount": amount,
        "charge": charge["id"],
        "created": call.world.seconds(),
        "currency": "nok",
        "failure_reason": None,
        "metadata": call.metadata(),
        "payment_intent": intent["id"],
        "reason": call.params.get("reason"),
        "status": "succeeded" if pending is None else "pending",
    }
    _count(call.world, charge, amount)
    call.world.store.put("refund", made)
    call.world.emit("refund.created", made, call.request_id)
    call.world.emit("charge.refunded", public(charge), call.request_id)
    return 200, call.show(made)


def refundable(charge: dict[str, Any]) -> int:
    """Return what of a charge is neither refunded nor taken back by its bank (øre)."""
    return max(int(charge["amount"] - charge["amount_refunded"] - charge.get("_taken_back", 0)), 0)


def _count(world: World, charge: dict[str, Any], amount: int) -> None:
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    world.store.put("charge", charge)


def retrieve(call: Call) -> Answer:
    """GET /v1/refunds/{id}."""
    return 200, call.show(call.find("refund", "id", call.id))


def list_(call: Call) -> Answer:
    """GET /v1/refunds, all or of one payment."""
    payment = call.params.get("payment_intent")
    if payment is not None:
        call.find("payment_intent", "payment_intent", payment)
    return 200, call.show_list("refund", "/v1/refunds", {"payment_intent": payment})


def end(world: World, refund_id: str, how: str) -> None:
    """Let a refund ``succeed``, ``fail`` (one that succeeded may too) or ``cancel``; each sends its event."""
    if how not in ENDS:
        raise invalid(f"A refund can {', '.join(ENDS)}, not {how!r}", param="do")
    with world.store.transaction():
        refund = world.store.get("refund", refund_id)
        if refund is None:
            raise missing("refund", refund_id, "refund")
        if refund["status"] in ("failed", "canceled") or (how != "fail" and refund["status"] != "pending"):
            raise invalid(f"The refund is {refund['status']}.", code="refund_ended")
        refund["status"] = ENDS[how]
        if how != "succeed":
            refund["failure_reason"] = "expired_or_canceled_card" if how == "fail" else None
            charge = world.store.get("charge", refund["charge"])
            assert charge is not None
            _count(world, charge, -refund["amount"])
        world.store.put("refund", refund)
        world.emit("refund.failed" if how == "fail" else "refund.updated", refund)
        world.emit("charge.refund.updated", refund)
