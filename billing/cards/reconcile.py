"""Our card clearing against the provider's account of us: what differs, both ways, and that nothing else does.

Four things are compared, each by the provider's id: payments, refunds, disputes and payouts. What is too young to be
there on both sides is under way, not a difference. Together with what is on its way to the bank, the differences
explain all that lies between card clearing in the ledger and the provider's balance; a rest would mean that the ledger
is wrong.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import RowMapping, text
from sqlalchemy.orm import Session

from billing.cards.gateway import CardGateway, GatewayMisuse, GatewayUnavailable

THERE_WITHIN = dt.timedelta(days=1)
"""Real time: the provider's account has what succeeded within this."""
HERE_WITHIN = dt.timedelta(hours=1)
"""Real time: an answer, an event or the sweep has told us of what the provider has within this."""
SHOWN = 200

# Each side: (kind, the provider's id, øre that it moved card clearing or the balance by, when).
_BOTH = """
    WITH ours AS (
        SELECT 'payment' AS kind, provider_ref AS ref, amount_ore AS ore, called_at AS at, charge_id, id AS about,
               false AS open FROM attempts WHERE state = 'succeeded'
        UNION ALL
        SELECT 'refund', provider_ref, CASE state WHEN 'succeeded' THEN -amount_ore ELSE 0 END, called_at, charge_id,
               id, state = 'unknown' FROM card_refunds WHERE provider_ref IS NOT NULL
        UNION ALL
        SELECT 'dispute', provider_ref, CASE state WHEN 'won' THEN 0 ELSE -withdrawn_ore END, opened_at, charge_id,
               id, false FROM card_disputes
        UNION ALL
        SELECT 'payout', provider_ref, CASE WHEN state IN ('failed', 'canceled') THEN 0 ELSE -amount_ore END, made_at,
               NULL, id, false FROM card_payouts
    ), theirs AS (
        SELECT type AS kind, source_ref AS ref, sum(amount_ore)::bigint AS ore, max(made_at) AS at
        FROM card_transactions WHERE type IN ('payment', 'refund', 'dispute', 'payout') GROUP BY 1, 2
    ), differing AS (
        SELECT kind, ref, coalesce(o.ore, 0) AS ours_ore, coalesce(t.ore, 0) AS theirs_ore,
               o.kind IS NULL AS only_theirs, t.kind IS NULL AS only_ours, o.charge_id, coalesce(o.open, false) AS open,
               coalesce(o.at, t.at) AS at,
               CASE WHEN t.kind IS NULL THEN o.at > :there ELSE t.at > :here END AS young
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
"""  # noqa: S608 - ours
_SUMS = f"""
    {_BOTH}
    SELECT coalesce(sum(ours_ore - theirs_ore) FILTER (WHERE NOT young AND NOT open), 0)::bigint AS differing_ore,
           coalesce(sum(ours_ore - theirs_ore) FILTER (WHERE young OR open), 0)::bigint AS young_ore,
           count(*) FILTER (WHERE NOT young AND NOT open) AS differences
    FROM differing
"""  # noqa: S608 - ours
_STANDS = """
    SELECT (SELECT coalesce(sum(CASE WHEN debit = 'card_clearing' THEN amount_ore ELSE 0 END
                                - CASE WHEN credit = 'card_clearing' THEN amount_ore ELSE 0 END), 0)::bigint
            FROM transfers WHERE 'card_clearing' IN (debit, credit)) AS clearing_ore,
           (SELECT coalesce(sum(net_ore), 0)::bigint FROM card_transactions) AS read_ore,
           (SELECT coalesce(sum(amount_ore), 0)::bigint FROM card_payouts WHERE state IN ('pending', 'in_transit'))
               AS to_bank_ore,
           (SELECT max(read_at) FROM card_transactions) AS read_at
"""
_PAYOUTS = """
    SELECT 'payout_lines' AS word, 'payout' AS kind, p.provider_ref AS ref, p.amount_ore AS ours_ore,
           coalesce(t.ore, 0) AS theirs_ore, p.made_at AS at, NULL AS charge_id, NULL AS agreement
    FROM card_payouts AS p
    LEFT JOIN (SELECT payout_id, sum(net_ore)::bigint AS ore FROM card_transactions GROUP BY 1) AS t
           ON t.payout_id = p.id
    WHERE p.made_at <= :there AND (NOT p.whole OR coalesce(t.ore, 0) <> p.amount_ore) ORDER BY p.made_at LIMIT :shown
"""


@dataclass(frozen=True)
class Difference:
    """One thing that differs. ``word``: missing_there (we have it, they do not), missing_here, amount (both, of other
    sums), payout_lines (the lines of a payout do not add up to it). ``kind``: payment, refund, dispute, payout. Sums in
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

    clearing = read + to_bank + differing + young + rest. ``read_ore``: the balance by the lines we have read, last at
    ``read_at``; ``balance_ore``: what the provider says itself, None where it was not asked or did not answer;
    ``to_bank_ore``: paid out, not arrived. ``differing_ore`` is the sum of all ``count`` differences of payments,
    refunds, disputes and payouts, of which some are listed; ``young_ore`` of what is under way. ``rest_ore``: what
    nothing explains; the ledger itself is wrong.
    """

    clearing_ore: int
    read_ore: int
    balance_ore: int | None
    to_bank_ore: int
    differing_ore: int
    young_ore: int
    rest_ore: int
    count: int
    read_at: dt.datetime | None
    differences: tuple[Difference, ...]

    @property
    def ok(self) -> bool:
        """Say whether nothing differs."""
        return not self.differences and self.rest_ore == 0 and self.balance_ore in (None, self.read_ore)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values, and whether it is ok."""
        return {"ok": self.ok, **asdict(self)}


def reconcile(session: Session, *, real: dt.datetime, balance_ore: int | None = None) -> Report:
    """Compare what we have with what the provider's lines say, as they were read last. Changes nothing.

    ``real``: real time now, for what is too young to differ. ``balance_ore``: what the provider says its balance is.
    """
    params = {"there": real - THERE_WITHIN, "here": real - HERE_WITHIN, "shown": SHOWN}
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
        balance_ore=balance_ore,
        to_bank_ore=stands["to_bank_ore"],
        differing_ore=sums["differing_ore"],
        young_ore=sums["young_ore"],
        rest_ore=stands["clearing_ore"] - explained,
        count=sums["differences"] + sum(one.word == "payout_lines" for one in found),
        read_at=stands["read_at"],
        differences=tuple(found),
    )


def balance_of(gateway: CardGateway | None) -> int | None:
    """Ask the provider what it holds of ours (øre); None where there is none or it does not answer."""
    if gateway is None:
        return None
    try:
        return gateway.balance()
    except (GatewayUnavailable, GatewayMisuse):
        return None


def _one(session: Session, query: str, params: Mapping[str, Any]) -> RowMapping:
    return session.execute(text(query), params).mappings().one()
