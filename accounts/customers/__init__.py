"""Customers: the persons and businesses that hold agreements.

Owns: name, kind (private, business with a checked organisation number), e-mail, phone, postal address,
language (nb, en) and the channel chosen for documents.
Does not own: what they owe (billing), what they drive (vehicles).
Words: customer, customer number, channel.
Invariants: a business has an organisation number with a right check digit and a private person has none; a
change carries the version it was made from.
"""
