"""A card gateway to practise on: speaks Stripe's HTTP, remembers its own books, and fails when told to.

Owns: customers, card pages (Checkout in setup mode), cards, payments, refunds, idempotency keys, signed webhooks, and
the faults it has been told to make. Does not own: anything of the product; the two meet over HTTP only.
Words: fault (something that shall go wrong, so many times), books (every payment that succeeded), courier (what
delivers webhooks).
Invariants: one key is one answer; an effect and its stored answer are written in one transaction; what is not
supported is refused, never quietly accepted, so that a test against it means something.

Run it with `python -m simulator.gateway --port 12111 --data var/gateway.db --webhook-url … --webhook-secret …`, or
in a test with `GatewayServer`. What it can be told is in `control.py`.
"""

from simulator.gateway.server import GatewayServer

__all__ = ["GatewayServer"]
