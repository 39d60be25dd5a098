"""e-Boks, a digital mailbox, as a channel: through a distributor.

Owns: the distributor's protocol (`protocol.py`, the only place that knows it), its tokens, what its answers mean.
``channel.py`` is the way in. Does not own: whom to send to, when, or what becomes of a delivery.

**Assumption.** e-Boks publishes no protocol for senders; everybody goes through a distributor of their own choice. The
one here is plain REST and our own idea: whoever has a contract sets the address and the key, and where their
distributor speaks otherwise, changes `protocol.py` and the stand-in (`simulator/eboks`) with it.

Invariants: only a distributor's answer that says so makes anybody a non-user; a delivery's key names its message, so
that a repeat is the same message.
"""
