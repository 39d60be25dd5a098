"""The port: what every channel can do, in one vocabulary, whatever protocol it speaks.

A channel **looks up** whether it reaches a reader (again before each sending), **hands over** what was chosen for it,
is **asked** what became of it, and **takes back** what it has not presented yet. Answers are data: which row changes
how is for `record.py`. No channel opens a transaction while it calls; nothing here knows a database.

Channels that call (eFaktura, Digipost, e-Boks, mail) are a ``Calls``. Channels whose partner takes files (AvtaleGiro,
print) write theirs in a transaction, together with the deliveries in it, and an outbox puts them: they look up and
nothing more, as ``LooksUp``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Form = Literal["transfer", "avtalegiro"]
"""How what is presented is to be paid: by a transfer (with a payment slip), or by AvtaleGiro (without)."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Who is to be reached: the holder of an agreement. ``national_id`` is there for the look-up only: it is not kept,
    logged or shown. ``country`` is ISO 3166 alpha-2. ``mandate_kid``: of an AvtaleGiro mandate that stands."""

    agreement_id: int
    agreement_number: int
    kind: Literal["private", "business"]
    name: str
    org_no: str | None
    email: str
    phone: str | None
    street: str
    postal_code: str
    city: str
    country: str
    language: Literal["nb", "en"]
    national_id: str | None = field(default=None, repr=False)
    efaktura_id: str | None = None
    mandate_kid: str | None = None


@dataclass(frozen=True, slots=True)
class Yes:
    """The channel reaches the reader, at ``address`` in its own words (an eFaktura id, a Digipost address, …)."""

    address: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class No:
    """It does not, surely. ``why`` is a code that `choice_words.toml` says to people (`whys.py`)."""

    why: str


@dataclass(frozen=True, slots=True)
class Unsure:
    """The look-up had no answer. Nobody may be taken for a non-user by it: it is asked again."""

    why: str


Verdict = Yes | No | Unsure


@dataclass(frozen=True, slots=True)
class Bill:
    """What is presented: an issued document as it is to be paid now. Øre; Oslo dates.

    ``due_on`` is the one in force (it may have been extended), None on what is not to be paid (a receipt, a credit
    note). ``open_ore`` is what is left to pay.
    """

    document_id: int
    number: int
    kind: Literal["invoice", "receipt", "credit_note"]
    issued_on: dt.date
    due_on: dt.date | None
    open_ore: int
    total_ore: int
    kid: str | None
    account: str


@dataclass(frozen=True, slots=True)
class Parcel:
    """One delivery, as a channel is handed it. ``key`` is the same at every attempt: the partner's idempotency key (a
    UUID in text). ``pdf`` makes (or reads) the page, and may take a second; ``template`` and ``subject`` are the
    message's, ``address`` is the look-up's."""

    delivery_id: int
    key: str
    template: str
    reader: Reader
    bill: Bill
    form: Form
    address: str | None
    pdf: Callable[[], bytes]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Handed:
    """The partner has it and will tell what becomes of it. ``proof``: ids and receipts, kept with the delivery."""

    ref: str
    proof: Mapping[str, Any] = field(default_factory=dict)
    cost_ore: int = 0


@dataclass(frozen=True, slots=True)
class Delivered:
    """The reader has it; ``opened_at`` where the partner tells that it was opened."""

    ref: str
    proof: Mapping[str, Any] = field(default_factory=dict)
    cost_ore: int = 0
    opened_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """This channel will never present it: the next one is to. ``why`` is for support."""

    why: str
    proof: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Later:
    """It was surely not taken now, and may be tried again. ``unreachable``: nobody's can be, for now."""

    why: str
    unreachable: bool = False


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """It may have been taken. It is asked for by its key before anything else is done."""

    why: str


@dataclass(frozen=True, slots=True)
class Unheard:
    """Asked for by its key: the partner has never had it, so it may be handed over once more."""


Outcome = Handed | Delivered | Refused | Later | NoAnswer
Found = Handed | Delivered | Refused | NoAnswer | Unheard


@dataclass(frozen=True, slots=True)
class Asked:
    """A delivery that is asked for: by its ``key``, and by ``ref`` where the partner has given one."""

    delivery_id: int
    key: str
    ref: str | None


@dataclass(frozen=True, slots=True)
class TakenBack:
    """It presents nothing (any more)."""


@dataclass(frozen=True, slots=True)
class TooLate:
    """It cannot be taken back: it stands, or is paid."""

    why: str


Back = TakenBack | TooLate | Later | NoAnswer


class LooksUp(Protocol):
    """A channel as the choice of a channel sees it."""

    name: str

    def look_up(self, readers: Sequence[Reader], today: dt.date) -> Mapping[int, Verdict]:
        """Return by agreement id whether it reaches them on the Oslo date ``today``. Never raises for a partner's
        sake: what has no answer is Unsure."""


class Calls(LooksUp, Protocol):
    """A channel whose partner is called. A batch holds at most ``batch`` deliveries."""

    batch: int

    def hand_over(self, parcels: Sequence[Parcel]) -> Mapping[int, Outcome]:
        """Hand a batch over; return by delivery id what came of each. Never raises for a partner's sake."""

    def ask(self, asked: Sequence[Asked]) -> Mapping[int, Found]:
        """Return by delivery id what has become of what was handed over, or may have been."""

    def take_back(self, asked: Sequence[Asked]) -> Mapping[int, Back]:
        """Have the partner present these no more."""
