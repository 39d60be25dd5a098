"""When the key of a charge or a refund was last sent: none is given up while a request may be under way."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from config.clock import DATABASE_NOW

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_TABLES = ("attempts", "card_refunds")


def upgrade() -> None:
    """Add the columns, which rewrites nothing. What is unknown now counts as sent just now.

    Until this the time of the last request was not kept: ``asked_at`` is written when an answer has come, and not by a
    process that was killed. Later than it was is safe, and costs an hour's wait before those few are looked up in vain.
    What has ended is asked about no more: null.
    """
    for table in _TABLES:
        op.add_column(table, sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True))
        op.execute(f"UPDATE {table} SET sent_at = {DATABASE_NOW} WHERE state = 'unknown'")


def downgrade() -> None:
    """Drop the columns."""
    for table in _TABLES:
        op.drop_column(table, "sent_at")
