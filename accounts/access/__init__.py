"""Access: who is calling, what they may do, and the trail of what was done.

Owns: roles, tokens, sign-in, idempotency keys, the audit trail.
Invariants: the trail is only appended to; a token names a role and, for customers and chargers, whose data it
opens; /v1 takes bearer tokens only and pages take the session cookie only; an agent's look-up of a person is
logged; of requests with the same Idempotency-Key one has an effect.
"""
