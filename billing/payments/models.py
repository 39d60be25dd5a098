"""Tables of the payments room."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, Id, Instant, Ore, Str


class BankFile(Base):
    """A file from the bank, as received. ``state``: booked, or refused (``error`` and ``error_line`` say why)."""

    __tablename__ = "bank_files"
    __table_args__ = (CheckConstraint("state IN ('booked', 'refused')", name="state"),)

    id: Mapped[Id]
    sha256: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    name: Mapped[Str]
    content: Mapped[bytes] = mapped_column(LargeBinary)
    received_at: Mapped[Instant]
    state: Mapped[Str]
    error: Mapped[Str | None]
    error_line: Mapped[int | None] = mapped_column(Integer)
    transactions: Mapped[int] = mapped_column(Integer, server_default="0")
    repeated: Mapped[int] = mapped_column(Integer, server_default="0")
    """How many of them are no payments of this file: known from another, or unreadable and of no sum."""
    sum_ore: Mapped[Ore] = mapped_column(server_default="0")


class BankAssignment(Base):
    """An assignment of a bank file: which account, and through which value date we have now read it."""

    __tablename__ = "bank_assignments"
    __table_args__ = (
        UniqueConstraint("bank_file_id", "line"),
        Index("ix_bank_assignments_account", "account", "last_date"),
    )

    id: Mapped[Id]
    bank_file_id: Mapped[int] = mapped_column(ForeignKey("bank_files.id"))
    line: Mapped[int] = mapped_column(Integer)
    agreement_ref: Mapped[Str]
    number: Mapped[Str]
    account: Mapped[Str]
    last_date: Mapped[dt.date]
    """The bank's, but never later than the day before the file was read."""
    sum_ore: Mapped[Ore]


class Payment(Base):
    """One transaction of the bank's. Negative when it takes money back. ``key`` names it whatever file brings it.

    ``state``: settled (claims and credit took all of it), suspense (some of it is nobody's yet), reversed (it was
    taken back before it was anybody's: it and its reversal cancel each other). ``reverses_id`` is the payment that
    this one takes back; a payment is taken back at most once.
    """

    __tablename__ = "payments"
    __table_args__ = (
        UniqueConstraint("key"),
        CheckConstraint("state IN ('settled', 'suspense', 'reversed')", name="state"),
        CheckConstraint("amount_ore <> 0", name="amount"),
        Index("ix_payments_agreement", "agreement_id", "id", postgresql_where="agreement_id IS NOT NULL"),
        Index("ix_payments_kid", "kid", postgresql_where="kid IS NOT NULL"),
        Index("ix_payments_archive_ref", "archive_ref", postgresql_where="archive_ref IS NOT NULL"),
        Index("uq_payments_reverses", "reverses_id", unique=True, postgresql_where="reverses_id IS NOT NULL"),
        Index("ix_payments_suspense", "id", postgresql_where="state = 'suspense'"),
    )

    id: Mapped[Id]
    bank_file_id: Mapped[int] = mapped_column(ForeignKey("bank_files.id"), index=True)
    line: Mapped[int] = mapped_column(Integer)
    key: Mapped[Str]
    account: Mapped[Str]
    kind: Mapped[Str]
    amount_ore: Mapped[Ore]
    kid: Mapped[Str | None]
    """As it came, blanks around it gone."""
    value_date: Mapped[dt.date]
    archive_ref: Mapped[Str | None]
    debit_account: Mapped[Str | None]
    text: Mapped[Str | None]
    state: Mapped[Str]
    why: Mapped[Str | None]
    """Why it is in suspense: see ``match.WHYS``."""
    reverses_id: Mapped[int | None] = mapped_column(BigInteger)
    agreement_id: Mapped[int | None] = mapped_column(BigInteger)
    claim_id: Mapped[int | None] = mapped_column(BigInteger)
    received_at: Mapped[Instant]
