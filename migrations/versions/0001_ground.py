"""The ground: extensions, the business clock, the occurrences of jobs, the queue."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from procrastinate.schema import SchemaManager
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

DROP_QUEUE = """
DO $$
DECLARE thing record;
BEGIN
    FOR thing IN SELECT oid::regclass AS name FROM pg_class
        WHERE relkind = 'r' AND relname LIKE 'procrastinate_%' AND relnamespace = 'public'::regnamespace
    LOOP EXECUTE 'DROP TABLE IF EXISTS ' || thing.name || ' CASCADE'; END LOOP;
    FOR thing IN SELECT oid::regprocedure AS name FROM pg_proc
        WHERE proname LIKE 'procrastinate_%' AND pronamespace = 'public'::regnamespace
    LOOP EXECUTE 'DROP FUNCTION IF EXISTS ' || thing.name || ' CASCADE'; END LOOP;
    FOR thing IN SELECT oid::regtype AS name FROM pg_type
        WHERE typname LIKE 'procrastinate_%' AND typtype IN ('e', 'c') AND typnamespace = 'public'::regnamespace
    LOOP EXECUTE 'DROP TYPE IF EXISTS ' || thing.name || ' CASCADE'; END LOOP;
END $$;
"""


def run_sql(sql: str) -> None:
    """Run SQL with its percent signs and colons as they are."""
    op.get_bind().exec_driver_sql(sql.replace("%", "%%"))


def upgrade() -> None:
    """Make the tables."""
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.create_table(
        "business_clock",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("business_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("real_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("running", sa.Boolean(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_business_clock_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_business_clock")),
    )
    op.create_table(
        "job_occurrences",
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("scheduled_for", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), server_default="due", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("result", postgresql.JSONB(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('due', 'running', 'done', 'failed', 'given_up')", name=op.f("ck_job_occurrences_state")
        ),
        sa.PrimaryKeyConstraint("job", "scheduled_for", name=op.f("pk_job_occurrences")),
    )
    op.create_index(
        "ix_job_occurrences_open",
        "job_occurrences",
        ["job", "scheduled_for"],
        unique=False,
        postgresql_where=sa.text("state <> 'done'"),
    )
    run_sql(SchemaManager.get_schema())


def downgrade() -> None:
    """Drop them."""
    run_sql(DROP_QUEUE)
    op.drop_table("job_occurrences")
    op.drop_table("business_clock")
    op.execute("DROP EXTENSION IF EXISTS pg_trgm")
    op.execute("DROP EXTENSION IF EXISTS btree_gist")
