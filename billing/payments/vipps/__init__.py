"""Vipps: an open invoice paid at once, from My Page, with Vipps ePayment.

Owns: payments at Vipps, what was captured of them, refunds over Vipps, and the webhooks that tell of them.
Does not own: settling (claims), credit (claims), invoices that are shown in Vipps (they are eFaktura).
Words: reference (our name of a payment, which Vipps knows it by), reserved (the customer has approved), captured (the
money is ours), released (what was reserved and not captured is the customer's again).
Invariants: intent is committed before each call, and unknown is a state; what Vipps says has been captured is booked,
once, however it is heard of; nothing is captured beyond what is open when it is asked for; one live payment a claim.

States of a payment: unknown → created → capturing → (cancelling →) captured; or aborted, expired, cancelled, nothing.
"""
