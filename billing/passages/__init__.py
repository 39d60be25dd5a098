"""Passages: what was driven, who it belongs to, and how much of it is not yet billed.

Owns: batches, records (everything a charger sent, with its answer), passages (what was accepted, and
counter-rows), reversals, balances (the unbilled sum per agreement).
Does not own: claims (they take passages by writing ``claim_id``), cards, the exchange with chargers.
Words: record, passage, counter-row (reversal), booked_at (arrival; billing goes by it), passed_at (occurrence;
screens show it), balance.
Invariants: (charger, source id) is one record for ever; a passage is in exactly one place: unbilled (in its
agreement's balance), in one claim, or external; ``claim_id`` is written once; a passage is reversed at most
once; a balance is the sum of its agreement's unbilled passages; balances are locked in order of agreement id
before passages are booked or taken.
"""
