"""Documents: which form of a document a kept page is (transfer, avtalegiro; short; with a later due date), in its key.

It keeps nobody waiting: the column has a constant default, and the key is swapped for an index that was made beside
those who write. Cut short, it goes on where it was.
"""

from __future__ import annotations

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

_KEY = "pk_renderings"
_FRESH = "uq_renderings_fresh_key"


def upgrade() -> None:
    """Add the form; what was kept before is the page with a payment slip and all passages."""
    op.execute("ALTER TABLE renderings ADD COLUMN IF NOT EXISTS form text NOT NULL DEFAULT 'transfer'")
    _swap("document_id, template, form")


def downgrade() -> None:
    """Drop it. Refuses where other forms were kept: their bytes were sent, and the house before this knows none."""
    op.execute(
        "DO $$ BEGIN IF EXISTS (SELECT FROM renderings WHERE form <> 'transfer') THEN RAISE EXCEPTION "
        "'there are kept pages in forms that the books before this do not know'; END IF; END $$"
    )
    _swap("document_id, template")
    op.execute("ALTER TABLE renderings DROP COLUMN form")


def _swap(columns: str) -> None:
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {_FRESH}")  # left by one that was cut short
        op.execute(f"CREATE UNIQUE INDEX CONCURRENTLY {_FRESH} ON renderings ({columns})")
    op.execute(
        f"ALTER TABLE renderings DROP CONSTRAINT IF EXISTS {_KEY}, "
        f"ADD CONSTRAINT {_KEY} PRIMARY KEY USING INDEX {_FRESH}"
    )
