"""Claims: what is owed and what has been settled.

Owns: claims, allocations (what settled them), credit entries (what we owe the customer), the open amount, and
telling accounts.agreements when that changes a standing.
Does not own: how a claim is presented (invoices), charged (cards) or paid (payments).
Words: claim, allocation, open amount, credit, overdue, KID.
Invariants: amount = passages + fee; settled = sum of allocations ≤ amount; a claim is unique by (agreement, run,
part); every settlement books the ledger and recomputes the standing in the same transaction.
"""
