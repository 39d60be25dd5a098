"""The table of backlogs."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, Id, Instant, Ore


class Backlog(Base):
    """That an agreement's unbilled passages are billed in slices. One at a time lasts (``ended_at`` null).

    ``old_ore`` and ``unbilled_ore`` are what was old, and unbilled altogether, when it began; ``slice_ore`` how much
    is taken a week. ``last_on`` is the Oslo date of the last slice, null before the first; ``slices`` and ``taken_ore``
    what was taken so far.
    """

    __tablename__ = "backlogs"
    __table_args__ = (
        CheckConstraint("slice_ore > 0", name="slice"),
        CheckConstraint("(slices = 0) = (last_on IS NULL)", name="last"),
        Index("uq_backlogs_lasting", "agreement_id", unique=True, postgresql_where="ended_at IS NULL"),
        Index("ix_backlogs_agreement", "agreement_id", "id"),
    )

    id: Mapped[Id]
    agreement_id: Mapped[int] = mapped_column(ForeignKey("agreements.id"))
    noticed_at: Mapped[Instant]
    old_ore: Mapped[Ore]
    unbilled_ore: Mapped[Ore]
    slice_ore: Mapped[Ore]
    last_on: Mapped[dt.date | None]
    slices: Mapped[int] = mapped_column(Integer, server_default="0")
    taken_ore: Mapped[Ore] = mapped_column(server_default="0")
    ended_at: Mapped[Instant | None]
