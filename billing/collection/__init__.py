"""Collection: what happens when an invoice is not paid.

Owns: the reminder before the due date, the overdue step that blocks, the telling of it.
Does not own: the standing itself (accounts.agreements), what is overdue (claims).
Words: reminder, overdue, block, reopen.
Invariants: nothing is blocked before the bank files that can hold the due date are read or the grace is over;
a payment that was in time undoes the block and what followed; reopening takes everything past due paid and
support contacted.
"""
