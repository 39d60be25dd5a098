"""Tables of the cards room."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, SmallInteger, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from config.clock import now_utc
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
    """A registered card. ``segment`` decides the business-card fee; ``segment_source`` says who told; ``product`` is
    the provider's word for what card it is, where it gives one. Of an agreement's cards one is the default."""

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
    product: Mapped[Str | None]
    segment: Mapped[Str]
    segment_source: Mapped[Str]
    is_default: Mapped[bool]
    refused_code: Mapped[Str | None]
    """A decline after which this card must not be tried again (lost, stolen, closed …), or ``disputed``."""
    registered_at: Mapped[Instant]
    updated_at: Mapped[Instant | None]
    """When the bank last gave it another number or expiry."""
    removed_at: Mapped[Instant | None]


class Charge(Base):
    """A sum that a card shall pay, from the moment it is due until it is settled one way or another.

    ``state``: due (no claim yet), claimed (the sum is fixed; being tried), succeeded, invoiced (given up, a due
    date and channel took over), cancelled (the sum fell away before it was claimed). ``next_at`` is when it
    may be tried; ``tries`` counts declines.

    ``cause``: threshold and week_over are the two that need the sum and the week; closing, method (it was changed) and
    agent take whatever is left. ``card_id``: the card that an agent chose for it, else the default is tried.
    ``waits_for`` the customer: the bank wants them to confirm; it is tried no more by itself, and ends on an invoice at
    ``next_at``.
    """

    __tablename__ = "charges"
    __table_args__ = (
        CheckConstraint("state IN ('due', 'claimed', 'succeeded', 'invoiced', 'cancelled')", name="state"),
        CheckConstraint("cause IN ('threshold', 'week_over', 'closing', 'method', 'agent')", name="cause"),
        CheckConstraint("waits_for = 'customer'", name="waits_for"),
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
    card_id: Mapped[int | None] = mapped_column(ForeignKey("cards.id"))
    waits_for: Mapped[Str | None]
    next_at: Mapped[Instant]
    due_at: Mapped[Instant]
    ended_at: Mapped[Instant | None]


class Attempt(Base):
    """One call to the provider for a charge, committed as ``unknown`` before it is made.

    ``nothing``: looked up later and certain that it never happened. Amount = claim + fee, in øre. ``started_at``
    and ``ended_at`` are business time; ``called_at`` (written before the first call), ``asked_at`` (last answer) and
    ``sent_at`` (the sweep sent the key; written before it does) are real time, since they decide what the provider
    still remembers and what may be under way. ``provider_ref``: the payment, also of one that could still go either
    way. ``lookup`` says that the key must not be repeated: it cannot tell
    any more, or would make a payment that is not wanted any more. ``credited``: it succeeded after its charge had ended
    another way, so its sum is the customer's credit. ``kind``: off_session is a call of ours while the customer is
    away; on_session is a page of the provider's where the customer confirms (``CardSession``), and is unknown until
    that ends.
    """

    __tablename__ = "attempts"
    __table_args__ = (
        UniqueConstraint("charge_id", "number"),
        CheckConstraint("state IN ('unknown', 'succeeded', 'declined', 'nothing')", name="state"),
        CheckConstraint("kind IN ('off_session', 'on_session')", name="kind"),
        Index("uq_attempts_unknown", "charge_id", unique=True, postgresql_where="state = 'unknown'"),
        Index(
            "uq_attempts_succeeded", "charge_id", unique=True, postgresql_where="state = 'succeeded' AND NOT credited"
        ),
    )

    id: Mapped[Id]
    charge_id: Mapped[int] = mapped_column(ForeignKey("charges.id"))
    number: Mapped[int] = mapped_column(Integer)
    kind: Mapped[Str] = mapped_column(server_default="off_session")
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
    sent_at: Mapped[Instant | None]
    ended_at: Mapped[Instant | None]
    changed_at: Mapped[Instant | None] = mapped_column(default=now_utc, onupdate=now_utc)
    """When the row was written last, in real time: the provider's account as it was read before knows nothing of it."""


