"""Tables of tags that are read in other vehicles than the one they are mounted in."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Date, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, Id, Instant, Str


class TagMismatch(Base):
    """That a tag was read in another vehicle, and its holder told of it: which passage, and what was read there. Those
    that follow within some days (tag_mismatch_days) are only counted."""

    __tablename__ = "tag_mismatches"
    __table_args__ = (Index("ix_tag_mismatches_agreement", "agreement_id", "pan", "id"),)

    id: Mapped[Id]
    agreement_id: Mapped[int] = mapped_column(BigInteger)
    pan: Mapped[Str]
    mounted_country: Mapped[Str | None]
    mounted_plate: Mapped[Str | None]
    read_country: Mapped[Str | None]
    read_plate: Mapped[Str | None]
    """What the camera read; null where the record no longer says it."""
    passage_id: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    """Null where the record was refused for it."""
    passed_at: Mapped[Instant]
    told_on: Mapped[dt.date] = mapped_column(Date)
    """The Oslo date on which the holder was told."""
    told_at: Mapped[Instant]
    times: Mapped[int] = mapped_column(server_default=text("1"))
    """How many passages of it there were until the holder is told again."""


class RefusedMismatch(Base):
    """A record that was refused because its tag is in another vehicle, until its holder is told: work for the job."""

    __tablename__ = "refused_mismatches"

    id: Mapped[Id]
    charger_id: Mapped[int] = mapped_column(Integer)
    source_id: Mapped[Str]


class MismatchPosition(Base):
    """How far passages have been looked through: one row.

    ``passage_id``: all up to it have been. ``next_id``: ids up to it were drawn by transactions with numbers below
    ``next_xid``; once they have all ended, all up to it are there to be seen. ``looked_at`` bounds when the rest was
    booked.
    """

    __tablename__ = "mismatch_position"
    __table_args__ = (CheckConstraint("one", name="one"),)

    one: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=text("true"))
    passage_id: Mapped[int] = mapped_column(BigInteger)
    next_id: Mapped[int | None] = mapped_column(BigInteger)
    next_xid: Mapped[int | None] = mapped_column(BigInteger)
    looked_at: Mapped[Instant | None]
