"""Tables of payouts: what we owe a customer, sent to their bank account."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, Id, Instant, Ore, Str


class PayoutOrder(Base):
    """One day's order to the bank (pain.001), as written; ``written_at`` is null until it lies in the outbox."""

    __tablename__ = "payout_orders"

    id: Mapped[Id]
    for_date: Mapped[dt.date] = mapped_column(unique=True)
    execute_on: Mapped[dt.date]
    name: Mapped[Str]
    transfers: Mapped[int] = mapped_column(Integer)
    sum_ore: Mapped[Ore]
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    made_at: Mapped[Instant]
    written_at: Mapped[Instant | None]


class Payout(Base):
    """So many øre of an agreement's credit on their way to a bank account of 11 digits.

    ``state``: requested (waits for a second person) → approved → ordered (stands in ``order_id``) → paid (the bank's
    ``reference``) or rejected (``reference`` says why); or cancelled before it was ordered. The credit is taken when it
    is requested, and comes back when it is rejected or cancelled. A small one is approved by rule: ``approved_by`` is
    null. ``reason`` is an agent's.
    """

    __tablename__ = "payouts"
    __table_args__ = (
        CheckConstraint("amount_ore > 0", name="amount"),
        CheckConstraint("account ~ '^[0-9]{11}$'", name="account"),
        CheckConstraint("state IN ('requested', 'approved', 'ordered', 'paid', 'rejected', 'cancelled')", name="state"),
        CheckConstraint("approved_by <> requested_by", name="two"),
        CheckConstraint("(state IN ('paid', 'rejected', 'cancelled')) = (ended_at IS NOT NULL)", name="ended"),
        CheckConstraint("(state IN ('ordered', 'paid', 'rejected')) = (order_id IS NOT NULL)", name="ordered"),
        Index("ix_payouts_agreement", "agreement_id", "id"),
        Index("ix_payouts_open", "id", postgresql_where="state IN ('requested', 'approved', 'ordered')"),
    )

    id: Mapped[Id]
    agreement_id: Mapped[int] = mapped_column(ForeignKey("agreements.id"))
    amount_ore: Mapped[Ore]
    account: Mapped[Str]
    state: Mapped[Str]
    reason: Mapped[Str | None]
    requested_by: Mapped[Str]
    requested_at: Mapped[Instant]
    approved_by: Mapped[Str | None]
    approved_at: Mapped[Instant | None]
    order_id: Mapped[int | None] = mapped_column(ForeignKey("payout_orders.id"))
    ended_by: Mapped[Str | None]
    ended_at: Mapped[Instant | None]
    reference: Mapped[Str | None]
