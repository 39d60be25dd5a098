"""Mass corrections: what a faulty station charged in a period is taken back from everybody, in one act.

Two steps by a person: a preview says how much it is and gives a digest of exactly that; confirming names the digest,
and is refused when something changed. Then it is a list of passages (``mass_passages``), which the job
``mass_corrections`` works through in chunks. Each passage is reversed once, by the key of ``reversals``.

Who bears it: ``charger`` (its fault: it is no longer owed) or ``us`` (the customer is freed, the charger still owed).

An **undo** is a mass correction of its own, of another one: for each passage that one reversed a new passage, a copy,
comes back and is written as ``reversals.replaced_by``, so that moves, credits and the charger's later corrections find
it. What was touched otherwise since stays as it is, and so does what its charger has sent anew (lanes.py). A copy of
what we bore is not owed to the charger: the passage it copies still is.

Nothing indexes passages by station: finding them is a pass over the partitions since the period (a passage is booked at
most ``passage_max_ahead_hours`` before it happens), some seconds for a month of thirty million. It is done twice, by
the preview and by the confirmation, and never by an ingest.

Lock order: the mass correction's row, (an undo) the originals' rows in ``records`` by source id, balances by agreement,
``lane_reads`` by source id.
"""
