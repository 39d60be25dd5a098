"""The card gateway as Stripe: the only package that knows the ``stripe`` library. ``gateway.py`` is the way in."""
