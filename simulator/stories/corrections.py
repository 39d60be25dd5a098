"""What chargers take back and change: before and after the invoice, out of order, before it came; and odd plates."""

from __future__ import annotations

import datetime as dt
from typing import Any

from simulator.people import Vehicle
from simulator.roadside import FJELL, KYST
from simulator.stage import Stage
from simulator.stories.calendar import day, run_date
from simulator.tale import Steps, Story, Tale, kroner
from simulator.times import at


def cancelled(name: str, original: dict[str, Any], version: int) -> dict[str, Any]:
    """Make the record that takes another back."""
    return {"id": name, "action": "cancel", "original": original["id"], "version": version}


def adjusted(name: str, original: dict[str, Any], version: int, **changes: Any) -> dict[str, Any]:
    """Make the record that comes in another's place."""
    return original | {"id": name, "action": "adjust", "original": original["id"], "version": version} | changes


def corrections(stage: Stage, tale: Tale, first: dt.date) -> Steps:
    """Passages are cancelled and adjusted, before and after the invoice, and in the wrong order."""
    yield day(first, 1)
    person, number, car = stage.household()
    yield day(first, 3)
    drives = [stage.road.passage(KYST, car, day(first, 3, hour), amount_ore=4000) for hour in (7, 8, 9, 10)]
    stage.accepted(KYST, drives)
    codes = [row["code"] for row in stage.send(KYST, [cancelled("KC-1", drives[0], 1)])]
    tale.same(codes, ["accepted"], "a cancellation")
    late = stage.road.passage(KYST, car, day(first, 3, 11), amount_ore=4000)
    waits = stage.send(KYST, [adjusted("KC-2", late, 1, amount=3000)])
    tale.same(waits[0]["code"], "deferred_original_missing", "an adjustment before its original")
    stage.accepted(KYST, [late])
    yield day(first, 4)
    tale.same(stage.unbilled(number), 3 * 4000 + 3000, "unbilled when the original has come")
    yield at(run_date(first))
    bill = stage.only_invoice(number)
    tale.same(bill["total_ore"], 15_000, "the invoice")
    yield at(run_date(first) + dt.timedelta(days=2))
    newest = stage.send(KYST, [adjusted("KC-4", drives[1], 4, amount=2500)])
    older = stage.send(KYST, [cancelled("KC-3", drives[1], 3)])
    tale.same([newest[0]["code"], older[0]["code"]], ["accepted", "superseded"], "the highest version wins")
    stage.accepted(KYST, [stage.road.passage(KYST, car, day(first, 33), amount_ore=9000)])
    tale.same(stage.unbilled(number), 9000 - 1500, "unbilled: what was invoiced too dear comes off")
    tale.same(stage.invoice(int(bill["number"]))["total_ore"], 15_000, "the invoice stays as it was")
    yield at(run_date(first, 2))
    after = next(row for row in stage.invoices(number) if row["number"] != bill["number"])
    tale.same(after["total_ore"], 7500, "the next invoice, with the difference on it")
    tale.tell(
        f"{person.name}: one of five cancelled, one adjusted before it came, one after it was invoiced: "
        f"{kroner(15_000)}, then {kroner(7500)} with {kroner(1500)} taken off; an older correction: superseded"
    )


def odd_plates(stage: Stage, tale: Tale, first: dt.date) -> Steps:
    """Plates with Æ, Ø and Å; a Danish and a Norwegian vehicle with the same plate; one passing read twice."""
    yield day(first, 1)
    cars = [Vehicle("BÆ ØÅ", "NO"), Vehicle("AX 33417", "DK"), Vehicle("AX 33417", "NO")]
    numbers = []
    for car in cars:
        number = stage.sign_up(stage.people.person())
        stage.add_vehicle(number, car)
        numbers.append(number)
    yield day(first, 2)
    lower = Vehicle("bæ-øå", "NO")
    drives = [
        stage.road.passage(FJELL, car, day(first, 2, 8 + hour), amount_ore=1000 * (hour + 1))
        for hour, car in enumerate([lower, *cars[1:]])
    ]
    stage.accepted(FJELL, drives)
    tale.same([stage.unbilled(number) for number in numbers], [1000, 2000, 3000], "each on its own agreement")
    once = stage.road.passage(FJELL, cars[2], day(first, 2, 15), amount_ore=500) | {"lane": "2"}
    again = stage.road.passage(FJELL, cars[2], day(first, 2, 15), amount_ore=500) | {
        "lane": "2", "station": once["station"],
    }  # fmt: skip
    codes = [row["code"] for row in stage.send(FJELL, [once, again])]
    tale.same(codes, ["accepted", "double_read"], "one passing read twice")
    tale.same(stage.unbilled(numbers[2]), 3500, "paid once")
    tale.tell(f"{cars[0].plate}, {cars[1].plate} (DK) and {cars[2].plate} (NO): each its own; a second read: not paid")


STORIES = (
    Story("corrections", "cancelled, adjusted, superseded, before its original, after the invoice", corrections),
    Story("odd plates", "Æ Ø Å, a Danish plate equal to a Norwegian one, one passing read twice", odd_plates),
)
