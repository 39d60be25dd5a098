"""Our card clearing against the provider's account of us: what differs, both ways, and that nothing else does.

Four things are compared, each by the provider's id: payments, refunds, disputes and payouts. What is too young to be
there on both sides is under way, not a difference. Together with what is on its way to the bank, the differences
explain all that lies between card clearing in the ledger and the provider's balance; a rest would mean that the ledger
is wrong.

Ages are real time, never the business clock's: what changed here after the last read of the account began cannot be in
it. The balance that the provider itself told is held against the lines of the very moment it was told.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import RowMapping, func, select, text
from sqlalchemy.orm import Session

from billing.cards.models import AccountRead
from config.database import SessionFactory

LINE_WITHIN = dt.timedelta(hours=1)
"""Real time: the provider's account has a line of what happened within this."""
HERE_WITHIN = dt.timedelta(hours=1)
"""Real time: an answer, an event or the sweep has told us of what the provider has within this."""
PARTS_WITHIN = dt.timedelta(days=1)
"""Real time: the provider can say what is in a payout within this."""
SHOWN = 200
PAYOUT_WORDS = ("payout_lines", "payout_refused")
"""Differences inside a payout, which move no sum of ours."""

# Each side: (kind, the provider's id, øre that it moved card clearing or the balance by, when, changed here when).
_BOTH = """
    WITH ours AS (
        SELECT 'payment' AS kind, provider_ref AS ref, amount_ore AS ore, called_at AS at, changed_at AS changed,
               charge_id, false AS open FROM attempts WHERE state = 'succeeded'
        UNION ALL
        SELECT 'refund', provider_ref, CASE state WHEN 'succeeded' THEN -amount_ore ELSE 0 END, called_at, changed_at,
               charge_id, state = 'unknown' FROM card_refunds WHERE provider_ref IS NOT NULL
        UNION ALL
        SELECT 'dispute', provider_ref, CASE state WHEN 'won' THEN 0 ELSE -withdrawn_ore END,
               coalesce(changed_at, opened_at), changed_at, charge_id, false FROM card_disputes
        UNION ALL
        SELECT 'payout', provider_ref, CASE WHEN state IN ('failed', 'canceled') THEN 0 ELSE -amount_ore END, made_at,
               made_at, NULL, false FROM card_payouts
    ), theirs AS (
        SELECT type AS kind, source_ref AS ref, sum(amount_ore)::bigint AS ore, max(made_at) AS at
        FROM card_transactions WHERE type IN ('payment', 'refund', 'dispute', 'payout') GROUP BY 1, 2
    ), differing AS (
        SELECT kind, ref, coalesce(o.ore, 0) AS ours_ore, coalesce(t.ore, 0) AS theirs_ore,
               o.kind IS NULL AS only_theirs, t.kind IS NULL AS only_ours, o.charge_id, coalesce(o.open, false) AS open,
               coalesce(t.at, o.at) AS at,
               coalesce(t.at > :here, false) OR (o.kind IS NOT NULL AND
                   coalesce(coalesce(o.changed, '-infinity') > CAST(:there AS timestamptz), true)) AS young
        FROM ours AS o FULL JOIN theirs AS t USING (kind, ref)
        WHERE coalesce(o.ore, 0) <> coalesce(t.ore, 0)
    )
"""
_DIFFERENCES = f"""
    {_BOTH}
    SELECT CASE WHEN only_theirs THEN 'missing_here' WHEN only_ours THEN 'missing_there' ELSE 'amount' END AS word,
           d.kind, d.ref, d.ours_ore, d.theirs_ore, d.at, d.charge_id, a.number AS agreement
    FROM differing AS d LEFT JOIN charges AS c ON c.id = d.charge_id LEFT JOIN agreements AS a ON a.id = c.agreement_id
    WHERE NOT young AND NOT open ORDER BY d.at, d.ref LIMIT :shown
"""  # noqa: S608 - no input in it
_SUMS = f"""
    {_BOTH}
    SELECT coalesce(sum(ours_ore - theirs_ore) FILTER (WHERE NOT young AND NOT open), 0)::bigint AS differing_ore,
           coalesce(sum(ours_ore - theirs_ore) FILTER (WHERE young OR open), 0)::bigint AS young_ore,
           count(*) FILTER (WHERE NOT young AND NOT open) AS differences
    FROM differing
"""  # noqa: S608 - no input in it
_STANDS = """
    SELECT (SELECT coalesce(sum(CASE WHEN debit = 'card_clearing' THEN amount_ore ELSE 0 END
                                - CASE WHEN credit = 'card_clearing' THEN amount_ore ELSE 0 END), 0)::bigint
            FROM transfers WHERE 'card_clearing' IN (debit, credit)) AS clearing_ore,
           (SELECT coalesce(sum(net_ore), 0)::bigint FROM card_transactions) AS read_ore,
           (SELECT coalesce(sum(amount_ore), 0)::bigint FROM card_payouts WHERE state IN ('pending', 'in_transit'))
               AS to_bank_ore
"""
_LAST = """
    SELECT began_at AS read_at, balance_ore, lines_ore AS balance_lines_ore
    FROM card_account_reads ORDER BY id DESC LIMIT 1
"""
_PAYOUTS = """
    SELECT CASE WHEN p.refused IS NULL THEN 'payout_lines' ELSE 'payout_refused' END AS word, 'payout' AS kind,
           p.provider_ref AS ref, p.amount_ore AS ours_ore, coalesce(t.ore, 0) AS theirs_ore, p.made_at AS at,
           CAST(NULL AS bigint) AS charge_id, CAST(NULL AS bigint) AS agreement
    FROM card_payouts AS p
    LEFT JOIN (SELECT payout_id, sum(net_ore)::bigint AS ore FROM card_transactions GROUP BY 1) AS t
           ON t.payout_id = p.id
    WHERE p.automatic AND (NOT p.whole OR coalesce(t.ore, 0) <> p.amount_ore)
      AND (p.refused IS NOT NULL OR p.made_at <= CAST(:parts AS timestamptz)) ORDER BY p.made_at LIMIT :shown
"""