class CardSession(Base):
    """The provider's page on which a customer pays a charge that their bank wants confirmed. ``provider_ref`` is null
    until the provider has told of it; ``brand`` and ``last4`` are of the card that paid there."""

    __tablename__ = "card_sessions"

    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempts.id"), primary_key=True, autoincrement=False)
    provider_ref: Mapped[Str | None] = mapped_column(unique=True)
    url: Mapped[Str | None]
    return_url: Mapped[Str]
    started_at: Mapped[Instant]
    expires_at: Mapped[Instant]
    """Real time: from when on it is ended, if the customer has not."""
    brand: Mapped[Str | None]
    last4: Mapped[Str | None]


class Pace(Base):
    """How fast a provider may be asked by all workers together, and whether it is down. All real time.

    ``next_at``: when the next request may go. ``failures``: answers in a row that were none; ``down_until``: nobody
    asks before then.
    """

    __tablename__ = "card_pace"

    provider: Mapped[Str] = mapped_column(primary_key=True)
    next_at: Mapped[Instant]
    failures: Mapped[int] = mapped_column(Integer, server_default="0")
    down_until: Mapped[Instant | None]


class Refund(Base):
    """So many øre of an agreement's credit on their way back to the card that a charge was paid with.

    ``state``: requested (waits for a second person) → approved → unknown (committed before the call) → succeeded or
    failed; or cancelled before the call. The credit is taken when it is asked for and comes back when it is cancelled
    or fails, which the provider may say long after it had succeeded. A small one is approved by rule: ``approved_by``
    is null. ``called_at``, ``asked_at`` and ``sent_at`` (before each call, the first too) are real time; they and
    ``lookup`` are as in ``Attempt``.
    """

    __tablename__ = "card_refunds"
    __table_args__ = (
        CheckConstraint("amount_ore > 0", name="amount"),
        CheckConstraint(
            "state IN ('requested', 'approved', 'unknown', 'succeeded', 'failed', 'cancelled')", name="state"
        ),
        CheckConstraint("approved_by <> requested_by", name="two"),
        CheckConstraint("(state IN ('succeeded', 'failed', 'cancelled')) = (ended_at IS NOT NULL)", name="ended"),
        CheckConstraint("(state IN ('unknown', 'succeeded', 'failed')) = (called_at IS NOT NULL)", name="called"),
        Index("ix_card_refunds_agreement", "agreement_id", "id"),
        Index("ix_card_refunds_attempt", "attempt_id"),
        Index("ix_card_refunds_open", "id", postgresql_where="state IN ('requested', 'approved', 'unknown')"),
    )

    id: Mapped[Id]
    agreement_id: Mapped[int] = mapped_column(ForeignKey("agreements.id"))
    charge_id: Mapped[int] = mapped_column(ForeignKey("charges.id"))
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempts.id"))
    amount_ore: Mapped[Ore]
    state: Mapped[Str]
    reason: Mapped[Str]
    requested_by: Mapped[Str]
    requested_at: Mapped[Instant]
    approved_by: Mapped[Str | None]
    approved_at: Mapped[Instant | None]
    idempotency_key: Mapped[Str | None] = mapped_column(unique=True)
    provider_ref: Mapped[Str | None] = mapped_column(unique=True)
    code: Mapped[Str | None]
    message: Mapped[Str | None]
    lookup: Mapped[bool] = mapped_column(server_default="false")
    called_at: Mapped[Instant | None]
    asked_at: Mapped[Instant | None]
    sent_at: Mapped[Instant | None]
    ended_by: Mapped[Str | None]
    ended_at: Mapped[Instant | None]
    changed_at: Mapped[Instant | None] = mapped_column(default=now_utc, onupdate=now_utc)


