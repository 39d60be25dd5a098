"""Who owes it: customers, their agreements, vehicles and tags, the chargers we know, and who may do what.

Owns no money. Rooms, each importing only those below it: customers, agreements, vehicles, chargers, access.
"""
