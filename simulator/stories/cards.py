"""What happens to a card: the threshold and the week, the business fee, a decline, an answer that got lost."""

from __future__ import annotations

import datetime as dt

from simulator.client import Json
from simulator.roadside import FJELL
from simulator.stage import Stage
from simulator.stories.calendar import DAY, day
from simulator.tale import Steps, Story, Tale, kroner
from simulator.times import bank_day, next_bank_day


def _charged(stage: Stage, number: int, states: list[str]) -> bool:
    """Say whether the agreement's charges, oldest first, are in these states."""
    return [charge["state"] for charge in reversed(stage.charges(number))] == states


def _tries(stage: Stage, number: int) -> list[str]:
    """Return the outcomes of the tries of an agreement's only charge."""
    return [attempt["state"] for charge in stage.charges(number)[:1] for attempt in charge["attempts"]]


def threshold(stage: Stage, tale: Tale, first: dt.date) -> Steps:
    """NOK 199.99 charges nothing, 200.00 does, and the next 200 waits until a week has passed."""
    yield day(first, 1)
    _, number, car = stage.household()
    payer = stage.payer(number, "consumer")
    yield day(first, 2)
    stage.accepted(FJELL, [stage.road.passage(FJELL, car, day(first, 2, 8), amount_ore=19_999)])
    stage.settle()
    tale.same(stage.charges(number), [], "charges at NOK 199.99")
    stage.accepted(FJELL, [stage.road.passage(FJELL, car, day(first, 2, 9), amount_ore=1)])
    stage.eventually(lambda: _charged(stage, number, ["succeeded"]), "charged at NOK 200.00")
    yield day(first, 8)
    stage.accepted(FJELL, [stage.road.passage(FJELL, car, day(first, 8, 8), amount_ore=20_000)])
    stage.settle()
    tale.check(_charged(stage, number, ["succeeded"]), "six days later nothing is charged", stage.charges(number))
    yield day(first, 9)
    stage.eventually(lambda: _charged(stage, number, ["succeeded", "succeeded"]), "charged on the seventh day")
    tale.same([paid["amount_ore"] for paid in stage.cards.paid_by(payer)], [20_000, 20_000], "the gateway's books")
    receipts = stage.invoices(number)
    tale.same([receipt["open_ore"] for receipt in receipts], [0, 0], "open on the receipts")
    tale.tell("199.99: nothing; 200.00: charged; the next 200 six days later waited for the seventh")


def business_card(stage: Stage, tale: Tale, first: dt.date) -> Steps:
    """A commercial card pays 2 % and NOK 0.50 on top, as a line of its own on the receipt."""
    yield day(first, 1)
    person, number, car = stage.household(business=True)
    payer = stage.payer(number, "commercial")
    yield day(first, 3)
    stage.accepted(FJELL, [stage.road.passage(FJELL, car, day(first, 3, 8), amount_ore=24_025)])
    stage.eventually(lambda: _charged(stage, number, ["succeeded"]), "charged")
    fee = 481 + 50  # 2 % of 240.25 is 480.5 øre, rounded half away from zero
    tale.same([paid["amount_ore"] for paid in stage.cards.paid_by(payer)], [24_025 + fee], "the gateway's books")
    receipt = stage.only_invoice(number)
    tale.same(receipt["total_ore"], 24_025 + fee, "the receipt's total")
    lines = stage.invoice(receipt["number"])["lines"]
    tale.same([row["gross_ore"] for row in lines if row["kind"] == "card_fee"], [fee], "the receipt's fee line")
    tale.tell(f"{person.name}: {kroner(24_025)} + fee {kroner(fee)} = {kroner(24_025 + fee)} on one receipt")


def declined_card(stage: Stage, tale: Tale, first: dt.date) -> Steps:
    """A card without cover is tried again on bank days 1, 3 and 5, then an invoice takes over and is paid by bank."""
    yield day(first, 1)
    person, number, car = stage.household()
    payer = stage.payer(number, "insufficient_funds")
    began = bank_day(first + 4 * DAY)
    yield day(began, 0)
    stage.accepted(FJELL, [stage.road.passage(FJELL, car, day(began, 0, 8), amount_ore=31_000)])
    stage.eventually(lambda: _tries(stage, number) == ["declined"], "declined at once")
    retry = began
    for _ in range(5):
        retry = next_bank_day(retry)
        yield day(retry, 0)
    stage.eventually(lambda: _charged(stage, number, ["invoiced"]), "given up after the last try")
    tale.same(_tries(stage, number), ["declined"] * 4, "tries")
    bill = stage.only_invoice(number)
    tale.same((bill["total_ore"], bill["open_ore"]), (31_000, 31_000), "the invoice that took over")
    tale.same(stage.cards.paid_by(payer), [], "payments in the gateway's books")
    paid_on = next_bank_day(retry)
    stage.pay(bill, on=paid_on)
    yield day(next_bank_day(paid_on), 0) + DAY
    tale.same(stage.only_invoice(number)["open_ore"], 0, "open after the bank's file")
    tale.tell(
        f"{person.name}: declined 4 times from {began}, invoiced on {bill['issued_on']}, paid by KID {bill['kid']}"
    )


def lost_answer(stage: Stage, tale: Tale, first: dt.date) -> Steps:
    """The gateway takes the money and its answer is lost; the sweep finds out, and the card is charged once."""
    yield day(first, 1)
    person, number, car = stage.household()
    payer = stage.payer(number, "consumer")
    stage.cards.fault(kind="timeout", on="charge", customer=payer, when="after", hold_seconds=60)
    stage.cards.fault(kind="webhook", action="drop", customer=payer, types=["payment_intent.succeeded"])
    yield day(first, 2)
    stage.accepted(FJELL, [stage.road.passage(FJELL, car, day(first, 2, 8), amount_ore=25_000)])
    stage.eventually(lambda: _unknown(stage.charges(number)), "the outcome is unknown, and is written down as that")
    stage.accepted(FJELL, [stage.road.passage(FJELL, car, day(first, 2, 9), amount_ore=22_000)])
    stage.settle()
    tale.same(len(stage.charges(number)), 1, "charges while one is unknown")
    yield from stage.swept(lambda: _charged(stage, number, ["succeeded"]), day(first, 3))
    charge = stage.charges(number)[0]
    tale.same(len(charge["attempts"]), 1, "attempts")
    tale.same([paid["amount_ore"] for paid in stage.cards.paid_by(payer)], [25_000], "the gateway's books")
    tale.same(stage.only_invoice(number)["open_ore"], 0, "open on the receipt")
    tale.tell(f"{person.name}: {kroner(25_000)} taken, the answer lost; settled by the sweep, one payment")


def _unknown(charges: list[Json]) -> bool:
    return any(attempt["state"] == "unknown" for charge in charges for attempt in charge["attempts"])


STORIES = (
    Story("threshold and week", "199.99, 200.00 and six days later", threshold),
    Story("a business card", "2 % and NOK 0.50 on the receipt", business_card),
    Story("a declined card", "tried again, then invoiced", declined_card),
    Story("a lost gateway answer", "unknown, swept, one payment", lost_answer),
)
