"""Payments by Vipps, what was captured of them, and refunds over Vipps; a claim may be settled by one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)
_SOURCES = "source IN ('payment', 'reversal', 'credit', 'card', 'write_off', 'released', 'dispute')"
_MORE_SOURCES = "source IN ('payment', 'reversal', 'credit', 'card', 'write_off', 'released', 'dispute', 'vipps')"
_LIVE = "state IN ('unknown', 'created', 'capturing')"
_TABLES = ("vipps_refunds", "vipps_captures", "vipps_payments")
_UNENDED = "state IN ('unknown', 'created', 'capturing', 'cancelling')"


def upgrade() -> None:
    """New tables; what claims are settled by is known for new rows at once, and looked at in the old ones after it.

    One that was cut short before that look left its tables, which nobody can have written to.
    """
    for table in _TABLES:
        op.execute(f"DROP TABLE IF EXISTS {table}")
    _payments()
    _refunds()
    _sources(_MORE_SOURCES)
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE allocations VALIDATE CONSTRAINT ck_allocations_source")


def _sources(words: str) -> None:
    op.execute("ALTER TABLE allocations DROP CONSTRAINT IF EXISTS ck_allocations_source")
    op.execute(f"ALTER TABLE allocations ADD CONSTRAINT ck_allocations_source CHECK ({words}) NOT VALID")


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=False), primary_key=True)


def _to(name: str, table: str, of: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), sa.ForeignKey(f"{of}.id", name=f"fk_{table}_{name}_{of}"), nullable=False)


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=null)


def _at(name: str, *, null: bool = False) -> sa.Column[object]:
    return sa.Column(name, _INSTANT, nullable=null)


def _ore(name: str, *, null: bool = False, default: str | None = None) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default=default, nullable=null)


def _payments() -> None:
    table = "vipps_payments"
    op.create_table(
        table, _id(), _to("agreement_id", table, "agreements"), _to("claim_id", table, "claims"),
        sa.Column("invoice", sa.BigInteger(), nullable=False), _text("reference"), _text("request_key", null=True),
        _text("create_key"), _text("return_url"), _ore("amount_ore"), _text("state"), _text("url", null=True),
        _ore("capture_ore", null=True), _text("capture_key", null=True), _text("cancel_key", null=True),
        _ore("captured_ore", default="0"), _ore("refunded_ore", default="0"), _text("code", null=True),
        _text("started_by"), _at("started_at"), _at("called_at"), _at("asked_at"), _at("sent_at", null=True),
        _at("captured_at", null=True), _at("ended_at", null=True),
        sa.CheckConstraint("amount_ore > 0 AND capture_ore > 0", name=op.f("ck_vipps_payments_amount")),
        sa.CheckConstraint(
            "state IN ('unknown', 'created', 'capturing', 'cancelling', 'captured', 'cancelled', 'aborted', "
            "'expired', 'nothing')", name=op.f("ck_vipps_payments_state"),
        ),
        sa.CheckConstraint("reference ~ '^[a-zA-Z0-9-]{8,64}$'", name=op.f("ck_vipps_payments_reference")),
        sa.CheckConstraint(f"({_UNENDED}) = (ended_at IS NULL)", name=op.f("ck_vipps_payments_ended")),
        sa.CheckConstraint(
            "(capture_ore IS NULL) = (capture_key IS NULL) AND (state <> 'capturing' OR capture_key IS NOT NULL) "
            "AND (state <> 'cancelling' OR cancel_key IS NOT NULL)", name=op.f("ck_vipps_payments_asked"),
        ),
        sa.UniqueConstraint("reference", name=op.f("uq_vipps_payments_reference")),
        sa.UniqueConstraint("create_key", name=op.f("uq_vipps_payments_create_key")),
        sa.UniqueConstraint("agreement_id", "request_key", name=op.f("uq_vipps_payments_agreement_id_request_key")),
    )  # fmt: skip
    op.create_index("uq_vipps_payments_live", table, ["claim_id"], unique=True, postgresql_where=_LIVE)
    op.create_index("ix_vipps_payments_claim", table, ["claim_id"])
    op.create_index("ix_vipps_payments_unended", table, ["id"], postgresql_where=_UNENDED)
    op.create_table(
        "vipps_captures", _id(), _to("payment_id", "vipps_captures", table), _ore("amount_ore"), _ore("upto_ore"),
        sa.Column("value_date", sa.Date(), nullable=False), _at("at"),
        sa.CheckConstraint("amount_ore > 0 AND upto_ore >= amount_ore", name=op.f("ck_vipps_captures_amount")),
        sa.UniqueConstraint("payment_id", "upto_ore", name=op.f("uq_vipps_captures_payment_id_upto_ore")),
    )  # fmt: skip


def _refunds() -> None:
    table = "vipps_refunds"
    op.create_table(
        table, _id(), _to("agreement_id", table, "agreements"), _to("payment_id", table, "vipps_payments"),
        _ore("amount_ore"), _text("state"), _text("reason"), _text("requested_by"), _at("requested_at"),
        _text("approved_by", null=True), _at("approved_at", null=True), _text("idempotency_key", null=True),
        _text("code", null=True), _text("message", null=True), _at("called_at", null=True), _at("asked_at", null=True),
        _at("sent_at", null=True), _text("ended_by", null=True), _at("ended_at", null=True),
        sa.CheckConstraint("amount_ore > 0", name=op.f("ck_vipps_refunds_amount")),
        sa.CheckConstraint(
            "state IN ('requested', 'approved', 'unknown', 'succeeded', 'failed', 'cancelled')",
            name=op.f("ck_vipps_refunds_state"),
        ),
        sa.CheckConstraint("approved_by <> requested_by", name=op.f("ck_vipps_refunds_two")),
        sa.CheckConstraint(
            "(state IN ('succeeded', 'failed', 'cancelled')) = (ended_at IS NOT NULL)",
            name=op.f("ck_vipps_refunds_ended"),
        ),
        sa.CheckConstraint(
            "(state IN ('unknown', 'succeeded', 'failed')) = (called_at IS NOT NULL)",
            name=op.f("ck_vipps_refunds_called"),
        ),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_vipps_refunds_idempotency_key")),
    )  # fmt: skip
    op.create_index("ix_vipps_refunds_agreement", table, ["agreement_id", "id"])
    op.create_index("ix_vipps_refunds_payment", table, ["payment_id"])
    op.create_index(
        "uq_vipps_refunds_unknown", table, ["payment_id"], unique=True, postgresql_where="state = 'unknown'"
    )
    op.create_index(
        "ix_vipps_refunds_open", table, ["id"], postgresql_where="state IN ('requested', 'approved', 'unknown')"
    )


def downgrade() -> None:
    """Refuses where somebody has paid by Vipps, or may be paying: the books before this cannot hold it."""
    op.execute(
        "DO $$ BEGIN IF EXISTS (SELECT FROM vipps_captures) OR EXISTS (SELECT FROM vipps_refunds) "
        f"OR EXISTS (SELECT FROM vipps_payments WHERE {_UNENDED}) THEN "
        "RAISE EXCEPTION 'there are payments by Vipps, which the books before this cannot hold'; END IF; END $$"
    )
    for table in _TABLES:
        op.drop_table(table)
    _sources(_SOURCES)  # true of all rows, as just seen; the way up looks at them again