class Dispute(Base):
    """A payment that its cardholder's bank takes back (a chargeback), as the provider tells of it.

    ``withdrawn_ore`` lies with the bank while it is open, nothing while it only inquires. ``won``: it came back (or was
    never taken). ``lost``: ``claim_ore`` of it is owed again, ``credit_ore`` came out of the customer's credit,
    ``written_off_ore`` is ours to bear; together they are what was withdrawn.
    """

    __tablename__ = "card_disputes"
    __table_args__ = (
        CheckConstraint("state IN ('opened', 'won', 'lost')", name="state"),
        CheckConstraint("withdrawn_ore >= 0 AND withdrawn_ore <= amount_ore", name="withdrawn"),
        CheckConstraint("(state = 'opened') = (ended_at IS NULL)", name="ended"),
        CheckConstraint(
            "claim_ore + credit_ore + written_off_ore = CASE state WHEN 'lost' THEN withdrawn_ore ELSE 0 END",
            name="lost",
        ),
        Index("ix_card_disputes_agreement", "agreement_id", "id"),
        Index("ix_card_disputes_attempt", "attempt_id"),
        Index("ix_card_disputes_open", "id", postgresql_where="state = 'opened'"),
    )

    id: Mapped[Id]
    provider_ref: Mapped[Str] = mapped_column(unique=True)
    agreement_id: Mapped[int] = mapped_column(ForeignKey("agreements.id"))
    charge_id: Mapped[int] = mapped_column(ForeignKey("charges.id"))
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempts.id"))
    amount_ore: Mapped[Ore]
    withdrawn_ore: Mapped[Ore] = mapped_column(server_default="0")
    claim_ore: Mapped[Ore] = mapped_column(server_default="0")
    credit_ore: Mapped[Ore] = mapped_column(server_default="0")
    written_off_ore: Mapped[Ore] = mapped_column(server_default="0")
    reason: Mapped[Str]
    """The network's word: fraudulent, duplicate, product_not_received …"""
    state: Mapped[Str] = mapped_column(server_default="opened")
    evidence_due_at: Mapped[Instant | None]
    opened_at: Mapped[Instant]
    ended_at: Mapped[Instant | None]
    changed_at: Mapped[Instant | None] = mapped_column(default=now_utc, onupdate=now_utc)


class CardPayout(Base):
    """What the provider pays to our bank account; negative where it takes. ``whole``: all its transactions are read.

    It is in the books while it is ``paid``: one that failed after that is taken out again. Only of ``automatic`` ones
    the provider can say which transactions are in it. ``refused``: what it said when it did not tell them.
    """

    __tablename__ = "card_payouts"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'in_transit', 'paid', 'failed', 'canceled')", name="state"),
        Index("ix_card_payouts_open", "id", postgresql_where="state IN ('pending', 'in_transit') OR NOT whole"),
    )

    id: Mapped[Id]
    provider_ref: Mapped[Str] = mapped_column(unique=True)
    amount_ore: Mapped[Ore]
    state: Mapped[Str]
    arrives_on: Mapped[dt.date]
    made_at: Mapped[Instant]
    whole: Mapped[bool] = mapped_column(server_default="false")
    automatic: Mapped[bool] = mapped_column(server_default="true")
    refused: Mapped[Str | None]
    read_at: Mapped[Instant]


class CardTransaction(Base):
    """A line of the provider's account of us, as it tells it: what a payment, a refund or a dispute moved, and its fee.

    ``source_ref`` is the provider's id of what it is about. ``net_ore`` is what our balance there changed by.
    """

    __tablename__ = "card_transactions"
    __table_args__ = (
        CheckConstraint("net_ore = amount_ore - fee_ore", name="net"),
        Index("ix_card_transactions_source", "source_ref"),
        Index("ix_card_transactions_payout", "payout_id"),
        Index("ix_card_transactions_made", "made_at"),
    )

    id: Mapped[Id]
    provider_ref: Mapped[Str] = mapped_column(unique=True)
    type: Mapped[Str]
    amount_ore: Mapped[Ore]
    fee_ore: Mapped[Ore]
    net_ore: Mapped[Ore]
    source_ref: Mapped[Str | None]
    payout_id: Mapped[int | None] = mapped_column(ForeignKey("card_payouts.id"))
    made_at: Mapped[Instant]
    read_at: Mapped[Instant]


class AccountRead(Base):
    """A read of the provider's account that came to its end, in real time.

    ``balance_ore`` is what the provider said its balance was when the lines that had been read by then came to
    ``lines_ore``; null where it did not say, or lines kept coming. ``wrong``: how many things differed afterwards; null
    until that is known.
    """

    __tablename__ = "card_account_reads"

    id: Mapped[Id]
    began_at: Mapped[Instant]
    ended_at: Mapped[Instant]
    lines_ore: Mapped[Ore]
    balance_ore: Mapped[Ore | None]
    wrong: Mapped[int | None] = mapped_column(BigInteger)


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
