"""The books against what they are about: account by account, then transfer by transfer."""

from __future__ import annotations

from billing.audit.rules import Rule, balance
from billing.ledger.book import KINDS, OWNED


def _quoted(names: frozenset[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names))


def total(name: str, holds: str, kind: str, *, debit: bool, detail: str) -> Rule:
    """An account of the house against a sum of its detail."""
    return Rule(
        name,
        holds,
        f"SELECT format('account {kind}: ledger %s øre, detail %s øre', l.ore, d.ore) FROM "  # noqa: S608 - no input in it
        f"(SELECT coalesce(sum(ore), 0)::bigint AS ore FROM {balance(kind, debit=debit)} AS b) AS l, "
        f"(SELECT coalesce(sum(ore), 0)::bigint AS ore FROM ({detail}) AS x (ore)) AS d WHERE l.ore <> d.ore",
    )


def _each(name: str, holds: str, kind: str, *, debit: bool, owner: str, detail: str) -> Rule:
    """The accounts of a kind, one an owner, against sums of their detail by owner."""
    return Rule(
        name,
        holds,
        f"SELECT format('{owner} %s, account {kind}: ledger %s øre, detail %s øre', owner, "  # noqa: S608 - no input in it
        f"coalesce(l.ore, 0), coalesce(d.ore, 0)) FROM {balance(kind, debit=debit)} AS l "
        f"FULL JOIN ({detail}) AS d (owner, ore) USING (owner) "
        "WHERE coalesce(l.ore, 0) <> coalesce(d.ore, 0) ORDER BY owner",
    )


def each_transfer(name: str, holds: str, codes: str, detail: str) -> Rule:
    """The transfers of some codes against the rows they are about: code, ref, amount, debit and credit owner, at."""
    return Rule(
        name,
        holds,
        "SELECT CASE WHEN t.ref IS NULL "  # noqa: S608 - no input in it
        "THEN format('%s %s of %s øre is not in the books', d.code, d.ref, d.ore) "
        "WHEN d.ref IS NULL "
        "THEN format('transfer %s (%s %s, %s øre) is about nothing', t.id, t.code, t.ref, t.amount_ore) "
        "ELSE format('transfer %s (%s %s%s): %s øre from %s to %s at %s, should be %s øre from %s to %s at %s', t.id, "
        "t.code, t.ref, t.part, t.amount_ore, t.credit_owner, t.debit_owner, t.created_at, d.ore, d.credit_owner, "
        "d.debit_owner, d.at) END "
        f"FROM (SELECT * FROM transfers WHERE code IN ({codes})) AS t "
        f"FULL JOIN ({detail}) AS d (code, ref, ore, debit_owner, credit_owner, at) "
        "ON d.code = t.code AND d.ref = t.ref "
        "WHERE (t.amount_ore, t.debit_owner, t.credit_owner, t.created_at, t.part) "
        "IS DISTINCT FROM (d.ore, d.debit_owner, d.credit_owner, d.at, '') "
        "ORDER BY t.id, d.ref",
    )


_ALLOCATIONS = """
    SELECT CASE source WHEN 'payment' THEN 'allocation' WHEN 'reversal' THEN 'unallocated' WHEN 'credit' THEN
               'credit_used' WHEN 'card' THEN 'card_payment' WHEN 'vipps' THEN 'vipps_payment'
               WHEN 'released' THEN 'released' WHEN 'dispute' THEN 'card_dispute_claim'
               ELSE CASE WHEN amount_ore > 0 THEN 'write_off' ELSE 'written_back' END END,
           CASE source WHEN 'card' THEN claim_id WHEN 'dispute' THEN source_id ELSE id END, abs(amount_ore),
           CASE WHEN source IN ('reversal', 'credit', 'released', 'dispute')
                OR (source = 'write_off' AND amount_ore < 0) THEN agreement_id ELSE 0 END,
           CASE WHEN source IN ('reversal', 'dispute') OR (source = 'write_off' AND amount_ore < 0) THEN 0
                ELSE agreement_id END, at
    FROM allocations
"""

COSTS = """
    SELECT CASE WHEN type IN ('payment', 'refund', 'dispute', 'payout', 'topup', 'reserve') THEN fee_ore ELSE -net_ore
           END AS amount_ore
    FROM card_transactions
"""

