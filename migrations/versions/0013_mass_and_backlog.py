"""Mass corrections, backlogs in slices."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False)


def _of(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{target}.id"], name=op.f(f"fk_{table}_{column}"))


def _must(table: str, name: str, rule: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(rule, name=op.f(f"ck_{table}_{name}"))


def _ore(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in names]


def _from_zero(name: str, kind: type[sa.BigInteger | sa.Integer]) -> sa.Column[int]:
    return sa.Column(name, kind(), server_default="0", nullable=False)


def upgrade() -> None:
    """Make the tables."""
    _mass()
    op.create_table(
        "backlogs",
        _id(),
        sa.Column("agreement_id", sa.BigInteger(), nullable=False),
        sa.Column("noticed_at", _INSTANT, nullable=False),
        *_ore("old_ore", "unbilled_ore", "slice_ore"),
        sa.Column("last_on", sa.Date(), nullable=True),
        _from_zero("slices", sa.Integer),
        _from_zero("taken_ore", sa.BigInteger),
        sa.Column("ended_at", _INSTANT, nullable=True),
        _must("backlogs", "slice", "slice_ore > 0"),
        _must("backlogs", "last", "(slices = 0) = (last_on IS NULL)"),
        _of("backlogs", "agreement_id", "agreements"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backlogs")),
    )
    op.create_index(
        "uq_backlogs_lasting", "backlogs", ["agreement_id"], unique=True, postgresql_where="ended_at IS NULL"
    )
    op.create_index("ix_backlogs_agreement", "backlogs", ["agreement_id", "id"])


def _mass() -> None:
    op.create_table(
        "mass_corrections",
        _id(),
        sa.Column("undoes_id", sa.BigInteger(), nullable=True),
        sa.Column("charger_id", sa.Integer(), nullable=False),
        sa.Column("stations", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("since", _INSTANT, nullable=False),
        sa.Column("until", _INSTANT, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=True) for name in ("service", "vehicle_class", "country", "plate")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("bearer", "reason", "actor", "state")),
        sa.Column("made_at", _INSTANT, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("passages", sa.Integer(), nullable=False),
        sa.Column("agreements", sa.Integer(), nullable=False),
        *_ore("sum_ore"),
        sa.Column("billed", sa.Integer(), nullable=False),
        *_ore("billed_ore"),
        sa.Column("confirmed_at", _INSTANT, nullable=True),
        sa.Column("confirmed_by", sa.Text(), nullable=True),
        sa.Column("finished_at", _INSTANT, nullable=True),
        _from_zero("last_passage_id", sa.BigInteger),
        _from_zero("chunks", sa.Integer),
        _from_zero("done", sa.Integer),
        _from_zero("done_ore", sa.BigInteger),
        _from_zero("skipped", sa.Integer),
        _must("mass_corrections", "state", "state IN ('preview', 'running', 'done')"),
        _must("mass_corrections", "bearer", "bearer IN ('charger', 'us')"),
        _must("mass_corrections", "period", "since < until"),
        _must("mass_corrections", "confirmed", "(state = 'preview') = (confirmed_at IS NULL)"),
        _must("mass_corrections", "finished", "(state = 'done') = (finished_at IS NOT NULL)"),
        _must("mass_corrections", "vehicle", "(country IS NULL) = (plate IS NULL)"),
        _must("mass_corrections", "reason", "reason <> ''"),
        _of("mass_corrections", "undoes_id", "mass_corrections"),
        _of("mass_corrections", "charger_id", "chargers"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mass_corrections")),
    )
    op.create_index("uq_mass_corrections_undoes", "mass_corrections", ["undoes_id"], unique=True)
    op.create_index("ix_mass_corrections_running", "mass_corrections", ["id"], postgresql_where="state = 'running'")
    _mass_passages()


def _mass_passages() -> None:
    op.create_table(
        "mass_passages",
        sa.Column("mass_id", sa.BigInteger(), nullable=False),
        sa.Column("passage_id", sa.BigInteger(), nullable=False),
        sa.Column("booked_at", _INSTANT, nullable=False),
        sa.Column("agreement_id", sa.BigInteger(), nullable=False),
        *_ore("amount_ore"),
        sa.Column("billed", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        _must("mass_passages", "outcome", "outcome IN ('done', 'left')"),
        _of("mass_passages", "mass_id", "mass_corrections"),
        _of("mass_passages", "agreement_id", "agreements"),
        sa.PrimaryKeyConstraint("mass_id", "passage_id", name=op.f("pk_mass_passages")),
    )
    op.create_index("ix_mass_passages_agreement", "mass_passages", ["agreement_id", "mass_id"])


def downgrade() -> None:
    """Drop them; what was corrected stays in the reversals."""
    for table in ("backlogs", "mass_passages", "mass_corrections"):
        op.drop_table(table)
