"""Vehicles: which registration marks and tags an agreement covers, and when.

Owns: registrations (a vehicle on an agreement from one instant to another), tags and where they were mounted,
additional ferry agreements on a plate or a tag, removals.
Does not own: the passages of a vehicle (billing.passages moves them when a removal asks for it).
Words: registration, scope ('' for the tag agreement, a ferry operator's code for an additional agreement),
mount, removal. A vehicle is (country, plate), the plate normalised by ``rules.normalise_plate``.
Invariants: a vehicle, or a tag, is on one agreement of a scope at a time (exclusion constraint); a tag is
mounted on one vehicle at a time; history is never overwritten: an end only ever moves to an earlier instant, and
each time a removal row says who, when and why (a closed agreement's registrations end with it and need none).
"""
