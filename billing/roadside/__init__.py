"""Roadside: the exchange with toll chargers and ferry operators.

Owns: the formats of records in and answers back, and the order of things in a batch: passages are booked, then
cards are asked which of the touched agreements are due, in one transaction per chunk.
Does not own: matching and booking (passages).
Words: batch, record, answer, position (the record's line in line formats, its place in an array; from 1).
Invariants: every record gets one answer, in order; a broken record costs its neighbours nothing; a resent batch
is a success.
"""
