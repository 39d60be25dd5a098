"""Tables of delivery."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, Id, Instant, Str


class Delivery(Base):
    """One message to one person by one channel; a fall-back is another row.

    ``state``: queued, sending (committed before the call), sent, unknown (no answer), failed (given up),
    dropped (no longer true when its turn came).

    ``queued_at`` and ``sent_at`` are business time. ``next_at`` (when it may be tried) and ``called_at`` (when the
    last try began) are real time: partners and queues know no other.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("message_id", "channel"),
        CheckConstraint("channel IN ('email')", name="channel"),
        CheckConstraint("state IN ('queued', 'sending', 'sent', 'unknown', 'failed', 'dropped')", name="state"),
        Index("ix_deliveries_waiting", "next_at", postgresql_where="state IN ('queued', 'sending', 'unknown')"),
        Index("ix_deliveries_agreement", "agreement_id", "id"),
    )

    id: Mapped[Id]
    message_id: Mapped[int] = mapped_column(ForeignKey("messages.id"))
    agreement_id: Mapped[int] = mapped_column(BigInteger)
    channel: Mapped[Str]
    recipient: Mapped[Str | None]
    """The address it went to, filled when sent."""
    state: Mapped[Str] = mapped_column(server_default="queued")
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    unanswered: Mapped[int] = mapped_column(Integer, server_default="0")
    """How many of the attempts got no answer, so that the mail may have arrived."""
    next_at: Mapped[Instant]
    rfc_message_id: Mapped[Str | None]
    """The Message-ID of the mail: the same at every attempt, so that a repeat can be recognised."""
    called_at: Mapped[Instant | None]
    error: Mapped[Str | None]
    queued_at: Mapped[Instant]
    sent_at: Mapped[Instant | None]
