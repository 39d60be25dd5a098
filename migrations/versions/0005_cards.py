"""Cards, charges and attempts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "card_customers",
        sa.Column("agreement_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("provider_customer", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("agreement_id", name=op.f("pk_card_customers")),
        sa.UniqueConstraint("provider_customer", name=op.f("uq_card_customers_provider_customer")),
    )
    op.create_table(
        "provider_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=True),
        sa.Column("effect", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_events")),
        sa.UniqueConstraint("provider", "event_id", name=op.f("uq_provider_events_provider_event_id")),
    )
    op.create_table(
        "card_setups",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("agreement_id", sa.BigInteger(), nullable=False),
        sa.Column("provider_ref", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), server_default="started", nullable=False),
        sa.Column("declared_commercial", sa.Boolean(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('started', 'finished', 'failed')", name=op.f("ck_card_setups_state")),
        sa.ForeignKeyConstraint(["agreement_id"], ["agreements.id"], name=op.f("fk_card_setups_agreement_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_card_setups")),
        sa.UniqueConstraint("provider_ref", name=op.f("uq_card_setups_provider_ref")),
    )
    op.create_index(op.f("ix_card_setups_agreement_id"), "card_setups", ["agreement_id"], unique=False)
    op.create_table(
        "cards",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("agreement_id", sa.BigInteger(), nullable=False),
        sa.Column("payment_method", sa.Text(), nullable=False),
        sa.Column("brand", sa.Text(), nullable=False),
        sa.Column("last4", sa.Text(), nullable=False),
        sa.Column("exp_month", sa.SmallInteger(), nullable=False),
        sa.Column("exp_year", sa.SmallInteger(), nullable=False),
        sa.Column("funding", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("segment", sa.Text(), nullable=False),
        sa.Column("segment_source", sa.Text(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("refused_code", sa.Text(), nullable=True),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("segment IN ('consumer', 'commercial', 'unknown')", name=op.f("ck_cards_segment")),
        sa.CheckConstraint("segment_source IN ('provider', 'holder', 'support')", name=op.f("ck_cards_segment_source")),
        sa.ForeignKeyConstraint(["agreement_id"], ["agreements.id"], name=op.f("fk_cards_agreement_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cards")),
        sa.UniqueConstraint("payment_method", name=op.f("uq_cards_payment_method")),
    )
    op.create_index("ix_cards_agreement", "cards", ["agreement_id"], unique=False)
    op.create_index(
        "uq_cards_default", "cards", ["agreement_id"], unique=True, postgresql_where="is_default AND removed_at IS NULL"
    )
    op.create_table(
        "charges",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("agreement_id", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="due", nullable=False),
        sa.Column("claim_id", sa.BigInteger(), nullable=True),
        sa.Column("amount_ore", sa.BigInteger(), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("cause IN ('threshold', 'week_over')", name=op.f("ck_charges_cause")),
        sa.CheckConstraint(
            "state IN ('due', 'claimed', 'succeeded', 'invoiced', 'cancelled')", name=op.f("ck_charges_state")
        ),
        sa.ForeignKeyConstraint(["agreement_id"], ["agreements.id"], name=op.f("fk_charges_agreement_id")),
        sa.ForeignKeyConstraint(["claim_id"], ["claims.id"], name=op.f("fk_charges_claim_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charges")),
        sa.UniqueConstraint("claim_id", name=op.f("uq_charges_claim_id")),
    )
    op.create_index(
        "ix_charges_next", "charges", ["next_at"], unique=False, postgresql_where="state IN ('due', 'claimed')"
    )
    op.create_index(
        "uq_charges_open", "charges", ["agreement_id"], unique=True, postgresql_where="state IN ('due', 'claimed')"
    )
    op.create_table(
        "attempts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("charge_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("card_id", sa.BigInteger(), nullable=False),
        sa.Column("amount_ore", sa.BigInteger(), nullable=False),
        sa.Column("fee_ore", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), server_default="unknown", nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("provider_ref", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("lookup", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("called_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('unknown', 'succeeded', 'declined', 'nothing')", name=op.f("ck_attempts_state")),
        sa.ForeignKeyConstraint(["card_id"], ["cards.id"], name=op.f("fk_attempts_card_id")),
        sa.ForeignKeyConstraint(["charge_id"], ["charges.id"], name=op.f("fk_attempts_charge_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
        sa.UniqueConstraint("charge_id", "number", name=op.f("uq_attempts_charge_id_number")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_attempts_idempotency_key")),
        sa.UniqueConstraint("provider_ref", name=op.f("uq_attempts_provider_ref")),
    )
    op.create_index(
        "uq_attempts_succeeded", "attempts", ["charge_id"], unique=True, postgresql_where="state = 'succeeded'"
    )
    op.create_index("uq_attempts_unknown", "attempts", ["charge_id"], unique=True, postgresql_where="state = 'unknown'")


def downgrade() -> None:
    """Drop them."""
    op.drop_table("attempts")
    op.drop_table("charges")
    op.drop_table("cards")
    op.drop_table("card_setups")
    op.drop_table("provider_events")
    op.drop_table("card_customers")
