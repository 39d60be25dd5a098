"""Files to the bank as rows: their numbers, which never come twice, and what was claimed, to be taken back as it was.

Claims and cancellations are numbered each from 1 without gaps. The transmission's number must be unique for us at the
clearing house, so claims have the odd ones and cancellations the even ones; the order has its transmission's number.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from billing.delivery.avtalegiro.channel import NAME
from billing.delivery.avtalegiro.claim_file import Claim, ClaimFile, Kind
from billing.delivery.models import DeliveryFile


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of a file to be. ``number`` is ours, of its kind."""

    kind: Kind
    number: int

    @property
    def transmission(self) -> int:
        """Return the number of its transmission."""
        return 2 * self.number - (self.kind == "claims")

    @property
    def order(self) -> int:
        """Return the number of its order."""
        return self.transmission

    @property
    def name(self) -> str:
        """Return the file's name: the same bytes are always put under the same one."""
        return f"avtalegiro-{self.transmission:07}-{self.kind}.txt"

    def keep(self, session: Session, made: ClaimFile, *, now: dt.datetime) -> DeliveryFile:
        """Keep the file, to be put by the outbox."""
        row = DeliveryFile(
            channel=NAME,
            kind=self.kind,
            direction="out",
            number=self.number,
            name=self.name,
            sha256=hashlib.sha256(made.content).digest(),
            content=made.content,
            transactions=made.transactions,
            sum_ore=made.sum_ore,
            state="made",
            made_at=now,
        )
        session.add(row)
        session.flush()
        return row


def take_turn(session: Session) -> None:
    """Let one at a time write files, take receipts and take claims back, until the transaction ends: taken before any
    delivery is locked, so that their locks do not cross."""
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('brikke avtalegiro files', 0))"))


def new_file(session: Session, kind: Kind) -> Numbers:
    """Take the next number of a kind. The turn has been taken."""
    last = session.scalar(
        select(func.max(DeliveryFile.number)).where(DeliveryFile.channel == NAME, DeliveryFile.kind == kind)
    )
    return Numbers(kind, (last or 0) + 1)


def file_of(session: Session, transmission: int | None, name: str) -> DeliveryFile | None:
    """Return the file of ours that a receipt names, by its transmission's number or its name, locked."""
    if transmission is not None:
        kind, number = ("claims", transmission // 2 + 1) if transmission % 2 else ("cancellations", transmission // 2)
        which = [DeliveryFile.kind == kind, DeliveryFile.number == number]
    else:
        which = [DeliveryFile.name == name]
    query = select(DeliveryFile).where(DeliveryFile.channel == NAME, DeliveryFile.direction == "out", *which)
    return session.scalar(query.with_for_update())


def claimed(claim: Claim) -> dict[str, Any]:
    """Return a claim as it is kept with its delivery."""
    return {
        "kid": claim.kid,
        "due_on": claim.due_on.isoformat(),
        "amount_ore": claim.amount_ore,
        "notice": claim.notice,
        "reference": claim.reference,
    }


def cancelling(kept: dict[str, Any], name: str) -> Claim:
    """Return the transaction that takes a kept claim back: the same KID, date and amount."""
    return Claim(
        kid=kept["kid"],
        due_on=dt.date.fromisoformat(kept["due_on"]),
        amount_ore=kept["amount_ore"],
        notice=kept["notice"],
        name=name,
        reference=kept["reference"],
    )
