"""The ground every room stands on: settings, dated figures, database, clock, money, queue, problems.

Owns nothing of the business. Nothing here imports a room above it.
"""
