"""Delivery: getting documents and notices to people, each document by the way its reader chose.

Owns: which channel a message goes by and why (choices), deliveries (one per message and channel) with their states and
proof, the channels themselves (a package each, behind `port.py`), files to and from partners, the words of e-mails.
Does not own: what is said in a document (invoices), when a notice is due (collection), mandates and what customers
chose (accounts.customers).
Words: delivery, channel, way (the channels tried for somebody, in order), look-up, choice, presents (says how to pay),
parcel (a delivery as a channel is handed it), template.
Invariants: (message, channel) is one delivery; the intent is committed before the outside call; no answer is
``unknown``, which is asked for by its key and never sent again blindly (mail has no such key: it goes once more, with
the same Message-ID); of what presents a document at most one lives; a silent partner makes nobody a non-user.
"""
