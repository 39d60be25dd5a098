"""Table of passages that are held back from billing."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, Instant, Ore


class Held(Base):
    """That a passage is held back, since when, and its sum in øre."""

    __tablename__ = "held_passages"
    __table_args__ = (Index("ix_held_passages_agreement", "agreement_id"),)

    passage_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    agreement_id: Mapped[int] = mapped_column(BigInteger)
    amount_ore: Mapped[Ore]
    held_at: Mapped[Instant]
