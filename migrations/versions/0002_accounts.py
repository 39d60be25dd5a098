"""Accounts: chargers, customers, agreements, vehicles, access."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.execute(sa.schema.CreateSequence(sa.Sequence("agreement_numbers", start=10000001, maxvalue=99999999)))
    op.execute(sa.schema.CreateSequence(sa.Sequence("customer_numbers", start=1000001)))
    op.create_table(
        "audit_trail",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("detail", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_trail")),
    )
    op.create_index("ix_audit_trail_subject", "audit_trail", ["subject", "id"], unique=False)
    op.create_table(
        "idempotency_keys",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.Column("headers", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_idempotency_keys")),
        sa.UniqueConstraint("principal", "key", name=op.f("uq_idempotency_keys_principal_key")),
    )
    op.create_table(
        "chargers",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("org_no", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('toll', 'ferry')", name=op.f("ck_chargers_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chargers")),
        sa.UniqueConstraint("code", name=op.f("uq_chargers_code")),
    )
    op.create_table(
        "publications",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("charger_id", sa.Integer(), nullable=False),
        sa.Column("agreement_id", sa.BigInteger(), nullable=False),
        sa.Column("registration_id", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status IN ('valid', 'blocked', 'ended', 'removed')", name=op.f("ck_publications_status")),
        sa.ForeignKeyConstraint(["charger_id"], ["chargers.id"], name=op.f("fk_publications_charger_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_publications")),
    )
    op.create_index(
        "ix_publications_judged", "publications", ["agreement_id", "charger_id", "acknowledged_at"], unique=False
    )
    op.create_index(
        "ix_publications_registration",
        "publications",
        ["registration_id", "charger_id"],
        unique=False,
        postgresql_where="registration_id IS NOT NULL",
    )
    op.create_table(
        "stations",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("charger_id", sa.Integer(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["charger_id"], ["chargers.id"], name=op.f("fk_stations_charger_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stations")),
        sa.UniqueConstraint("charger_id", "code", name=op.f("uq_stations_charger_id_code")),
    )
    op.create_table(
        "customers",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("number", sa.BigInteger(), server_default=sa.text("nextval('customer_numbers')"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("org_no", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("street", sa.Text(), nullable=False),
        sa.Column("postal_code", sa.Text(), nullable=False),
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), server_default="NO", nullable=False),
        sa.Column("language", sa.Text(), server_default="nb", nullable=False),
        sa.Column("channel", sa.Text(), server_default="email", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("(kind = 'business') = (org_no IS NOT NULL)", name=op.f("ck_customers_org_no")),
        sa.CheckConstraint("channel IN ('email')", name=op.f("ck_customers_channel")),
        sa.CheckConstraint("kind IN ('private', 'business')", name=op.f("ck_customers_kind")),
        sa.CheckConstraint("language IN ('nb', 'en')", name=op.f("ck_customers_language")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customers")),
        sa.UniqueConstraint("number", name=op.f("uq_customers_number")),
    )
    op.create_index("ix_customers_email", "customers", [sa.literal_column("lower(email)")], unique=False)
    op.create_index(
        "ix_customers_name",
        "customers",
        ["name"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"name": "gin_trgm_ops"},
    )
    op.create_table(
        "messages",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("agreement_id", sa.BigInteger(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("document_id", sa.BigInteger(), nullable=True),
        sa.Column("data", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
        sa.UniqueConstraint("subject", "template", name=op.f("uq_messages_subject_template")),
    )
    op.create_index("ix_messages_agreement", "messages", ["agreement_id", "id"], unique=False)
    op.create_index("ix_messages_waiting", "messages", ["id"], unique=False, postgresql_where="planned_at IS NULL")
    op.create_table(
        "agreements",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("number", sa.BigInteger(), server_default=sa.text("nextval('agreement_numbers')"), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="tag", nullable=False),
        sa.Column("operator", sa.Text(), nullable=True),
        sa.Column("parent_id", sa.BigInteger(), nullable=True),
        sa.Column("payment_method", sa.Text(), server_default="invoice", nullable=False),
        sa.Column("standing", sa.Text(), server_default="open", nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("(kind = 'ferry') = (operator IS NOT NULL)", name=op.f("ck_agreements_operator")),
        sa.CheckConstraint("kind IN ('tag', 'ferry')", name=op.f("ck_agreements_kind")),
        sa.CheckConstraint("payment_method IN ('invoice', 'card')", name=op.f("ck_agreements_payment_method")),
        sa.CheckConstraint(
            "standing IN ('open', 'blocked', 'awaiting_reopen', 'closed')", name=op.f("ck_agreements_standing")
        ),
        sa.CheckConstraint("number BETWEEN 10000000 AND 99999999", name=op.f("ck_agreements_number")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_agreements_customer_id")),
        sa.ForeignKeyConstraint(["parent_id"], ["agreements.id"], name=op.f("fk_agreements_parent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agreements")),
        sa.UniqueConstraint("number", name=op.f("uq_agreements_number")),
    )
    op.create_index(op.f("ix_agreements_customer_id"), "agreements", ["customer_id"], unique=False)
    op.create_index(op.f("ix_agreements_parent_id"), "agreements", ["parent_id"], unique=False)
    op.create_table(
        "blocks",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("agreement_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claims", postgresql.JSONB(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ending", sa.Text(), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.Column("contact", postgresql.JSONB(), nullable=True),
        sa.CheckConstraint("ending IN ('reopened', 'voided')", name=op.f("ck_blocks_ending")),
        sa.CheckConstraint("(ended_at IS NULL) = (ending IS NULL)", name=op.f("ck_blocks_ended")),
        sa.ForeignKeyConstraint(["agreement_id"], ["agreements.id"], name=op.f("fk_blocks_agreement_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_blocks")),
    )
    op.create_index("ix_blocks_agreement", "blocks", ["agreement_id", "id"], unique=False)
    op.create_index("uq_blocks_active", "blocks", ["agreement_id"], unique=True, postgresql_where="ended_at IS NULL")
    op.create_table(
        "standings",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("agreement_id", sa.BigInteger(), nullable=False),
        sa.Column("standing", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "standing IN ('open', 'blocked', 'awaiting_reopen', 'closed')", name=op.f("ck_standings_standing")
        ),
        sa.ForeignKeyConstraint(["agreement_id"], ["agreements.id"], name=op.f("fk_standings_agreement_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_standings")),
    )
    op.create_index("ix_standings_agreement", "standings", ["agreement_id", "id"], unique=False)
    op.create_table(
        "registrations",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("agreement_id", sa.BigInteger(), nullable=False),
        sa.Column("scope", sa.Text(), server_default="", nullable=False),
        sa.Column("settlement", sa.Text(), server_default="own", nullable=False),
        sa.Column("external_ref", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("plate", sa.Text(), nullable=True),
        sa.Column("pan", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True),
        postgresql.ExcludeConstraint(
            (sa.column("scope"), "="),
            (sa.column("country"), "="),
            (sa.column("plate"), "="),
            (sa.text("tstzrange(valid_from, valid_to)"), "&&"),
            where=sa.text("plate IS NOT NULL"),
            using="gist",
            name="ex_registrations_vehicle",
        ),
        postgresql.ExcludeConstraint(
            (sa.column("scope"), "="),
            (sa.column("pan"), "="),
            (sa.text("tstzrange(valid_from, valid_to)"), "&&"),
            where=sa.text("pan IS NOT NULL"),
            using="gist",
            name="ex_registrations_pan",
        ),
        sa.CheckConstraint("scope <> '' OR plate IS NOT NULL", name=op.f("ck_registrations_tag_agreement_needs_plate")),
        sa.CheckConstraint("settlement = 'own' OR scope <> ''", name=op.f("ck_registrations_external_is_additional")),
        sa.CheckConstraint("settlement IN ('own', 'external')", name=op.f("ck_registrations_settlement")),
        sa.CheckConstraint(
            "(plate IS NULL) <> (pan IS NULL) AND (plate IS NULL) = (country IS NULL)",
            name=op.f("ck_registrations_vehicle_or_tag"),
        ),
        sa.CheckConstraint("valid_to IS NULL OR valid_to >= valid_from", name=op.f("ck_registrations_period")),
        sa.ForeignKeyConstraint(["agreement_id"], ["agreements.id"], name=op.f("fk_registrations_agreement_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registrations")),
    )
    op.create_index("ix_registrations_agreement", "registrations", ["agreement_id", "valid_from"], unique=False)
    op.create_index(
        "ix_registrations_pan",
        "registrations",
        ["pan", "scope", "valid_from"],
        unique=False,
        postgresql_where="pan IS NOT NULL",
    )
    op.create_index("ix_registrations_plate", "registrations", ["plate"], unique=False)
    op.create_index(
        "ix_registrations_vehicle", "registrations", ["country", "plate", "scope", "valid_from"], unique=False
    )
    op.create_table(
        "tags",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("agreement_id", sa.BigInteger(), nullable=False),
        sa.Column("printed_number", sa.Text(), nullable=False),
        sa.Column("pan", sa.Text(), nullable=False),
        sa.Column("obu_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), server_default="active", nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('active', 'lost', 'stolen', 'returned')", name=op.f("ck_tags_state")),
        sa.ForeignKeyConstraint(["agreement_id"], ["agreements.id"], name=op.f("fk_tags_agreement_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tags")),
        sa.UniqueConstraint("obu_id", name=op.f("uq_tags_obu_id")),
        sa.UniqueConstraint("pan", name=op.f("uq_tags_pan")),
        sa.UniqueConstraint("printed_number", name=op.f("uq_tags_printed_number")),
    )
    op.create_index(op.f("ix_tags_agreement_id"), "tags", ["agreement_id"], unique=False)
    op.create_table(
        "removals",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("registration_id", sa.BigInteger(), nullable=False),
        sa.Column("agreement_id", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["registration_id"], ["registrations.id"], name=op.f("fk_removals_registration_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_removals")),
    )
    op.create_index(op.f("ix_removals_registration_id"), "removals", ["registration_id"], unique=False)
    op.create_index("ix_removals_waiting", "removals", ["id"], unique=False, postgresql_where="moved_at IS NULL")
    op.create_table(
        "tag_mounts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("tag_id", sa.BigInteger(), nullable=False),
        sa.Column("pan", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("plate", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True),
        postgresql.ExcludeConstraint(
            (sa.column("tag_id"), "="),
            (sa.text("tstzrange(valid_from, valid_to)"), "&&"),
            using="gist",
            name="ex_tag_mounts_tag",
        ),
        sa.CheckConstraint("valid_to IS NULL OR valid_to >= valid_from", name=op.f("ck_tag_mounts_period")),
        sa.ForeignKeyConstraint(["tag_id"], ["tags.id"], name=op.f("fk_tag_mounts_tag_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tag_mounts")),
    )
    op.create_index("ix_tag_mounts_pan", "tag_mounts", ["pan", "valid_from"], unique=False)
    op.create_index("ix_tag_mounts_vehicle", "tag_mounts", ["country", "plate"], unique=False)


def downgrade() -> None:
    """Drop them."""
    op.drop_table("tag_mounts")
    op.drop_table("removals")
    op.drop_table("tags")
    op.drop_table("registrations")
    op.drop_table("standings")
    op.drop_table("blocks")
    op.drop_table("agreements")
    op.drop_table("messages")
    op.drop_table("customers")
    op.drop_table("stations")
    op.drop_table("publications")
    op.drop_table("chargers")
    op.drop_table("idempotency_keys")
    op.drop_table("audit_trail")
    op.execute(sa.schema.DropSequence(sa.Sequence("agreement_numbers")))
    op.execute(sa.schema.DropSequence(sa.Sequence("customer_numbers")))
