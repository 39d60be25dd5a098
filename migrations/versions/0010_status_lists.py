"""Status lists: a change stored once, versions per charger and list type, what was sent and acknowledged."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# Until now a change was a row for each charger there was. The first charger's rows are the changes; what others have
# beyond them was told to nobody else and stays. Whose first row is later than the first change came later.
_CAME_LATER = """
    UPDATE chargers AS c SET told_from = t.since
    FROM (SELECT charger_id, min(made_at) AS since FROM publications GROUP BY charger_id) AS t
    WHERE t.charger_id = c.id AND t.since > (SELECT min(at) FROM standings)
"""
_ONCE = """
    DELETE FROM publications AS p
    WHERE p.charger_id <> (SELECT min(charger_id) FROM publications) AND EXISTS (
        SELECT FROM publications AS m WHERE m.agreement_id = p.agreement_id AND m.status = p.status
            AND m.registration_id IS NOT DISTINCT FROM p.registration_id AND m.charger_id < p.charger_id)
"""
# What changed before there was any charger was written nowhere.
_FORGOTTEN = """
    INSERT INTO publications (agreement_id, registration_id, status, reason, made_at, effective_at)
    SELECT c.agreement_id, c.registration_id, c.status, c.reason, c.at, c.at
    FROM (
        SELECT agreement_id, CAST(NULL AS bigint) AS registration_id,
            CASE standing WHEN 'open' THEN 'valid' ELSE standing END AS status, reason, at
        FROM standings WHERE standing IN ('open', 'blocked')
        UNION ALL SELECT id, NULL, 'ended', 'closed', closed_at FROM agreements WHERE closed_at IS NOT NULL
        UNION ALL SELECT agreement_id, registration_id, 'removed', 'removed', greatest(requested_at, ends_at)
        FROM removals WHERE operator = ''
    ) AS c
    WHERE NOT EXISTS (
        SELECT FROM publications AS p WHERE p.agreement_id = c.agreement_id AND p.status = c.status
            AND p.registration_id IS NOT DISTINCT FROM c.registration_id AND p.effective_at = c.at)
    ORDER BY c.at, c.agreement_id
"""

# And back (acknowledged_at is what was effective_at): who takes no lists was told at once; who does, when its version
# was acknowledged, or not yet.
_EACH = """
    INSERT INTO publications (charger_id, agreement_id, registration_id, status, reason, made_at, sent_at,
        acknowledged_at)
    SELECT c.id, p.agreement_id, p.registration_id, p.status, p.reason,
        greatest(p.acknowledged_at, c.told_from),
        CASE c.lists WHEN 'none' THEN greatest(p.acknowledged_at, c.told_from) ELSE v.sent_at END,
        CASE c.lists WHEN 'none' THEN greatest(p.acknowledged_at, c.told_from) ELSE v.acknowledged_at END
    FROM publications AS p CROSS JOIN chargers AS c
    LEFT JOIN LATERAL (
        SELECT lv.sent_at, lv.acknowledged_at FROM list_versions AS lv
        WHERE lv.charger_id = c.id AND lv.through_change >= p.position
        ORDER BY lv.acknowledged_at NULLS LAST, lv.id LIMIT 1
    ) AS v ON true
    WHERE p.charger_id IS NULL AND NOT (p.status = 'valid' AND coalesce(c.told_from > p.acknowledged_at, false))
    ORDER BY p.id, c.id
