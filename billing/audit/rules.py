"""What a rule of the audit is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """Something that must hold: a name, the sentence, and a query that yields one text a difference.

    The query may use the parameters :now (instant), :today and :judged (Oslo dates; due dates up to the latter must
    have been judged by the overdue step), :remainder (øre), :week (days between charges of a card).
    """

    name: str
    holds: str
    sql: str


def balance(kind: str, *, debit: bool) -> str:
    """Return a subquery (owner, ore) of the accounts of a kind; ``debit`` says on which side they grow."""
    plus, minus = ("debit", "credit") if debit else ("credit", "debit")
    return (
        "(SELECT owner, sum(ore)::bigint AS ore FROM ("  # noqa: S608 - names from this package
        f"SELECT {plus}_owner AS owner, sum(amount_ore) AS ore FROM transfers WHERE {plus} = '{kind}' GROUP BY 1 "
        f"UNION ALL SELECT {minus}_owner, -sum(amount_ore) FROM transfers WHERE {minus} = '{kind}' GROUP BY 1"
        ") AS sides GROUP BY owner)"
    )
