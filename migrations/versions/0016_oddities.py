"""What is odd about a record and accepted or not by agreement; vehicles' classes; reads by lane."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "charger_oddities",
        sa.Column("charger_id", sa.Integer(), nullable=False),
        sa.Column("oddity", sa.Text(), nullable=False),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "oddity IN ('too_old', 'unknown_station', 'tag_plate_mismatch', 'wrong_class', 'double_read')",
            name=op.f("ck_charger_oddities_oddity"),
        ),
        sa.ForeignKeyConstraint(["charger_id"], ["chargers.id"], name=op.f("fk_charger_oddities_charger_id")),
        sa.PrimaryKeyConstraint("charger_id", "oddity", name=op.f("pk_charger_oddities")),
    )
    op.create_table(
        "vehicle_classes",
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("plate", sa.Text(), nullable=False),
        sa.Column("vehicle_class", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("country", "plate", name=op.f("pk_vehicle_classes")),
    )
    op.create_table(
        "lane_reads",
        sa.Column("charger_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("station", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("plate", sa.Text(), nullable=False),
        sa.Column("passed_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("charger_id", "source_id", name=op.f("pk_lane_reads")),
    )
    op.create_index("ix_lane_reads_vehicle", "lane_reads", ["charger_id", "country", "plate", "passed_at"])


def downgrade() -> None:
    """Drop them: every charger is as by default again, and lanes that were told are forgotten."""
    for table in ("lane_reads", "vehicle_classes", "charger_oddities"):
        op.drop_table(table)
