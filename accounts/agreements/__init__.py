"""Agreements: the contract between the issuer and a customer, and whether it is good on the road.

Owns: the 8-digit agreement number, kind (tag, ferry), payment method, standing with its full history, blocks.
Does not own: what is overdue (billing.claims says so), which vehicles it covers (vehicles).
Words: agreement, standing (open, blocked, awaiting_reopen, closed), block, reopening.
Invariants: the standing is a pure function of the facts (``rules.standing``) and every change of it is a row in
``standings`` and one publication per charger in the same transaction; at most one block is active; a block ends
by being reopened by support or voided because payment was in time, never by being edited away.
"""
