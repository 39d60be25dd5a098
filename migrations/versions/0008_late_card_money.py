"""A card payment that came after its charge had ended: an attempt may succeed beside the one that paid."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Mark such attempts; of the others still one pays a charge. What a step down put aside comes back."""
    op.add_column("attempts", sa.Column("credited", sa.Boolean(), server_default="false", nullable=False))
    op.drop_index("uq_attempts_succeeded", table_name="attempts")
    op.execute(
        "UPDATE attempts SET credited = true, state = 'succeeded' "
        "WHERE id IN (SELECT ref FROM credit_entries WHERE code = 'card_extra')"
    )
    op.create_index(
        "uq_attempts_succeeded",
        "attempts",
        ["charge_id"],
        unique=True,
        postgresql_where="state = 'succeeded' AND NOT credited",
    )


def downgrade() -> None:
    """Back to one success a charge; the sums stay in the ledger as credit, by which a step up finds them again."""
    op.execute("UPDATE attempts SET state = 'nothing' WHERE credited")
    op.drop_index("uq_attempts_succeeded", table_name="attempts")
    op.drop_column("attempts", "credited")
    op.create_index(
        "uq_attempts_succeeded", "attempts", ["charge_id"], unique=True, postgresql_where="state = 'succeeded'"
    )
