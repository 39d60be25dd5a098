"""Complaints: what customers dispute of passages, sent to the charger that priced them, and what it answers.

Owns: complaints, and the messages by which they go to chargers as files. A charger may read and answer them over the
API just as well.
Does not own: the passages, nor what becomes of them: a charger that agrees sends a correction (billing.passages),
which is linked here when it comes.
Words: dispute (what the customer makes), complaint (what the charger gets), outcome (upheld: the customer is right;
adjusted: in part; rejected).
A dispute that nobody answers for too long, or that the customer withdraws, holds its passage back no longer
(``withdraw``); the charger may answer it all the same.
Invariants: a passage has one complaint at most that holds it; the customer makes one, somebody of ours more; a
complaint that is answered is never changed but for being linked to its correction; of what has no answer, or no
correction after one that promises it, there is a list.
"""
