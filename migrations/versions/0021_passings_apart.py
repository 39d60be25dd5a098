"""Which reads a person says are two passings, so that it holds for whatever they are adjusted to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of doubles that were contested and booked the amendment names the read that each was refused for."""
    op.create_table(
        "passings_apart",
        sa.Column("charger_id", sa.Integer(), nullable=False),
        sa.Column("original_id", sa.Text(), nullable=False),
        sa.Column("other_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("charger_id", "original_id", "other_id", name=op.f("pk_passings_apart")),
    )
    op.execute("""
        WITH said AS (
            SELECT a.charger_id, coalesce(c.original_id, a.source_id) AS original_id,
                coalesce(o.original_id, substr(a.was_detail, 21)) AS other_id
            FROM amendments AS a
            LEFT JOIN corrections AS c ON c.charger_id = a.charger_id AND c.source_id = a.source_id
            LEFT JOIN corrections AS o ON o.charger_id = a.charger_id AND o.source_id = substr(a.was_detail, 21)
            WHERE a.cause = 'contested' AND a.code = 'accepted' AND a.was_code = 'double_read'
                AND a.flags & 2048 <> 0 AND a.was_detail LIKE 'the same passing as %'
        )
        INSERT INTO passings_apart (charger_id, original_id, other_id)
        SELECT charger_id, original_id, other_id FROM said WHERE original_id <> other_id
        UNION SELECT charger_id, other_id, original_id FROM said WHERE original_id <> other_id
    """)


def downgrade() -> None:
    """What was said is in the amendments still."""
    op.drop_table("passings_apart")
