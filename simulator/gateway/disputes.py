"""Disputes: a cardholder's bank takes a payment back, or only asks. Opened and decided by control, each with events."""

from __future__ import annotations

from typing import Any

from simulator.gateway.errors import invalid, missing
from simulator.gateway.objects import Call, public
from simulator.gateway.refunds import refundable
from simulator.gateway.store import new_id
from simulator.gateway.world import World

Answer = tuple[int, dict[str, Any]]
LIST = {"charge", "created", "expand", "limit", "payment_intent", "starting_after"}
FEE_ORE = 15_000
"""What the provider takes of us for a dispute, won or lost."""
DAYS_TO_ANSWER = 14
AFTER: dict[str, tuple[str, ...]] = {"won": (), "warning_closed": (), "lost": ("reverse",)}
"""What can still happen to one that has ended."""
ENDS = ("escalate", "win", "lose", "reverse", "close", "update")


def retrieve(call: Call) -> Answer:
    """GET /v1/disputes/{id}."""
    return 200, call.show(call.find("dispute", "id", call.id))


def list_(call: Call) -> Answer:
    """GET /v1/disputes, all or of one payment."""
    payment = call.params.get("payment_intent")
    return 200, call.show_list("dispute", "/v1/disputes", {"payment_intent": payment})


def open_(
    world: World, payment: str, amount: int | None = None, *, reason: str = "fraudulent", inquiry: bool = False
) -> dict[str, Any]:
    """Let a bank dispute a payment, all of what is left of it or a part; an inquiry takes nothing yet."""
    with world.store.transaction():
        intent = world.store.get("payment_intent", payment)
        charge = world.store.get("charge", intent["latest_charge"]) if intent is not None else None
        if intent is None or charge is None or not charge["paid"]:
            raise missing("payment_intent", payment, "payment")
        left = refundable(charge)
        taken = left if amount is None else amount
        if charge.get("disputed") or not 0 < taken <= left:
            raise invalid(f"There are {left} øre left to dispute, and none while a dispute is open.", param="amount")
        now = world.seconds()
        dispute = {
            "id": new_id("dp"),
            "object": "dispute",
            "amount": taken,
            "balance_transactions": [],
            "charge": charge["id"],
            "created": now,
            "currency": "nok",
            "customer": intent["customer"],
            "evidence_details": {
                "due_by": now + DAYS_TO_ANSWER * 86_400, "has_evidence": False, "past_due": False,
                "submission_count": 0,
            },
            "is_charge_refundable": inquiry,
            "livemode": False,
            "metadata": {},
            "payment_intent": intent["id"],
            "reason": reason,
            "status": "warning_needs_response" if inquiry else "needs_response",
        }  # fmt: skip
        charge["disputed"] = not inquiry
        world.store.put("charge", charge)
        world.store.put("dispute", dispute)
        world.emit("charge.dispute.created", public(dispute))
        if not inquiry:
            _withdraw(world, dispute, charge)
        return dispute


def end(world: World, dispute_id: str, how: str) -> None:
    """Let a dispute go on: ``escalate`` (an inquiry), ``win``, ``lose``, ``reverse`` (a lost one), ``close`` (an
    inquiry), ``update``."""
    if how not in ENDS:
        raise invalid(f"A dispute can {', '.join(ENDS)}, not {how!r}", param="do")
    with world.store.transaction():
        dispute = world.store.get("dispute", dispute_id)
        if dispute is None:
            raise missing("dispute", dispute_id, "dispute")
        charge = world.store.get("charge", dispute["charge"])
        assert charge is not None
        asks = dispute["status"].startswith("warning_")
        under_way = ("escalate", "close", "update") if asks else ("win", "lose", "update")
        if how not in AFTER.get(dispute["status"], under_way):
            raise invalid(f"The dispute is {dispute['status']}.", code="dispute_ended")
        if how == "escalate":
            dispute |= {"status": "needs_response", "is_charge_refundable": False}
            charge["disputed"] = True
            _withdraw(world, dispute, charge)
        elif how == "update":
            dispute["evidence_details"] |= {"has_evidence": True, "submission_count": 1}
            dispute["status"] = "warning_under_review" if asks else "under_review"
        else:
            dispute["status"] = {"win": "won", "reverse": "won", "lose": "lost", "close": "warning_closed"}[how]
            charge["disputed"] = False
            if how in ("win", "reverse"):
                _reinstate(world, dispute, charge)
        world.store.put("charge", charge)
        world.store.put("dispute", dispute)
        kind = "updated" if how in ("escalate", "update") else "closed"
        world.emit(f"charge.dispute.{kind}", public(dispute))


def _withdraw(world: World, dispute: dict[str, Any], charge: dict[str, Any]) -> None:
    _move(world, dispute, charge, -dispute["amount"], FEE_ORE)
    world.emit("charge.dispute.funds_withdrawn", public(dispute))


def _reinstate(world: World, dispute: dict[str, Any], charge: dict[str, Any]) -> None:
    _move(world, dispute, charge, dispute["amount"], 0)
    world.emit("charge.dispute.funds_reinstated", public(dispute))


def _move(world: World, dispute: dict[str, Any], charge: dict[str, Any], amount: int, fee: int) -> None:
    """Move money between our balance at the gateway and the bank (øre, negative: taken of us)."""
    transaction = {
        "id": new_id("txn"),
        "object": "balance_transaction",
        "amount": amount,
        "created": world.seconds(),
        "currency": "nok",
        "fee": fee,
        "net": amount - fee,
        "reporting_category": "dispute" if amount < 0 else "dispute_reversal",
        "source": dispute["id"],
        "type": "adjustment",
    }
    dispute["balance_transactions"].append(transaction)
    charge["_taken_back"] = charge.get("_taken_back", 0) - amount
    world.store.put("charge", charge)
    world.store.put("dispute", dispute)


def books(world: World) -> list[dict[str, Any]]:
    """Return all disputes, each with what it keeps of us (øre)."""
    return [
        {
            "id": one["id"],
            "payment": one["payment_intent"],
            "amount_ore": one["amount"],
            "status": one["status"],
            "taken_ore": -sum(moved["amount"] for moved in one["balance_transactions"]),
        }
        for one in world.store.everything("dispute")
    ]
