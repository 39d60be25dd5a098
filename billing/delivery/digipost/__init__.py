"""Digipost, Posten's digital mailbox, as a channel.

Owns: its signatures, its XML (api v8), what its answers mean. ``channel.py`` is the way in. Does not own: whom to send
to, when, or what becomes of a delivery.

Words: *identification* (whether somebody has a mailbox), *message* (one letter to one mailbox), *entry point* (`GET /`,
which holds the certificate that Digipost's answers are signed by).

Invariants: no answer is believed that Digipost did not sign; only a signed answer makes anybody a non-user; a
delivery's key is its message's id and its document's, so Digipost itself refuses the second of two.
"""
