"""What the hub knows: consumers, shipments, transactions and what becomes of them. Amounts in øre."""

from __future__ import annotations

import datetime as dt
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from simulator.efaktura.faults import Faults

MAX = 1000
STATUSES = ("IN_PROGRESS", "ACCEPTED", "REJECTED", "STOPPED", "CANCELLED")

WRONG_ISSUER, DUPLICATE_SHIPMENT, DUPLICATE_TRANSACTION = 3001, 3002, 3003
TOO_MANY, NO_CONSUMER, NO_CONSENT, KID_MISSING, NOT_IMPLEMENTED = 3005, 3010, 3011, 3020, 3100
TEXTS = {
    WRONG_ISSUER: "The issuer is not known",
    DUPLICATE_SHIPMENT: "A shipment of this id was received before",
    DUPLICATE_TRANSACTION: "A transaction of this id was received before",
    TOO_MANY: "More than 1000 in one call",
    NO_CONSUMER: "The eFaktura identifier is not known",
    NO_CONSENT: "The consumer takes no eFaktura from this issuer",
    KID_MISSING: "KID is missing",
    NOT_IMPLEMENTED: "The payment type is not implemented",
}


class Refused(Exception):
    """The hub refuses a call as a whole."""

    def __init__(self, code: int) -> None:
        super().__init__(TEXTS[code])
        self.code = code


@dataclass
class Consumer:
    """Somebody with an online bank. ``yes_to_all``: every issuer may send; ``agreement``: we may; ``blocked``: we may
    not, whatever else they said. ``vipps``: they look at eFakturas there."""

    identifier: str
    name: str = ""
    national_id: str = ""
    org_no: str = ""
    email: str = ""
    phone: str = ""
    street: str = ""
    postal_code: str = ""
    yes_to_all: bool = True
    agreement: bool = False
    blocked: bool = False
    vipps: bool = False


@dataclass
class Transaction:
    """An invoice in somebody's bank. ``pays_ore`` and ``pays_on``: what the consumer has made of sum and date."""

    id: str
    shipment: str
    identifier: str
    payment_type: str
    document_type: str
    number: str
    issued_on: dt.date
    due_on: dt.date
    amount_ore: int
    kid: str
    account: str
    url: str
    pdf: bytes = field(repr=False)
    status: str = "IN_PROGRESS"
    reason: str = ""
    pays_ore: int = 0
    pays_on: dt.date = dt.date.min

    def __post_init__(self) -> None:
        self.pays_ore, self.pays_on = self.amount_ore, self.due_on


