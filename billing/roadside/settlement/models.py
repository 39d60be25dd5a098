"""Tables of settlement."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    UniqueConstraint,
    func,
    literal_column,
)
from sqlalchemy.dialects.postgresql import ExcludeConstraint
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, Id, Instant, Ore, Str

_DAYS = func.daterange(literal_column("period_from"), literal_column("period_to"), literal_column("'[]'"))


class Settlement(Base):
    """What we owe a charger for what arrived from ``period_from`` to ``period_to`` (Oslo days, both in it).

    ``cutoff_at`` is the instant at which the last day ended. ``brought_ore`` (≤ 0) is what the settlement before had
    too little of to be paid. ``state``: draft, agreed, ordered, paid; or carried, when there was nothing to pay out and
    what is negative goes into the next one.
    """

    __tablename__ = "settlements"
    __table_args__ = (
        UniqueConstraint("charger_id", "period_from", "period_to"),
        ExcludeConstraint(("charger_id", "="), (_DAYS, "&&"), name="ex_settlements_period", using="gist"),
        CheckConstraint("period_from <= period_to", name="period"),
        CheckConstraint("state IN ('draft', 'agreed', 'carried', 'ordered', 'paid')", name="state"),
        CheckConstraint("(state = 'draft') = (agreed_at IS NULL)", name="agreed"),
        CheckConstraint("claim_ore = accepted_ore - reversed_ore", name="claim"),
        CheckConstraint(
            "payout_ore = claim_ore - remuneration_ore - remuneration_vat_ore + brought_ore AND brought_ore <= 0",
            name="payout",
        ),
        CheckConstraint("state NOT IN ('ordered', 'paid') OR payout_ore > 0", name="to_pay"),
    )

    id: Mapped[Id]
    charger_id: Mapped[int] = mapped_column(ForeignKey("chargers.id"))
    period_from: Mapped[dt.date]
    period_to: Mapped[dt.date]
    cutoff_at: Mapped[Instant]
    state: Mapped[Str] = mapped_column(server_default="draft")
    accepted_count: Mapped[int] = mapped_column(BigInteger)
    accepted_ore: Mapped[Ore]
    reversed_count: Mapped[int] = mapped_column(BigInteger)
    reversed_ore: Mapped[Ore]
    """What was taken back, as a positive sum."""
    claim_ore: Mapped[Ore]
    remuneration_bp: Mapped[int]
    remuneration_ore: Mapped[Ore]
    remuneration_vat_bp: Mapped[int]
    remuneration_vat_ore: Mapped[Ore]
    brought_ore: Mapped[Ore]
    payout_ore: Mapped[Ore]
    made_at: Mapped[Instant]
    made_by: Mapped[Str]
    agreed_at: Mapped[Instant | None]
    agreed_by: Mapped[Str | None]
    note: Mapped[Str | None]


class SettlementLine(Base):
    """A project's part of a settlement."""

    __tablename__ = "settlement_lines"
    __table_args__ = (
        PrimaryKeyConstraint("settlement_id", "project"),
        CheckConstraint("net_ore = accepted_ore - reversed_ore", name="net"),
    )

    settlement_id: Mapped[int] = mapped_column(ForeignKey("settlements.id"))
    project: Mapped[Str]
    accepted_count: Mapped[int] = mapped_column(BigInteger)
    accepted_ore: Mapped[Ore]
    reversed_count: Mapped[int] = mapped_column(BigInteger)
    reversed_ore: Mapped[Ore]
    net_ore: Mapped[Ore]


