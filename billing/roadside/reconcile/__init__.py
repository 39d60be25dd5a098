"""Reconciliation: that everything a charger sent on a day was answered, kept and booked, and that the answers add up.

Owns: the outcome of each (charger, day). Does not own: batches, records and passages (billing.passages), transfers.
What holds, in records and in øre: received = accepted + other agreement + rejected + deferred + duplicates + conflicts
+ broken, by the batches' own counts; the same by counting records, faults and passages; and what of the passages the
charger is owed = what was booked on its payable that day.
"""
