"""AvtaleGiro: payments find what was claimed under a KID of an older structure. It keeps nobody waiting."""

from __future__ import annotations

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

_NAME = "ix_deliveries_claimed"


def upgrade() -> None:
    """Make the index, outside a transaction."""
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {_NAME}")  # left invalid by one that was cut short
        op.execute(
            f"CREATE INDEX CONCURRENTLY {_NAME} ON deliveries (ltrim(partner_ref, '0')) WHERE channel = 'avtalegiro'"
        )


def downgrade() -> None:
    """Drop it."""
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {_NAME}")
