"""Which read a double repeats, so that it is decided anew when that is taken back; which reads stand in their
lanes. Refused records whose tag is in another vehicle are told of too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_CAUSES = "'original_came', 'gave_up', 'contested', 'moved'"
_STANDS = (
    "EXISTS (SELECT FROM lane_reads AS l WHERE l.charger_id = r.charger_id AND l.source_id = substr(r.detail, 21) "
    "AND l.stands)"
)


def upgrade() -> None:
    """Link what there is, which takes no lock that others wait for; constraints last, as they do.

    Refused doubles were read in the lane of what they repeat. What adjusted a read stays in its lane.
    """
    op.create_table(
        "double_reads",
        sa.Column("charger_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("kept_id", sa.Text(), nullable=False),
        sa.Column("freed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("charger_id", "source_id", name=op.f("pk_double_reads")),
    )
    op.add_column("lane_reads", sa.Column("stands", sa.Boolean(), server_default=sa.text("true"), nullable=False))
    op.create_table(
        "refused_mismatches",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("charger_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refused_mismatches")),
    )
    _link()
    op.create_index("ix_double_reads_kept", "double_reads", ["charger_id", "kept_id"])
    op.create_index("ix_double_reads_freed", "double_reads", ["charger_id", "source_id"], postgresql_where="freed")
    op.alter_column("tag_mismatches", "passage_id", nullable=True)
    op.execute("UPDATE tag_mismatches SET passage_id = NULL WHERE passage_id < 0")
    _causes(f"{_CAUSES}, 'read_taken_back'")


def _link() -> None:
    op.execute("""
        UPDATE records AS r SET body = r.body || jsonb_build_object('lane', l.lane) FROM lane_reads AS l
        WHERE r.code = 'double_read' AND l.charger_id = r.charger_id AND l.source_id = substr(r.detail, 21)
    """)
    op.execute("""
        WITH in_force AS (
            SELECT DISTINCT ON (k.charger_id, k.original_id) k.charger_id, k.original_id, k.source_id, k.action
            FROM corrections AS k JOIN lane_reads AS l ON l.charger_id = k.charger_id AND l.source_id = k.original_id
            WHERE k.state = 'applied'
            ORDER BY k.charger_id, k.original_id, k.version DESC, k.issued_at DESC, k.source_id COLLATE "C" DESC
        ), gone AS (
            UPDATE lane_reads AS l SET stands = false FROM in_force AS k
            WHERE l.charger_id = k.charger_id AND l.source_id = k.original_id
            RETURNING l.charger_id, k.source_id, k.action, l.lane
        )
        INSERT INTO lane_reads (charger_id, source_id, station, lane, country, plate, passed_at)
        SELECT g.charger_id, g.source_id, p.station, g.lane, p.country, p.plate, p.passed_at
        FROM gone AS g JOIN records AS r ON r.charger_id = g.charger_id AND r.source_id = g.source_id
        JOIN passages AS p ON p.id = r.passage_id
        WHERE g.action = 'adjust' AND r.code = 'accepted' AND p.plate IS NOT NULL
        ON CONFLICT DO NOTHING
    """)
    # A read that was adjusted is what its adjustment is now.
    op.execute(f"""
        INSERT INTO double_reads (charger_id, source_id, kept_id, freed)
        SELECT r.charger_id, r.source_id, coalesce(f.source_id, substr(r.detail, 21)),
            f.source_id IS NULL AND NOT {_STANDS}
        FROM records AS r
        LEFT JOIN LATERAL (
            SELECT l.source_id FROM corrections AS k
            JOIN lane_reads AS l ON l.charger_id = k.charger_id AND l.source_id = k.source_id AND l.stands
            WHERE k.charger_id = r.charger_id AND k.original_id = substr(r.detail, 21) LIMIT 1
        ) AS f ON true
        WHERE r.code = 'double_read' AND r.detail LIKE 'the same passing as %'
    """)


def downgrade() -> None:
    """Drop the links. Lanes of adjustments stay theirs; what stands no more has none. Who was told of a refused record
    has been."""
    op.execute("UPDATE tag_mismatches SET passage_id = -id WHERE passage_id IS NULL")
    op.execute("UPDATE amendments SET cause = 'original_came' WHERE cause = 'read_taken_back'")
    op.alter_column("tag_mismatches", "passage_id", nullable=False)
    op.drop_table("refused_mismatches")
    op.drop_table("double_reads")
    op.execute("DELETE FROM lane_reads WHERE NOT stands")
    op.drop_column("lane_reads", "stands")
    _causes(_CAUSES)


def _causes(words: str) -> None:
    op.drop_constraint(op.f("ck_amendments_cause"), "amendments")
    op.execute(f"ALTER TABLE amendments ADD CONSTRAINT ck_amendments_cause CHECK (cause IN ({words})) NOT VALID")
    op.execute("ALTER TABLE amendments VALIDATE CONSTRAINT ck_amendments_cause")
