"""Prove that everything agrees, or name what does not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.audit import (
    bank,
    card_account,
    card_money,
    cards,
    claims,
    codes,
    complaints,
    corrections,
    credits,
    documents,
    ledger,
    mass,
    matching,
    passages,
    presented,
    publications,
    references,
    settlement,
    standings,
    vipps,
)
from billing.audit.rules import Rule
from billing.collection.rules import reach
from config.clock import business_date, business_now
from config.rates import whole

RULES: tuple[Rule, ...] = (
    *ledger.RULES,
    *codes.RULES,
    *passages.RULES,
    *matching.RULES,
    *corrections.RULES,
    *complaints.RULES,
    *mass.RULES,
    *claims.RULES,
    *cards.RULES,
    *card_money.RULES,
    *card_account.RULES,
    *vipps.RULES,
    *bank.RULES,
    *settlement.RULES,
    *credits.RULES,
    *documents.RULES,
    *presented.RULES,
    *standings.RULES,
    *publications.RULES,
    *references.RULES,
)
SHOWN = 20
"""How many differences of one check are listed; one that is wrong everywhere needs no more to be found."""


_ACCOUNTS = """
    SELECT kind, sum(ore)::bigint AS ore FROM (
        SELECT debit AS kind, amount_ore AS ore FROM transfers UNION ALL SELECT credit, -amount_ore FROM transfers
    ) AS t GROUP BY kind ORDER BY kind
"""


@dataclass(frozen=True)
class Check:
    """A rule and what was found: ``detail`` is what holds, or the first difference."""

    name: str
    ok: bool
    detail: str
    differences: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class AuditReport:
    """All checks, in order, and the first difference (``name: what``), None when everything agrees.

    ``accounts``: what stands on each kind of account in the ledger, øre, debit less credit.
    """

    at: dt.datetime
    checks: list[Check]
    first_difference: str | None
    accounts: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Say whether everything agrees."""
        return self.first_difference is None

    def as_dict(self) -> dict[str, Any]:
        """Return it as the API and the command line show it."""
        return {
            "ok": self.ok,
            "at": self.at,
            "first_difference": self.first_difference,
            "accounts": self.accounts,
            "checks": [
                {"name": c.name, "ok": c.ok, "detail": c.detail, "differences": c.differences} for c in self.checks
            ],
        }


def audit(session: Session, only: Sequence[str] | None = None) -> AuditReport:
    """Check every rule, or ``only`` those named, on one snapshot of the database, and change nothing.

    With a session that has not begun yet the snapshot is made here (REPEATABLE READ); in a transaction under way
    each rule sees what is committed by then.
    """
    if not session.in_transaction():
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    now = business_now(session)
    today = business_date(now)
    # What daily jobs must have noted is what they could have noted yesterday, even without the bank's files.
    judged = reach(today - dt.timedelta(days=1), [None], whole("overdue_grace_bank_days", today)).through
    params = {
        "now": now,
        "today": today,
        "judged": judged,
        "remainder": max(whole("overdue_remainder_ore", today), 1),
        "week": whole("card_week_days", today),
        "threshold": whole("card_threshold_ore", today),
        "window": whole("payout_window_days", today),
    }
    checks = [_check(session, rule, params) for rule in RULES if only is None or rule.name in only]
    first = next((f"{check.name}: {check.detail}" for check in checks if not check.ok), None)
    accounts = {row.kind: row.ore for row in session.execute(text(_ACCOUNTS))}
    return AuditReport(now, checks, first, accounts)


def _check(session: Session, rule: Rule, params: dict[str, Any]) -> Check:
    used = {name: value for name, value in params.items() if f":{name}" in rule.sql}
    found = session.scalars(text(rule.sql), used).fetchmany(SHOWN)
    differences = [str(line) for line in found]
    return Check(rule.name, not differences, differences[0] if differences else rule.holds, differences)
