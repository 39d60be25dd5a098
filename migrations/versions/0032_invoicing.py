"""Runs between the monthly ones, for who drives so much that a month is too long to wait; runs that look odd are held
until a person releases them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

_KIND, _STATE = "ck_runs_kind", "ck_runs_state"


def upgrade() -> None:
    """The table has a row a month: it is looked through at once."""
    op.drop_constraint(op.f(_KIND), "runs")
    op.create_check_constraint(op.f(_KIND), "runs", "kind IN ('invoices', 'early')")
    op.drop_constraint(op.f(_STATE), "runs")
    op.create_check_constraint(op.f(_STATE), "runs", "state IN ('running', 'held', 'done')")
    op.add_column("runs", sa.Column("odd", JSONB(), nullable=True))
    op.add_column("runs", sa.Column("released_by", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("released_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Refuses where there are such runs: their claims are named after them. What is held goes on."""
    for name in ("released_at", "released_by", "odd"):
        op.drop_column("runs", name)
    op.execute("UPDATE runs SET state = 'running' WHERE state = 'held'")
    op.drop_constraint(op.f(_STATE), "runs")
    op.create_check_constraint(op.f(_STATE), "runs", "state IN ('running', 'done')")
    op.drop_constraint(op.f(_KIND), "runs")
    op.create_check_constraint(op.f(_KIND), "runs", "kind IN ('invoices')")
