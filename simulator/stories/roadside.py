"""What comes in from the road: late, twice, changed, broken, unknown, foreign; and journeys that settle elsewhere."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import replace

from simulator.roadside import FJELL, FJORD, KYST
from simulator.stage import Stage
from simulator.stories.calendar import day, run_date
from simulator.tale import Steps, Story, Tale, kroner
from simulator.times import at, written


def late_passage(stage: Stage, tale: Tale, first: dt.date) -> Steps:
    """An image passage arrives after the month was invoiced: it is billed by arrival, shown by occurrence."""
    yield day(first, 1)
    person, number, car = stage.household()
    yield day(first, 3)
    stage.accepted(FJELL, [stage.road.passage(FJELL, car, day(first, 3, 8), amount_ore=9000)])
    image = stage.road.passage(FJELL, car, day(first, 4, 17, 30), amount_ore=7500, by_image=True)
    issued = run_date(first)
    yield at(issued)
    bill = stage.only_invoice(number)
    tale.same(bill["total_ore"], 9000, "first invoice")
    yield at(issued + dt.timedelta(days=9))
    answer = stage.accepted(FJELL, [image])[0]
    tale.check("by_plate" in answer["flags"], "flag by_plate on an image passage", answer)
    passage = next(row for row in stage.passages(number) if row["amount_ore"] == 7500)
    tale.same(dt.datetime.fromisoformat(passage["passed_at"]), day(first, 4, 17, 30), "shown when it happened")
    yield at(run_date(first, 2))
    bills = stage.invoices(number)
    tale.same(sorted(bill["total_ore"] for bill in bills), [7500, 9000], "both invoices")
    late = next(bill for bill in bills if bill["total_ore"] == 7500)
    tale.same(late["issued_on"], run_date(first, 2).isoformat(), "billed by arrival")
    tale.tell(f"{person.name}: the image of {first + dt.timedelta(days=4)} came after the month's run; "
              f"{kroner(7500)} on the invoice of {late['issued_on']}, not on the one before")  # fmt: skip


def batches(stage: Stage, tale: Tale, first: dt.date) -> Steps:
    """A batch is sent twice; a record is changed; broken records, unknown and foreign vehicles are among the good."""
    yield day(first, 1)
    _, number, car = stage.household()
    _, other, wrong_car = stage.household()
    foreign = stage.people.vehicle(tag=False, country="SE")
    stage.add_vehicle(number, foreign)
    yield day(first, 2)
    good = [stage.road.passage(FJELL, car, day(first, 2, hour), amount_ore=2500) for hour in (7, 8, 9)]
    abroad = stage.road.passage(
        FJELL, replace(foreign, plate=foreign.plate.lower()), day(first, 2, 10), amount_ore=3100
    )
    mismatch = stage.road.passage(FJELL, replace(car, plate=wrong_car.plate), day(first, 2, 11), amount_ore=2700)
    stranger = stage.road.passage(FJELL, stage.people.vehicle(), day(first, 2, 11))
    nowhere = stage.road.passage(FJELL, car, day(first, 2, 11, 30)) | {"station": "999"}
    negative = stage.road.passage(FJELL, car, day(first, 2, 11, 40)) | {"amount": -1}
    batch = [*good, abroad, "{not json", mismatch, stranger, nowhere, negative]
    answers = stage.send(FJELL, batch)
    codes = [answer["code"] for answer in answers]
    tale.same(codes, ["accepted"] * 4 + ["invalid_record", "accepted", "unknown_vehicle", "unknown_station",
                                         "invalid_amount"], "answers in order")  # fmt: skip
    tale.check("tag_plate_mismatch" in answers[5]["flags"], "the tag wins, flagged", answers[5])
    tale.same(len(stage.passages(other)), 0, "passages of the car whose plate was read")
    tale.same(stage.unbilled(number), 3 * 2500 + 3100 + 2700, "unbilled")
    again = stage.send(FJELL, batch)
    repeated = Counter(answer["code"] for answer in again)
    tale.check(repeated["duplicate"] >= 5 and repeated["accepted"] == 0, "a resent batch is all duplicates", repeated)
    tale.check(bool(again[0].get("detail")), "a duplicate names where it first stood", again[0])
    changed = good[0] | {"passed_at": written(day(first, 2, 7, 1))}
    tale.same(stage.send(FJELL, [changed])[0]["code"], "conflict", "same id, another time")
    tale.same(stage.unbilled(number), 3 * 2500 + 3100 + 2700, "unbilled after the repeats")
    file = stage.ingest(FJELL, [*good, stage.road.passage(FJELL, car, day(first, 2, 11, 45), amount_ore=2500)])
    tale.same(file["counts"], {"accepted": 1, "duplicate": 3}, "the same in a file with one new")
    tale.tell(f"9 records, 5 accepted, each of the others with its reason; resent: {dict(repeated)}; "
              f"a changed one: conflict; the same as a file: {file['counts']}")  # fmt: skip


def ferries(stage: Stage, tale: Tale, first: dt.date) -> Steps:
    """Ferry journeys settle on the additional agreement, ours or another company's, never on the tag agreement."""
    yield day(first, 1)
    _, number, car = stage.household()
    _, elsewhere, second = stage.household()
    ferry = stage.add_ferry(number, FJORD.code, car, settlement="own")
    own = int(ferry["agreement"])
    tale.check(own != number, "an own ferry agreement has its own number", ferry)
    stage.add_ferry(elsewhere, FJORD.code, second, settlement="external", external_ref="FP-448812")
    yield day(first, 5)
    answers = stage.send(
        FJORD,
        [
            stage.road.passage(FJORD, car, day(first, 5, 8), amount_ore=14760),
            stage.road.passage(FJORD, second, day(first, 5, 9), amount_ore=8820),
        ],
    )
    tale.same([answer["code"] for answer in answers], ["accepted", "other_agreement"], "answers")
    stage.accepted(KYST, [stage.road.passage(KYST, car, day(first, 5, 10), amount_ore=6000)])
    stage.accepted(KYST, [stage.road.passage(KYST, second, day(first, 5, 10), amount_ore=6000)])
    shown = [row for row in stage.passages(elsewhere) if row["service"] == "ferry"]
    tale.same([row["external"] for row in shown], [True], "the external journey is shown")
    tale.same(stage.unbilled(elsewhere), 6000, "unbilled beside an external journey")
    yield at(run_date(first))
    tale.same(stage.only_invoice(number)["total_ore"], 6000, "the tag agreement's invoice")
    tale.same(stage.only_invoice(own)["total_ore"], 14760, "the ferry agreement's invoice")
    tale.same(stage.only_invoice(elsewhere)["total_ore"], 6000, "the invoice beside an external agreement")
    tale.tell(f"own: {kroner(14760)} on agreement {own}; external: answered other_agreement, shown, on no invoice")


STORIES = (
    Story("late passage", "billed by arrival, shown by occurrence", late_passage),
    Story("batches", "resent, changed, broken, unknown, foreign, mismatched", batches),
    Story("ferries", "additional agreements, our own and another company's", ferries),
)
