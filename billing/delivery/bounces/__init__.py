"""Mail that comes back: read from the mailbox of MAIL_FROM, so that the next channel follows.

Owns: what a notice of (non-)delivery says (``notice``), how mailboxes are read (``boxes``, ``imap``), and what
follows from it (``read``). Does not own: sending, or the choice of the next channel.
Invariants: each mail is read once, whatever happens in between; nothing in the mailbox is changed or removed; a mail
that cannot be understood costs its neighbours nothing; what is not about a mail of ours leaves no trace but its name.
"""
