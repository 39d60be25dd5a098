"""The people of the simulated world: made up, always the same for the same seed, none of them real."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

_FIRST = [
    "Kari", "Ola", "Ingrid", "Per", "Anne", "Lars", "Marit", "Jan", "Solveig", "Knut", "Astrid", "Bjørn", "Silje",
    "Øyvind", "Hilde", "Åge", "Nora", "Emil", "Ida", "Jonas", "Fatima", "Ahmed", "Sofie", "Magnus", "Thea", "Henrik",
    "Liv", "Sverre", "Randi", "Terje", "Aisha", "Mikkel", "Gunn", "Trygve", "Eva", "Odd",
]  # fmt: skip
_LAST = [
    "Hansen", "Johansen", "Olsen", "Larsen", "Andersen", "Pedersen", "Nilsen", "Kristiansen", "Jensen", "Karlsen",
    "Berg", "Haugen", "Hagen", "Bakken", "Solberg", "Lie", "Dahl", "Lund", "Moen", "Strand", "Ødegård", "Sørli",
    "Åsen", "Fjeld", "Nygård", "Tangen", "Bråten", "Vik", "Eide", "Sæther", "Khan", "Ali",
]  # fmt: skip
_TRADES = [
    "Transport", "Rør", "Elektro", "Bygg", "Blomster", "Bakeri", "Taxi", "Renhold", "Vaktmester", "Frakt", "Snekkeri",
    "Maler",
]  # fmt: skip
_STREETS = [
    "Storgata", "Kirkeveien", "Skolegata", "Strandveien", "Bjørkeveien", "Fjellveien", "Havnegata", "Parkveien",
    "Åsveien",
]  # fmt: skip
_PLACES = [
    ("0181", "OSLO"),
    ("0556", "OSLO"),
    ("1400", "SKI"),
    ("3015", "DRAMMEN"),
    ("4006", "STAVANGER"),
    ("5003", "BERGEN"),
    ("5161", "LAKSEVÅG"),
    ("6002", "ÅLESUND"),
    ("7010", "TRONDHEIM"),
    ("9008", "TROMSØ"),
]
_PREFIXES = ["EL", "EK", "EV", "AB", "BS", "DP", "KH", "RJ", "SV", "XY", "ZF", "UE"]


@dataclass(frozen=True)
class Person:
    """Somebody who signs up: private, or a business with an organisation number."""

    kind: str
    name: str
    email: str
    phone: str
    street: str
    postal_code: str
    city: str
    language: str
    org_no: str | None = None

    def form(self) -> dict[str, Any]:
        """Return what the person fills in to become a customer."""
        address = {"street": self.street, "postal_code": self.postal_code, "city": self.city}
        form = {"kind": self.kind, "name": self.name, "email": self.email, "phone": self.phone}
        return form | address | {"language": self.language} | ({"org_no": self.org_no} if self.org_no else {})


@dataclass(frozen=True)
class Vehicle:
    """A vehicle and what is needed to meet it on the road. `pan` is the tag's that is in it, if any."""

    plate: str
    country: str = "NO"
    pan: str | None = None
    printed: str | None = None
    electric: bool = False


@dataclass
class Population:
    """Makes people and vehicles, each one once. The same seed gives the same ones."""

    seed: int = 2026
    _chance: random.Random = field(init=False)
    _people: int = field(default=0, init=False)
    _vehicles: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)

    def person(self, *, business: bool = False, language: str | None = None, name: str | None = None) -> Person:
        """Make somebody who has not been there before."""
        self._people += 1
        chance, number = self._chance, self._people
        first, last = chance.choice(_FIRST), chance.choice(_LAST)
        full = name or (f"{last} {chance.choice(_TRADES)} AS" if business else f"{first} {last}")
        postal_code, city = chance.choice(_PLACES)
        return Person(
            kind="business" if business else "private",
            name=full,
            email=f"{_ascii(full.split()[0])}.{number}@kunde.example",
            phone=f"+479{number:07}",
            street=f"{chance.choice(_STREETS)} {chance.randint(1, 140)}",
            postal_code=postal_code,
            city=city,
            language=language or ("en" if chance.random() < 0.12 else "nb"),
            org_no=_organisation(number + self.seed % 1000 * 1000) if business else None,
        )

    def vehicle(self, *, tag: bool = True, country: str = "NO") -> Vehicle:
        """Make a vehicle, with a tag in it unless told otherwise. Electric ones have the plates that say so."""
        self._vehicles += 1
        number = self._vehicles
        prefix = self._chance.choice(_PREFIXES)
        plate = f"{prefix}{10_000 + (number * 7) % 90_000}" if country == "NO" else f"{prefix} {1000 + number} X"
        pan = f"9578{self.seed % 10_000:04}{number:011}" if tag else None
        printed = f"{self.seed % 10_000:04}{number:08}" if tag else None
        return Vehicle(plate, country, pan, printed, electric=prefix in {"EL", "EK", "EV"})


def _ascii(word: str) -> str:
    kept = word.lower().replace("æ", "ae").replace("ø", "o").replace("å", "a")
    return "".join(char for char in kept if char.isascii() and char.isalnum())


def _organisation(number: int) -> str:
    """Return an organisation number with a right check digit; those whose check digit would be 10 are passed over."""
    while True:
        base = f"{90_000_000 + number * 11}"
        rest = sum(int(digit) * weight for digit, weight in zip(base, (3, 2, 7, 6, 5, 4, 3, 2), strict=True)) % 11
        if rest != 1:
            return f"{base}{(11 - rest) % 11}"
        number += 100_000