RULES = (
    Rule(
        "ledger_accounts",
        "every transfer is between two different accounts that exist, owned where their kind is",
        "SELECT "  # noqa: S608 - no input in it
        "format('transfer %s: %s/%s to %s/%s', id, credit, credit_owner, debit, debit_owner) FROM transfers "
        f"WHERE debit NOT IN ({_quoted(KINDS)}) OR credit NOT IN ({_quoted(KINDS)}) "
        f"OR (debit_owner <> 0) <> (debit IN ({_quoted(OWNED)})) "
        f"OR (credit_owner <> 0) <> (credit IN ({_quoted(OWNED)})) "
        "OR (debit, debit_owner) = (credit, credit_owner) ORDER BY id",
    ),
    total(
        "ledger_unbilled",
        "the account unbilled is the sum of the balances",
        "unbilled",
        debit=True,
        detail="SELECT unbilled_ore FROM balances",
    ),
    _each(
        "ledger_receivable",
        "an agreement's receivable is what is open of its claims",
        "receivable",
        debit=True,
        owner="agreement",
        detail="SELECT agreement_id, sum(greatest(amount_ore, 0) - settled_ore)::bigint FROM claims GROUP BY 1",
    ),
    _each(
        "ledger_credit",
        "an agreement's credit is the sum of its entries",
        "credit",
        debit=False,
        owner="agreement",
        detail="SELECT agreement_id, sum(amount_ore)::bigint FROM credit_entries GROUP BY 1",
    ),
    _each(
        "ledger_payable",
        "what a charger is owed is the sum of its passages owed, less counter-rows, what we kept and what we paid",
        "payable",
        debit=False,
        owner="charger",
        detail="""
            SELECT charger_id::bigint, sum(ore)::bigint FROM (
                SELECT charger_id, sum(amount_ore) AS ore FROM passages WHERE owed GROUP BY 1
                UNION ALL
                SELECT charger_id, -(remuneration_ore + remuneration_vat_ore) FROM settlements WHERE state <> 'draft'
                UNION ALL
                SELECT s.charger_id, -o.amount_ore FROM charger_orders AS o JOIN settlements AS s
                    ON s.id = o.settlement_id WHERE o.state = 'paid'
            ) AS x GROUP BY 1
        """,
    ),
    total(
        "ledger_bank",
        "the bank account is the sum of the payments and of what the card provider paid out, less what was paid out "
        "and what topped up our balance there",
        "bank",
        debit=True,
        detail="SELECT amount_ore FROM payments UNION ALL SELECT -amount_ore FROM payouts WHERE state = 'paid' "
        "UNION ALL SELECT -amount_ore FROM charger_orders WHERE state = 'paid' "
        "UNION ALL SELECT amount_ore FROM card_payouts WHERE state = 'paid' "
        "UNION ALL SELECT -amount_ore FROM card_transactions WHERE type = 'topup'",
    ),
    total(
        "ledger_suspense",
        "suspense is the sum of what of payments in suspense is nobody's",
        "suspense",
        debit=False,
        detail="""
            SELECT p.amount_ore
                - coalesce((SELECT sum(a.amount_ore) FROM allocations AS a
                            WHERE a.source IN ('payment', 'reversal') AND a.source_id = p.id), 0)
                - coalesce((SELECT sum(c.amount_ore) FROM credit_entries AS c
                            WHERE c.code IN ('overpaid', 'assigned', 'reversed') AND c.ref = p.id), 0)
            FROM payments AS p WHERE p.state = 'suspense'
        """,
    ),
    total(
        "ledger_refunds",
        "refunds is the sum of the payouts and of the refunds to cards and over Vipps that are under way",
        "refunds",
        debit=False,
        detail="SELECT amount_ore FROM payouts WHERE state IN ('requested', 'approved', 'ordered') UNION ALL "
        "SELECT amount_ore FROM card_refunds WHERE state IN ('requested', 'approved', 'unknown') UNION ALL "
        "SELECT amount_ore FROM vipps_refunds WHERE state IN ('requested', 'approved', 'unknown')",
    ),
    total(
        "ledger_card_clearing",
        "card clearing is the sum of the attempts that succeeded and of top-ups, less refunds, what disputes took, "
        "costs, reserves and payouts",
        "card_clearing",
        debit=True,
        detail=f"""
            SELECT amount_ore FROM attempts WHERE state = 'succeeded' UNION ALL
            SELECT -amount_ore FROM card_refunds WHERE state = 'succeeded' UNION ALL
            SELECT -withdrawn_ore FROM card_disputes WHERE state <> 'won' UNION ALL
            SELECT -amount_ore FROM ({COSTS}) AS c UNION ALL
            SELECT amount_ore FROM card_transactions WHERE type IN ('topup', 'reserve') UNION ALL
            SELECT -amount_ore FROM card_payouts WHERE state = 'paid'
        """,  # noqa: S608 - no input in it
    ),
    total(
        "ledger_card_costs",
        "card costs are what the card provider's lines cost us",
        "card_costs",
        debit=True,
        detail=COSTS,
    ),
    total(
        "ledger_card_reserves",
        "card reserves are what the card provider keeps of ours for a time",
        "card_reserves",
        debit=True,
        detail="SELECT -amount_ore FROM card_transactions WHERE type = 'reserve'",
    ),
    total(
        "ledger_disputes",
        "disputes is what the banks of cards hold while they judge",
        "disputes",
        debit=True,
        detail="SELECT withdrawn_ore FROM card_disputes WHERE state = 'opened'",
    ),
    total(
        "ledger_card_fees",
        "card fees are the sum of the claims' fees",
        "card_fees",
        debit=False,
        detail="SELECT fee_ore FROM claims",
    ),
    total(
        "ledger_write_off",
        "what is written off are the allocations of write-offs, the passages credited, less what came back of those, "
        "and what nobody bears of lost disputes and of refunds that went although they had ended",
        "write_off",
        debit=True,
        detail="SELECT amount_ore FROM allocations WHERE source = 'write_off' UNION ALL "
        "SELECT written_off_ore FROM card_disputes UNION ALL "
        "SELECT r.amount_ore + coalesce(e.amount_ore, 0) FROM card_refunds AS r LEFT JOIN credit_entries AS e "
        "ON e.code = 'card_refund' AND e.ref = r.id WHERE r.requested_by = 'card gateway' AND r.state = 'succeeded' "
        "UNION ALL SELECT r.amount_ore + coalesce(e.amount_ore, 0) FROM vipps_refunds AS r LEFT JOIN credit_entries "
        "AS e ON e.code = 'vipps_refund' AND e.ref = r.id WHERE r.requested_by = 'vipps' "
        "UNION ALL "
        "SELECT p.amount_ore FROM reversals AS v JOIN passages AS p ON p.id = v.passage_id "
        "WHERE v.cause IN ('credited', 'uncredited', 'mass_credited') UNION ALL "
        "SELECT -n.amount_ore FROM reversals AS v JOIN passages AS n ON n.id = v.replaced_by "
        "WHERE v.cause = 'mass_credited'",
    ),
    each_transfer(
        "transfers_claims",
        "every claim is booked as it was made, its fee with it; what it is below zero as its agreement's credit",
        "'claim', 'card_fee', 'credit_claim'",
        "SELECT 'claim', id, passages_ore - joined_ore, agreement_id, 0::bigint, made_at FROM claims "
        "WHERE kind <> 'credit' UNION ALL "
        "SELECT 'credit_claim', c.id, -c.amount_ore, 0, c.agreement_id, coalesce(j.at, c.made_at) FROM claims AS c "
        "LEFT JOIN (SELECT claim_id, version, max(at) AS at FROM joined GROUP BY 1, 2) AS j "
        "ON (j.claim_id, j.version) = (c.id, c.version) WHERE c.amount_ore < 0 UNION ALL "
        "SELECT 'card_fee', a.claim_id, t.fee_ore, a.agreement_id, 0, a.at FROM allocations AS a "
        "JOIN attempts AS t ON t.id = a.source_id WHERE a.source = 'card' AND t.fee_ore <> 0",
    ),
    each_transfer(
        "transfers_payments",
        "every payment is booked once, with its sum",
        "'payment', 'taken_back'",
        "SELECT CASE WHEN amount_ore > 0 THEN 'payment' ELSE 'taken_back' END, id, abs(amount_ore), "
        "0::bigint, 0::bigint, received_at FROM payments",
    ),
    each_transfer(
        "transfers_allocations",
        "every allocation is booked once, with its sum, on its agreement",
        "'allocation', 'unallocated', 'credit_used', 'card_payment', 'vipps_payment', 'write_off', 'released', "
        "'written_back', 'card_dispute_claim'",
        _ALLOCATIONS,
    ),
    each_transfer(
        "transfers_credit",
        "every credit entry from or to a payment, a card or Vipps is booked once",
        "'overpaid', 'card_extra', 'vipps_extra', 'credit_back'",
        "SELECT CASE WHEN code IN ('card_extra', 'vipps_extra') THEN code WHEN amount_ore > 0 THEN 'overpaid' "
        "ELSE 'credit_back' END, "
        "id, abs(amount_ore), "
        "CASE WHEN amount_ore > 0 THEN 0 ELSE agreement_id END, "
        "CASE WHEN amount_ore > 0 THEN agreement_id ELSE 0 END, at "
        "FROM credit_entries WHERE code IN ('overpaid', 'assigned', 'reversed', 'card_extra', "
        "'vipps_extra')",
    ),
    each_transfer(
        "transfers_payouts",
        "every payout is booked when it was asked for, and when it was paid or did not come about",
        "'payout', 'payout_back', 'payout_paid'",
        "SELECT 'payout', id, amount_ore, agreement_id, 0::bigint, requested_at FROM payouts UNION ALL "
        "SELECT CASE state WHEN 'paid' THEN 'payout_paid' ELSE 'payout_back' END, id, amount_ore, 0, "
        "CASE state WHEN 'paid' THEN 0 ELSE agreement_id END, ended_at FROM payouts WHERE ended_at IS NOT NULL",
    ),
)
