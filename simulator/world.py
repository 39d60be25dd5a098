"""A small world for `make run`: some weeks of about twenty-five agreements, played through the public faces until now.

`python -m simulator.world --base-url URL`. Settings are those of the environment, as for every command of Brikke. Does
nothing where there is a world already. Afterwards business time is real time again.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx

from simulator.bank import with_wrong_check
from simulator.client import Client, Json, Refused
from simulator.crowd import Crowd
from simulator.people import Vehicle
from simulator.roadside import FJELL, FJORD, KYST
from simulator.shell import CommandFailed, brikke
from simulator.stack import JobFailed, settle
from simulator.stage import Ground, Stage
from simulator.stories.calendar import DAY, due_date, told
from simulator.tale import Broken, Director, Steps, Tale
from simulator.times import at, bank_day_before, next_bank_day, oslo_day

WEEKS = 7
MANY = 14
BY_HAND = "EL12345"  # the plate of the README's first passage
BEFORE_RUN = 10  # days of driving before the first invoices


class Attached:
    """A Brikke that somebody else runs. Fulfils `simulator.stage.Ground`."""

    def __init__(self, base_url: str) -> None:
        self.environ = dict(os.environ)
        shown = brikke(self.environ, "config")[1]
        self.client = Client(base_url, self._token)
        self.gateway_url = str(shown["STRIPE_API_BASE"])
        self.inbox = Path(shown["BANK_INBOX"])
        self.mail = Path(str(shown["MAIL_URL"]).removeprefix("folder:"))

    def settle(self) -> None:
        """Wait until no occurrence of a job is due or running."""
        settle(self.client)

    def command(self, *arguments: str, may_fail: bool = False) -> tuple[int, Json]:
        """Run `brikke … --json` with the settings of the environment."""
        return brikke(self.environ, *arguments, may_fail=may_fail)

    def sweep(self) -> bool:
        """Say that the sweep cannot be hurried."""
        return False

    def _token(self, role: str, whose: str | None) -> str:
        scope = ["--charger", str(whose)] if role == "charger" else []
        return str(brikke(self.environ, "token", "--role", role, *scope)[1]["token"])


class SmallWorld:
    """The people of the small world whom one should meet, each with a reason to look them up."""

    def __init__(self, stage: Stage, first: dt.date, run: dt.date, today: dt.date) -> None:
        self.stage = stage
        self.first = first
        self.run = run
        self.today = today
        self.due = due_date(run)

    def characters(self) -> list[tuple[str, Callable[[], Steps]]]:
        """Return what each of them lives through."""
        return [
            ("Kari Nordmann", self.ordinary),
            ("John Smith", self.in_english),
            ("Nordlys Transport AS", self.business),
            ("Terje Blokkstad", self.blocked),
            ("Ingrid Ventestad", self.awaiting),
            ("Odd Feilskjær", self.wrong_kid),
            ("Silje Kortreist", self.declined),
            ("Magnus Havnevik", self.ferry),
            ("Anne Bilbytte", self.sold),
            ("Lars Forskudd", self.credit),
        ]

    def _household(
        self, name: str, *, business: bool = False, language: str = "nb", plate: str | None = None
    ) -> tuple[int, Vehicle]:
        person = self.stage.people.person(business=business, name=name, language=language)
        car = self.stage.people.vehicle()
        if plate is not None:
            car = replace(car, plate=plate)
        number = self.stage.sign_up(person)
        self.stage.add_vehicle(number, car)
        return number, car

    def _drive(self, car: Vehicle, amounts: list[int]) -> None:
        passed = [self.stage.now - dt.timedelta(hours=2 + 3 * index) for index in range(len(amounts))]
        rows = [
            self.stage.road.passage(FJELL, car, when, amount_ore=amount)
            for when, amount in zip(passed, amounts, strict=True)
        ]
        self.stage.send(FJELL, rows)

    def _day(self, number: int) -> dt.datetime:
        return at(self.first + number * DAY)

    def _bill(self, number: int) -> Json:
        for row in self.stage.invoices(number):
            if row["issued_on"] == self.run.isoformat():
                return row
        raise Broken(f"expected: an invoice of {self.run} on {number}")

    def ordinary(self) -> Steps:
        """Pays in time; drives on."""
        number, car = self._household("Kari Nordmann", plate=BY_HAND)
        yield self._day(3)
        self._drive(car, [2480, 2160, 2720])
        yield at(self.run)
        self.stage.pay(self._bill(number), on=bank_day_before(self.due - 2 * DAY))
        for days_before in (9, 5, 2):
            yield at(self.today - days_before * DAY)
            self._drive(car, [2480, 2720])

    def in_english(self) -> Steps:
        """Reads English and pays by card, several times."""
        number, car = self._household("John Smith", language="en")
        self.stage.register_card(number, "consumer")
        for day in range(2, (self.today - self.first).days, 6):
            yield self._day(day)
            self._drive(car, [8200, 6400, 9900])

    def business(self) -> Steps:
        """Several vehicles on a business card: the fee is on each receipt."""
        number, car = self._household("Nordlys Transport AS", business=True)
        cars = [car, self.stage.people.vehicle(), self.stage.people.vehicle(tag=False, country="SE")]
        for other in cars[1:]:
            self.stage.add_vehicle(number, other)
        self.stage.register_card(number, "commercial")
        for day in range(3, (self.today - self.first).days, 9):
            yield self._day(day)
            for one in cars:
                self._drive(one, [15_500, 9_900])

    def blocked(self) -> Steps:
        """Never pays: blocked, and a passage since then was refused."""
        _, car = self._household("Terje Blokkstad")
        yield self._day(4)
        self._drive(car, [9_600, 5_200])
        yield at(min(told(self.due) + DAY, self.today - DAY))
        self._drive(car, [2_500])

    def awaiting(self) -> Steps:
        """Paid after the block, and has not called support yet."""
        number, car = self._household("Ingrid Ventestad")
        yield self._day(5)
        self._drive(car, [12_400])
        yield at(self.run)
        self.stage.pay(self._bill(number), on=next_bank_day(self.due + DAY))

    def wrong_kid(self) -> Steps:
        """Mistyped the KID: the payment waits in suspense, and the invoice is open."""
        number, car = self._household("Odd Feilskjær")
        yield self._day(6)
        self._drive(car, [7_700])
        yield at(self.run)
        bill = self._bill(number)
        self.stage.pay(bill, on=bank_day_before(self.due - DAY), kid=with_wrong_check(bill["kid"]))

    def declined(self) -> Steps:
        """The card is declined again and again; an invoice takes over."""
        number, car = self._household("Silje Kortreist")
        self.stage.register_card(number, "insufficient_funds")
        yield at(self.today - 12 * DAY)
        self._drive(car, [21_000, 4_400])

    def ferry(self) -> Steps:
        """Has a ferry agreement with us and one with another company."""
        number, car = self._household("Magnus Havnevik")
        second = self.stage.people.vehicle()
        self.stage.add_vehicle(number, second)
        self.stage.add_ferry(number, FJORD.code, car, settlement="own")
        self.stage.add_ferry(number, FJORD.code, second, settlement="external", external_ref="FP-20417")
        for day in range(4, (self.today - self.first).days, 8):
            yield self._day(day)
            passed = self.stage.now - dt.timedelta(hours=3)
            self.stage.send(FJORD, [self.stage.road.passage(FJORD, one, passed) for one in (car, second)])
            self.stage.send(KYST, [self.stage.road.passage(KYST, car, passed + dt.timedelta(hours=1))])

    def sold(self) -> Steps:
        """Sold a car and told later: support removed it back in time, and its passages went to the buyer."""
        number, car = self._household("Anne Bilbytte")
        buyer, _ = self._household("Jonas Nybil")
        yield at(self.today - 9 * DAY)
        self._drive(car, [2_480])
        yield at(self.today - 6 * DAY)
        self._drive(car, [2_160, 2_720])
        yield at(self.today - 5 * DAY)
        since = at(self.today - 7 * DAY, 0)
        self.stage.remove_vehicle(number, car, since=since, reason="Sold; contract of sale seen")
        self.stage.add_vehicle(buyer, car, since=since)

    def credit(self) -> Steps:
        """Paid too much; the rest is credit."""
        number, car = self._household("Lars Forskudd")
        yield self._day(2)
        self._drive(car, [5_400])
        yield at(self.run)
        self.stage.pay(self._bill(number), 10_000, on=next_bank_day(self.run))


def run_before(today: dt.date) -> dt.date:
    """Return the last first-of-the-month whose invoices have been due for a few days."""
    first = today.replace(day=1)
    while told(due_date(first)) + 2 * DAY > today:
        first = (first - DAY).replace(day=1)
    return first


def play(ground: Ground) -> list[Tale]:
    """Play the weeks up to now and let the clock go; return what was told. Nothing where chargers are known."""
    if ground.client.get("/v1/chargers", role="operator")["items"]:
        return []
    stage = Stage(ground, seed=411)
    today = oslo_day(stage.now)
    run = run_before(today)
    first = min(today - WEEKS * 7 * DAY, run - BEFORE_RUN * DAY)
    try:
        stage.move(at(first))
        stage.open_road()
        director = Director(stage)
        small = SmallWorld(stage, first, run, today)
        for name, live in small.characters():
            director.begin(Tale(name), live())
        crowd = Tale("the many")
        director.begin(crowd, Crowd(stage, MANY).play(crowd, first, today - DAY))
        return director.play()
    finally:
        ground.client.call("DELETE", "/v1/clock", role="operator")
        stage.close()


def main() -> int:
    """Fill the world; exit code 0 unless something went wrong, which is said in a line."""
    parser = argparse.ArgumentParser(prog="python -m simulator.world", description=__doc__)
    parser.add_argument("--base-url", required=True, help="where Brikke is served")
    told_us = parser.parse_args()
    began = time.monotonic()
    try:
        ground = Attached(told_us.base_url)
        ground.client.prepare([("operator", None), ("agent", None)])
        tales = play(ground)
    except (Refused, Broken, CommandFailed, JobFailed, httpx.HTTPError) as failed:
        print(f"simulator.world: {failed}", file=sys.stderr)
        return 1
    for tale in tales:
        if tale.failure:
            print(f"simulator.world: {tale.name}: {tale.failure}", file=sys.stderr)
    print(f"A small world of {len(tales)} stories, in {time.monotonic() - began:.0f} s." if tales else "There is one.")
    # One person fewer is still a world to look at; tests/scenarios holds that there is nobody missing.
    return 1 if tales and all(tale.failure for tale in tales) else 0


if __name__ == "__main__":
    sys.exit(main())
