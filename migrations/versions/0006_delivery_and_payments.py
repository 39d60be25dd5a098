"""Deliveries, bank files and payments."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "deliveries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("agreement_id", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), server_default="queued", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unanswered", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rfc_message_id", sa.Text(), nullable=True),
        sa.Column("called_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("channel IN ('email')", name=op.f("ck_deliveries_channel")),
        sa.CheckConstraint(
            "state IN ('queued', 'sending', 'sent', 'unknown', 'failed', 'dropped')", name=op.f("ck_deliveries_state")
        ),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("fk_deliveries_message_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("message_id", "channel", name=op.f("uq_deliveries_message_id_channel")),
    )
    op.create_index("ix_deliveries_agreement", "deliveries", ["agreement_id", "id"], unique=False)
    op.create_index(
        "ix_deliveries_waiting",
        "deliveries",
        ["next_at"],
        unique=False,
        postgresql_where="state IN ('queued', 'sending', 'unknown')",
    )
    op.create_table(
        "bank_files",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("error_line", sa.Integer(), nullable=True),
        sa.Column("transactions", sa.Integer(), server_default="0", nullable=False),
        sa.Column("repeated", sa.Integer(), server_default="0", nullable=False),
        sa.Column("sum_ore", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("state IN ('booked', 'refused')", name=op.f("ck_bank_files_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_files")),
        sa.UniqueConstraint("sha256", name=op.f("uq_bank_files_sha256")),
    )
    op.create_table(
        "bank_assignments",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("bank_file_id", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("agreement_ref", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("last_date", sa.Date(), nullable=False),
        sa.Column("sum_ore", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["bank_file_id"], ["bank_files.id"], name=op.f("fk_bank_assignments_bank_file_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_assignments")),
        sa.UniqueConstraint("bank_file_id", "line", name=op.f("uq_bank_assignments_bank_file_id_line")),
    )
    op.create_index("ix_bank_assignments_account", "bank_assignments", ["account", "last_date"], unique=False)
    op.create_table(
        "payments",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("bank_file_id", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount_ore", sa.BigInteger(), nullable=False),
        sa.Column("kid", sa.Text(), nullable=True),
        sa.Column("value_date", sa.Date(), nullable=False),
        sa.Column("archive_ref", sa.Text(), nullable=True),
        sa.Column("debit_account", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("reverses_id", sa.BigInteger(), nullable=True),
        sa.Column("agreement_id", sa.BigInteger(), nullable=True),
        sa.Column("claim_id", sa.BigInteger(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('settled', 'suspense', 'reversed')", name=op.f("ck_payments_state")),
        sa.CheckConstraint("amount_ore <> 0", name=op.f("ck_payments_amount")),
        sa.ForeignKeyConstraint(["bank_file_id"], ["bank_files.id"], name=op.f("fk_payments_bank_file_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payments")),
        sa.UniqueConstraint("key", name=op.f("uq_payments_key")),
    )
    op.create_index(
        "ix_payments_agreement",
        "payments",
        ["agreement_id", "id"],
        unique=False,
        postgresql_where="agreement_id IS NOT NULL",
    )
    op.create_index(
        "ix_payments_archive_ref", "payments", ["archive_ref"], unique=False, postgresql_where="archive_ref IS NOT NULL"
    )
    op.create_index(op.f("ix_payments_bank_file_id"), "payments", ["bank_file_id"], unique=False)
    op.create_index("ix_payments_kid", "payments", ["kid"], unique=False, postgresql_where="kid IS NOT NULL")
    op.create_index("ix_payments_suspense", "payments", ["id"], unique=False, postgresql_where="state = 'suspense'")
    op.create_index(
        "uq_payments_reverses", "payments", ["reverses_id"], unique=True, postgresql_where="reverses_id IS NOT NULL"
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("payments")
    op.drop_table("bank_assignments")
    op.drop_table("bank_files")
    op.drop_table("deliveries")
