"""What 0019 said of new rows holds for the old ones too. It reads them and keeps nobody waiting."""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_SAID = (
    ("charges", "ck_charges_cause"),
    ("charges", "ck_charges_waits_for"),
    ("charges", "fk_charges_card_id_cards"),
    ("attempts", "ck_attempts_kind"),
    ("allocations", "ck_allocations_source"),
)


def upgrade() -> None:
    """Validate one after the other."""
    for table, name in _SAID:
        op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")


def downgrade() -> None:
    """Nothing to undo."""
