"""How files are exchanged with chargers: what came, what goes out."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)
_SFTP = (
    "kind <> 'sftp' OR (host IS NOT NULL AND port IS NOT NULL AND username IS NOT NULL AND host_key IS NOT NULL "
    "AND remote_in IS NOT NULL AND remote_out IS NOT NULL AND (key_file IS NOT NULL OR password_file IS NOT NULL))"
)


def _exchanges() -> None:
    op.create_table(
        "exchanges",
        sa.Column("charger_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default="true", nullable=False),
        *(sa.Column(name, sa.Text(), nullable=True) for name in ("form", "answer_form", "host")),
        sa.Column("port", sa.Integer(), nullable=True),
        *(
            sa.Column(name, sa.Text(), nullable=True)
            for name in (
                "username", "key_file", "password_file", "host_key", "remote_in", "remote_out", "remote_done",
            )
        ),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", _INSTANT, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("reached_at", _INSTANT, nullable=True),
        sa.CheckConstraint("kind IN ('folder', 'sftp')", name=op.f("ck_exchanges_kind")),
        sa.CheckConstraint(_SFTP, name=op.f("ck_exchanges_sftp")),
        sa.ForeignKeyConstraint(["charger_id"], ["chargers.id"], name=op.f("fk_exchanges_charger_id")),
        sa.PrimaryKeyConstraint("charger_id", name=op.f("pk_exchanges")),
    )  # fmt: skip


def _incoming() -> None:
    op.create_table(
        "incoming_files",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("charger_id", sa.Integer(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("inode", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("state", sa.Text(), server_default="coming", nullable=False),
        sa.Column("what", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("batch_id", sa.BigInteger(), nullable=True),
        sa.Column("line", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("seen_at", _INSTANT, nullable=False),
        sa.Column("taken_at", _INSTANT, nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", _INSTANT, nullable=True),
        sa.CheckConstraint("way IN ('inbox', 'sftp')", name=op.f("ck_incoming_files_way")),
        sa.CheckConstraint("state IN ('coming', 'taken', 'done', 'left')", name=op.f("ck_incoming_files_state")),
        sa.CheckConstraint("state = 'coming' OR outcome IS NOT NULL", name=op.f("ck_incoming_files_outcome")),
        sa.ForeignKeyConstraint(["charger_id"], ["chargers.id"], name=op.f("fk_incoming_files_charger_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incoming_files")),
    )
    op.create_index(
        "uq_incoming_files_file",
        "incoming_files",
        ["charger_id", "way", "name", "size", "mtime_ns", "inode"],
        unique=True,
        postgresql_where="state <> 'done'",
    )
    op.create_index("ix_incoming_files_charger", "incoming_files", ["charger_id", "id"])
    op.create_index(
        "ix_incoming_files_open",
        "incoming_files",
        ["charger_id", "state"],
        postgresql_where="state IN ('coming', 'taken')",
    )


def _outgoing() -> None:
    op.create_table(
        "outgoing_files",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("charger_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("form", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", _INSTANT, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("made_at", _INSTANT, nullable=False),
        sa.Column("sent_at", _INSTANT, nullable=True),
        sa.Column("sends", sa.Integer(), server_default="0", nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("state IN ('waiting', 'sent', 'failed')", name=op.f("ck_outgoing_files_state")),
        sa.CheckConstraint("(state = 'sent') = (next_at IS NULL)", name=op.f("ck_outgoing_files_next")),
        sa.CheckConstraint(
            "state <> 'sent' OR (sent_at IS NOT NULL AND sha256 IS NOT NULL)", name=op.f("ck_outgoing_files_sent")
        ),
        sa.ForeignKeyConstraint(["charger_id"], ["chargers.id"], name=op.f("fk_outgoing_files_charger_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outgoing_files")),
        sa.UniqueConstraint("charger_id", "kind", "ref", name=op.f("uq_outgoing_files_charger_id_kind_ref")),
        sa.UniqueConstraint("charger_id", "name", name=op.f("uq_outgoing_files_charger_id_name")),
    )
    op.create_index(
        "ix_outgoing_files_waiting",
        "outgoing_files",
        ["charger_id", "next_at"],
        postgresql_where="next_at IS NOT NULL",
    )
    op.create_index("ix_outgoing_files_charger", "outgoing_files", ["charger_id", "id"])
    op.create_table(
        "amendments_sent",
        sa.Column("amendment_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("outgoing_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("amendment_id", name=op.f("pk_amendments_sent")),
    )
    op.create_index("ix_amendments_sent_outgoing", "amendments_sent", ["outgoing_id"])


def upgrade() -> None:
    """Make the tables. Nothing that is there is touched."""
    _exchanges()
    _incoming()
    _outgoing()


def downgrade() -> None:
    """Drop them: what was sent and how chargers are reached is forgotten; what was booked and answered stays."""
    for table in ("amendments_sent", "outgoing_files", "incoming_files", "exchanges"):
        op.drop_table(table)
