"""Chargers: the toll chargers and ferry operators we exchange with, their stations, and what each has been told.

Owns: chargers, projects, stations (customers read names, never codes) and publications: what was published to
which charger, when it was made, sent and acknowledged.
Does not own: the exchange itself (billing.roadside).
Invariants: a publication is never changed but for being sent and acknowledged; the one that counts at an
instant is the last acknowledged by then.
"""
