"""Backlogs: older passages that came all at once are billed in slices, week by week.

A backlog begins in the transaction that books the passages, when more than ``backlog_ore`` of an agreement's unbilled
passages is old (it happened more than ``backlog_age_days`` before it arrived) and all that is unbilled is more than one
slice. The customer is told once: how much it is, how much is billed at a time, about how many weeks it takes.

While it lasts only a **slice** is taken at a time: the oldest arrivals first, newer ones waiting behind, each with the
counter-rows that take it back, up to so many øre; at least one passage. Slices are a week apart, whether the card was
charged or not. A card takes one slice. The monthly invoice takes one for each whole week since the last (or since the
backlog began), at least one and at most ``backlog_invoice_slices``: nobody wants four invoices for one month.

A slice is at least twice what the agreement drives in an ordinary week, so that a backlog ends however much is driven.
It ends when what is unbilled fits into one slice; that is then billed as usual.

A slice that is cut by its limit is billed even where the card's threshold or the smallest invoice is not reached:
waiting would not make it grow.
"""
