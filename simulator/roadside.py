"""The roadside: two toll chargers, a ferry operator, their stations, and records in our JSON Lines format."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from simulator.people import Vehicle
from simulator.times import written

FERRY_VAT_BP = 1200


@dataclass(frozen=True)
class Station:
    """Where vehicles pass. `price_ore` is the list price for a car, VAT included."""

    code: str
    name: str
    project: str
    price_ore: int


@dataclass(frozen=True)
class Charger:
    """A toll charger or ferry operator of the simulated world."""

    code: str
    name: str
    kind: str
    stations: tuple[Station, ...]
    email: str = ""
    phone: str = ""

    def form(self) -> dict[str, Any]:
        """Return what an operator enters of it."""
        return {"name": self.name, "kind": self.kind, "email": self.email, "phone": self.phone}


FJELL = Charger(
    "FJELL",
    "Fjellveien Bompenger AS",
    "toll",
    (
        Station("101", "Ryen", "Oslopakke 3", 3100),
        Station("102", "Alna", "Oslopakke 3", 3100),
        Station("103", "Manglerud", "Oslopakke 3", 2700),
        Station("104", "Bjørvika", "Oslopakke 3", 3400),
        Station("105", "Lysaker", "Bypakke vest", 2500),
        Station("106", "Sandvika", "Bypakke vest", 2200),
    ),
    "drift@fjellveien.example",
    "+4722000001",
)
KYST = Charger(
    "KYST",
    "Kystvegen Bomselskap AS",
    "toll",
    (
        Station("K01", "Nordhordlandsbrua", "Nordhordlandspakka", 4800),
        Station("K02", "Askøybrua", "Bypakke Bergen", 3600),
        Station("K03", "Straume", "Bypakke Bergen", 3300),
        Station("K04", "Kvamskogen", "Kvammapakken", 5200),
    ),
    "drift@kystvegen.example",
    "+4755000002",
)
FJORD = Charger(
    "FJORD",
    "Fjordferger AS",
    "ferry",
    (
        Station("F1", "Moss–Horten", "Fergedrift", 16400),
        Station("F2", "Lauvvik–Oanes", "Fergedrift", 9800),
        Station("F3", "Halhjem–Sandvikvåg", "Fergedrift", 21700),
    ),
    "kunde@fjordferger.example",
    "+4751000003",
)
CHARGERS = (FJELL, KYST, FJORD)
BY_CODE = {charger.code: charger for charger in CHARGERS}


@dataclass
class Roadside:
    """Makes records; numbers them per charger, never twice the same. The same seed gives the same ones."""

    seed: int = 2026
    _chance: random.Random = field(init=False)
    _numbers: dict[str, int] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)

    def passage(
        self,
        charger: Charger,
        vehicle: Vehicle,
        passed_at: dt.datetime,
        *,
        station: Station | None = None,
        amount_ore: int | None = None,
        by_image: bool = False,
    ) -> dict[str, Any]:
        """Make the record of one passage. `amount_ore` wins over the station's price; `by_image`: the tag was not read.

        The discounts are the charger's affair: 20 % with a tag, half of the rest for electric cars; 10 % on ferries.
        """
        place = station or self._chance.choice(charger.stations)
        number = self._numbers[charger.code] = self._numbers.get(charger.code, 0) + 1
        with_tag = vehicle.pan is not None and not by_image
        price, flags = place.price_ore, []
        if with_tag:
            price = price * 8 // 10 if charger.kind == "toll" else price * 9 // 10
            flags.append("tag_discount")
        if vehicle.electric and charger.kind == "toll":
            price, flags = price // 2, [*flags, "zero_emission"]
        if amount_ore is not None:
            price = amount_ore
        record: dict[str, Any] = {
            "id": f"{charger.code}-{self.seed}-{number:07}",
            "passed_at": written(passed_at),
            "station": place.code,
            "service": charger.kind,
            "vehicle_class": "M1",
            "list_price": max(place.price_ore, price),
            "amount": price,
            "vat_rate": FERRY_VAT_BP if charger.kind == "ferry" else 0,
            "flags": flags,
        }
        if with_tag:
            record["pan"] = vehicle.pan
        return record | {"country": vehicle.country, "plate": vehicle.plate}


def lines(records: Sequence[Any]) -> bytes:
    """Write records as JSON Lines. A record that is text already (a broken one) is written as it is."""
    return "".join(
        f"{record if isinstance(record, str) else json.dumps(record, ensure_ascii=False)}\n" for record in records
    ).encode()
