"""Tables of the claims room."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, Id, Instant, Ore, Str


class Claim(Base):
    """What an agreement owes for the passages that carry this id, and a fee.

    ``run`` and ``part`` say what it was made by (``invoices:2026-02-01``, ``charge:12``, ``credit:…``); with the
    agreement they are unique. ``due_on`` is null until a document gives it one (a card claim has none while
    the card is being charged).

    A claim of kind ``credit`` took passages that come to nothing or less. What any claim is below zero is not owed to
    us but by us: it became credit (entry ``credit_note``) when the claim was made or presented anew, and is never open.
    ``version`` counts how often it was presented; ``joined_ore`` is what counter-rows (and what replaces their
    passages) changed in it since it was made: it was made with ``passages_ore - joined_ore``.
    """

    __tablename__ = "claims"
    __table_args__ = (
        UniqueConstraint("agreement_id", "run", "part"),
        CheckConstraint("kind IN ('invoice', 'card', 'credit')", name="kind"),
        CheckConstraint("settled_ore >= 0 AND settled_ore <= greatest(passages_ore + fee_ore, 0)", name="settled"),
        CheckConstraint(
            "CASE WHEN kind = 'credit' THEN passages_ore + fee_ore <= 0 "
            "ELSE version > 1 OR passages_ore + fee_ore > 0 END",
            name="sign",
        ),
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
    version: Mapped[int] = mapped_column(SmallInteger, server_default="1")
    joined_ore: Mapped[Ore] = mapped_column(server_default="0")


class Joined(Base):
    """That a passage came into its claim later than the others: with this version, when the claim was presented anew.

    ``amount_ore`` is the passage's (negative for a counter-row).
    """

    __tablename__ = "joined"
    __table_args__ = (CheckConstraint("version > 1", name="version"), Index("ix_joined_claim", "claim_id"))

    passage_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    claim_id: Mapped[int] = mapped_column(ForeignKey("claims.id"))
    version: Mapped[int] = mapped_column(SmallInteger)
    amount_ore: Mapped[Ore]
    at: Mapped[Instant]


class Allocation(Base):
    """So many øre of a claim settled by a source: payment, credit, card, vipps (a capture) or write_off.

    Negative are: a reversal; a dispute (the card's bank took it back, billing.cards); ``released`` (the claim became
    smaller, source id being its new version: the money is credit again, one row a value date); a write_off that is
    written back for the same reason.
    """

    __tablename__ = "allocations"
    __table_args__ = (
        Index(
            "uq_allocations_source_source_id_claim_id",
            "source",
            "source_id",
            "claim_id",
            unique=True,
            postgresql_where="source <> 'released'",
        ),
        Index(
            "uq_allocations_released",
            "claim_id",
            "source_id",
            "value_date",
            unique=True,
            postgresql_where="source = 'released'",
        ),
        CheckConstraint(
            "source IN ('payment', 'reversal', 'credit', 'card', 'write_off', 'released', 'dispute', 'vipps')",
            name="source",
        ),
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
    """overpaid, used, reversed, assigned, card_extra (a card paid what was settled another way), released (its claim
    became smaller), credit_note (a claim below zero), payout (ordered from us), payout_back (it did not come about),
    card_refund and card_refund_back (the same over the card that had paid), dispute (taken back by the card's bank),
    dispute_payout and dispute_card_refund (the same of one that did not come about after that), dispute_card_dispute
    (the same of another dispute whose money came back after that), dispute_back (which it
    gave back after all)."""
    ref: Mapped[int] = mapped_column(BigInteger)
    value_date: Mapped[dt.date]
    """Of the payment that the money came with; of what was no payment the day of the entry."""
    at: Mapped[Instant]
