"""Tables of delivery."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, Id, Instant, Ore, Str

CHANNELS = ("avtalegiro", "efaktura", "vipps", "digipost", "eboks", "email", "paper", "ehf")
"""By what a message can go, in the order of the configured list (`ways.py`); EHF comes first for businesses."""

STATES = ("queued", "sending", "sent", "unknown", "delivered", "ending", "ended", "failed", "dropped")
LIVE = ("queued", "sending", "sent", "unknown", "delivered", "ending")
"""In these a delivery presents its document, or may come to."""


def _in(column: str, words: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(word) for word in words)})"


class Delivery(Base):
    """One message to one person by one channel; a fall-back is another row.

    ``state``: queued, sending (committed before the call), sent (the partner or server has it), unknown (no answer),
    delivered (the partner says that the reader has it), ending (we have asked to have it taken back), ended (it
    presents nothing any more), failed (given up), dropped (no longer true when its turn came).

    ``presents``: it says how its document (``document_id``) is to be paid. Of those that live a document has one at
    most: what another channel is to present is taken back first. A copy, and what says that another way pays
    (an eFaktura beside AvtaleGiro), present nothing.

    ``queued_at``, ``sent_at``, ``delivered_at``, ``opened_at`` and ``ended_at`` are business time. ``next_at`` (when it
    may be tried, or asked for, next) and ``called_at`` (when the last try began) are real time: partners and queues
    know no other.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("message_id", "channel"),
        CheckConstraint(_in("channel", CHANNELS), name="channel"),
        CheckConstraint(_in("state", STATES), name="state"),
        CheckConstraint("document_id IS NOT NULL OR NOT presents", name="presents"),
        Index("ix_deliveries_waiting", "next_at", postgresql_where="state IN ('queued', 'sending', 'unknown')"),
        Index("ix_deliveries_agreement", "agreement_id", "id"),
        Index(
            "uq_deliveries_presents",
            "document_id",
            unique=True,
            postgresql_where=f"presents AND {_in('state', LIVE)}",
        ),
        Index("ix_deliveries_asked", "channel", "next_at", postgresql_where="state IN ('sent', 'ending')"),
        Index("ix_deliveries_file", "file_id", "file_line", postgresql_where="file_id IS NOT NULL"),
        Index(
            "ix_deliveries_presenting",
            "sent_at",
            postgresql_where="presents AND state IN ('sent', 'delivered') AND channel IN ('efaktura', 'vipps')",
        ),
        Index("ix_deliveries_failed", "message_id", postgresql_where="state = 'failed' AND followed_at IS NULL"),
        Index("ix_deliveries_claimed", text("ltrim(partner_ref, '0')"), postgresql_where="channel = 'avtalegiro'"),
    )

    id: Mapped[Id]
    message_id: Mapped[int] = mapped_column(ForeignKey("messages.id"))
    agreement_id: Mapped[int] = mapped_column(BigInteger)
    channel: Mapped[Str]
    recipient: Mapped[Str | None]
    """The address it went to, filled when sent: in the channel's own words."""
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
    document_id: Mapped[int | None] = mapped_column(BigInteger)
    presents: Mapped[bool] = mapped_column(server_default="false")
    key: Mapped[Str | None]
    """Our idempotency key at the partner, a UUID: the same at every attempt."""
    partner_ref: Mapped[Str | None]
    file_id: Mapped[int | None] = mapped_column(ForeignKey("delivery_files.id"))
    """The file it went in, where the partner takes files."""
    file_line: Mapped[int | None] = mapped_column(Integer)
    """Its place in that file: the number of its transaction or sheet."""
    proof: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    """What shows that it was delivered: ids, receipts, states as the partner told them."""
    cost_ore: Mapped[Ore] = mapped_column(server_default="0")
    delivered_at: Mapped[Instant | None]
    opened_at: Mapped[Instant | None]
    ended_at: Mapped[Instant | None]
    followed_at: Mapped[Instant | None]
    """When the next way was looked for after it had failed."""


class ChannelChoice(Base):
    """Why a message went by the channel it went by: each that was considered, in order, and what was found.

    ``considered`` is a list of ``{"channel", "verdict": yes | no | unsure | passed, "why"}``. ``channel`` is null where
    nobody could be reached, or where a look-up had no answer (it is done again). Appended; ``ordinal`` counts from 1.
    """

    __tablename__ = "channel_choices"
    __table_args__ = (
        UniqueConstraint("message_id", "ordinal"),
        CheckConstraint("cause IN ('first', 'fallback', 'agent')", name="cause"),
        Index("ix_channel_choices_agreement", "agreement_id", "id"),
    )

    id: Mapped[Id]
    message_id: Mapped[int] = mapped_column(ForeignKey("messages.id"))
    ordinal: Mapped[int] = mapped_column(SmallInteger)
    agreement_id: Mapped[int] = mapped_column(BigInteger)
    document_id: Mapped[int | None] = mapped_column(BigInteger)
    at: Mapped[Instant]
    cause: Mapped[Str]
    channel: Mapped[Str | None]
    considered: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    next_at: Mapped[Instant | None]
    """When it is looked up again (real time), where there is no decision yet."""


class DeliveryFile(Base):
    """A file to a partner, or from one, as it was written or received. Appended; its bytes never change.

    To a partner (``direction`` out): ``state`` made → put (it lies in the outbox) → accepted or refused (the partner's
    receipt says so). From one (in): read or refused. ``number`` is ours, counted from 1 per channel and kind without
    gaps; what came in has none. ``transactions`` and ``sum_ore`` are as the file says. ``made_at`` and the rest are
    business time.
    """

    __tablename__ = "delivery_files"
    __table_args__ = (
        UniqueConstraint("channel", "kind", "number"),
        UniqueConstraint("direction", "sha256"),
        CheckConstraint("direction IN ('out', 'in')", name="direction"),
        CheckConstraint("state IN ('made', 'put', 'accepted', 'refused', 'read')", name="state"),
        CheckConstraint("(direction = 'out') = (number IS NOT NULL)", name="number"),
        Index("ix_delivery_files_waiting", "id", postgresql_where="state = 'made'"),
    )

    id: Mapped[Id]
    channel: Mapped[Str]
    kind: Mapped[Str]
    """claims, cancellations, print; mandates, receipt, confirmation."""
    direction: Mapped[Str]
    number: Mapped[int | None] = mapped_column(BigInteger)
    name: Mapped[Str]
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    transactions: Mapped[int] = mapped_column(Integer, server_default="0")
    sum_ore: Mapped[Ore] = mapped_column(server_default="0")
    state: Mapped[Str]
    made_at: Mapped[Instant]
    put_at: Mapped[Instant | None]
    puts: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    """How often it was put: again where the partner could not read what arrived."""
    answered_at: Mapped[Instant | None]
    answer: Mapped[Str | None]
    """What the partner said of it, or why it was refused."""
