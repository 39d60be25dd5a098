"""Which reads a person says are two passings, so that it holds for whatever they are adjusted to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of doubles that were contested and booked: what stands near each in its lane, as is kept from now on, and the
    read that it was refused for, which its amendment names."""
    op.create_table(
        "passings_apart",
        sa.Column("charger_id", sa.Integer(), nullable=False),
        sa.Column("original_id", sa.Text(), nullable=False),
        sa.Column("other_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("charger_id", "original_id", "other_id", name=op.f("pk_passings_apart")),
    )
    op.execute("""
        WITH contested AS (
            SELECT a.charger_id, a.source_id, a.was_code, a.was_detail FROM amendments AS a
            WHERE a.cause = 'contested' AND a.code = 'accepted' AND a.flags & 2048 <> 0
        ), beside AS (
            SELECT a.charger_id, a.source_id, substr(a.was_detail, 21) AS other FROM contested AS a
            WHERE a.was_code = 'double_read' AND a.was_detail LIKE 'the same passing as %'
            UNION
            SELECT a.charger_id, a.source_id, k.source_id
            FROM contested AS a
            JOIN lane_reads AS l ON l.charger_id = a.charger_id AND l.source_id = a.source_id
            JOIN lane_reads AS k ON k.charger_id = l.charger_id AND k.country = l.country AND k.plate = l.plate
                AND k.station = l.station AND k.lane = l.lane AND k.stands
                AND k.passed_at BETWEEN l.passed_at - interval '10 seconds' AND l.passed_at + interval '10 seconds'
        ), said AS (
            SELECT b.charger_id, coalesce(c.original_id, b.source_id) AS original_id,
                coalesce(o.original_id, b.other) AS other_id
            FROM beside AS b
            LEFT JOIN corrections AS c ON c.charger_id = b.charger_id AND c.source_id = b.source_id
            LEFT JOIN corrections AS o ON o.charger_id = b.charger_id AND o.source_id = b.other
        )
        INSERT INTO passings_apart (charger_id, original_id, other_id)
        SELECT charger_id, original_id, other_id FROM said WHERE original_id <> other_id
        UNION SELECT charger_id, other_id, original_id FROM said WHERE original_id <> other_id
    """)


def downgrade() -> None:
    """What was said is in the amendments still."""
    op.drop_table("passings_apart")
