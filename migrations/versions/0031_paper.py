"""Paper: how often a file was put at its partner; deliveries are found by their place in a file."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

_NAME = "ix_deliveries_file"


def upgrade() -> None:
    """A column with a constant, which rewrites nothing; then the index, outside a transaction."""
    op.add_column("delivery_files", sa.Column("puts", sa.SmallInteger(), server_default="0", nullable=False))
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {_NAME}")  # left invalid by one that was cut short
        op.execute(f"CREATE INDEX CONCURRENTLY {_NAME} ON deliveries (file_id, file_line) WHERE file_id IS NOT NULL")


def downgrade() -> None:
    """Drop them."""
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {_NAME}")
    op.drop_column("delivery_files", "puts")
