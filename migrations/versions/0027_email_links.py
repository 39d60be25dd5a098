"""E-mail: signed links to documents, and bounces that were read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)
_OUTCOMES = (
    "outcome IN ('permanent', 'temporary', 'delivered', 'unclear', 'repeat', 'other_address', 'foreign', 'unreadable')"
)


def upgrade() -> None:
    """Two tables of their own; nothing that exists is changed."""
    op.create_table(
        "mail_links",
        sa.Column("delivery_id", sa.BigInteger(), nullable=False),
        sa.Column("until", _INSTANT, nullable=False),
        sa.Column("settled_at", _INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("delivery_id", name="pk_mail_links"),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"], name="fk_mail_links_delivery_id_deliveries"),
    )
    op.create_index("ix_mail_links_waiting", "mail_links", ["delivery_id"], postgresql_where="settled_at IS NULL")
    op.create_table(
        "bounced_mails",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), primary_key=True),
        sa.Column("mailbox", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("read_at", _INSTANT, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("rfc_message_id", sa.Text(), nullable=True),
        sa.Column("delivery_id", sa.BigInteger(), nullable=True),
        sa.Column("recipient", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("diagnostic", sa.Text(), nullable=True),
        sa.CheckConstraint(_OUTCOMES, name=op.f("ck_bounced_mails_outcome")),
        sa.UniqueConstraint("mailbox", "name", name="uq_bounced_mails_mailbox_name"),
    )
    op.create_index(
        "ix_bounced_mails_delivery", "bounced_mails", ["delivery_id"], postgresql_where="delivery_id IS NOT NULL"
    )
    op.create_index(
        "ix_bounced_mails_notice", "bounced_mails", ["rfc_message_id"], postgresql_where="rfc_message_id IS NOT NULL"
    )


def downgrade() -> None:
    """Drop them: links that were sent open nothing any more, and what was read of bounces is forgotten."""
    op.drop_table("bounced_mails")
    op.drop_table("mail_links")
