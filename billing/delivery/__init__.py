"""Delivery: getting documents and notices to people.

Owns: deliveries (one per thing, channel and template) and their states; the words of e-mails.
Does not own: what is said in a document (invoices), or when a notice is due (collection).
Words: delivery, channel, template.
Invariants: (ref, channel, template) is sent once; the intent is committed before the outside call; no answer is
``unknown``, which is settled by the message id and not by sending again blindly.
"""
