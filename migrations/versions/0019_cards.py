"""Cards: charges whatever the sum, pages where a customer confirms, one pace for all workers, refunds, disputes, and
the provider's own account of us. New tables, and columns that no row has to be written for; 0020 looks at what there
is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)
_CAUSES = "cause IN ('threshold', 'week_over')"
_MORE_CAUSES = "cause IN ('threshold', 'week_over', 'closing', 'method', 'agent')"
_SOURCES = "source IN ('payment', 'reversal', 'credit', 'card', 'write_off', 'released')"
_MORE_SOURCES = "source IN ('payment', 'reversal', 'credit', 'card', 'write_off', 'released', 'dispute')"


def upgrade() -> None:
    """Locks are held for a moment: constraints hold for new rows at once, and for the old ones by 0020."""
    op.add_column("agreements", sa.Column("receipts_by_mail", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.add_column("cards", sa.Column("product", sa.Text(), nullable=True))
    op.add_column("cards", sa.Column("updated_at", _INSTANT, nullable=True))
    op.add_column("charges", sa.Column("card_id", sa.BigInteger(), nullable=True))
    op.add_column("charges", sa.Column("waits_for", sa.Text(), nullable=True))
    op.add_column("attempts", sa.Column("kind", sa.Text(), server_default="off_session", nullable=False))
    _check("charges", "cause", _MORE_CAUSES, drop=True)
    _check("charges", "waits_for", "waits_for = 'customer'")
    _check("attempts", "kind", "kind IN ('off_session', 'on_session')")
    _check("allocations", "source", _MORE_SOURCES, drop=True)
    op.execute(
        "ALTER TABLE charges ADD CONSTRAINT fk_charges_card_id_cards FOREIGN KEY (card_id) "
        "REFERENCES cards (id) NOT VALID"
    )
    _sessions_and_pace()
    _refunds()
    _disputes()
    _payouts()


def _check(table: str, name: str, words: str, *, drop: bool = False) -> None:
    full = f"ck_{table}_{name}"
    if drop:
        op.drop_constraint(op.f(full), table)
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {full} CHECK ({words}) NOT VALID")


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=False), primary_key=True)


def _to(name: str, table: str, of: str, *, null: bool = False) -> sa.Column[int]:
    key = sa.ForeignKey(f"{of}.id", name=f"fk_{table}_{name}_{of}")
    return sa.Column(name, sa.BigInteger(), key, nullable=null)


def _sessions_and_pace() -> None:
    op.create_table(
        "card_sessions",
        sa.Column(
            "attempt_id", sa.BigInteger(), sa.ForeignKey("attempts.id", name="fk_card_sessions_attempt_id_attempts"),
            primary_key=True, autoincrement=False,
        ),
        sa.Column("provider_ref", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("return_url", sa.Text(), nullable=False),
        sa.Column("started_at", _INSTANT, nullable=False),
        sa.Column("expires_at", _INSTANT, nullable=False),
        sa.Column("brand", sa.Text(), nullable=True),
        sa.Column("last4", sa.Text(), nullable=True),
        sa.UniqueConstraint("provider_ref", name=op.f("uq_card_sessions_provider_ref")),
    )  # fmt: skip
    op.create_table(
        "card_pace",
        sa.Column("provider", sa.Text(), primary_key=True),
        sa.Column("next_at", _INSTANT, nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("down_until", _INSTANT, nullable=True),
    )


def _refunds() -> None:
    op.create_table(
        "card_refunds",
        _id(),
        _to("agreement_id", "card_refunds", "agreements"),
        _to("charge_id", "card_refunds", "charges"),
        _to("attempt_id", "card_refunds", "attempts"),
        sa.Column("amount_ore", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_at", _INSTANT, nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("approved_at", _INSTANT, nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("provider_ref", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("lookup", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("called_at", _INSTANT, nullable=True),
        sa.Column("asked_at", _INSTANT, nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.Column("ended_at", _INSTANT, nullable=True),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_card_refunds_idempotency_key")),
        sa.UniqueConstraint("provider_ref", name=op.f("uq_card_refunds_provider_ref")),
        sa.CheckConstraint("amount_ore > 0", name=op.f("ck_card_refunds_amount")),
        sa.CheckConstraint(
            "state IN ('requested', 'approved', 'unknown', 'succeeded', 'failed', 'cancelled')",
            name=op.f("ck_card_refunds_state"),
        ),
        sa.CheckConstraint("approved_by <> requested_by", name=op.f("ck_card_refunds_two")),
        sa.CheckConstraint(
            "(state IN ('succeeded', 'failed', 'cancelled')) = (ended_at IS NOT NULL)",
            name=op.f("ck_card_refunds_ended"),
        ),
        sa.CheckConstraint(
            "(state IN ('unknown', 'succeeded', 'failed')) = (called_at IS NOT NULL)",
            name=op.f("ck_card_refunds_called"),
        ),
    )
    op.create_index("ix_card_refunds_agreement", "card_refunds", ["agreement_id", "id"])
    op.create_index("ix_card_refunds_attempt", "card_refunds", ["attempt_id"])
    op.create_index(
        "ix_card_refunds_open", "card_refunds", ["id"],
        postgresql_where="state IN ('requested', 'approved', 'unknown')",
    )  # fmt: skip


def _disputes() -> None:
    op.create_table(
        "card_disputes",
        _id(),
        sa.Column("provider_ref", sa.Text(), nullable=False),
        _to("agreement_id", "card_disputes", "agreements"),
        _to("charge_id", "card_disputes", "charges"),
        _to("attempt_id", "card_disputes", "attempts"),
        sa.Column("amount_ore", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn_ore", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("claim_ore", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("credit_ore", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("written_off_ore", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="opened", nullable=False),
        sa.Column("evidence_due_at", _INSTANT, nullable=True),
        sa.Column("opened_at", _INSTANT, nullable=False),
        sa.Column("ended_at", _INSTANT, nullable=True),
        sa.UniqueConstraint("provider_ref", name=op.f("uq_card_disputes_provider_ref")),
        sa.CheckConstraint("state IN ('opened', 'won', 'lost')", name=op.f("ck_card_disputes_state")),
        sa.CheckConstraint(
            "withdrawn_ore >= 0 AND withdrawn_ore <= amount_ore", name=op.f("ck_card_disputes_withdrawn")
        ),
        sa.CheckConstraint("(state = 'opened') = (ended_at IS NULL)", name=op.f("ck_card_disputes_ended")),
        sa.CheckConstraint(
            "claim_ore + credit_ore + written_off_ore = CASE state WHEN 'lost' THEN withdrawn_ore ELSE 0 END",
            name=op.f("ck_card_disputes_lost"),
        ),
    )
    op.create_index("ix_card_disputes_agreement", "card_disputes", ["agreement_id", "id"])
    op.create_index("ix_card_disputes_attempt", "card_disputes", ["attempt_id"])
    op.create_index("ix_card_disputes_open", "card_disputes", ["id"], postgresql_where="state = 'opened'")


def _payouts() -> None:
    op.create_table(
        "card_payouts",
        _id(),
        sa.Column("provider_ref", sa.Text(), nullable=False),
        sa.Column("amount_ore", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("arrives_on", sa.Date(), nullable=False),
        sa.Column("made_at", _INSTANT, nullable=False),
        sa.Column("whole", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("read_at", _INSTANT, nullable=False),
        sa.UniqueConstraint("provider_ref", name=op.f("uq_card_payouts_provider_ref")),
        sa.CheckConstraint(
            "state IN ('pending', 'in_transit', 'paid', 'failed', 'canceled')", name=op.f("ck_card_payouts_state")
        ),
    )
    op.create_index(
        "ix_card_payouts_open", "card_payouts", ["id"],
        postgresql_where="state IN ('pending', 'in_transit') OR NOT whole",
    )  # fmt: skip
    op.create_table(
        "card_transactions",
        _id(),
        sa.Column("provider_ref", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("amount_ore", sa.BigInteger(), nullable=False),
        sa.Column("fee_ore", sa.BigInteger(), nullable=False),
        sa.Column("net_ore", sa.BigInteger(), nullable=False),
        sa.Column("source_ref", sa.Text(), nullable=True),
        _to("payout_id", "card_transactions", "card_payouts", null=True),
        sa.Column("made_at", _INSTANT, nullable=False),
        sa.Column("read_at", _INSTANT, nullable=False),
        sa.UniqueConstraint("provider_ref", name=op.f("uq_card_transactions_provider_ref")),
        sa.CheckConstraint("net_ore = amount_ore - fee_ore", name=op.f("ck_card_transactions_net")),
    )
    op.create_index("ix_card_transactions_source", "card_transactions", ["source_ref"])
    op.create_index("ix_card_transactions_payout", "card_transactions", ["payout_id"])
    op.create_index("ix_card_transactions_made", "card_transactions", ["made_at"])


def downgrade() -> None:
    """What only these tables know is gone with them; charges that were due by a word that is new were due all the same.

    Refuses where money went that the books before could not have: a refund, a dispute, a payout, or a line of the
    provider's account, whose cost is booked; and while a page is open on which a customer may be paying: the code
    before would take its attempt for a call of its own, and repeat it.
    """
    for table in ("card_refunds", "card_disputes", "card_payouts", "card_transactions"):
        op.execute(
            f"DO $$ BEGIN IF EXISTS (SELECT FROM {table}) THEN "
            f"RAISE EXCEPTION 'there are rows in {table}, which the books before this cannot hold'; END IF; END $$"
        )
    op.execute(
        "DO $$ BEGIN IF EXISTS (SELECT FROM attempts WHERE kind = 'on_session' AND state = 'unknown') THEN "
        "RAISE EXCEPTION 'there are attempts whose customer may be paying on a page, which the code before this "
        "would repeat'; END IF; END $$"
    )
    op.execute("UPDATE charges SET cause = 'threshold' WHERE cause IN ('closing', 'method', 'agent')")
    for table in ("card_transactions", "card_payouts", "card_disputes", "card_refunds", "card_pace", "card_sessions"):
        op.drop_table(table)
    _check("allocations", "source", _SOURCES, drop=True)
    _check("charges", "cause", _CAUSES, drop=True)
    op.drop_column("attempts", "kind")
    op.drop_column("charges", "waits_for")
    op.drop_column("charges", "card_id")
    op.drop_column("cards", "updated_at")
    op.drop_column("cards", "product")
    op.drop_column("agreements", "receipts_by_mail")
    op.execute("ALTER TABLE allocations VALIDATE CONSTRAINT ck_allocations_source")
    op.execute("ALTER TABLE charges VALIDATE CONSTRAINT ck_charges_cause")
