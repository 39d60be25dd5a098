"""Claims, documents and runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "claims",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("agreement_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), server_default="", nullable=False),
        sa.Column("cutoff_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("passages_ore", sa.BigInteger(), nullable=False),
        sa.Column("passages_count", sa.Integer(), nullable=False),
        sa.Column("fee_ore", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("amount_ore", sa.BigInteger(), sa.Computed("passages_ore + fee_ore", persisted=True), nullable=False),
        sa.Column("settled_ore", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('invoice', 'card')", name=op.f("ck_claims_kind")),
        sa.CheckConstraint(
            "settled_ore >= 0 AND settled_ore <= passages_ore + fee_ore", name=op.f("ck_claims_settled")
        ),
        sa.ForeignKeyConstraint(["agreement_id"], ["agreements.id"], name=op.f("fk_claims_agreement_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_claims")),
        sa.UniqueConstraint("agreement_id", "run", "part", name=op.f("uq_claims_agreement_id_run_part")),
    )
    op.create_index(
        "ix_claims_open",
        "claims",
        ["due_on", "agreement_id"],
        unique=False,
        postgresql_where="settled_ore < passages_ore + fee_ore",
    )
    op.create_table(
        "credit_entries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("agreement_id", sa.BigInteger(), nullable=False),
        sa.Column("amount_ore", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("ref", sa.BigInteger(), nullable=False),
        sa.Column("value_date", sa.Date(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount_ore <> 0", name=op.f("ck_credit_entries_amount")),
        sa.ForeignKeyConstraint(["agreement_id"], ["agreements.id"], name=op.f("fk_credit_entries_agreement_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_entries")),
        sa.UniqueConstraint("code", "ref", name=op.f("uq_credit_entries_code_ref")),
    )
    op.create_index("ix_credit_entries_agreement", "credit_entries", ["agreement_id"], unique=False)
    op.create_table(
        "allocations",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("claim_id", sa.BigInteger(), nullable=False),
        sa.Column("agreement_id", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("amount_ore", sa.BigInteger(), nullable=False),
        sa.Column("value_date", sa.Date(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "source IN ('payment', 'reversal', 'credit', 'card', 'write_off')", name=op.f("ck_allocations_source")
        ),
        sa.CheckConstraint("amount_ore <> 0", name=op.f("ck_allocations_amount")),
        sa.ForeignKeyConstraint(["claim_id"], ["claims.id"], name=op.f("fk_allocations_claim_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_allocations")),
        sa.UniqueConstraint("source", "source_id", "claim_id", name=op.f("uq_allocations_source_source_id_claim_id")),
    )
    op.create_index("ix_allocations_claim", "allocations", ["claim_id"], unique=False)
    op.create_table(
        "document_lines",
        sa.Column("document_id", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("plate", sa.Text(), nullable=True),
        sa.Column("vat_bp", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("gross_ore", sa.BigInteger(), nullable=False),
        sa.Column("net_ore", sa.BigInteger(), nullable=False),
        sa.Column("vat_ore", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("document_id", "line", name=op.f("pk_document_lines")),
    )
    op.create_table(
        "number_series",
        sa.Column("series", sa.Text(), nullable=False),
        sa.Column("next_number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("series", name=op.f("pk_number_series")),
    )
    op.create_table(
        "renderings",
        sa.Column("document_id", sa.BigInteger(), nullable=False),
        sa.Column("template", sa.SmallInteger(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("pdf", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("document_id", "template", name=op.f("pk_renderings")),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("for_date", sa.Date(), nullable=False),
        sa.Column("cutoff_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), server_default="running", nullable=False),
        sa.Column("last_agreement_id", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("total", sa.Integer(), server_default="0", nullable=False),
        sa.Column("looked_at", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created", sa.Integer(), server_default="0", nullable=False),
        sa.Column("carried", sa.Integer(), server_default="0", nullable=False),
        sa.Column("sum_ore", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("per_second", sa.Integer(), nullable=True),
        sa.Column("seconds_left", sa.Integer(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('invoices')", name=op.f("ck_runs_kind")),
        sa.CheckConstraint("state IN ('running', 'done')", name=op.f("ck_runs_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint("kind", "for_date", name=op.f("uq_runs_kind_for_date")),
    )
    op.create_table(
        "run_faults",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("agreement_id", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="1", nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_faults_run_id")),
        sa.PrimaryKeyConstraint("run_id", "agreement_id", name=op.f("pk_run_faults")),
    )
    op.create_table(
        "documents",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="invoice", nullable=False),
        sa.Column("claim_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.SmallInteger(), server_default="1", nullable=False),
        sa.Column("agreement_id", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("issued_on", sa.Date(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("period_from", sa.Date(), nullable=False),
        sa.Column("period_to", sa.Date(), nullable=False),
        sa.Column("booked_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("booked_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column("kid", sa.Text(), nullable=True),
        sa.Column("total_ore", sa.BigInteger(), nullable=False),
        sa.Column("credit_used_ore", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("fee_ore", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("paid_by", postgresql.JSONB(), nullable=True),
        sa.Column("seller", postgresql.JSONB(), nullable=False),
        sa.Column("buyer", postgresql.JSONB(), nullable=False),
        sa.Column("template", sa.SmallInteger(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('invoice', 'credit_note')", name=op.f("ck_documents_kind")),
        sa.CheckConstraint("(due_on IS NULL) = (paid_by IS NOT NULL)", name=op.f("ck_documents_due_or_paid")),
        sa.ForeignKeyConstraint(["agreement_id"], ["agreements.id"], name=op.f("fk_documents_agreement_id")),
        sa.ForeignKeyConstraint(["claim_id"], ["claims.id"], name=op.f("fk_documents_claim_id")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_documents_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_documents")),
        sa.UniqueConstraint("claim_id", "version", name=op.f("uq_documents_claim_id_version")),
        sa.UniqueConstraint("kid", name=op.f("uq_documents_kid")),
        sa.UniqueConstraint("number", name=op.f("uq_documents_number")),
    )
    op.create_index("ix_documents_agreement", "documents", ["agreement_id", "id"], unique=False)
    op.create_index("ix_documents_due", "documents", ["due_on"], unique=False, postgresql_where="due_on IS NOT NULL")


def downgrade() -> None:
    """Drop them."""
    op.drop_table("documents")
    op.drop_table("run_faults")
    op.drop_table("runs")
    op.drop_table("renderings")
    op.drop_table("number_series")
    op.drop_table("document_lines")
    op.drop_table("allocations")
    op.drop_table("credit_entries")
    op.drop_table("claims")
