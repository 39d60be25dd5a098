"""Payments: what the bank says has been paid, and what it was for.

Owns: bank files (kept as received), their coverage of value dates, payments, suspense.
Does not own: settling (claims).
Words: payment, KID, value date, suspense, coverage.
Invariants: a file is booked whole or refused whole; a transaction is booked once whatever file brings it;
no payment is lost: it settles a claim, becomes credit, or waits in suspense.
"""
