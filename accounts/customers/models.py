"""Tables of the customers room."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Sequence,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, Id, Instant, Str

CHOICES = ("email", "best_digital", "avtalegiro", "efaktura", "vipps", "digipost", "eboks", "paper", "ehf")
"""What a customer can have chosen. AvtaleGiro is chosen at the bank only: the mandate that comes from there says it."""

CUSTOMER_NUMBERS = Sequence("customer_numbers", start=1_000_001, metadata=Base.metadata)


class Customer(Base):
    """A private person or a business. ``org_no`` has nine digits; ``country`` is ISO 3166 alpha-2."""

    __tablename__ = "customers"
    __table_args__ = (
        CheckConstraint("kind IN ('private', 'business')", name="kind"),
        CheckConstraint("(kind = 'business') = (org_no IS NOT NULL)", name="org_no"),
        CheckConstraint("language IN ('nb', 'en')", name="language"),
        CheckConstraint(f"channel IN {CHOICES}", name="channel"),
        CheckConstraint("payment_term_days BETWEEN 1 AND 60", name="payment_term_days"),
        Index("ix_customers_name", "name", postgresql_using="gin", postgresql_ops={"name": "gin_trgm_ops"}),
        Index("ix_customers_email", text("lower(email)")),
    )

    id: Mapped[Id]
    number: Mapped[int] = mapped_column(
        BigInteger, CUSTOMER_NUMBERS, server_default=CUSTOMER_NUMBERS.next_value(), unique=True
    )
    kind: Mapped[Str]
    name: Mapped[Str]
    org_no: Mapped[Str | None]
    email: Mapped[Str]
    phone: Mapped[Str | None]
    street: Mapped[Str]
    postal_code: Mapped[Str]
    city: Mapped[Str]
    country: Mapped[Str] = mapped_column(server_default="NO")
    language: Mapped[Str] = mapped_column(server_default="nb")
    channel: Mapped[Str] = mapped_column(server_default="email")
    """How documents go out; e-mail from the start."""
    efaktura_beside: Mapped[bool] = mapped_column(server_default="false")
    """Whether what AvtaleGiro pays is shown as an eFaktura too."""
    details_in_copy: Mapped[bool] = mapped_column(server_default="true")
    """Whether the copy that is sent lists the passages; on My Page they are in any case."""
    payment_term_days: Mapped[int | None] = mapped_column(SmallInteger)
    """Days to pay that were agreed; null: the figure."""
    national_id: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Encrypted (`config.sealed`); for look-ups in eFaktura and Digipost only."""
    efaktura_id: Mapped[Str | None]
    """The holder's eFaktura id (nine digits), where they have told it."""
    created_at: Mapped[Instant]
    version: Mapped[int] = mapped_column(Integer, server_default="1")


class Message(Base):
    """That the holder of an agreement is to be told something; billing.delivery chooses the channel and sends it.

    Any room may write one, in the transaction that gives cause. ``subject`` names the cause (``document:12``,
    ``standing:7``, ``block:3``): with ``template`` it is unique, so nothing is told twice. ``planned_at`` is null until
    delivery has taken it.
    """

    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("subject", "template"),
        Index("ix_messages_waiting", "id", postgresql_where="planned_at IS NULL"),
        Index("ix_messages_agreement", "agreement_id", "id"),
    )

    id: Mapped[Id]
    agreement_id: Mapped[int] = mapped_column(BigInteger)
    template: Mapped[Str]
    """invoice, receipt, card_failed, card_confirm, card_next, reminder, blocked, paid_call_us, nothing_due_call_us,
    reopened, unblocked, welcome, closed, credit_note, reissued, receipt_reissued, credit, credit_closed, credit_even,
    payout_paid, payout_rejected, mass_corrected, mass_undone, backlog, tag_mismatch, tag_mismatch_refused,
    dispute_upheld, dispute_rejected, dispute_let_go, card_expiring, card_refunded, card_refund_failed,
    vipps_credit, vipps_refunded, vipps_refund_failed,
    card_dispute_lost, card_dispute_returned, mandate_begun, mandate_ended."""
    subject: Mapped[Str]
    document_id: Mapped[int | None] = mapped_column(BigInteger)
    data: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    made_at: Mapped[Instant]
    planned_at: Mapped[Instant | None]


class Mandate(Base):
    """An AvtaleGiro mandate: that a payer's bank may pay what we claim of an agreement. Set up and ended at the bank;
    we read it from the bank's files and can do neither.

    ``kid`` is as the bank has it; what of it counts is its fixed customer part (``customer_part``), of the KID
    structure named ``structure``. ``notice``: the payer wants to be told by us before each claim (J) or by nobody (N).
    At most one of a KID stands (``ended_at`` null). Ended ones are kept.
    """

    __tablename__ = "mandates"
    __table_args__ = (
        Index("uq_mandates_standing", "kid", unique=True, postgresql_where="ended_at IS NULL"),
        Index("ix_mandates_agreement", "agreement_id", postgresql_where="ended_at IS NULL"),
    )

    id: Mapped[Id]
    agreement_id: Mapped[int] = mapped_column(ForeignKey("agreements.id"))
    kid: Mapped[Str]
    customer_part: Mapped[Str]
    structure: Mapped[Str]
    notice: Mapped[bool]
    since: Mapped[Instant]
    changed_at: Mapped[Instant]
    ended_at: Mapped[Instant | None]
    ending: Mapped[Str | None]
    """deleted (the bank told so), missing (not in the bank's full list), moved (to another KID structure)."""
