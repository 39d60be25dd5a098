"""Projects, where stations are, complaints sent to chargers, tags read in other vehicles."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_PROJECTS = "INSERT INTO projects (charger_id, code, name) SELECT DISTINCT charger_id, project, project FROM stations"
# Of passages that are here already nobody is told now.
_POSITION = """
    INSERT INTO mismatch_position (passage_id)
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM passage_ids
"""
_INSTANT = sa.DateTime(timezone=True)


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False)


def _places() -> None:
    op.create_table(
        "projects",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("charger_id", sa.Integer(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("from_on", sa.Date(), nullable=True),
        sa.Column("to_on", sa.Date(), nullable=True),
        sa.CheckConstraint("to_on >= from_on", name=op.f("ck_projects_period")),
        sa.ForeignKeyConstraint(["charger_id"], ["chargers.id"], name=op.f("fk_projects_charger_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("charger_id", "code", name=op.f("uq_projects_charger_id_code")),
    )
    op.execute(_PROJECTS)
    op.add_column("stations", sa.Column("latitude", sa.Numeric(9, 6), nullable=True))
    op.add_column("stations", sa.Column("longitude", sa.Numeric(9, 6), nullable=True))
    op.create_check_constraint("place", "stations", "latitude BETWEEN -90 AND 90 AND longitude BETWEEN -180 AND 180")
    op.create_check_constraint("whole_place", "stations", "(latitude IS NULL) = (longitude IS NULL)")


def _messages() -> None:
    op.create_table(
        "complaint_messages",
        _id(),
        sa.Column("charger_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", _INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["charger_id"], ["chargers.id"], name=op.f("fk_complaint_messages_charger_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_complaint_messages")),
        sa.UniqueConstraint("charger_id", "number", name=op.f("uq_complaint_messages_charger_id_number")),
    )


def _complaints() -> None:
    op.create_table(
        "complaints",
        _id(),
        sa.Column("agreement_id", sa.BigInteger(), nullable=False),
        sa.Column("passage_id", sa.BigInteger(), nullable=False),
        sa.Column("charger_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="made", nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("response", sa.Text(), nullable=True),
        sa.Column("message_id", sa.BigInteger(), nullable=True),
        sa.Column("made_at", _INSTANT, nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("sent_at", _INSTANT, nullable=True),
        sa.Column("answered_at", _INSTANT, nullable=True),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.Column("correction_id", sa.Text(), nullable=True),
        sa.Column("corrected_at", _INSTANT, nullable=True),
        sa.CheckConstraint(
            "kind IN ('wrong_vehicle', 'wrong_class', 'not_there', 'double', 'price', 'other')",
            name=op.f("ck_complaints_kind"),
        ),
        sa.CheckConstraint("state IN ('made', 'sent', 'answered')", name=op.f("ck_complaints_state")),
        sa.CheckConstraint("outcome IN ('upheld', 'adjusted', 'rejected')", name=op.f("ck_complaints_outcome")),
        sa.CheckConstraint("(state = 'made') = (sent_at IS NULL)", name=op.f("ck_complaints_sent")),
        sa.CheckConstraint(
            "(state = 'answered') = (outcome IS NOT NULL) AND (state = 'answered') = (answered_at IS NOT NULL) "
            "AND (state = 'answered') = (answered_by IS NOT NULL)",
            name=op.f("ck_complaints_answered"),
        ),
        sa.CheckConstraint(
            "correction_id IS NULL OR outcome IN ('upheld', 'adjusted') AND corrected_at IS NOT NULL",
            name=op.f("ck_complaints_corrected"),
        ),
        sa.ForeignKeyConstraint(["agreement_id"], ["agreements.id"], name=op.f("fk_complaints_agreement_id")),
        sa.ForeignKeyConstraint(["charger_id"], ["chargers.id"], name=op.f("fk_complaints_charger_id")),
        sa.ForeignKeyConstraint(["message_id"], ["complaint_messages.id"], name=op.f("fk_complaints_message_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_complaints")),
    )


def _complaint_indexes() -> None:
    op.create_index(
        "uq_complaints_open", "complaints", ["passage_id"], unique=True, postgresql_where="state <> 'answered'"
    )
    op.create_index("ix_complaints_passage", "complaints", ["passage_id"])
    op.create_index("ix_complaints_agreement", "complaints", ["agreement_id", "id"])
    op.create_index("ix_complaints_charger", "complaints", ["charger_id", "id"])
    op.create_index("ix_complaints_made", "complaints", ["charger_id", "id"], postgresql_where="state = 'made'")
    op.create_index(
        "ix_complaints_uncorrected",
        "complaints",
        ["answered_at"],
        postgresql_where="outcome IN ('upheld', 'adjusted') AND correction_id IS NULL",
    )


def _held() -> None:
    op.create_table(
        "held_passages",
        sa.Column("passage_id", sa.BigInteger(), nullable=False),
        sa.Column("agreement_id", sa.BigInteger(), nullable=False),
        sa.Column("amount_ore", sa.BigInteger(), nullable=False),
        sa.Column("held_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("passage_id", name=op.f("pk_held_passages")),
    )
    op.create_index("ix_held_passages_agreement", "held_passages", ["agreement_id"])


def _mismatches() -> None:
    op.create_table(
        "tag_mismatches",
        _id(),
        sa.Column("agreement_id", sa.BigInteger(), nullable=False),
        sa.Column("pan", sa.Text(), nullable=False),
        sa.Column("mounted_country", sa.Text(), nullable=True),
        sa.Column("mounted_plate", sa.Text(), nullable=True),
        sa.Column("read_country", sa.Text(), nullable=True),
        sa.Column("read_plate", sa.Text(), nullable=True),
        sa.Column("passage_id", sa.BigInteger(), nullable=False),
        sa.Column("passed_at", _INSTANT, nullable=False),
        sa.Column("told_on", sa.Date(), nullable=False),
        sa.Column("told_at", _INSTANT, nullable=False),
        sa.Column("times", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tag_mismatches")),
        sa.UniqueConstraint("passage_id", name=op.f("uq_tag_mismatches_passage_id")),
    )
    op.create_index("ix_tag_mismatches_agreement", "tag_mismatches", ["agreement_id", "pan", "id"])
    op.create_table(
        "mismatch_position",
        sa.Column("one", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("passage_id", sa.BigInteger(), nullable=False),
        sa.Column("next_id", sa.BigInteger(), nullable=True),
        sa.Column("next_xid", sa.BigInteger(), nullable=True),
        sa.Column("looked_at", _INSTANT, nullable=True),
        sa.CheckConstraint("one", name=op.f("ck_mismatch_position_one")),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_mismatch_position")),
    )
    op.execute(_POSITION)


def upgrade() -> None:
    """Make the tables. Every project that a station names is one, named by its code until somebody says its name."""
    _places()
    _messages()
    _complaints()
    _complaint_indexes()
    _held()
    _mismatches()


def downgrade() -> None:
    """Drop them. A station keeps the code of its project; names of projects and places of stations are lost."""
    for table in ("mismatch_position", "tag_mismatches", "held_passages", "complaints", "complaint_messages"):
        op.drop_table(table)
    op.drop_constraint("ck_stations_whole_place", "stations")
    op.drop_constraint("ck_stations_place", "stations")
    op.drop_column("stations", "longitude")
    op.drop_column("stations", "latitude")
    op.drop_table("projects")
