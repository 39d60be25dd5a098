"""Floors: the least the database must do to hold the same rows, written as plainly and fast as SQL can.

Same tables, keys and indexes as the product; no answers, no locks, no checks beyond the keys.
"""