class Hub:
    """The hub's memory; everything under one lock. ``at_once``: what comes in is accepted without waiting for
    ``advance``."""

    def __init__(self, faults: Faults, *, issuer: str) -> None:
        self.issuer = issuer
        self.at_once = True
        self.consumers: dict[str, Consumer] = {}
        self.shipments: dict[str, list[str]] = {}
        self.transactions: dict[str, Transaction] = {}
        self._faults = faults
        self._lock = threading.RLock()

    def add_consumer(self, told: Mapping[str, Any]) -> Consumer:
        """Add a consumer, or put another in the place of one. Raises ValueError."""
        kinds = {one.name: one.type for one in fields(Consumer)}
        for name, value in told.items():
            if name not in kinds:
                raise ValueError(f"a consumer has no {name}")
            if type(value).__name__ != kinds[name]:
                raise ValueError(f"{name} must be {kinds[name]}")
        if not told.get("identifier"):
            raise ValueError("a consumer needs an identifier")
        with self._lock:
            consumer = self.consumers[told["identifier"]] = Consumer(**told)
        return consumer

    def check_issuer(self, issuer: str) -> None:
        """Raise Refused where it is not the issuer this hub knows."""
        if issuer != self.issuer:
            raise Refused(WRONG_ISSUER)

    def look_up(self, key: Mapping[str, str]) -> list[Consumer] | None:
        """Return the consumers that a key names; None where it lacks data."""
        with self._lock:
            return _named(key, list(self.consumers.values()))

    def add(self, shipment: str, transactions: Sequence[Transaction]) -> Iterator[tuple[str, Transaction | int]]:
        """Take a shipment; yield each transaction's id with itself, or with the number of what is wrong with it.
        Raises Refused."""
        with self._lock:
            if shipment in self.shipments:
                raise Refused(DUPLICATE_SHIPMENT)
            if len(transactions) > MAX:
                raise Refused(TOO_MANY)
            self.shipments[shipment] = []
            results: list[tuple[str, Transaction | int]] = []
            for one in transactions:
                wrong = self._wrong(one)
                if wrong is None:
                    self.transactions[one.id] = one
                    self.shipments[shipment].append(one.id)
                    if self.at_once:
                        self._move(one)
                results.append((one.id, wrong or one))
        yield from results

    def _wrong(self, one: Transaction) -> int | None:
        told = self._faults.take("reject", on="shipment", about=one.identifier)
        if told is not None:
            return told.number
        if one.id in self.transactions:
            return DUPLICATE_TRANSACTION
        if one.payment_type not in ("EFAKTURA", "EFAKTURA_AND_AVTALEGIRO"):
            return NOT_IMPLEMENTED
        if not one.kid:
            return KID_MISSING
        consumer = self.consumers.get(one.identifier)
        if consumer is None:
            return NO_CONSUMER
        return None if (consumer.yes_to_all or consumer.agreement) and not consumer.blocked else NO_CONSENT

    def _move(self, one: Transaction) -> None:
        for kind, status in (("reject_later", "REJECTED"), ("stop", "STOPPED")):
            told = self._faults.take(kind, on="shipment", about=one.identifier)
            if told is not None:
                one.status, one.reason = status, told.reason
                return
        one.status = "ACCEPTED"

    def advance(self) -> int:
        """Let what is under way come to its end; return how many."""
        with self._lock:
            waiting = [one for one in self.transactions.values() if one.status == "IN_PROGRESS"]
            for one in waiting:
                self._move(one)
            return len(waiting)

    def end(self, id_: str, status: str, reason: str = "") -> Transaction:
        """Let one transaction be accepted, rejected, stopped or cancelled, whatever it was. Raises ValueError."""
        if status not in STATUSES:
            raise ValueError(f"a status is one of {', '.join(STATUSES)}")
        with self._lock:
            one = self._one(id_)
            one.status, one.reason = status, reason
            return one

    def change(self, id_: str, amount_ore: int | None, on: dt.date | None) -> Transaction:
        """Let the consumer pay another sum, or on another day. Raises ValueError."""
        with self._lock:
            one = self._one(id_)
            if amount_ore is not None and amount_ore <= 0:
                raise ValueError("somebody who pays, pays something")
            one.pays_ore = one.pays_ore if amount_ore is None else amount_ore
            one.pays_on = on or one.pays_on
            return one

    def cancel(self, id_: str) -> tuple[str, str]:
        """Take a transaction back for its issuer: CANCELLED, TOO_LATE (with why) or UNKNOWN."""
        with self._lock:
            one = self.transactions.get(id_)
            if one is None:
                return "UNKNOWN", ""
            if one.status == "PAID":
                return "TOO_LATE", "paid"
            if one.status in ("IN_PROGRESS", "ACCEPTED"):
                one.status = "CANCELLED"
            return "CANCELLED", ""

    def payments(self, *, take: bool = False) -> list[dict[str, Any]]:
        """Return what consumers pay of accepted eFakturas, as the bank is to be told; AvtaleGiro pays the others.
        ``take``: they are paid with that, and cannot be cancelled any more."""
        with self._lock:
            paid = []
            for one in self.transactions.values():
                if one.status != "ACCEPTED" or one.payment_type != "EFAKTURA":
                    continue
                paid.append(
                    {
                        "transaction": one.id,
                        "kid": one.kid,
                        "account": one.account,
                        "amount_ore": one.pays_ore,
                        "on": one.pays_on.isoformat(),
                    }
                )
                if take:
                    one.status = "PAID"
            return paid

    def listed(self) -> list[dict[str, Any]]:
        """Return every transaction, without its page."""
        with self._lock:
            return [
                {
                    one.name: value.isoformat() if isinstance(value, dt.date) else value
                    for one in fields(Transaction)
                    if one.name != "pdf" and (value := getattr(row, one.name)) is not None
                }
                | {
                    "pdf_bytes": len(row.pdf),
                    "vipps": row.identifier in self.consumers and self.consumers[row.identifier].vipps,
                }
                for row in self.transactions.values()
            ]

    def _one(self, id_: str) -> Transaction:
        if id_ not in self.transactions:
            raise ValueError("there is no such transaction")
        return self.transactions[id_]


def _named(key: Mapping[str, str], consumers: Sequence[Consumer]) -> list[Consumer] | None:
    for name, of in (("nationalId", "national_id"), ("organisationNumber", "org_no"), ("efakturaId", "identifier")):
        if key.get(name):
            return [one for one in consumers if getattr(one, of) == key[name]]
    email, phone = key.get("email"), key.get("phone")
    where = all(key.get(name) for name in ("name", "street", "postalCode"))
    if not (email or phone) or not (where or (email and phone)):
        return None
    return [
        one
        for one in consumers
        if (not email or _same(one.email, email))
        and (not phone or _digits(one.phone) == _digits(phone))
        and (not where or _lives(one, key))
    ]


def _lives(one: Consumer, key: Mapping[str, str]) -> bool:
    return _same(one.name, key["name"]) and _same(one.street, key["street"]) and one.postal_code == key["postalCode"]


def _same(left: str, right: str) -> bool:
    return " ".join(left.casefold().split()) == " ".join(right.casefold().split())


def _digits(phone: str) -> str:
    return re.sub(r"\D", "", phone)[-8:]
