"""Tables of payments by Vipps."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, Id, Instant, Ore, Str

LIVE = ("unknown", "created", "capturing")
"""States in which a payment may still become money of ours: one a claim."""
UNENDED = (*LIVE, "cancelling")
STATES = (*UNENDED, "captured", "cancelled", "aborted", "expired", "nothing")


class VippsPayment(Base):
    """A payment of a claim that a customer began at Vipps, committed as ``unknown`` before Vipps is asked to make it.

    ``state``: created (the customer may approve it), capturing (approved; ``capture_ore`` is asked for under
    ``capture_key``), cancelling (what is reserved and not captured, or the page, is given up under ``cancel_key``),
    captured (something was; nothing is reserved any more), cancelled, aborted (by the customer), expired, nothing
    (it was certainly never made).

    ``amount_ore`` is what was open when it began. ``captured_ore`` and ``refunded_ore`` are what Vipps has told of and
    is booked; no constraint holds them together, since both are Vipps's own. ``started_at``, ``captured_at`` and
    ``ended_at`` are business time; ``called_at`` (when the key was made that what is next is asked for under),
    ``sent_at`` (before each time that is sent; null until then) and ``asked_at`` (last answer) are real time.
    ``request_key`` is the caller's Idempotency-Key. ``code``: what Vipps refused last, in its word.
    """

    __tablename__ = "vipps_payments"
    __table_args__ = (
        CheckConstraint("amount_ore > 0 AND capture_ore > 0", name="amount"),
        CheckConstraint(
            "state IN ('unknown', 'created', 'capturing', 'cancelling', 'captured', 'cancelled', 'aborted', "
            "'expired', 'nothing')",
            name="state",
        ),
        CheckConstraint("reference ~ '^[a-zA-Z0-9-]{8,64}$'", name="reference"),
        CheckConstraint(
            "(state IN ('unknown', 'created', 'capturing', 'cancelling')) = (ended_at IS NULL)", name="ended"
        ),
        CheckConstraint(
            "(capture_ore IS NULL) = (capture_key IS NULL) AND (state <> 'capturing' OR capture_key IS NOT NULL) "
            "AND (state <> 'cancelling' OR cancel_key IS NOT NULL)",
            name="asked",
        ),
        UniqueConstraint("agreement_id", "request_key"),
        Index(
            "uq_vipps_payments_live",
            "claim_id",
            unique=True,
            postgresql_where="state IN ('unknown', 'created', 'capturing')",
        ),
        Index("ix_vipps_payments_claim", "claim_id"),
        Index(
            "ix_vipps_payments_unended",
            "id",
            postgresql_where="state IN ('unknown', 'created', 'capturing', 'cancelling')",
        ),
    )

    id: Mapped[Id]
    agreement_id: Mapped[int] = mapped_column(ForeignKey("agreements.id"))
    claim_id: Mapped[int] = mapped_column(ForeignKey("claims.id"))
    invoice: Mapped[int] = mapped_column(BigInteger)
    """The number of the invoice that the customer paid."""
    reference: Mapped[Str] = mapped_column(unique=True)
    request_key: Mapped[Str | None]
    create_key: Mapped[Str] = mapped_column(unique=True)
    return_url: Mapped[Str]
    amount_ore: Mapped[Ore]
    state: Mapped[Str]
    url: Mapped[Str | None]
    capture_ore: Mapped[int | None] = mapped_column(BigInteger)
    capture_key: Mapped[Str | None]
    cancel_key: Mapped[Str | None]
    captured_ore: Mapped[Ore] = mapped_column(server_default="0")
    refunded_ore: Mapped[Ore] = mapped_column(server_default="0")
    code: Mapped[Str | None]
    started_by: Mapped[Str]
    started_at: Mapped[Instant]
    called_at: Mapped[Instant]
    asked_at: Mapped[Instant]
    sent_at: Mapped[Instant | None]
    captured_at: Mapped[Instant | None]
    ended_at: Mapped[Instant | None]


class VippsCapture(Base):
    """So many øre that Vipps says it has captured of a payment beyond what we knew of: nearly always one a payment.

    ``upto_ore`` is all that was captured of it by then, which happens once. What of it did not fit the claim any more
    became credit. ``value_date`` is the Oslo date on which the customer began: an approval lasts some minutes.
    """

    __tablename__ = "vipps_captures"
    __table_args__ = (
        CheckConstraint("amount_ore > 0 AND upto_ore >= amount_ore", name="amount"),
        UniqueConstraint("payment_id", "upto_ore"),
    )

    id: Mapped[Id]
    payment_id: Mapped[int] = mapped_column(ForeignKey("vipps_payments.id"))
    amount_ore: Mapped[Ore]
    upto_ore: Mapped[Ore]
    value_date: Mapped[dt.date]
    at: Mapped[Instant]


class VippsRefund(Base):
    """So many øre of an agreement's credit on their way back to the Vipps payment that they came with.

    ``state``: requested (waits for a second person) → approved → unknown (committed before the call) → succeeded or
    failed; or cancelled before the call. The credit is taken when it is asked for and comes back when it is cancelled
    or fails. ``requested_by`` is ``vipps`` where money went that nobody here asked for, or that had ended here: it took
    what credit there was, and the rest we bear. A small one is approved by rule: ``approved_by`` is null.
    """

    __tablename__ = "vipps_refunds"
    __table_args__ = (
        CheckConstraint("amount_ore > 0", name="amount"),
        CheckConstraint(
            "state IN ('requested', 'approved', 'unknown', 'succeeded', 'failed', 'cancelled')", name="state"
        ),
        CheckConstraint("approved_by <> requested_by", name="two"),
        CheckConstraint("(state IN ('succeeded', 'failed', 'cancelled')) = (ended_at IS NOT NULL)", name="ended"),
        CheckConstraint("(state IN ('unknown', 'succeeded', 'failed')) = (called_at IS NOT NULL)", name="called"),
        Index("ix_vipps_refunds_agreement", "agreement_id", "id"),
        Index("ix_vipps_refunds_payment", "payment_id"),
        Index("uq_vipps_refunds_unknown", "payment_id", unique=True, postgresql_where="state = 'unknown'"),
        Index("ix_vipps_refunds_open", "id", postgresql_where="state IN ('requested', 'approved', 'unknown')"),
    )

    id: Mapped[Id]
    agreement_id: Mapped[int] = mapped_column(ForeignKey("agreements.id"))
    payment_id: Mapped[int] = mapped_column(ForeignKey("vipps_payments.id"))
    amount_ore: Mapped[Ore]
    state: Mapped[Str]
    reason: Mapped[Str]
    requested_by: Mapped[Str]
    requested_at: Mapped[Instant]
    approved_by: Mapped[Str | None]
    approved_at: Mapped[Instant | None]
    idempotency_key: Mapped[Str | None] = mapped_column(unique=True)
    code: Mapped[Str | None]
    message: Mapped[Str | None]
    called_at: Mapped[Instant | None]
    asked_at: Mapped[Instant | None]
    sent_at: Mapped[Instant | None]
    ended_by: Mapped[Str | None]
    ended_at: Mapped[Instant | None]
