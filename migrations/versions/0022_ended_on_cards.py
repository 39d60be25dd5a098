"""An index of the agreements that pay by card and have ended, which the job that charges what they have left reads."""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_INDEX = "ix_agreements_ended_on_card"


def upgrade() -> None:
    """Make it beside those who write."""
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX IF EXISTS {_INDEX}")  # what a try that was cut short left
        op.execute(
            f"CREATE INDEX CONCURRENTLY {_INDEX} ON agreements (id, closed_at) "
            "WHERE payment_method = 'card' AND closed_at IS NOT NULL"
        )


def downgrade() -> None:
    """Drop it beside those who write."""
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {_INDEX}")