"""


def _chargers() -> None:
    """With constant defaults no row is rewritten."""
    for column in (
        sa.Column("lists", sa.Text(), server_default="none", nullable=False),
        sa.Column("list_types", sa.Text(), server_default="both", nullable=False),
        sa.Column("list_format", sa.Text(), server_default="jsonl", nullable=False),
        sa.Column("latency_minutes", sa.Integer(), nullable=True),
        sa.Column("told_from", sa.DateTime(timezone=True), nullable=True),
    ):
        op.add_column("chargers", column)
    op.create_check_constraint("lists", "chargers", "lists IN ('none', 'pull', 'push')")
    op.create_check_constraint("list_types", "chargers", "list_types IN ('both', 'tags', 'plates')")
    op.create_check_constraint("latency_minutes", "chargers", "latency_minutes >= 0")


def _publications() -> None:
    op.execute(_CAME_LATER)
    op.execute(_ONCE)
    op.drop_index("ix_publications_judged", table_name="publications")
    op.drop_index("ix_publications_registration", table_name="publications")
    op.drop_constraint("ck_publications_status", "publications")
    op.drop_column("publications", "charger_id")
    op.drop_column("publications", "sent_at")
    op.execute("UPDATE publications SET acknowledged_at = made_at WHERE acknowledged_at IS DISTINCT FROM made_at")
    op.alter_column("publications", "acknowledged_at", new_column_name="effective_at", nullable=False)
    op.add_column("publications", sa.Column("tag_id", sa.BigInteger(), nullable=True))
    op.add_column("publications", sa.Column("position", sa.BigInteger(), nullable=True))
    op.create_check_constraint(
        "status", "publications", "status IN ('valid', 'blocked', 'ended', 'removed', 'registered', 'tag')"
    )
    op.create_check_constraint(
        "about",
        "publications",
        "(status IN ('removed', 'registered')) = (registration_id IS NOT NULL) "
        "AND (status = 'tag') = (tag_id IS NOT NULL)",
    )
    op.create_unique_constraint("uq_publications_position", "publications", ["position"])
    op.create_index("ix_publications_agreement", "publications", ["agreement_id", "effective_at", "id"])
    op.create_index(
        "ix_publications_refusing", "publications", ["agreement_id"], postgresql_where="status IN ('blocked', 'ended')"
    )
    op.create_index(
        "ix_publications_registration",
        "publications",
        ["registration_id"],
        postgresql_where="registration_id IS NOT NULL",
    )
    op.execute(_FORGOTTEN)
    op.create_index(
        "ix_publications_unlisted", "publications", ["effective_at", "id"], postgresql_where="position IS NULL"
    )


def _periods() -> None:
    op.create_table(
        "list_periods",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("charger_id", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("until IS NULL OR until >= since", name=op.f("ck_list_periods_period")),
        sa.ForeignKeyConstraint(["charger_id"], ["chargers.id"], name=op.f("fk_list_periods_charger_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_list_periods")),
    )
    op.create_index(
        "uq_list_periods_open", "list_periods", ["charger_id"], unique=True, postgresql_where="until IS NULL"
    )


def _versions() -> None:
    op.create_table(
        "list_versions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("charger_id", sa.Integer(), nullable=False),
        sa.Column("list_type", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("from_change", sa.BigInteger(), nullable=False),
        sa.Column("through_change", sa.BigInteger(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("row_count", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint("list_type IN ('tags', 'plates')", name=op.f("ck_list_versions_list_type")),
        sa.CheckConstraint("kind IN ('full', 'incremental')", name=op.f("ck_list_versions_kind")),
        sa.CheckConstraint(
            "state IN ('made', 'sent', 'acknowledged', 'rejected', 'superseded')", name=op.f("ck_list_versions_state")
        ),
        sa.CheckConstraint(
            "(state = 'acknowledged') = (acknowledged_at IS NOT NULL)", name=op.f("ck_list_versions_acknowledged")
        ),
        sa.CheckConstraint(
            "(state IN ('made', 'sent')) = (next_at IS NOT NULL)", name=op.f("ck_list_versions_waiting")
        ),
        sa.CheckConstraint("through_change >= from_change - 1", name=op.f("ck_list_versions_range")),
        sa.ForeignKeyConstraint(["charger_id"], ["chargers.id"], name=op.f("fk_list_versions_charger_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_list_versions")),
        sa.UniqueConstraint(
            "charger_id", "list_type", "version", name=op.f("uq_list_versions_charger_id_list_type_version")
        ),
    )


def _versions_indexes() -> None:
    op.create_index(
        "ix_list_versions_through", "list_versions", ["charger_id", "list_type", "through_change", "version"]
    )
    op.create_index(
        "ix_list_versions_full",
        "list_versions",
        ["charger_id", "list_type", "acknowledged_at"],
        postgresql_where="kind = 'full' AND acknowledged_at IS NOT NULL",
    )
    op.create_index("ix_list_versions_waiting", "list_versions", ["next_at"], postgresql_where="next_at IS NOT NULL")


def _parts() -> None:
    op.create_table(
        "list_parts",
        sa.Column("version_id", sa.BigInteger(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["list_versions.id"], name=op.f("fk_list_parts_version_id")),
        sa.PrimaryKeyConstraint("version_id", "part", name=op.f("pk_list_parts")),
    )


def upgrade() -> None:
    """Make the tables; a change that was told to each charger becomes one row.

    publications is rewritten nowhere: rows go, a column is renamed. The two indexes on records hold refused ones only
    (some percent), and keep records from being written for one reading of the table: about a second for two million.
    """
    _chargers()
    _publications()
    _periods()
    _versions()
    _versions_indexes()
    _parts()
    op.create_index(
        "ix_registrations_additional", "registrations", ["agreement_id", "scope"], postgresql_where="scope <> ''"
    )
    refused = "code IN ('unknown_vehicle', 'not_valid')"
    for name in ("plate", "pan"):
        op.create_index(
            f"ix_records_refused_{name}",
            "records",
            [sa.text(f"(body ->> '{name}')"), "passed_at"],
            postgresql_where=refused,
        )


def downgrade() -> None:
    """Back to a row for each charger. What lists say of tags and new registrations has no form there: it is in the
    tables of the vehicles, and the next full list says it again."""
    for name in ("plate", "pan"):
        op.drop_index(f"ix_records_refused_{name}", table_name="records")
    op.drop_index("ix_registrations_additional", table_name="registrations")
    for name in ("agreement", "refusing", "registration", "unlisted"):
        op.drop_index(f"ix_publications_{name}", table_name="publications")
    op.drop_constraint("ck_publications_about", "publications")
    op.drop_constraint("ck_publications_status", "publications")
    op.execute("DELETE FROM publications WHERE status IN ('registered', 'tag')")
    op.alter_column("publications", "effective_at", new_column_name="acknowledged_at", nullable=True)
    op.add_column("publications", sa.Column("charger_id", sa.Integer(), nullable=True))
    op.add_column("publications", sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(_EACH)
    op.execute("DELETE FROM publications WHERE charger_id IS NULL")
    op.drop_constraint("uq_publications_position", "publications")
    op.drop_column("publications", "position")
    op.drop_column("publications", "tag_id")
    op.alter_column("publications", "charger_id", nullable=False)
    op.create_foreign_key("fk_publications_charger_id", "publications", "chargers", ["charger_id"], ["id"])
    op.create_check_constraint("status", "publications", "status IN ('valid', 'blocked', 'ended', 'removed')")
    op.create_index("ix_publications_judged", "publications", ["agreement_id", "charger_id", "acknowledged_at"])
    op.create_index(
        "ix_publications_registration",
        "publications",
        ["registration_id", "charger_id"],
        postgresql_where="registration_id IS NOT NULL",
    )
    op.drop_table("list_parts")
    op.drop_table("list_versions")
    op.drop_table("list_periods")
    for name in ("lists", "list_types", "latency_minutes"):
        op.drop_constraint(f"ck_chargers_{name}", "chargers")
    for name in ("lists", "list_types", "list_format", "latency_minutes", "told_from"):
        op.drop_column("chargers", name)
