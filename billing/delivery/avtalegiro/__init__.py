"""AvtaleGiro: what a payer's bank pays by itself, on mandates that stand there.

Owns: the files to the bank (claims, cancellations) and from it (mandates, receipts), the deadlines, and what they do to
mandates and to deliveries of the channel ``avtalegiro``. Does not own: whether the channel is chosen
(billing.delivery), or the money, which comes as OCR payments of type 15 (billing.payments).
Words: mandate, claim, cancellation, transmission ⊃ order ⊃ transaction, receipt, own notice (02) and bank notice (21).
Invariants: a mandate is set up and ended at the bank only; a claim goes in one file, with its delivery in the same
transaction; a file is written once and its bytes never change.
"""
