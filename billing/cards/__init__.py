"""Cards: when a registered card is charged, charging it, and what came of it.

Owns: cards, set-ups, charges (one per claim that a card shall pay), attempts, the provider's events.
Does not own: the sum (claims), the receipt's looks (invoices).
Words: charge (due, claimed, succeeded, invoiced, cancelled), attempt (unknown, succeeded, declined, nothing), segment.
Invariants: one open charge per agreement; an attempt is committed as unknown before the call; no new attempt
while one is unknown; an outcome is applied once, whoever brings it; the week counts from the last success.
"""
