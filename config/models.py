"""Tables of the ground: the business clock, and the occurrences of scheduled jobs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Index, SmallInteger, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, Instant, Str


class BusinessClock(Base):
    """At most one row: business time was ``business_at`` when real time was ``real_at``; it runs on or stands."""

    __tablename__ = "business_clock"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    business_at: Mapped[Instant]
    real_at: Mapped[Instant]
    running: Mapped[bool]


class JobOccurrence(Base):
    """A time at which a scheduled job was due, and what became of it.

    ``scheduled_for`` is business time; the other instants are real time. ``state``: due, running, done, failed
    (tried again at ``next_at``), given_up (somebody must look; ``brikke jobs run`` does it again).
    """

    __tablename__ = "job_occurrences"
    __table_args__ = (
        CheckConstraint("state IN ('due', 'running', 'done', 'failed', 'given_up')", name="state"),
        Index("ix_job_occurrences_open", "job", "scheduled_for", postgresql_where=text("state <> 'done'")),
    )

    job: Mapped[Str] = mapped_column(primary_key=True)
    scheduled_for: Mapped[Instant] = mapped_column(primary_key=True)
    state: Mapped[Str] = mapped_column(server_default="due")
    attempts: Mapped[int] = mapped_column(server_default="0")
    next_at: Mapped[Instant | None]
    started_at: Mapped[Instant | None]
    finished_at: Mapped[Instant | None]
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    error: Mapped[Str | None]
