"""Tables of the cards room."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, SmallInteger, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, Id, Instant, Ore, Str


class CardCustomer(Base):
    """The agreement's customer id at the provider."""

    __tablename__ = "card_customers"

    agreement_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    provider_customer: Mapped[Str] = mapped_column(unique=True)
    created_at: Mapped[Instant]


class CardSetup(Base):
    """A registration under way: the provider's set-up session."""

    __tablename__ = "card_setups"
    __table_args__ = (CheckConstraint("state IN ('started', 'finished', 'failed')", name="state"),)

    id: Mapped[Id]
    agreement_id: Mapped[int] = mapped_column(ForeignKey("agreements.id"), index=True)
    provider_ref: Mapped[Str | None] = mapped_column(unique=True)
    state: Mapped[Str] = mapped_column(server_default="started")
    declared_commercial: Mapped[bool]
    """The holder's own word, used where the provider does not tell."""
    started_at: Mapped[Instant]
    finished_at: Mapped[Instant | None]


class Card(Base):
    """A registered card. ``segment`` decides the business-card fee; ``segment_source`` says who told."""

    __tablename__ = "cards"
    __table_args__ = (
        CheckConstraint("segment IN ('consumer', 'commercial', 'unknown')", name="segment"),
        CheckConstraint("segment_source IN ('provider', 'holder', 'support')", name="segment_source"),
        Index(
            "uq_cards_default",
            "agreement_id",
            unique=True,
            postgresql_where="is_default AND removed_at IS NULL",
        ),
        Index("ix_cards_agreement", "agreement_id"),
    )

    id: Mapped[Id]
    agreement_id: Mapped[int] = mapped_column(ForeignKey("agreements.id"))
    payment_method: Mapped[Str] = mapped_column(unique=True)
    brand: Mapped[Str]
    last4: Mapped[Str]
    exp_month: Mapped[int] = mapped_column(SmallInteger)
    exp_year: Mapped[int] = mapped_column(SmallInteger)
    funding: Mapped[Str]
    country: Mapped[Str | None]
    segment: Mapped[Str]
    segment_source: Mapped[Str]
    is_default: Mapped[bool]
    refused_code: Mapped[Str | None]
    """A decline after which this card must not be tried again (lost, stolen, closed …)."""
    registered_at: Mapped[Instant]
    removed_at: Mapped[Instant | None]


class Charge(Base):
    """A sum that a card shall pay, from the moment it is due until it is settled one way or another.

    ``state``: due (no claim yet), claimed (the sum is fixed; being tried), succeeded, invoiced (given up, a due
    date and channel took over), cancelled (the sum fell away before it was claimed). ``next_at`` is when it
    may be tried; ``tries`` counts declines.
    """

    __tablename__ = "charges"
    __table_args__ = (
        CheckConstraint("state IN ('due', 'claimed', 'succeeded', 'invoiced', 'cancelled')", name="state"),
        CheckConstraint("cause IN ('threshold', 'week_over')", name="cause"),
        Index("uq_charges_open", "agreement_id", unique=True, postgresql_where="state IN ('due', 'claimed')"),
        Index("ix_charges_next", "next_at", postgresql_where="state IN ('due', 'claimed')"),
    )

    id: Mapped[Id]
    agreement_id: Mapped[int] = mapped_column(ForeignKey("agreements.id"))
    cause: Mapped[Str]
    state: Mapped[Str] = mapped_column(server_default="due")
    claim_id: Mapped[int | None] = mapped_column(ForeignKey("claims.id"), unique=True)
    amount_ore: Mapped[int | None] = mapped_column(BigInteger)
    tries: Mapped[int] = mapped_column(Integer, server_default="0")
    next_at: Mapped[Instant]
    due_at: Mapped[Instant]
    ended_at: Mapped[Instant | None]


class Attempt(Base):
    """One call to the provider for a charge, committed as ``unknown`` before it is made.

    ``nothing``: looked up later and certain that it never happened. Amount = claim + fee, in øre. ``started_at``
    and ``ended_at`` are business time; ``called_at`` (first call) and ``asked_at`` (last call) are real time, since
    they decide what the provider still remembers. ``lookup`` says that the key must not be repeated: it cannot tell
    any more, or would make a payment that is not wanted any more. ``credited``: it succeeded after its charge had ended
    another way, so its sum is the customer's credit.
    """

    __tablename__ = "attempts"
    __table_args__ = (
        UniqueConstraint("charge_id", "number"),
        CheckConstraint("state IN ('unknown', 'succeeded', 'declined', 'nothing')", name="state"),
        Index("uq_attempts_unknown", "charge_id", unique=True, postgresql_where="state = 'unknown'"),
        Index(
            "uq_attempts_succeeded", "charge_id", unique=True, postgresql_where="state = 'succeeded' AND NOT credited"
        ),
    )

    id: Mapped[Id]
    charge_id: Mapped[int] = mapped_column(ForeignKey("charges.id"))
    number: Mapped[int] = mapped_column(Integer)
    card_id: Mapped[int] = mapped_column(ForeignKey("cards.id"))
    amount_ore: Mapped[Ore]
    fee_ore: Mapped[Ore]
    state: Mapped[Str] = mapped_column(server_default="unknown")
    idempotency_key: Mapped[Str] = mapped_column(unique=True)
    provider_ref: Mapped[Str | None] = mapped_column(unique=True)
    code: Mapped[Str | None]
    message: Mapped[Str | None]
    lookup: Mapped[bool] = mapped_column(server_default="false")
    credited: Mapped[bool] = mapped_column(server_default="false")
    started_at: Mapped[Instant]
    called_at: Mapped[Instant]
    asked_at: Mapped[Instant]
    ended_at: Mapped[Instant | None]


class ProviderEvent(Base):
    """A webhook event, stored with its effect in one transaction. Unique by (provider, event id)."""

    __tablename__ = "provider_events"
    __table_args__ = (UniqueConstraint("provider", "event_id"),)

    id: Mapped[Id]
    provider: Mapped[Str]
    event_id: Mapped[Str]
    type: Mapped[Str]
    object_id: Mapped[Str | None]
    effect: Mapped[Str]
    received_at: Mapped[Instant]
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
