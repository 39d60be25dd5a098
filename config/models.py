"""Tables of the ground: the business clock, and the occurrences of scheduled jobs."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, Instant


class BusinessClock(Base):
    """At most one row: business time was ``business_at`` when real time was ``real_at``; it runs on or stands."""

    __tablename__ = "business_clock"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    business_at: Mapped[Instant]
    real_at: Mapped[Instant]
    running: Mapped[bool]
