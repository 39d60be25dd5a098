"""Tables of the claims room."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import BigInteger, CheckConstraint, Computed, ForeignKey, Index, Integer, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, Id, Instant, Ore, Str


class Claim(Base):
    """What an agreement owes for the passages that carry this id, and a fee.

    ``run`` and ``part`` say what it was made by (``invoices:2026-02-01``, ``charge:12``, ``closing:…``); with the
    agreement they are unique. ``due_on`` is null until a document gives it one (a card claim has none while
    the card is being charged).
    """

    __tablename__ = "claims"
    __table_args__ = (
        UniqueConstraint("agreement_id", "run", "part"),
        CheckConstraint("kind IN ('invoice', 'card')", name="kind"),
        CheckConstraint("settled_ore >= 0 AND settled_ore <= passages_ore + fee_ore", name="settled"),
        Index(
            "ix_claims_open",
            "due_on",
            "agreement_id",
            postgresql_where="settled_ore < passages_ore + fee_ore",
        ),
    )

    id: Mapped[Id]
    agreement_id: Mapped[int] = mapped_column(ForeignKey("agreements.id"))
    kind: Mapped[Str]
    run: Mapped[Str]
    part: Mapped[Str] = mapped_column(server_default="")
    cutoff_at: Mapped[Instant]
    passages_ore: Mapped[Ore]
    passages_count: Mapped[int] = mapped_column(Integer)
    fee_ore: Mapped[Ore] = mapped_column(server_default="0")
    amount_ore: Mapped[int] = mapped_column(BigInteger, Computed("passages_ore + fee_ore", persisted=True))
    settled_ore: Mapped[Ore] = mapped_column(server_default="0")
    due_on: Mapped[dt.date | None]
    made_at: Mapped[Instant]


class Allocation(Base):
    """So many øre of a claim settled by a source: payment, credit, card or write_off. A reversal is negative."""

    __tablename__ = "allocations"
    __table_args__ = (
        UniqueConstraint("source", "source_id", "claim_id"),
        CheckConstraint("source IN ('payment', 'reversal', 'credit', 'card', 'write_off')", name="source"),
        CheckConstraint("amount_ore <> 0", name="amount"),
        Index("ix_allocations_claim", "claim_id"),
    )

    id: Mapped[Id]
    claim_id: Mapped[int] = mapped_column(ForeignKey("claims.id"))
    agreement_id: Mapped[int] = mapped_column(BigInteger)
    source: Mapped[Str]
    source_id: Mapped[int] = mapped_column(BigInteger)
    amount_ore: Mapped[Ore]
    value_date: Mapped[dt.date]
    at: Mapped[Instant]


class CreditEntry(Base):
    """A change of what we owe a customer: + overpaid, − used on a claim. The sum is never negative (audit)."""

    __tablename__ = "credit_entries"
    __table_args__ = (
        UniqueConstraint("code", "ref"),
        CheckConstraint("amount_ore <> 0", name="amount"),
        Index("ix_credit_entries_agreement", "agreement_id"),
    )

    id: Mapped[Id]
    agreement_id: Mapped[int] = mapped_column(ForeignKey("agreements.id"))
    amount_ore: Mapped[Ore]
    code: Mapped[Str]
    """overpaid, used, reversed, assigned, card_extra (a card paid what was settled another way)."""
    ref: Mapped[int] = mapped_column(BigInteger)
    value_date: Mapped[dt.date]
    """Of the payment that the money came with."""
    at: Mapped[Instant]
