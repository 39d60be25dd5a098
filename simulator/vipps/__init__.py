"""Vipps to practise on: speaks ePayment v1, remembers its own books, and fails when told to.

Owns: access tokens, payments with the page where a customer approves or declines, captures, cancellations, refunds,
idempotency keys, signed webhooks, and the faults it has been told to make. Does not own: anything of the product; the
two meet over HTTP only.
Invariants: one key is one answer; never more is captured than was approved, nor given back than was captured.

Run it with `python -m simulator.vipps --port 12112 --webhook-url … --webhook-secret …`, or in a test with
`VippsServer`. What it can be told is in `control.py`.
"""

from simulator.vipps.server import VippsServer

__all__ = ["VippsServer"]
