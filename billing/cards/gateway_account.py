"""A gateway's account of us, in our own words: its lines, and what it pays out (see `gateway.CardGateway`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

LineKind = Literal["payment", "refund", "dispute", "payout", "topup", "reserve", "other"]
PayoutState = Literal["pending", "in_transit", "paid", "failed", "canceled"]


@dataclass(frozen=True, slots=True)
class ProviderLine:
    """A line of the gateway's account of us: our balance there changed by `amount_ore` - `fee_ore`.

    `kind` topup: we moved money there from our bank account, or it came back; reserve: the gateway keeps it for a time,
    and gives it back; other: none of ours (its monthly fee, an adjustment). `source` is what it is about, by the id we
    know it by (a payment's, not its charge's). `word` is the gateway's own for the kind, `at` its clock.
    """

    ref: str
    kind: LineKind
    word: str
    amount_ore: int
    fee_ore: int
    source: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class ProviderPayout:
    """What the gateway pays to our bank account; negative where it takes. `failed` may come after `paid`.

    `automatic`: made by its own schedule; only then can it say which lines are in it.
    """

    ref: str
    amount_ore: int
    state: PayoutState
    arrives_on: date
    made_at: datetime
    automatic: bool = True
