"""A small world outside the product: drivers, roadside, bank, card gateway and the rest.

It reaches the product only through its public faces (HTTP, files, the providers' protocols) and imports nothing of it,
so that a mistake made in the product is not made here as well.
"""