class ChargerOrder(Base):
    """A payment order to a charger for one settlement; one that failed is followed by another ``number``.

    ``state``: waiting (for a second person), released (``content`` is the bank's file), written (it lies in the bank's
    outbox), paid, rejected (by the bank), withdrawn (before it was released). Name and account are as they were.
    """

    __tablename__ = "charger_orders"
    __table_args__ = (
        UniqueConstraint("settlement_id", "number"),
        UniqueConstraint("end_to_end_id"),
        Index(
            "uq_charger_orders_open",
            "settlement_id",
            unique=True,
            postgresql_where="state NOT IN ('rejected', 'withdrawn')",
        ),
        CheckConstraint("state IN ('waiting', 'released', 'written', 'paid', 'rejected', 'withdrawn')", name="state"),
        CheckConstraint("amount_ore > 0", name="amount"),
        CheckConstraint("released_by <> made_by", name="two_persons"),
        CheckConstraint(
            "(state IN ('waiting', 'withdrawn')) = (released_at IS NULL) "
            "AND (released_at IS NULL) = (released_by IS NULL) AND (released_at IS NULL) = (content IS NULL)",
            name="released",
        ),
        CheckConstraint("(state IN ('paid', 'rejected', 'withdrawn')) = (ended_at IS NOT NULL)", name="ended"),
        CheckConstraint("(state = 'paid') = (reference IS NOT NULL)", name="paid"),
    )

    id: Mapped[Id]
    settlement_id: Mapped[int] = mapped_column(ForeignKey("settlements.id"))
    number: Mapped[int] = mapped_column(Integer)
    end_to_end_id: Mapped[Str]
    amount_ore: Mapped[Ore]
    creditor_name: Mapped[Str]
    account: Mapped[Str]
    text: Mapped[Str]
    execute_on: Mapped[dt.date]
    state: Mapped[Str] = mapped_column(server_default="waiting")
    made_at: Mapped[Instant]
    made_by: Mapped[Str]
    released_at: Mapped[Instant | None]
    released_by: Mapped[Str | None]
    sha256: Mapped[bytes | None] = mapped_column(LargeBinary)
    content: Mapped[bytes | None] = mapped_column(LargeBinary)
    written_at: Mapped[Instant | None]
    reference: Mapped[Str | None]
    """The bank's, when it was paid."""
    paid_on: Mapped[dt.date | None]
    ended_at: Mapped[Instant | None]
    ended_by: Mapped[Str | None]
    why: Mapped[Str | None]


class ChargerClaim(Base):
    """A claim file of a charger as it came, checked against what we owe for the period.

    ``digest`` is over what it says, whatever its format; ``sha256`` over its bytes. ``form``: its lines are by
    record or by project.
    """

    __tablename__ = "charger_claims"
    __table_args__ = (
        UniqueConstraint("charger_id", "number"),
        CheckConstraint("form IN ('records', 'projects')", name="form"),
    )

    id: Mapped[Id]
    charger_id: Mapped[int] = mapped_column(ForeignKey("chargers.id"))
    number: Mapped[Str]
    period_from: Mapped[dt.date]
    period_to: Mapped[dt.date]
    form: Mapped[Str]
    line_count: Mapped[int]
    claimed_ore: Mapped[Ore]
    ours_count: Mapped[int] = mapped_column(BigInteger)
    """Records, or projects, that we owe something for (or that owe us)."""
    ours_ore: Mapped[Ore]
    difference_count: Mapped[int]
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    content: Mapped[bytes] = mapped_column(LargeBinary, deferred=True, deferred_raiseload=True)
    """May be hundreds of megabytes: who wants it asks for it (``undefer``)."""
    received_at: Mapped[Instant]
    received_by: Mapped[Str]


class ChargerClaimLine(Base):
    """A line of a claim file, as it came: a record, or a project with how many. Without a foreign key, which would cost
    more than all the rest of keeping a million of them; `brikke audit` looks."""

    __tablename__ = "charger_claim_lines"
    __table_args__ = (
        PrimaryKeyConstraint("claim_id", "line"),
        CheckConstraint("(source_id IS NULL) <> (project IS NULL)", name="about"),
        Index("ix_charger_claim_lines_source", "source_id", postgresql_where="source_id IS NOT NULL"),
    )

    claim_id: Mapped[int] = mapped_column(BigInteger)
    line: Mapped[int]
    source_id: Mapped[Str | None]
    project: Mapped[Str | None]
    count: Mapped[int] = mapped_column(BigInteger)
    amount_ore: Mapped[Ore]


class ClaimDifference(Base):
    """What differs between a claim file and what we owe: ``claimed_ore`` there, ``ours_ore`` here.

    ``line`` is null where the claim has none. ``code`` is our answer to a record that was not accepted. No foreign key,
    as the lines have none.
    """

    __tablename__ = "charger_claim_differences"
    __table_args__ = (
        PrimaryKeyConstraint("claim_id", "number"),
        CheckConstraint(
            "kind IN ('missing_here', 'not_accepted', 'amount_differs', 'missing_there', 'reversed_here', "
            "'other_period', 'claimed_twice')",
            name="kind",
        ),
        CheckConstraint("(source_id IS NULL) <> (project IS NULL)", name="about"),
    )

    claim_id: Mapped[int] = mapped_column(BigInteger)
    number: Mapped[int]
    kind: Mapped[Str]
    line: Mapped[int | None]
    source_id: Mapped[Str | None]
    project: Mapped[Str | None]
    claimed_ore: Mapped[Ore]
    ours_ore: Mapped[Ore]
    code: Mapped[Str | None]
    detail: Mapped[Str]
