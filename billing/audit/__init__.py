"""Audit: proves that the books, the rooms' tables and each other's sums agree, and names the first difference.

Owns: the list of what must hold, as SQL; one module a subject. Stands above all rooms of billing: reads everything,
writes nothing.
Words: rule (what must hold), check (a rule and what was found), difference (a line that names the row).
Invariants: it reads one snapshot; it names rows by their numbers and never by a person's data; a rule that cannot
fail is no rule, so each has a test that tampers with a row.
"""
