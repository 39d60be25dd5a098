"""The table of reconciliation."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, PrimaryKeyConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from billing.ledger.models import Transfer
from billing.passages.models import Record
from config.database import Base, Instant, Ore, Str


class Reconciliation(Base):
    """How a charger's day of arrival (Oslo) came out when it was last looked at. ``sorts`` has records and øre by sort
    of answer; ``gaps`` the file numbers not seen; ``first_difference`` is null where everything holds."""

    __tablename__ = "reconciliations"
    __table_args__ = (
        PrimaryKeyConstraint("charger_id", "day"),
        Index("ix_reconciliations_wrong", "day", postgresql_where="first_difference IS NOT NULL"),
    )

    charger_id: Mapped[int] = mapped_column(ForeignKey("chargers.id"))
    day: Mapped[dt.date]
    checked_at: Mapped[Instant]
    batches: Mapped[int] = mapped_column(Integer)
    unfinished: Mapped[int] = mapped_column(Integer)
    received: Mapped[int] = mapped_column(BigInteger)
    owed_ore: Mapped[Ore]
    sorts: Mapped[dict[str, Any]] = mapped_column(JSONB)
    gaps: Mapped[list[Any]] = mapped_column(JSONB)
    first_difference: Mapped[Str | None]


# Only reconciliation asks for a day's records and transfers. Both tables grow in that order, so a BRIN finds the day's
# blocks and costs an insert next to nothing; a btree on 1.9 billion records would cost ingest as much as the key.
Index("ix_records_batch", Record.__table__.c.batch_id, postgresql_using="brin", postgresql_with={"autosummarize": "on"})
Index(
    "ix_transfers_booked", Transfer.__table__.c.booked_on, postgresql_using="brin",
    postgresql_with={"autosummarize": "on"},
)  # fmt: skip
