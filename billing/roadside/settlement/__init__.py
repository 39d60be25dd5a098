"""Settlement: what we owe each charger for a period, what it claims, and the orders by which it is paid.

Owns: settlements with their lines per project, the chargers' claim files with what differs, payment orders to chargers.
Does not own: what was accepted (billing.passages), the bank's formats (billing.payments), customers' claims
(billing.claims): a *claim* here is always the charger's.

Invariants: the charger is owed whether or not the driver pays. A charger's settlements follow each other without gap
or overlap, each by arrival (``booked_at``) over whole Oslo days, and are made only when nothing can be booked into them
any more (``closed``); so their figures never change. accepted − reversed = claim = what stands on the charger's payable
for those days; claim − remuneration − VAT on it + what was carried here = payout. Of a claim file, claimed − owed is
the sum over its differences. An order leaves the house once, after somebody else than who made it has released it.
"""
