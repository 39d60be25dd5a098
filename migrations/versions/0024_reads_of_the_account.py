"""Reads of the card provider's account are kept, and when in real time what it tells of changed here; payouts say
whether they are automatic, since only of those the provider can say which lines are in them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)
_CHANGED = ("card_disputes", "card_refunds", "attempts")


def upgrade() -> None:
    """Nothing is rewritten or scanned: the columns have no value or a constant one. Null: it changed before this.

    The table that is written most comes last, so that its lock is held for the shortest time. A payout is taken for
    an automatic one until it is read again.
    """
    op.create_table(
        "card_account_reads",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), primary_key=True),
        sa.Column("began_at", _INSTANT, nullable=False),
        sa.Column("ended_at", _INSTANT, nullable=False),
        sa.Column("lines_ore", sa.BigInteger(), nullable=False),
        sa.Column("balance_ore", sa.BigInteger(), nullable=True),
        sa.Column("wrong", sa.BigInteger(), nullable=True),
    )
    op.add_column("card_payouts", sa.Column("automatic", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.add_column("card_payouts", sa.Column("refused", sa.Text(), nullable=True))
    for table in _CHANGED:
        op.add_column(table, sa.Column("changed_at", _INSTANT, nullable=True))


def downgrade() -> None:
    """Drop them. Refuses where lines are booked in a way that the books before this do not know."""
    op.execute(
        "DO $$ BEGIN IF EXISTS (SELECT FROM card_transactions WHERE type IN ('topup', 'reserve')) THEN "
        "RAISE EXCEPTION 'there are top-ups or reserves in card_transactions, which the books before this take for "
        "costs'; END IF; END $$"
    )
    for table in reversed(_CHANGED):
        op.drop_column(table, "changed_at")
    op.drop_column("card_payouts", "refused")
    op.drop_column("card_payouts", "automatic")
    op.drop_table("card_account_reads")
