"""Tables of the agreements room."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, Sequence
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, Id, Instant, Str

AGREEMENT_NUMBERS = Sequence("agreement_numbers", start=10_000_001, maxvalue=99_999_999, metadata=Base.metadata)

STANDINGS = "('open', 'blocked', 'awaiting_reopen', 'closed')"


class Agreement(Base):
    """A contract with a customer. ``number`` has 8 digits. ``operator`` is the charger code of a ferry agreement."""

    __tablename__ = "agreements"
    __table_args__ = (
        CheckConstraint("kind IN ('tag', 'ferry')", name="kind"),
        CheckConstraint("(kind = 'ferry') = (operator IS NOT NULL)", name="operator"),
        CheckConstraint("payment_method IN ('invoice', 'card')", name="payment_method"),
        CheckConstraint(f"standing IN {STANDINGS}", name="standing"),
        CheckConstraint("number BETWEEN 10000000 AND 99999999", name="number"),
        Index(
            "ix_agreements_ended_on_card",
            "id",
            "closed_at",
            postgresql_where="payment_method = 'card' AND closed_at IS NOT NULL",
        ),
    )

    id: Mapped[Id]
    number: Mapped[int] = mapped_column(
        BigInteger, AGREEMENT_NUMBERS, server_default=AGREEMENT_NUMBERS.next_value(), unique=True
    )
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"), index=True)
    kind: Mapped[Str] = mapped_column(server_default="tag")
    operator: Mapped[Str | None]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("agreements.id"), index=True)
    """The tag agreement that a ferry agreement is additional to."""
    payment_method: Mapped[Str] = mapped_column(server_default="invoice")
    receipts_by_mail: Mapped[bool] = mapped_column(server_default="true")
    """Whether receipts of card payments are sent; on My Page they are in any case."""
    standing: Mapped[Str] = mapped_column(server_default="open")
    opened_at: Mapped[Instant]
    closed_at: Mapped[Instant | None]
    """From when it is closed (may lie ahead); passages from before are still taken."""
    version: Mapped[int] = mapped_column(Integer, server_default="1")


class StandingChange(Base):
    """One change of standing, the first being its opening. Appended."""

    __tablename__ = "standings"
    __table_args__ = (
        CheckConstraint(f"standing IN {STANDINGS}", name="standing"),
        Index("ix_standings_agreement", "agreement_id", "id"),
    )

    id: Mapped[Id]
    agreement_id: Mapped[int] = mapped_column(ForeignKey("agreements.id"))
    standing: Mapped[Str]
    at: Mapped[Instant]
    reason: Mapped[Str]
    """A word for why: opened, overdue, paid, paid_in_time, reopened, closed."""
    actor: Mapped[Str]


class Block(Base):
    """That an agreement was closed to traffic for an unpaid claim. At most one is active (``ended_at`` null)."""

    __tablename__ = "blocks"
    __table_args__ = (
        CheckConstraint("ending IN ('reopened', 'voided')", name="ending"),
        CheckConstraint("(ended_at IS NULL) = (ending IS NULL)", name="ended"),
        Index("uq_blocks_active", "agreement_id", unique=True, postgresql_where="ended_at IS NULL"),
        Index("ix_blocks_agreement", "agreement_id", "id"),
    )

    id: Mapped[Id]
    agreement_id: Mapped[int] = mapped_column(ForeignKey("agreements.id"))
    at: Mapped[Instant]
    claims: Mapped[list[int]] = mapped_column(JSONB)
    """Ids of the overdue claims it was made for."""
    ended_at: Mapped[Instant | None]
    ending: Mapped[Str | None]
    ended_by: Mapped[Str | None]
    contact: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    """On reopening: how the customer made contact (channel, note)."""
