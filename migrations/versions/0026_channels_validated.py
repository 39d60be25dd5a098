"""What 0025 said of new rows holds for the old ones too; what finds deliveries by their document and by what a partner
is asked for. It keeps nobody waiting."""

from __future__ import annotations

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_SAID = (
    ("customers", "ck_customers_channel"),
    ("customers", "ck_customers_payment_term_days"),
    ("documents", "ck_documents_settlement"),
    ("deliveries", "ck_deliveries_channel"),
    ("deliveries", "ck_deliveries_state"),
    ("deliveries", "ck_deliveries_presents"),
    ("deliveries", "fk_deliveries_file_id_delivery_files"),
)
_LIVE = "('queued', 'sending', 'sent', 'unknown', 'delivered', 'ending')"
_INDEXES = {
    "uq_deliveries_presents": f"UNIQUE INDEX CONCURRENTLY uq_deliveries_presents ON deliveries (document_id) "
    f"WHERE presents AND state IN {_LIVE}",
    "ix_deliveries_asked": "INDEX CONCURRENTLY ix_deliveries_asked ON deliveries (channel, next_at) "
    "WHERE state IN ('sent', 'ending')",
    "ix_deliveries_presenting": "INDEX CONCURRENTLY ix_deliveries_presenting ON deliveries (sent_at) "
    "WHERE presents AND state IN ('sent', 'delivered') AND channel IN ('efaktura', 'vipps')",
    "ix_deliveries_failed": "INDEX CONCURRENTLY ix_deliveries_failed ON deliveries (message_id) "
    "WHERE state = 'failed' AND followed_at IS NULL",
}


def upgrade() -> None:
    """Validate one after the other; then the indexes, outside a transaction.

    What failed before had no other way, and is not looked at again.
    """
    op.execute("UPDATE deliveries SET followed_at = queued_at WHERE state = 'failed'")
    for table, name in _SAID:
        op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
    with op.get_context().autocommit_block():
        for name, words in _INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")  # left invalid by one that was cut short
            op.execute(f"CREATE {words}")


def downgrade() -> None:
    """Drop the indexes."""
    with op.get_context().autocommit_block():
        for name in reversed(_INDEXES):
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
