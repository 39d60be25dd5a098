"""What lists a charger took, and with what latency, period by period; disputes that no longer hold their passage."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)
_LET_GO = "let_go_why IN ('unanswered', 'withdrawn') AND (let_go_why IS NULL) = (let_go_at IS NULL)"
_OPEN = "state <> 'answered'"


def upgrade() -> None:
    """Periods say what the charger says today: more is not known of them. All three tables are small."""
    op.add_column("list_periods", sa.Column("list_types", sa.Text(), server_default="both", nullable=False))
    op.add_column("list_periods", sa.Column("latency_minutes", sa.Integer(), nullable=True))
    op.execute(
        "UPDATE list_periods AS w SET list_types = c.list_types, latency_minutes = c.latency_minutes "
        "FROM chargers AS c WHERE c.id = w.charger_id"
    )
    op.create_check_constraint(
        op.f("ck_list_periods_list_types"), "list_periods", "list_types IN ('both', 'tags', 'plates')"
    )
    op.create_check_constraint(op.f("ck_list_periods_latency_minutes"), "list_periods", "latency_minutes >= 0")
    op.create_index("ix_list_periods_charger", "list_periods", ["charger_id", "since"])
    op.add_column("complaints", sa.Column("let_go_at", _INSTANT, nullable=True))
    op.add_column("complaints", sa.Column("let_go_why", sa.Text(), nullable=True))
    op.create_check_constraint(op.f("ck_complaints_let_go"), "complaints", _LET_GO)
    op.drop_index("uq_complaints_open", "complaints")
    op.create_index(
        "uq_complaints_open", "complaints", ["passage_id"], unique=True,
        postgresql_where=f"{_OPEN} AND let_go_at IS NULL",
    )  # fmt: skip


def downgrade() -> None:
    """Join periods that follow each other: where one ended only because something of it changed, it did not end. Of
    two disputes of a passage that nobody has answered the last one stays open; the others count as rejected."""
    op.execute(
        f"UPDATE complaints AS c SET state = 'answered', outcome = 'rejected', sent_at = coalesce(sent_at, let_go_at), "
        f"answered_at = let_go_at, answered_by = 'system' WHERE c.{_OPEN} AND let_go_at IS NOT NULL AND EXISTS "
        f"(SELECT FROM complaints AS o WHERE o.passage_id = c.passage_id AND o.{_OPEN} AND o.id > c.id)"
    )
    op.drop_index("uq_complaints_open", "complaints")
    op.create_index("uq_complaints_open", "complaints", ["passage_id"], unique=True, postgresql_where=_OPEN)
    op.drop_constraint(op.f("ck_complaints_let_go"), "complaints")
    op.drop_column("complaints", "let_go_why")
    op.drop_column("complaints", "let_go_at")
    op.execute("""
        WITH begun AS (
            SELECT id, charger_id, since, until,
                lag(until) OVER (PARTITION BY charger_id ORDER BY since, id) IS DISTINCT FROM since AS first
            FROM list_periods
        ), runs AS (
            SELECT *, count(*) FILTER (WHERE first) OVER (PARTITION BY charger_id ORDER BY since, id) AS run FROM begun
        ), whole AS (
            SELECT max(id) AS id, charger_id, run, min(since) AS since, count(*) AS n FROM runs GROUP BY charger_id, run
        ), gone AS (
            DELETE FROM list_periods WHERE id NOT IN (SELECT id FROM whole)
        )
        UPDATE list_periods AS w SET since = whole.since FROM whole WHERE whole.id = w.id AND whole.n > 1
    """)
    op.drop_index("ix_list_periods_charger", "list_periods")
    for name in ("list_types", "latency_minutes"):
        op.drop_constraint(op.f(f"ck_list_periods_{name}"), "list_periods")
        op.drop_column("list_periods", name)
