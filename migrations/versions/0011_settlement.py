"""Settlement: what chargers claim against what we owe them, remuneration, payment orders; days reconciled."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)
_BRIN = {"ix_records_batch": ("records", "batch_id"), "ix_transfers_booked": ("transfers", "booked_on")}


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False)


def _of(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{target}.id"], name=op.f(f"fk_{table}_{column}"))


def _must(table: str, name: str, rule: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(rule, name=op.f(f"ck_{table}_{name}"))


def _ore(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in names]


def upgrade() -> None:
    """Make the indexes beside those who write, then the tables."""
    with op.get_context().autocommit_block():
        for index, (table, column) in _BRIN.items():
            op.execute(f"DROP INDEX IF EXISTS {index}")  # what a try that was cut short left
            op.execute(f"CREATE INDEX CONCURRENTLY {index} ON {table} USING brin ({column}) WITH (autosummarize = on)")
    op.add_column("chargers", sa.Column("bank_account", sa.Text(), nullable=True))
    _settlements()
    _orders()
    _claims()
    _differences()
    op.create_table(
        "reconciliations",
        sa.Column("charger_id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("checked_at", _INSTANT, nullable=False),
        sa.Column("batches", sa.Integer(), nullable=False),
        sa.Column("unfinished", sa.Integer(), nullable=False),
        *_ore("received", "owed_ore"),
        sa.Column("sorts", postgresql.JSONB(), nullable=False),
        sa.Column("gaps", postgresql.JSONB(), nullable=False),
        sa.Column("first_difference", sa.Text(), nullable=True),
        _of("reconciliations", "charger_id", "chargers"),
        sa.PrimaryKeyConstraint("charger_id", "day", name=op.f("pk_reconciliations")),
    )
    op.create_index(
        "ix_reconciliations_wrong", "reconciliations", ["day"], postgresql_where="first_difference IS NOT NULL"
    )


def _settlements() -> None:
    op.create_table(
        "settlements",
        _id(),
        sa.Column("charger_id", sa.Integer(), nullable=False),
        sa.Column("period_from", sa.Date(), nullable=False),
        sa.Column("period_to", sa.Date(), nullable=False),
        sa.Column("cutoff_at", _INSTANT, nullable=False),
        sa.Column("state", sa.Text(), server_default="draft", nullable=False),
        *_ore("accepted_count", "accepted_ore", "reversed_count", "reversed_ore", "claim_ore"),
        sa.Column("remuneration_bp", sa.Integer(), nullable=False),
        *_ore("remuneration_ore"),
        sa.Column("remuneration_vat_bp", sa.Integer(), nullable=False),
        *_ore("remuneration_vat_ore", "brought_ore", "payout_ore"),
        sa.Column("made_at", _INSTANT, nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("agreed_at", _INSTANT, nullable=True),
        sa.Column("agreed_by", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        postgresql.ExcludeConstraint(
            (sa.column("charger_id"), "="),
            (sa.text("daterange(period_from, period_to, '[]')"), "&&"),
            using="gist",
            name="ex_settlements_period",
        ),
        _must("settlements", "period", "period_from <= period_to"),
        _must("settlements", "state", "state IN ('draft', 'agreed', 'carried', 'ordered', 'paid')"),
        _must("settlements", "agreed", "(state = 'draft') = (agreed_at IS NULL)"),
        _must("settlements", "claim", "claim_ore = accepted_ore - reversed_ore"),
        _must(
            "settlements",
            "payout",
            "payout_ore = claim_ore - remuneration_ore - remuneration_vat_ore + brought_ore AND brought_ore <= 0",
        ),
        _must("settlements", "to_pay", "state NOT IN ('ordered', 'paid') OR payout_ore > 0"),
        _of("settlements", "charger_id", "chargers"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_settlements")),
        sa.UniqueConstraint(
            "charger_id", "period_from", "period_to", name=op.f("uq_settlements_charger_id_period_from_period_to")
        ),
    )
    op.create_table(
        "settlement_lines",
        sa.Column("settlement_id", sa.BigInteger(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        *_ore("accepted_count", "accepted_ore", "reversed_count", "reversed_ore", "net_ore"),
        _must("settlement_lines", "net", "net_ore = accepted_ore - reversed_ore"),
        _of("settlement_lines", "settlement_id", "settlements"),
        sa.PrimaryKeyConstraint("settlement_id", "project", name=op.f("pk_settlement_lines")),
    )


def _orders() -> None:
    name = "charger_orders"
    op.create_table(
        name,
        _id(),
        sa.Column("settlement_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("end_to_end_id", sa.Text(), nullable=False),
        *_ore("amount_ore"),
        sa.Column("creditor_name", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("execute_on", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("made_at", _INSTANT, nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("released_at", _INSTANT, nullable=True),
        sa.Column("released_by", sa.Text(), nullable=True),
        sa.Column("sha256", sa.LargeBinary(), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("written_at", _INSTANT, nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("paid_on", sa.Date(), nullable=True),
        sa.Column("ended_at", _INSTANT, nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        _must(name, "state", "state IN ('waiting', 'released', 'written', 'paid', 'rejected', 'withdrawn')"),
        _must(name, "amount", "amount_ore > 0"),
        _must(name, "two_persons", "released_by <> made_by"),
        _must(
            name,
            "released",
            "(state IN ('waiting', 'withdrawn')) = (released_at IS NULL) "
            "AND (released_at IS NULL) = (released_by IS NULL) AND (released_at IS NULL) = (content IS NULL)",
        ),
        _must(name, "ended", "(state IN ('paid', 'rejected', 'withdrawn')) = (ended_at IS NOT NULL)"),
        _must(name, "paid", "(state = 'paid') = (reference IS NOT NULL)"),
        _of(name, "settlement_id", "settlements"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charger_orders")),
        sa.UniqueConstraint("settlement_id", "number", name=op.f("uq_charger_orders_settlement_id_number")),
        sa.UniqueConstraint("end_to_end_id", name=op.f("uq_charger_orders_end_to_end_id")),
    )
    op.create_index(
        "uq_charger_orders_open",
        name,
        ["settlement_id"],
        unique=True,
        postgresql_where="state NOT IN ('rejected', 'withdrawn')",
    )


def _claims() -> None:
    op.create_table(
        "charger_claims",
        _id(),
        sa.Column("charger_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("period_from", sa.Date(), nullable=False),
        sa.Column("period_to", sa.Date(), nullable=False),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("line_count", sa.Integer(), nullable=False),
        *_ore("claimed_ore", "ours_count", "ours_ore"),
        sa.Column("difference_count", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", _INSTANT, nullable=False),
        sa.Column("received_by", sa.Text(), nullable=False),
        _must("charger_claims", "form", "form IN ('records', 'projects')"),
        _of("charger_claims", "charger_id", "chargers"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charger_claims")),
        sa.UniqueConstraint("charger_id", "number", name=op.f("uq_charger_claims_charger_id_number")),
    )
    op.create_table(
        "charger_claim_lines",
        sa.Column("claim_id", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=True),
        sa.Column("project", sa.Text(), nullable=True),
        *_ore("count", "amount_ore"),
        _must("charger_claim_lines", "about", "(source_id IS NULL) <> (project IS NULL)"),
        sa.PrimaryKeyConstraint("claim_id", "line", name=op.f("pk_charger_claim_lines")),
    )
    op.create_index(
        "ix_charger_claim_lines_source",
        "charger_claim_lines",
        ["source_id"],
        postgresql_where="source_id IS NOT NULL",
    )


def _differences() -> None:
    name = "charger_claim_differences"
    op.create_table(
        name,
        sa.Column("claim_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=True),
        sa.Column("source_id", sa.Text(), nullable=True),
        sa.Column("project", sa.Text(), nullable=True),
        *_ore("claimed_ore", "ours_ore"),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        _must(
            name,
            "kind",
            "kind IN ('missing_here', 'not_accepted', 'amount_differs', 'missing_there', 'reversed_here', "
            "'other_period', 'claimed_twice')",
        ),
        _must(name, "about", "(source_id IS NULL) <> (project IS NULL)"),
        sa.PrimaryKeyConstraint("claim_id", "number", name=op.f("pk_charger_claim_differences")),
    )


def downgrade() -> None:
    """Drop them. Raises RuntimeError when a settlement has been agreed: it is in the books, where the version before
    has no name for it. Accounts of chargers and their claim files are lost."""
    agreed = op.get_bind().execute(sa.text("SELECT count(*) FROM settlements WHERE state <> 'draft'")).scalar_one()
    if agreed:
        raise RuntimeError(f"{agreed} settlements with chargers are in the books; this version must stay")
    for table in (
        "reconciliations", "charger_claim_differences", "charger_claim_lines", "charger_claims", "charger_orders",
        "settlement_lines", "settlements",
    ):  # fmt: skip
        op.drop_table(table)
    op.drop_column("chargers", "bank_account")
    for index, (table, _) in _BRIN.items():
        op.drop_index(index, table_name=table)
