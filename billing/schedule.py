"""Which job runs when: one table, read top to bottom. Times are Oslo business time.

Fields: name, five cron fields (None: only when rung), the function, what it does. ``every=True`` marks a
day's or month's work: each time that was missed is caught up by itself; of the others only the newest counts.
None lies between two and three, which comes twice in October. Doorbells (``config.jobs.ring``) come on top.
"""

from __future__ import annotations

from config.jobs import Job

SCHEDULE: tuple[Job, ...] = (
    Job("invoices", "0 3 1 * *", "billing.invoices.run:job", "invoice what has arrived and is not billed", every=True),
    Job("invoices_early", "40 3 * * *", "billing.invoices.run:job_early", "invoice who drives so much that a month is too long to wait"),
    Job("invoice_runs", "*/10 * * * *", "billing.invoices.run:job_unfinished", "go on with invoice runs begun by hand or cut short"),
    Job("reissues", "30 1 * * *", "billing.invoices.reissue:job", "credit and issue anew what was corrected, where a receiver takes no credit line"),
    Job("payout_orders", "0 10 * * *", "billing.payments.payout_orders:job", "order what is approved to be paid out, one order a bank day"),
    Job("payout_outbox", "*/10 * * * *", "billing.payments.payout_orders:job_outbox", "put payout orders in the bank's outbox that are not there yet"),
    Job("closings", "5 0 * * *", "accounts.agreements.close:job", "close the agreements whose day has come"),
    Job("card_closings", "*/5 * * * *", "billing.cards.closings:job", "charge what agreements that have ended have left for their cards"),
    Job("partitions", "15 0 * * *", "billing.passages.partitions:job", "make the coming months' partitions of passages"),
    Job("move_passages", "*/10 * * * *", "billing.passages.move:job", "move passages after a vehicle was removed back in time"),
    Job("batches", "* * * * *", "billing.roadside.waiting:job_batches", "go on with batches of records that were cut short"),
    Job("exchange", "* * * * *", "billing.roadside.exchange.run:job", "fetch, take and answer chargers' files, send what waits for them"),
    Job("corrections", "* * * * *", "billing.roadside.waiting:job_corrections", "apply corrections whose original has come"),
    Job("mass_corrections", "*/10 * * * *", "billing.passages.mass.carry_out:job", "carry out mass corrections that are confirmed"),
    Job("tag_mismatches", "7,37 * * * *", "billing.passages.mismatch:job", "tell holders of tags that are read in other vehicles"),
    Job("complaints", "*/5 * * * *", "billing.roadside.complaints.send:job", "send complaints to chargers, and link the corrections they promised"),
    Job("due_charges", "*/5 * * * *", "billing.cards.charge:job", "charge the cards that are due"),
    Job("due_charges_beside", None, "billing.cards.charge:job", "the same by another worker, where many are due"),
    Job("card_sweep", "*/10 * * * *", "billing.cards.sweep:job", "ask the gateway about charges whose outcome is unknown"),
    Job("charge_week_over", "0 6 * * *", "billing.cards.due:job_week_over", "charges that waited for their week to be over", every=True),
    Job("card_expiring", "10 8 * * *", "billing.cards.expiring:job", "tell who pays by a card that it expires soon"),
    Job("cards_forgotten", "20 4 * * *", "billing.cards.forgotten:job", "have the card provider forget cards that were removed"),
    Job("card_refunds", "*/5 * * * *", "billing.cards.refund_call:job", "have the gateway make the refunds that are approved"),
    Job("card_refund_sweep", "*/10 * * * *", "billing.cards.refund_call:job_sweep", "ask the gateway about refunds whose outcome is unknown"),
    Job("vipps_payments", "*/2 * * * *", "billing.payments.vipps.sweep:job", "ask Vipps about payments that have not ended, and carry on what was cut short"),
    Job("vipps_refunds", "*/5 * * * *", "billing.payments.vipps.refund_call:job", "have Vipps make the refunds that are approved, and ask about those whose outcome is unknown"),
    Job("card_account", "50 4 * * *", "billing.cards.account:job", "read the card provider's account of us: what it costs, what it pays out"),
    Job("card_disputes", "25 * * * *", "billing.cards.dispute_sweep:job", "read disputes of card payments again, and those that no event told of"),
    Job("deliveries", "* * * * *", "billing.delivery.job:job", "choose by what channel documents go, and send what waits"),
    Job("avtalegiro", "20 6,9,12,13 * * 1-5", "billing.delivery.avtalegiro.jobs:job", "claim by AvtaleGiro what is queued, and take claims back, before the bank's cut-off at 14:00"),
    Job("avtalegiro_outbox", "*/10 * * * *", "billing.delivery.avtalegiro.jobs:job_outbox", "put AvtaleGiro files in the outbox that are not there yet, and miss receipts"),
    Job("bounces", "*/10 * * * *", "billing.delivery.bounces.read:job", "read the mailbox that e-mail comes back to"),
    Job("mail_unopened", "50 * * * *", "billing.delivery.links:job_unopened", "have what nobody opened by its link go by another way"),
    Job("print_batches", "15 6,11 * * 1-5", "billing.delivery.paper.jobs:job_batches", "write letters into batches for the print house"),
    Job("print_exchange", "*/10 * * * *", "billing.delivery.paper.jobs:job_exchange", "put batches at the print house, read what it confirms"),
    Job("withdrawals", "3-59/10 * * * *", "billing.delivery.withdraw:job", "take back what partners present and nobody is to pay any more"),
    Job("bank_inbox", "*/5 * * * *", "billing.payments.inbox:job", "read the files the bank has put in the inbox"),
    Job("reconcile", "30 4 * * *", "billing.roadside.reconcile.keep:job", "reconcile the day before: received, answered, kept, owed", every=True),
    Job("settlements", "0 5 * * *", "billing.roadside.settlement.settle:job", "settle with chargers for the periods that are over"),
    Job("bank_outbox", "*/10 * * * *", "billing.roadside.settlement.outbox:job", "put released payment orders in the bank's outbox"),
    Job("overdue", "0 7 * * *", "billing.collection.overdue:job", "block agreements whose due date has passed unpaid", every=True),
    Job("reminders", "0 8 * * *", "billing.collection.remind:job", "remind before the due date", every=True),
    Job("status_lists", "* * * * *", "billing.roadside.lists.jobs:job", "tell chargers what has changed, and again what they have not acknowledged"),
    Job("status_lists_full", "40 3 * * *", "billing.roadside.lists.jobs:job_full", "make the full status lists that are due"),
    Job("idempotency_keys", "20 3 * * *", "accounts.access.idempotency:job", "forget the answers to requests of long ago"),
    Job("housekeeping", "30 3 * * *", "config.jobs:housekeeping", "delete finished bells, take back stalled ones"),
)  # fmt: skip


def job(name: str) -> Job | None:
    """Return the job of this name, or None."""
    return next((row for row in SCHEDULE if row.name == name), None)
