"""Invoices: the documents that present a claim.

Owns: documents (invoice, credit note) with their lines, numbers and KID, the monthly run, the PDF.
Does not own: whether a document has been paid (claims), how it reaches the customer (delivery).
Words: document, version, number, series, run, cut-off.
Invariants: numbers in a series have no gaps and are taken in the last short step of the transaction that issues;
an issued document never changes; (claim, version) is one document; a run has a cut-off, so doing it again adds
nothing. VAT per rate: the gross sum G is fixed, net N = round(G·100 ÷ (100 + r)), line nets add up to N.
"""
