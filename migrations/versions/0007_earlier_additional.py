"""Removals of one operator's journeys only: an additional agreement from an earlier instant takes them over."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; with a constant default no row is rewritten."""
    op.add_column("removals", sa.Column("operator", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    """Drop it, and the rows that would else say that a vehicle was removed."""
    op.execute("DELETE FROM removals WHERE operator <> ''")
    op.drop_column("removals", "operator")
