"""Credit notes, negative sums, payouts.

The new constraints hold for every row there is, so they are added without a look at the table and checked after,
which blocks nobody.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_CHECKS = (
    ("claims", "ck_claims_kind", "kind IN ('invoice', 'card', 'credit')"),
    ("claims", "ck_claims_settled", "settled_ore >= 0 AND settled_ore <= greatest(passages_ore + fee_ore, 0)"),
    (
        "claims",
        "ck_claims_sign",
        "CASE WHEN kind = 'credit' THEN passages_ore + fee_ore <= 0 ELSE version > 1 OR passages_ore + fee_ore > 0 END",
    ),
    (
        "allocations",
        "ck_allocations_source",
        "source IN ('payment', 'reversal', 'credit', 'card', 'write_off', 'released')",
    ),
    (
        "documents",
        "ck_documents_due_or_paid",
        "CASE kind WHEN 'invoice' THEN (due_on IS NULL) = (paid_by IS NOT NULL) "
        "ELSE due_on IS NULL AND paid_by IS NULL AND kid IS NULL END",
    ),
    ("documents", "ck_documents_credits", "credits_id IS NULL OR kind = 'credit_note'"),
)
_BEFORE = (
    ("claims", "ck_claims_kind", "kind IN ('invoice', 'card')"),
    ("claims", "ck_claims_settled", "settled_ore >= 0 AND settled_ore <= passages_ore + fee_ore"),
    ("allocations", "ck_allocations_source", "source IN ('payment', 'reversal', 'credit', 'card', 'write_off')"),
    ("documents", "ck_documents_due_or_paid", "(due_on IS NULL) = (paid_by IS NOT NULL)"),
)


def upgrade() -> None:
    """Let claims have versions and a sum below zero, documents credit each other; make payouts."""
    op.add_column("claims", sa.Column("version", sa.SmallInteger(), server_default="1", nullable=False))
    op.add_column("claims", sa.Column("joined_ore", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("documents", sa.Column("credits_id", sa.BigInteger(), nullable=True))
    op.add_column("documents", sa.Column("paid_ore", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("documents", sa.Column("reason", sa.Text(), nullable=True))
    op.add_column("documents", sa.Column("actor", sa.Text(), nullable=True))
    op.create_foreign_key(op.f("fk_documents_credits_id"), "documents", "documents", ["credits_id"], ["id"])
    op.add_column("runs", sa.Column("credited", sa.Integer(), server_default="0", nullable=False))
    op.add_column("runs", sa.Column("credited_ore", sa.BigInteger(), server_default="0", nullable=False))
    _checks(_CHECKS)
    op.drop_constraint("uq_documents_claim_id_version", "documents")
    op.create_index(
        "uq_documents_claim_id_version", "documents", ["claim_id", "version"], unique=True,
        postgresql_where="credits_id IS NULL",
    )  # fmt: skip
    op.create_index(
        "uq_documents_credits", "documents", ["credits_id"], unique=True, postgresql_where="credits_id IS NOT NULL"
    )
    op.create_index("ix_documents_claim", "documents", ["claim_id"])
    op.drop_constraint("uq_allocations_source_source_id_claim_id", "allocations")
    op.create_index(
        "uq_allocations_source_source_id_claim_id", "allocations", ["source", "source_id", "claim_id"], unique=True,
        postgresql_where="source <> 'released'",
    )  # fmt: skip
    op.create_index(
        "uq_allocations_released", "allocations", ["claim_id", "source_id", "value_date"], unique=True,
        postgresql_where="source = 'released'",
    )  # fmt: skip
    op.create_table(
        "joined",
        sa.Column("passage_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("claim_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.SmallInteger(), nullable=False),
        sa.Column("amount_ore", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("version > 1", name=op.f("ck_joined_version")),
        sa.ForeignKeyConstraint(["claim_id"], ["claims.id"], name=op.f("fk_joined_claim_id")),
        sa.PrimaryKeyConstraint("passage_id", name=op.f("pk_joined")),
    )
    op.create_index("ix_joined_claim", "joined", ["claim_id"])
    _orders()
    _payouts()


def _orders() -> None:
    op.create_table(
        "payout_orders",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("for_date", sa.Date(), nullable=False),
        sa.Column("execute_on", sa.Date(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("transfers", sa.Integer(), nullable=False),
        sa.Column("sum_ore", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payout_orders")),
        sa.UniqueConstraint("for_date", name=op.f("uq_payout_orders_for_date")),
    )


def _payouts() -> None:
    op.create_table(
        "payouts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("agreement_id", sa.BigInteger(), nullable=False),
        sa.Column("amount_ore", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("order_id", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.CheckConstraint("amount_ore > 0", name=op.f("ck_payouts_amount")),
        sa.CheckConstraint("account ~ '^[0-9]{11}$'", name=op.f("ck_payouts_account")),
        sa.CheckConstraint(
            "state IN ('requested', 'approved', 'ordered', 'paid', 'rejected', 'cancelled')",
            name=op.f("ck_payouts_state"),
        ),
        sa.CheckConstraint("approved_by <> requested_by", name=op.f("ck_payouts_two")),
        sa.CheckConstraint(
            "(state IN ('paid', 'rejected', 'cancelled')) = (ended_at IS NOT NULL)", name=op.f("ck_payouts_ended")
        ),
        sa.CheckConstraint(
            "(state IN ('ordered', 'paid', 'rejected')) = (order_id IS NOT NULL)", name=op.f("ck_payouts_ordered")
        ),
        sa.ForeignKeyConstraint(["agreement_id"], ["agreements.id"], name=op.f("fk_payouts_agreement_id")),
        sa.ForeignKeyConstraint(["order_id"], ["payout_orders.id"], name=op.f("fk_payouts_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payouts")),
    )
    op.create_index("ix_payouts_agreement", "payouts", ["agreement_id", "id"])
    op.create_index(
        "ix_payouts_open", "payouts", ["id"], postgresql_where="state IN ('requested', 'approved', 'ordered')"
    )


def _checks(checks: tuple[tuple[str, str, str], ...]) -> None:
    for table, name, condition in checks:
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({condition}) NOT VALID")
    for table, name, _ in checks:
        op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")


def downgrade() -> None:
    """Back to invoices only. Refused where credit notes or payouts are in the books: those are never deleted."""
    op.execute(
        """
        DO $$ BEGIN
            IF EXISTS (SELECT FROM documents WHERE kind = 'credit_note') OR EXISTS (SELECT FROM payouts)
               OR EXISTS (SELECT FROM claims WHERE kind = 'credit' OR version > 1) THEN
                RAISE EXCEPTION 'credit notes or payouts are in the books; they cannot be taken out of them';
            END IF;
        END $$
        """
    )
    op.drop_table("payouts")
    op.drop_table("payout_orders")
    op.drop_table("joined")
    op.drop_index("uq_allocations_released", table_name="allocations")
    op.drop_index("uq_allocations_source_source_id_claim_id", table_name="allocations")
    op.create_unique_constraint(
        "uq_allocations_source_source_id_claim_id", "allocations", ["source", "source_id", "claim_id"]
    )
    op.drop_index("ix_documents_claim", table_name="documents")
    op.drop_index("uq_documents_credits", table_name="documents")
    op.drop_index("uq_documents_claim_id_version", table_name="documents")
    op.create_unique_constraint("uq_documents_claim_id_version", "documents", ["claim_id", "version"])
    op.drop_constraint("ck_documents_credits", "documents")
    op.drop_constraint("ck_claims_sign", "claims")
    _checks(_BEFORE)
    for table, column in (
        ("runs", "credited_ore"), ("runs", "credited"), ("documents", "actor"), ("documents", "reason"),
        ("documents", "paid_ore"), ("documents", "credits_id"), ("claims", "joined_ore"), ("claims", "version"),
    ):  # fmt: skip
        op.drop_column(table, column)
