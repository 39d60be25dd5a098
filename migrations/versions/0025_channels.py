"""Channels: what customers chose, AvtaleGiro mandates, deliveries that a partner tells of, why a channel was chosen,
files to and from partners, due dates that are extended. 0026 looks at the rows there are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)
_CHOICES = (
    "channel IN ('email', 'best_digital', 'avtalegiro', 'efaktura', 'vipps', 'digipost', 'eboks', 'paper', 'ehf')"
)
_CHANNELS = "channel IN ('avtalegiro', 'efaktura', 'vipps', 'digipost', 'eboks', 'email', 'paper', 'ehf')"
_STATES = "state IN ('queued', 'sending', 'sent', 'unknown', 'failed', 'dropped')"
_MORE_STATES = "state IN ('queued', 'sending', 'sent', 'unknown', 'delivered', 'ending', 'ended', 'failed', 'dropped')"


def upgrade() -> None:
    """Nothing is rewritten or scanned; the tables that are written most come last."""
    _tables()
    op.add_column("customers", sa.Column("efaktura_beside", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("customers", sa.Column("details_in_copy", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.add_column("customers", sa.Column("payment_term_days", sa.SmallInteger(), nullable=True))
    op.add_column("customers", sa.Column("national_id", sa.LargeBinary(), nullable=True))
    op.add_column("customers", sa.Column("efaktura_id", sa.Text(), nullable=True))
    _check("customers", "channel", _CHOICES, drop=True)
    _check("customers", "payment_term_days", "payment_term_days BETWEEN 1 AND 60")
    op.add_column("documents", sa.Column("settlement", sa.Text(), server_default="transfer", nullable=False))
    _check("documents", "settlement", "settlement IN ('transfer', 'avtalegiro')")
    for column in _deliveries():
        op.add_column("deliveries", column)
    _check("deliveries", "channel", _CHANNELS, drop=True)
    _check("deliveries", "state", _MORE_STATES, drop=True)
    _check("deliveries", "presents", "document_id IS NOT NULL OR NOT presents")
    op.execute(
        "ALTER TABLE deliveries ADD CONSTRAINT fk_deliveries_file_id_delivery_files FOREIGN KEY (file_id) "
        "REFERENCES delivery_files (id) NOT VALID"
    )


def _check(table: str, name: str, words: str, *, drop: bool = False) -> None:
    full = f"ck_{table}_{name}"
    if drop:
        op.drop_constraint(op.f(full), table)
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {full} CHECK ({words}) NOT VALID")


def _deliveries() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("document_id", sa.BigInteger(), nullable=True),
        sa.Column("presents", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("partner_ref", sa.Text(), nullable=True),
        sa.Column("file_id", sa.BigInteger(), nullable=True),
        sa.Column("file_line", sa.Integer(), nullable=True),
        sa.Column("proof", JSONB(), server_default="{}", nullable=False),
        sa.Column("cost_ore", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("delivered_at", _INSTANT, nullable=True),
        sa.Column("opened_at", _INSTANT, nullable=True),
        sa.Column("ended_at", _INSTANT, nullable=True),
        sa.Column("followed_at", _INSTANT, nullable=True),
    )


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=False), primary_key=True)


def _to(name: str, table: str, of: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), sa.ForeignKey(f"{of}.id", name=f"fk_{table}_{name}_{of}"), nullable=False)


def _tables() -> None:
    op.create_table(
        "mandates",
        _id(),
        _to("agreement_id", "mandates", "agreements"),
        sa.Column("kid", sa.Text(), nullable=False),
        sa.Column("customer_part", sa.Text(), nullable=False),
        sa.Column("structure", sa.Text(), nullable=False),
        sa.Column("notice", sa.Boolean(), nullable=False),
        sa.Column("since", _INSTANT, nullable=False),
        sa.Column("changed_at", _INSTANT, nullable=False),
        sa.Column("ended_at", _INSTANT, nullable=True),
        sa.Column("ending", sa.Text(), nullable=True),
    )
    op.create_index("uq_mandates_standing", "mandates", ["kid"], unique=True, postgresql_where="ended_at IS NULL")
    op.create_index("ix_mandates_agreement", "mandates", ["agreement_id"], postgresql_where="ended_at IS NULL")
    op.create_table(
        "due_extensions",
        _id(),
        _to("document_id", "due_extensions", "documents"),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.UniqueConstraint("document_id", "due_on", name="uq_due_extensions_document_id_due_on"),
    )
    op.create_table(
        "channel_choices",
        _id(),
        _to("message_id", "channel_choices", "messages"),
        sa.Column("ordinal", sa.SmallInteger(), nullable=False),
        sa.Column("agreement_id", sa.BigInteger(), nullable=False),
        sa.Column("document_id", sa.BigInteger(), nullable=True),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.Column("considered", JSONB(), nullable=False),
        sa.Column("next_at", _INSTANT, nullable=True),
        sa.CheckConstraint("cause IN ('first', 'fallback', 'agent')", name=op.f("ck_channel_choices_cause")),
        sa.UniqueConstraint("message_id", "ordinal", name="uq_channel_choices_message_id_ordinal"),
    )
    op.create_index("ix_channel_choices_agreement", "channel_choices", ["agreement_id", "id"])
    _files()


def _files() -> None:
    op.create_table(
        "delivery_files",
        _id(),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("transactions", sa.Integer(), server_default="0", nullable=False),
        sa.Column("sum_ore", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("made_at", _INSTANT, nullable=False),
        sa.Column("put_at", _INSTANT, nullable=True),
        sa.Column("answered_at", _INSTANT, nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.CheckConstraint("direction IN ('out', 'in')", name=op.f("ck_delivery_files_direction")),
        sa.CheckConstraint(
            "state IN ('made', 'put', 'accepted', 'refused', 'read')", name=op.f("ck_delivery_files_state")
        ),
        sa.CheckConstraint("(direction = 'out') = (number IS NOT NULL)", name=op.f("ck_delivery_files_number")),
        sa.UniqueConstraint("channel", "kind", "number", name="uq_delivery_files_channel_kind_number"),
        sa.UniqueConstraint("direction", "sha256", name="uq_delivery_files_direction_sha256"),
    )
    op.create_index("ix_delivery_files_waiting", "delivery_files", ["id"], postgresql_where="state = 'made'")


def downgrade() -> None:
    """Drop them. Refuses where something has gone by another channel than e-mail: the house before this knows none."""
    op.execute(
        "DO $$ BEGIN IF EXISTS (SELECT FROM deliveries WHERE channel <> 'email') OR EXISTS (SELECT FROM mandates) "
        "OR EXISTS (SELECT FROM due_extensions) THEN RAISE EXCEPTION 'there are deliveries by other channels than "
        "e-mail, mandates or extended due dates, which the books before this do not know'; END IF; END $$"
    )
    op.drop_constraint("fk_deliveries_file_id_delivery_files", "deliveries")
    _check_gone("deliveries", "presents")
    op.execute("UPDATE deliveries SET state = 'sent' WHERE state = 'delivered'")
    op.execute("UPDATE deliveries SET state = 'dropped' WHERE state IN ('ending', 'ended')")
    _check("deliveries", "state", _STATES, drop=True)
    _check("deliveries", "channel", "channel IN ('email')", drop=True)
    for column in reversed(_deliveries()):
        op.drop_column("deliveries", column.name)
    _check_gone("documents", "settlement")
    op.drop_column("documents", "settlement")
    op.execute("UPDATE customers SET channel = 'email' WHERE channel <> 'email'")
    _check("customers", "channel", "channel IN ('email')", drop=True)
    _check_gone("customers", "payment_term_days")
    for name in ("efaktura_id", "national_id", "payment_term_days", "details_in_copy", "efaktura_beside"):
        op.drop_column("customers", name)
    for table in ("delivery_files", "channel_choices", "due_extensions", "mandates"):
        op.drop_table(table)


def _check_gone(table: str, name: str) -> None:
    op.drop_constraint(op.f(f"ck_{table}_{name}"), table)
