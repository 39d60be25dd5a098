"""Tables of the invoices room."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, Id, Instant, Ore, Str


class NumberSeries(Base):
    """The next number of a gapless series. A block is taken by one UPDATE … RETURNING, last in a transaction."""

    __tablename__ = "number_series"

    series: Mapped[Str] = mapped_column(primary_key=True)
    next_number: Mapped[int] = mapped_column(BigInteger)


class Run(Base):
    """A run for a business date: its cut-off instant, how far it has come. Unique per (kind, date).

    ``kind``: invoices (the month's), early (between two of those, for who drives very much).
    ``state``: running (also: begun and cut short), held (it looks odd, see ``odd``, and waits for a person), done.
    ``total`` is how many agreements it had before it when it (last) began, ``looked_at`` how many it has been through;
    ``per_second`` and ``seconds_left`` are as of its last chunk. ``carried`` counts sums too small to invoice.
    ``credited`` are the credit notes it made of sums below zero, ``credited_ore`` their sum (negative). What failed is
    in ``run_faults``.
    """

    __tablename__ = "runs"
    __table_args__ = (
        UniqueConstraint("kind", "for_date"),
        CheckConstraint("kind IN ('invoices', 'early')", name="kind"),
        CheckConstraint("state IN ('running', 'held', 'done')", name="state"),
    )

    id: Mapped[Id]
    kind: Mapped[Str]
    for_date: Mapped[dt.date]
    cutoff_at: Mapped[Instant]
    state: Mapped[Str] = mapped_column(server_default="running")
    last_agreement_id: Mapped[int] = mapped_column(BigInteger, server_default="0")
    total: Mapped[int] = mapped_column(Integer, server_default="0")
    looked_at: Mapped[int] = mapped_column(Integer, server_default="0")
    created: Mapped[int] = mapped_column(Integer, server_default="0")
    carried: Mapped[int] = mapped_column(Integer, server_default="0")
    sum_ore: Mapped[Ore] = mapped_column(server_default="0")
    credited: Mapped[int] = mapped_column(Integer, server_default="0")
    credited_ore: Mapped[Ore] = mapped_column(server_default="0")
    per_second: Mapped[int | None] = mapped_column(Integer)
    seconds_left: Mapped[int | None] = mapped_column(Integer)
    actor: Mapped[Str]
    started_at: Mapped[Instant]
    finished_at: Mapped[Instant | None]
    odd: Mapped[list[str] | None] = mapped_column(JSONB)
    """What looked odd before it began (words of `rules.odd`), none of it: empty; null: nobody has looked."""
    released_by: Mapped[Str | None]
    released_at: Mapped[Instant | None]


class RunFault(Base):
    """An agreement that a run could not invoice, and why; resolved when a later try could."""

    __tablename__ = "run_faults"
    __table_args__ = (PrimaryKeyConstraint("run_id", "agreement_id"),)

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"))
    agreement_id: Mapped[int] = mapped_column(BigInteger)
    error: Mapped[Str]
    attempts: Mapped[int] = mapped_column(Integer, server_default="1")
    first_at: Mapped[Instant]
    last_at: Mapped[Instant]
    resolved_at: Mapped[Instant | None]


class Document(Base):
    """An invoice (or receipt: an invoice marked paid) or credit note, as it was when issued.

    ``number`` is the invoice number (9 digits), of one series for all kinds. ``kid`` is null on what is already paid
    by card and on credit notes. ``credit_used_ore`` was settled by credit at issue, ``paid_ore`` otherwise (of a claim
    that is presented anew). ``paid_by`` tells the card on a receipt (brand, last4, on).
    ``version`` is the claim's that it presents; a credit note with ``credits_id`` takes back that very document,
    whole, and has its version. A credit note's sums are negative, as booked: all documents of a claim add up to it.
    ``reason`` and ``actor``: why and by whom a credit note was asked for.
    The period is the Oslo dates of the first and last passage. ``booked_from`` and ``booked_to`` are their arrivals
    (null without passages): what reads the passages again looks in those months only.
    """

    __tablename__ = "documents"
    __table_args__ = (
        Index(
            "uq_documents_claim_id_version",
            "claim_id",
            "version",
            unique=True,
            postgresql_where="credits_id IS NULL",
        ),
        # A document is taken back whole, so once. Credit notes of single lines will share it: then the lock on the
        # balance and the audit hold the sum of the credits.
        Index("uq_documents_credits", "credits_id", unique=True, postgresql_where="credits_id IS NOT NULL"),
        Index("ix_documents_claim", "claim_id"),
        CheckConstraint("kind IN ('invoice', 'credit_note')", name="kind"),
        CheckConstraint(
            "CASE kind WHEN 'invoice' THEN (due_on IS NULL) = (paid_by IS NOT NULL) "
            "ELSE due_on IS NULL AND paid_by IS NULL AND kid IS NULL END",
            name="due_or_paid",
        ),
        CheckConstraint("credits_id IS NULL OR kind = 'credit_note'", name="credits"),
        CheckConstraint("settlement IN ('transfer', 'avtalegiro')", name="settlement"),
        Index("ix_documents_agreement", "agreement_id", "id"),
        Index("ix_documents_due", "due_on", postgresql_where="due_on IS NOT NULL"),
    )

    id: Mapped[Id]
    number: Mapped[int] = mapped_column(BigInteger, unique=True)
    kind: Mapped[Str] = mapped_column(server_default="invoice")
    claim_id: Mapped[int] = mapped_column(ForeignKey("claims.id"))
    version: Mapped[int] = mapped_column(SmallInteger, server_default="1")
    agreement_id: Mapped[int] = mapped_column(ForeignKey("agreements.id"))
    run_id: Mapped[int | None] = mapped_column(ForeignKey("runs.id"))
    language: Mapped[Str]
    issued_on: Mapped[dt.date]
    due_on: Mapped[dt.date | None]
    period_from: Mapped[dt.date]
    period_to: Mapped[dt.date]
    booked_from: Mapped[Instant | None]
    booked_to: Mapped[Instant | None]
    kid: Mapped[Str | None] = mapped_column(unique=True)
    total_ore: Mapped[Ore]
    credit_used_ore: Mapped[Ore] = mapped_column(server_default="0")
    fee_ore: Mapped[Ore] = mapped_column(server_default="0")
    paid_by: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    seller: Mapped[dict[str, Any]] = mapped_column(JSONB)
    buyer: Mapped[dict[str, Any]] = mapped_column(JSONB)
    template: Mapped[int] = mapped_column(SmallInteger)
    made_at: Mapped[Instant]
    credits_id: Mapped[int | None] = mapped_column(ForeignKey("documents.id"))
    paid_ore: Mapped[Ore] = mapped_column(server_default="0")
    reason: Mapped[Str | None]
    actor: Mapped[Str | None]
    settlement: Mapped[Str] = mapped_column(server_default="transfer")
    """How it was to be paid when it was issued, which set its due date: transfer or avtalegiro."""


class DueExtension(Base):
    """That a document is to be paid later than it says. Its due date is only ever extended: the latest row counts.

    The claim's ``due_on`` follows in the same transaction. Unique (document, due date): the same one twice is one.
    """

    __tablename__ = "due_extensions"
    __table_args__ = (UniqueConstraint("document_id", "due_on"),)

    id: Mapped[Id]
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id"))
    due_on: Mapped[dt.date]
    reason: Mapped[Str]
    """A word for why: fallback (another channel presents it), agent, unread."""
    actor: Mapped[Str]
    at: Mapped[Instant]


class DocumentLine(Base):
    """One line per (vehicle, service, VAT): gross as summed, net and VAT by running remainder over the rate."""

    __tablename__ = "document_lines"
    __table_args__ = (PrimaryKeyConstraint("document_id", "line"),)

    document_id: Mapped[int] = mapped_column(BigInteger)
    line: Mapped[int] = mapped_column(Integer)
    kind: Mapped[Str]
    """toll, ferry, or card_fee."""
    country: Mapped[Str | None]
    plate: Mapped[Str | None]
    vat_bp: Mapped[int] = mapped_column(Integer)
    count: Mapped[int] = mapped_column(Integer)
    gross_ore: Mapped[Ore]
    net_ore: Mapped[Ore]
    vat_ore: Mapped[Ore]


class Rendering(Base):
    """A document's PDF in a form, kept so that a copy is the same bytes. ``template`` is the page that drew it."""

    __tablename__ = "renderings"
    __table_args__ = (PrimaryKeyConstraint("document_id", "template", "form"),)

    document_id: Mapped[int] = mapped_column(BigInteger)
    template: Mapped[int] = mapped_column(SmallInteger)
    form: Mapped[Str] = mapped_column(server_default="transfer")
    """How it is to be paid, ``-short`` without the passages, ``-due:2026-03-02`` with a later due date (`forms`)."""
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    pdf: Mapped[bytes] = mapped_column(LargeBinary)
    made_at: Mapped[Instant]
