"""Tables of the ledger."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import BigInteger, CheckConstraint, Index, Sequence, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, Id, Instant, Ore, Str

VOUCHERS = Sequence("vouchers", metadata=Base.metadata)


class Transfer(Base):
    """``amount_ore`` moves from the credit account to the debit account. An account is (kind, owner id or 0)."""

    __tablename__ = "transfers"
    __table_args__ = (
        CheckConstraint("amount_ore > 0", name="amount"),
        UniqueConstraint("code", "ref", "part"),
        Index("ix_transfers_debit", "debit", "debit_owner"),
        Index("ix_transfers_credit", "credit", "credit_owner"),
    )

    id: Mapped[Id]
    debit: Mapped[Str]
    debit_owner: Mapped[int] = mapped_column(BigInteger)
    credit: Mapped[Str]
    credit_owner: Mapped[int] = mapped_column(BigInteger)
    amount_ore: Mapped[Ore]
    code: Mapped[Str]
    ref: Mapped[int] = mapped_column(BigInteger)
    """Id of what it is about, in the table that ``code`` belongs to."""
    part: Mapped[Str] = mapped_column(server_default="")
    voucher: Mapped[int] = mapped_column(BigInteger)
    booked_on: Mapped[dt.date]
    created_at: Mapped[Instant]
