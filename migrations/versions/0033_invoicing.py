"""Runs between the monthly ones, for who drives so much that a month is too long to wait."""

from __future__ import annotations

from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

_KIND = "ck_runs_kind"


def upgrade() -> None:
    """The table has a row a month: it is looked through at once."""
    op.drop_constraint(op.f(_KIND), "runs")
    op.create_check_constraint(op.f(_KIND), "runs", "kind IN ('invoices', 'early')")


def downgrade() -> None:
    """Refuses where there are such runs: their claims are named after them."""
    op.drop_constraint(op.f(_KIND), "runs")
    op.create_check_constraint(op.f(_KIND), "runs", "kind IN ('invoices')")
