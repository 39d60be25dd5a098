"""Files as received with their answers, file numbers, corrections, amended answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables; columns that old rows have no value for are added without rewriting a table."""
    op.add_column("batches", sa.Column("way", sa.Text(), server_default="file", nullable=False))
    op.add_column("batches", sa.Column("is_file", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("batches", sa.Column("bytes", sa.BigInteger(), nullable=True))
    op.add_column("batches", sa.Column("chunk_size", sa.Integer(), server_default="10000", nullable=False))
    op.add_column("batches", sa.Column("file_number", sa.BigInteger(), nullable=True))
    op.add_column("batches", sa.Column("sender", sa.Text(), nullable=True))
    op.add_column("batches", sa.Column("originator", sa.Text(), nullable=True))
    op.add_column("batches", sa.Column("records", sa.Integer(), nullable=True))
    op.create_index(
        "uq_batches_content",
        "batches",
        ["charger_id", "sha256"],
        unique=True,
        postgresql_where="is_file AND state <> 'refused'",
    )
    op.create_index(
        "uq_batches_file_number",
        "batches",
        ["charger_id", "sender", "file_number"],
        unique=True,
        postgresql_where="file_number IS NOT NULL AND state <> 'refused'",
    )
    op.create_index("ix_batches_receiving", "batches", ["id"], postgresql_where="state = 'receiving'")
    _kept()
    _corrections()
    _amendments()


def _kept() -> None:
    for table, key in (("batch_parts", "part"), ("batch_answers", "chunk")):
        op.create_table(
            table,
            sa.Column("batch_id", sa.BigInteger(), nullable=False),
            sa.Column(key, sa.Integer(), nullable=False),
            sa.Column("content", sa.LargeBinary(), nullable=False),
            sa.PrimaryKeyConstraint("batch_id", key, name=op.f(f"pk_{table}")),
        )
        op.execute(f"ALTER TABLE {table} ALTER COLUMN content SET STORAGE EXTERNAL")  # it is compressed already


def _corrections() -> None:
    op.create_table(
        "corrections",
        sa.Column("charger_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("original_id", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("issued_at", _INSTANT, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("received_at", _INSTANT, nullable=False),
        sa.Column("decided_at", _INSTANT, nullable=True),
        sa.CheckConstraint("action IN ('cancel', 'adjust')", name=op.f("ck_corrections_action")),
        sa.CheckConstraint(
            "state IN ('waiting', 'applied', 'superseded', 'refused')", name=op.f("ck_corrections_state")
        ),
        sa.CheckConstraint("(state = 'waiting') = (decided_at IS NULL)", name=op.f("ck_corrections_decided")),
        sa.PrimaryKeyConstraint("charger_id", "source_id", name=op.f("pk_corrections")),
    )
    op.create_index("ix_corrections_original", "corrections", ["charger_id", "original_id"])
    op.create_index(
        "ix_corrections_waiting", "corrections", ["charger_id", "original_id"], postgresql_where="state = 'waiting'"
    )


def _amendments() -> None:
    op.create_table(
        "amendments",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("charger_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("was_code", sa.Text(), nullable=False),
        sa.Column("was_detail", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("flags", sa.Integer(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("amount_ore", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.CheckConstraint(
            "cause IN ('original_came', 'gave_up', 'contested', 'moved')", name=op.f("ck_amendments_cause")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_amendments")),
    )
    op.create_index("ix_amendments_charger", "amendments", ["charger_id", "id"])
    op.create_index("ix_amendments_record", "amendments", ["charger_id", "source_id", "id"])


def downgrade() -> None:
    """Drop them. Corrections stay in ``records`` and their counter-rows in ``passages``, and the books agree; that
    they were corrections, the files as received and what was answered later are lost."""
    for table in ("amendments", "corrections", "batch_answers", "batch_parts"):
        op.drop_table(table)
    for index in ("ix_batches_receiving", "uq_batches_file_number", "uq_batches_content"):
        op.drop_index(index, table_name="batches")
    for column in ("records", "originator", "sender", "file_number", "chunk_size", "bytes", "is_file", "way"):
        op.drop_column("batches", column)
