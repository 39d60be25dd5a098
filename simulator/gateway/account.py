"""The gateway's account of us: a line for all that moves our balance there, its fees, and what it pays out.

Lines are made of what there is (payments, refunds, disputes) when somebody looks, so that no other part has to think
of them; one line once, since its id comes from what it is about. Each midnight (UTC) that has passed, what came before
it is paid out; the money arrives on the next weekday, unless control lets the payout fail: then it comes back. Control
can also have a manual payout made; which lines are in one of those can, as at Stripe, not be asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from simulator.gateway.errors import invalid, missing
from simulator.gateway.objects import Call, public
from simulator.gateway.store import new_id
from simulator.gateway.world import World

Answer = tuple[int, dict[str, Any]]
LIST = {"created", "currency", "expand", "limit", "payout", "source", "starting_after", "type"}
PAYOUTS = {"created", "expand", "limit", "starting_after", "status"}
FEE_BP, FEE_ORE = 140, 180
"""What the gateway takes of a payment: 1.4 % and NOK 1.80."""
DAY = 86_400
_KINDS = {"ch": "charge", "re": "refund", "dp": "dispute", "po": "payout"}


def fee(amount: int) -> int:
    """Return what a payment of so many øre costs us, half away from zero."""
    return (amount * FEE_BP + 5_000) // 10_000 + FEE_ORE


def list_(call: Call) -> Answer:
    """GET /v1/balance_transactions, newest first; those of one payout with `payout`."""
    _bring(call.world)
    expand = list(call.params.get("expand") or [])
    plain = replace(call, params={**call.params, "expand": [one for one in expand if one != "data.source"]})
    match = {"_payout": call.params.get("payout"), "source": call.params.get("source"), "type": call.params.get("type")}
    if match["_payout"]:
        asked = call.find("payout", "payout", match["_payout"])
        if not asked["automatic"]:
            raise invalid("Balance transaction history can only be filtered on automatic payouts.", param="payout")
    page = plain.show_list("balance_transaction", "/v1/balance_transactions", match)
    if "data.source" in expand:
        page["data"] = [line | {"source": _source(call.world, line["source"])} for line in page["data"]]
    return 200, page


def balance(call: Call) -> Answer:
    """GET /v1/balance: all of it is available when it is paid out at midnight, until then it is pending."""
    _bring(call.world)
    lines = call.world.store.everything("balance_transaction")
    midnight = _midnight(call.world.seconds())
    before = sum(line["net"] for line in lines if line["created"] < midnight)
    after = sum(line["net"] for line in lines if line["created"] >= midnight)
    return 200, {
        "object": "balance",
        "available": [{"amount": before, "currency": "nok", "source_types": {"card": before}}],
        "livemode": False,
        "pending": [{"amount": after, "currency": "nok", "source_types": {"card": after}}],
    }


def list_payouts(call: Call) -> Answer:
    """GET /v1/payouts, newest first."""
    _bring(call.world)
    return 200, call.show_list("payout", "/v1/payouts", {"status": call.params.get("status")})


def retrieve_payout(call: Call) -> Answer:
    """GET /v1/payouts/{id}."""
    _bring(call.world)
    return 200, call.show(call.find("payout", "id", call.id))


def manual_payout(world: World, amount: int) -> dict[str, Any]:
    """Pay out so much now, as somebody in the dashboard does. Raises ApiError: more than there is, or nothing."""
    with world.store.transaction():
        _bring(world)
        held = sum(line["net"] for line in world.store.everything("balance_transaction"))
        if not 0 < amount <= held:
            raise invalid("You have insufficient funds in your Stripe account for this payout.", param="amount")
        payout = _payout(world, amount, world.seconds(), automatic=False)
        _line(world, payout, "payout", -amount, 0, world.seconds(), "")
        shown: dict[str, Any] = public(payout)
        return shown


def fail_payout(world: World, payout_id: str) -> None:
    """Let the bank send a payout back, under way or arrived. Raises ApiError: no such payout, or it failed already."""
    with world.store.transaction():
        _bring(world)
        payout = world.store.get("payout", payout_id)
        if payout is None:
            raise missing("payout", payout_id, "id")
        if payout["status"] == "failed":
            raise invalid("This payout has failed already.")
        back = _line(world, payout, "payout_failure", payout["amount"], 0, world.seconds(), "f")
        payout |= {"status": "failed", "failure_code": "account_closed", "failure_balance_transaction": back["id"]}
        world.store.put("payout", payout)
        world.emit("payout.failed", public(payout))


def change_line(world: World, line_id: str, amount: int) -> None:
    """Let a line be of another sum than what it is about. Raises ApiError: no such line."""
    with world.store.transaction():
        _bring(world)
        line = world.store.get("balance_transaction", line_id)
        if line is None:
            raise missing("balance_transaction", line_id, "id")
        world.store.put("balance_transaction", line | {"amount": amount, "net": amount - line["fee"]})


def add_line(world: World, kind: str, amount: int, *, ago: int = 0) -> dict[str, Any]:
    """Add a line that is about nothing of ours: a monthly fee (`stripe_fee`), an `adjustment`. Returns it.

    ``ago``: it is made with a time so many seconds ago, behind lines that were told of already.
    """
    with world.store.transaction():
        line: dict[str, Any] = public(_line(world, None, kind, amount, 0, world.seconds() - ago, new_id("x")))
        return line


def lines(world: World) -> list[dict[str, Any]]:
    """Return the whole account, oldest first."""
    _bring(world)
    shown: list[dict[str, Any]] = public(world.store.everything("balance_transaction"))
    return shown


def books(world: World) -> dict[str, int]:
    """Return what the gateway has taken of us for itself, in øre."""
    return {"fees_ore": sum(line["fee"] for line in lines(world))}


def _bring(world: World) -> None:
    """Write the lines that are missing, make the payouts whose time has come, and let those arrive that are due."""
    with world.store.transaction():
        known = {line["id"] for line in world.store.everything("balance_transaction")}
        for about, kind, amount, taken, at, suffix in _moved(world):
            if _number(about, suffix) not in known:
                _line(world, about, kind, amount, taken, at, suffix)
        _pay_out(world)
        for payout in world.store.everything("payout"):
            if payout["status"] in ("pending", "in_transit"):
                _arrive(world, payout)


def _moved(world: World) -> Iterator[tuple[dict[str, Any], str, int, int, int, str]]:
    """Yield all that has moved our balance: (what it is about, type, amount, fee, when, the id's end)."""
    for charge in world.store.everything("charge"):
        if charge["paid"]:
            yield charge, "charge", charge["amount"], fee(charge["amount"]), charge["created"], ""
    for refund in world.store.everything("refund"):
        yield refund, "refund", -refund["amount"], 0, refund["created"], ""
        if refund["status"] in ("failed", "canceled"):
            yield refund, "refund_failure", refund["amount"], 0, world.seconds(), "f"
    for dispute in world.store.everything("dispute"):
        for number, moved in enumerate(dispute["balance_transactions"]):
            yield dispute, moved["type"], moved["amount"], moved["fee"], moved["created"], str(number)


def _number(about: dict[str, Any] | None, suffix: str) -> str:
    return f"txn_{'' if about is None else about['id'].partition('_')[2]}{suffix}"


def _line(
    world: World, about: dict[str, Any] | None, kind: str, amount: int, taken: int, at: int, suffix: str
) -> dict[str, Any]:
    line = {
        "id": _number(about, suffix),
        "object": "balance_transaction",
        "_payout": None,
        "amount": amount,
        "available_on": _midnight(at) + DAY,
        "balance_type": "payments",
        "created": at,
        "currency": "nok",
        "description": None,
        "exchange_rate": None,
        "fee": taken,
        "fee_details": [{"amount": taken, "currency": "nok", "type": "stripe_fee"}] if taken else [],
        "net": amount - taken,
        "reporting_category": "fee" if kind == "stripe_fee" else kind,
        "source": None if about is None else about["id"],
        "status": "available",
        "type": kind,
    }
    world.store.put("balance_transaction", line)
    return line


def _pay_out(world: World) -> None:
    """Make a payout at each midnight that has passed since the oldest line that is in none."""
    waiting = [one for one in world.store.everything("balance_transaction") if one["_payout"] is None]
    today = _midnight(world.seconds())
    night = _midnight(min((one["created"] for one in waiting), default=today)) + DAY
    while night <= today:
        due = [one for one in waiting if one["created"] < night and one["_payout"] is None]
        amount = sum(one["net"] for one in due)
        if amount > 0:  # what is owed to the gateway waits until there is more than that
            payout = _payout(world, amount, night)
            for one in due:
                one["_payout"] = payout["id"]
                world.store.put("balance_transaction", one)
            own = _line(world, payout, "payout", -amount, 0, night, "")
            world.store.put("balance_transaction", own | {"_payout": payout["id"]})
        night += DAY


def _payout(world: World, amount: int, at: int, *, automatic: bool = True) -> dict[str, Any]:
    arrives = datetime.fromtimestamp(_midnight(at), tz=UTC) + timedelta(days=1)
    while arrives.weekday() > 4:
        arrives += timedelta(days=1)
    number = new_id("po")
    payout = {
        "id": number,
        "object": "payout",
        "amount": amount,
        "arrival_date": int(arrives.timestamp()),
        "automatic": automatic,
        "balance_transaction": f"txn_{number.partition('_')[2]}",
        "created": at,
        "currency": "nok",
        "failure_balance_transaction": None,
        "failure_code": None,
        "livemode": False,
        "metadata": {},
        "method": "standard",
        "status": "in_transit",
        "type": "bank_account",
    }
    world.store.put("payout", payout)
    world.emit("payout.created", public(payout))
    return payout


def _arrive(world: World, payout: dict[str, Any]) -> None:
    if world.seconds() >= payout["arrival_date"]:
        payout["status"] = "paid"
        world.store.put("payout", payout)
        world.emit("payout.paid", public(payout))


def _midnight(seconds: int) -> int:
    return seconds - seconds % DAY


def _source(world: World, wanted: str | None) -> dict[str, Any] | None:
    if wanted is None:
        return None
    found: dict[str, Any] | None = public(world.store.get(_KINDS.get(wanted.partition("_")[0], ""), wanted))
    return found
