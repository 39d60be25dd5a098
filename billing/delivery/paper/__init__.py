"""Paper: letters that a print house prints and posts.

Owns: what an address must be to be printed (``address``), batches for the print house (``batch``, ``write``), putting
them there and reading its confirmations (``exchange``, ``confirm``). The format is docs/formats/print.md.
Does not own: pages (billing.invoices.render), or who gets paper (the choice of a channel).
Words: batch (a ZIP of letters, an index of addresses, a manifest), sheet (a letter's place in its batch, from 1).
Invariants: a letter is in one batch that stands; a batch is one row whose name and bytes never change, so that putting
it again is harmless; a confirmation that comes twice, late or in another order changes nothing that is settled.
"""