@dataclass(frozen=True)
class Difference:
    """One thing that differs. ``word``: missing_there (we have it, they do not), missing_here, amount (both, of other
    sums), payout_lines (the lines of a payout do not add up to it), payout_refused (they do not tell which lines are in
    it). ``kind``: payment, refund, dispute, payout. Sums in
    øre, as our balance there changed; ``at`` real time; ``charge_id`` and ``agreement`` (number) where it is ours."""

    word: str
    kind: str
    ref: str | None
    ours_ore: int
    theirs_ore: int
    at: dt.datetime
    charge_id: int | None
    agreement: int | None


@dataclass(frozen=True)
class Report:
    """How card clearing and the provider's balance stand, in øre.

    clearing = read + to_bank + differing + young + rest. ``read_ore``: the balance by the lines we have read.
    ``read_at``: when the last read of the account began (real time), None before the first. ``balance_ore``: what the
    provider said its balance was at the end of that read, None where it did not answer or lines kept coming;
    ``balance_lines_ore``: by the lines that had been read at that moment, which is what it is held against.
    ``to_bank_ore``: paid out, not arrived. ``differing_ore`` is the sum of all ``count`` differences of payments,
    refunds, disputes and payouts, of which some are listed; ``young_ore`` of what is under way. ``rest_ore``: what
    nothing explains; the ledger itself is wrong.
    """

    clearing_ore: int
    read_ore: int
    balance_ore: int | None
    balance_lines_ore: int | None
    to_bank_ore: int
    differing_ore: int
    young_ore: int
    rest_ore: int
    count: int
    read_at: dt.datetime | None
    differences: tuple[Difference, ...]

    @property
    def balance_differs(self) -> bool:
        """Say whether the provider told another balance than its lines of that moment add up to."""
        return self.balance_ore is not None and self.balance_ore != self.balance_lines_ore

    @property
    def wrong(self) -> int:
        """Return how many things somebody must look at: differences, a ledger with a rest, a balance that differs."""
        return self.count + (self.rest_ore != 0) + self.balance_differs

    @property
    def ok(self) -> bool:
        """Say whether nothing differs."""
        return self.wrong == 0

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values, and whether it is ok."""
        return {"ok": self.ok, "balance_differs": self.balance_differs, **asdict(self)}


def compare(sessions: SessionFactory, *, real: dt.datetime) -> Report:
    """Do as ``reconcile`` in a snapshot of its own: cards are charged meanwhile."""
    with sessions() as session:
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        return reconcile(session, real=real)


def reconcile(session: Session, *, real: dt.datetime) -> Report:
    """Compare what we have with what the provider's lines say, as they were read last. Changes nothing.

    ``real``: real time now, for what we may not have heard of yet.
    """
    last = session.execute(text(_LAST)).mappings().one_or_none()
    began = None if last is None else last["read_at"]
    params = {
        "there": None if began is None else began - LINE_WITHIN,
        "parts": None if began is None else began - PARTS_WITHIN,
        "here": real - HERE_WITHIN,
        "shown": SHOWN,
    }
    stands, sums = _one(session, _STANDS, params), _one(session, _SUMS, params)
    found = [
        Difference(**row)
        for query in (_DIFFERENCES, _PAYOUTS)
        for row in session.execute(text(query), params).mappings()
    ]
    explained = stands["read_ore"] + stands["to_bank_ore"] + sums["differing_ore"] + sums["young_ore"]
    return Report(
        clearing_ore=stands["clearing_ore"],
        read_ore=stands["read_ore"],
        balance_ore=None if last is None else last["balance_ore"],
        balance_lines_ore=None if last is None else last["balance_lines_ore"],
        to_bank_ore=stands["to_bank_ore"],
        differing_ore=sums["differing_ore"],
        young_ore=sums["young_ore"],
        rest_ore=stands["clearing_ore"] - explained,
        count=sums["differences"] + sum(one.word in PAYOUT_WORDS for one in found),
        read_at=began,
        differences=tuple(found),
    )


def waiting(session: Session) -> int:
    """Return how many things differed when the account was read and compared last."""
    last = select(AccountRead.wrong).where(AccountRead.wrong.is_not(None)).order_by(AccountRead.id.desc()).limit(1)
    return session.scalar(last) or 0


def figures(session: Session) -> list[str]:
    """Return for Prometheus how many things differed at the last read, and when in real time that was."""
    last = session.scalar(select(func.max(AccountRead.began_at)))
    return [
        "# HELP brikke_card_account_differences What differs between our books and the card provider's account.",
        "# TYPE brikke_card_account_differences gauge",
        f"brikke_card_account_differences {waiting(session)}",
        "# HELP brikke_card_account_last_seconds When that account was read last, in seconds since 1970 (real time).",
        "# TYPE brikke_card_account_last_seconds gauge",
        f"brikke_card_account_last_seconds {int(last.timestamp()) if last is not None else 0}",
    ]


def _one(session: Session, query: str, params: Mapping[str, Any]) -> RowMapping:
    return session.execute(text(query), params).mappings().one()
