"""The many: people who sign up, drive, are invoiced or charged, and pay as they are used to."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from simulator import payers
from simulator.client import Json
from simulator.people import Person, Vehicle
from simulator.roadside import FJELL, FJORD, KYST, Charger
from simulator.stage import Stage
from simulator.tale import Steps, Tale
from simulator.times import at, days, is_bank_day

T = TypeVar("T")
U = TypeVar("U")

CARDS = ("consumer", "mastercard", "commercial", "unknown_product", "insufficient_funds", "stolen_card")
CARD_WEIGHTS = (55, 20, 15, 4, 4, 2)
DECLINING = {"insufficient_funds", "stolen_card"}
MONDAY, SATURDAY = 0, 5
ANYBODY_DRIVES = 0.16  # on a working day; half of that on others
LATE_IMAGES = 0.02
STRANGERS = 0.01


@dataclass
class Household:
    """Somebody with an agreement and a car or two, who pays by card or as their habit is.

    `ferry`: how journeys by ferry settle (own, external) where there is an additional agreement. `numbers`: their
    agreements.
    """

    person: Person
    cars: list[Vehicle]
    card: str | None
    habit: str
    ferry: str | None = None
    numbers: list[int] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)


class Crowd:
    """So many households over some days. `threads` requests at once when they sign up and read their invoices."""

    def __init__(self, stage: Stage, size: int, *, seed: int = 7, threads: int = 4, card_share: float = 0.4) -> None:
        self.stage = stage
        self.size = size
        self.chance = random.Random(seed)
        self.threads = threads
        self.card_share = card_share
        self.households: list[Household] = []
        self._late: list[tuple[dt.date, Charger, Json]] = []
        self._last: dict[str, list[Any]] = {}

    def play(self, tale: Tale, first: dt.date, last: dt.date) -> Steps:
        """Sign up, then every day: drive, be read at the roadside, read one's invoices, pay.

        Chargers send a batch a day, and on Mondays what came since Friday noon.
        """
        self._make()
        self.at_once(self._sign_up, self.households)
        tale.tell(f"{len(self.households)} households, {sum(1 for one in self.households if one.card)} with a card")
        for day in days(first + dt.timedelta(days=1), last):
            if day.weekday() >= SATURDAY and day.day != 1:
                continue
            yield at(day)
            self.drive(day)
            if day.day == 1:
                self.read_invoices([one for one in self.households if one.card is None])
            elif day.weekday() == 4:  # an invoice takes over where a card was declined
                self.read_invoices([one for one in self.households if one.card in DECLINING])

    def at_once(self, act: Callable[[T], U], items: Iterable[T]) -> list[U]:
        """Do something for many, some at a time; the first failure is raised."""
        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(act, items))

    def _make(self) -> None:
        people = self.stage.people
        for index in range(self.size):
            business = index % 5 == 4
            cars = [people.vehicle(tag=self.chance.random() < 0.93)]
            if self.chance.random() < (0.6 if business else 0.15):
                cars.append(people.vehicle())
            if index % 40 == 7:
                cars.append(people.vehicle(tag=False, country="SE"))
            card = self.chance.choices(CARDS, CARD_WEIGHTS)[0] if self.chance.random() < self.card_share else None
            ferry = {11: "own", 29: "external"}.get(index % 45)
            habit = payers.habit(self.chance)
            self.households.append(Household(people.person(business=business), cars, card, habit, ferry))

    def _sign_up(self, one: Household) -> None:
        number = self.stage.sign_up(one.person)
        one.numbers.append(number)
        for car in one.cars:
            self.stage.add_vehicle(number, car)
        if one.card is not None:
            self.stage.register_card(number, one.card)
        if one.ferry is not None:
            reference = f"FP-{number}" if one.ferry == "external" else None
            added = self.stage.add_ferry(number, FJORD.code, one.cars[0], settlement=one.ferry, external_ref=reference)
            one.numbers += [int(added["agreement"])] if one.ferry == "own" else []

    def drive(self, day: dt.date) -> None:
        """Let the chargers send what passed since yesterday noon, with late images and some that are nobody's."""
        shares = ((FJELL, 0.7), (KYST, 0.25), (FJORD, 0.05))
        batches = [(charger, self._passed(charger, day, share)) for charger, share in shares]
        self.at_once(lambda batch: self._send(*batch, day), batches)

    def _passed(self, charger: Charger, day: dt.date, share: float) -> list[Json]:
        chance, road = self.chance, self.stage.road
        since = 3 if day.weekday() == MONDAY else 1
        busy = ANYBODY_DRIVES * share * since * (1.0 if is_bank_day(day) else 0.5)
        records = [record for arrives, owner, record in self._late if arrives <= day and owner is charger]
        self._late = [row for row in self._late if not (row[0] <= day and row[1] is charger)]
        for one in self.households:
            for car in one.cars:
                if chance.random() >= busy:
                    continue
                passed = at(day, 11, 59) - dt.timedelta(minutes=chance.randint(0, since * 23 * 60))
                if chance.random() < LATE_IMAGES:
                    image = road.passage(charger, car, passed, by_image=True)
                    self._late.append((day + dt.timedelta(days=chance.randint(4, 25)), charger, image))
                else:
                    records.append(road.passage(charger, car, passed))
        if chance.random() < STRANGERS * self.size:
            records.append(road.passage(charger, self._stranger, at(day, 9)))
        return records

    @property
    def _stranger(self) -> Vehicle:
        return Vehicle(f"ZZ{self.chance.randint(10_000, 99_999)}")

    def _send(self, charger: Charger, records: list[Json], day: dt.date) -> None:
        if not records:
            return
        self.stage.send(charger, records)
        if day.weekday() == MONDAY and charger is FJELL and self._last.get(charger.code):
            answers = self.stage.send(charger, self._last[charger.code])
            if any(answer["code"] != "duplicate" for answer in answers if answer["code"] in {"accepted", "conflict"}):
                raise AssertionError(f"a resent batch was not all duplicates: {Counter(a['code'] for a in answers)}")
        self._last[charger.code] = records

    def read_invoices(self, households: list[Household]) -> None:
        """Let some read what has come and decide when to pay it."""
        waiting = [(one, number) for one in households for number in one.numbers]
        found = self.at_once(lambda held: self.stage.invoices(held[1]), waiting)
        for (one, _), bills in zip(waiting, found, strict=True):
            for bill in bills:
                self._decide(one, bill)

    def _decide(self, one: Household, bill: Json) -> None:
        if bill["number"] in one.seen or bill["due_on"] is None or bill["open_ore"] <= 0:
            return
        one.seen.add(bill["number"])
        issued, due = dt.date.fromisoformat(bill["issued_on"]), dt.date.fromisoformat(bill["due_on"])
        for payment in payers.payments(one.habit, bill["kid"], bill["open_ore"], issued, due, self.chance):
            self.stage.bank.pay(payment)
