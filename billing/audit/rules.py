"""What a rule of the audit is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """Something that must hold: a name, the sentence, and a query that yields one text a difference.

    The query may use the parameters :now (instant), :today and :judged (Oslo dates; due dates up to the latter must
    have been judged by the overdue step), :remainder (øre), :week (days between charges of a card),
    :threshold (øre at which a card is charged), :window (days within which what one person lets leave is summed).
    """

    name: str
    holds: str
    sql: str


FIRST_ANSWERS = """(
    SELECT r.charger_id, r.source_id, r.batch_id, r.amount_ore, coalesce(a.was_code, r.code) AS code
    FROM records AS r LEFT JOIN (
        SELECT DISTINCT ON (charger_id, source_id) charger_id, source_id, was_code
        FROM amendments ORDER BY charger_id, source_id, id
    ) AS a ON a.charger_id = r.charger_id AND a.source_id = r.source_id
)"""
"""Records with the code they were answered with at first, whatever was decided later."""


FEES_BACK = """(
    SELECT ref AS claim_id, part::int AS version, amount_ore AS ore FROM transfers WHERE code = 'card_fee_back'
)"""
"""What of a claim's card fee went back, with which of its versions: it had so much more before."""


def balance(kind: str, *, debit: bool) -> str:
    """Return a subquery (owner, ore) of the accounts of a kind; ``debit`` says on which side they grow."""
    plus, minus = ("debit", "credit") if debit else ("credit", "debit")
    return (
        "(SELECT owner, sum(ore)::bigint AS ore FROM ("  # noqa: S608 - names from this package
        f"SELECT {plus}_owner AS owner, sum(amount_ore) AS ore FROM transfers WHERE {plus} = '{kind}' GROUP BY 1 "
        f"UNION ALL SELECT {minus}_owner, -sum(amount_ore) FROM transfers WHERE {minus} = '{kind}' GROUP BY 1"
        ") AS sides GROUP BY owner)"
    )


def same_person(first: str, second: str) -> str:
    """Return the condition that two principals' keys are of one person, as ``must_be_another`` reads them: what follows
    the role, in which an issuer's keys have colons of their own."""
    return f"substr({first}, strpos({first}, ':') + 1) = substr({second}, strpos({second}, ':') + 1)"


def took_credit(name: str, holds: str, table: str, code: str, ended: str, borne: str = "0") -> Rule:
    """Return the rule that what leaves us (a row of ``table`` each) took its sum of its agreement's credit, by
    ``code``, which came back (``code``_back) in the states ``ended``. ``borne``: what of a row's sum we bear."""
    return Rule(
        name,
        holds,
        f"""
        SELECT format('{table} %s (%s) of %s øre of agreement %s: entry %s of %s øre of agreement %s',
                      coalesce(p.id, e.ref), coalesce(p.state, 'none'), p.amount_ore, p.agreement_id,
                      coalesce(e.code, p.code), coalesce(e.amount_ore, 0), e.agreement_id)
        FROM (
            SELECT '{code}' AS code, id, state, agreement_id, amount_ore, {borne} - amount_ore AS ore FROM {table}
            WHERE amount_ore <> {borne}
            UNION ALL
            SELECT '{code}_back', id, state, agreement_id, amount_ore, amount_ore - {borne} FROM {table}
            WHERE state IN ({ended}) AND amount_ore <> {borne}
        ) AS p
        FULL JOIN (SELECT * FROM credit_entries WHERE code IN ('{code}', '{code}_back')) AS e
             ON (e.code, e.ref) = (p.code, p.id)
        WHERE (p.agreement_id, p.ore) IS DISTINCT FROM (e.agreement_id, e.amount_ore)
        ORDER BY coalesce(p.id, e.ref)
        """,  # noqa: S608 - names from this package
    )
