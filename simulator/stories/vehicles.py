"""A sold car is still billed: what drivers complain about most."""

from __future__ import annotations

import datetime as dt

from simulator.client import Refused
from simulator.roadside import FJELL
from simulator.stage import Stage
from simulator.stories.calendar import DAY, day
from simulator.tale import Steps, Story, Tale, kroner


def sold_car(stage: Stage, tale: Tale, first: dt.date) -> Steps:
    """The seller tells later; support removes the car from the day of the sale, and the buyer gets the passages."""
    yield day(first, 1)
    seller, number, car = stage.household()
    buyer, theirs, _ = stage.household()
    yield day(first, 4)
    stage.accepted(FJELL, [stage.road.passage(FJELL, car, day(first, 4, 8), amount_ore=3000)])
    sold = day(first, 5, 0)
    yield day(first, 7)
    driven = [stage.road.passage(FJELL, car, day(first, 6, hour), amount_ore=2400, by_image=True) for hour in (8, 16)]
    stage.accepted(FJELL, driven)
    tale.same(stage.unbilled(number), 3000 + 4800, "billed to the seller so far")
    try:
        stage.add_vehicle(theirs, car)
        tale.check(False, "the buyer cannot register a car that the seller still has")
    except Refused as refused:
        tale.same(refused.status, 409, "registering a car that somebody has")
    yield day(first, 8)
    stage.remove_vehicle(number, car, since=sold, reason="Sold; contract of sale seen")
    stage.add_vehicle(theirs, car, since=sold)
    stage.settle()
    stage.eventually(lambda: stage.unbilled(theirs) == 4800, "the buyer has the passages since the sale")
    tale.same(stage.unbilled(number), 3000, "what stays with the seller")
    stage.accepted(FJELL, [stage.road.passage(FJELL, car, day(first, 8, 9), amount_ore=2400, by_image=True)])
    tale.same(stage.unbilled(theirs), 7200, "and the next one is the buyer's")
    tale.tell(f"{seller.name} sold to {buyer.name}: 2 passages, {kroner(4800)}, moved by reversal and anew")


def removed_today(stage: Stage, tale: Tale, first: dt.date) -> Steps:
    """A customer removes a car from now on; the answer names the ferry agreement that still has it."""
    yield day(first, 1)
    _, number, car = stage.household()
    ferry = stage.add_ferry(number, "FJORD", car, settlement="external", external_ref="FP-1001")
    yield day(first, 3)
    done = stage.remove_vehicle(number, car, role="customer")
    still = done["still_on"]
    tale.same([row["id"] for row in still], [ferry["id"]], "additional agreements that still have the car")
    yield day(first, 4)
    code = stage.send(FJELL, [stage.road.passage(FJELL, car, day(first, 4, 8))])[0]["code"]
    tale.same(code, "unknown_vehicle", "a passage after the charger was told")
    tale.tell("removed by the customer; the ferry agreement is named; later passages are nobody's of ours")


def nobodys_car(stage: Stage, tale: Tale, first: dt.date) -> Steps:
    """Removed back in time and nobody has it: the passages stay until support credits them; the charger is owed."""
    yield day(first, 1)
    _, number, car = stage.household()
    yield day(first, 6)
    stage.accepted(FJELL, [stage.road.passage(FJELL, car, day(first, 6, 8), amount_ore=5200)])
    stage.remove_vehicle(number, car, since=day(first, 5, 0), reason="Scrapped; receipt seen")
    stage.settle()
    yield day(first, 6) + DAY
    tale.same(stage.unbilled(number), 5200, "what nobody has stays with the last holder")
    passage = next(row for row in stage.passages(number) if row["amount_ore"] == 5200)
    stage.credit(number, passage["id"], "The car was scrapped the day before")
    tale.same(stage.unbilled(number), 0, "credited by support")
    tale.tell(f"{kroner(5200)} stayed until support credited it")


STORIES = (
    Story("a sold car", "removed back in time; the new owner gets the passages", sold_car),
    Story("removed by the customer", "from now on; additional agreements are named", removed_today),
    Story("nobody's car", "stays until support credits it", nobodys_car),
)
