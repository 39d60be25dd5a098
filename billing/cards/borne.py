"""What we bear of money that left and take back from whom it went to, so that nothing is given twice.

- A refund or a payout that does not come about after a dispute was lost is credit again; but the customer has had that
  money of their card's bank. What we had borne of disputes that were lost while it was on its way is taken of that
  credit first: it is as if the credit had been there when they were. The same of a lost dispute whose money came back
  after another of the same payment was lost: it is as if it had come back first.
- A refund whose money went although it had ended (``refund_late``) took what credit there was; the rest we bear.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import func, select, text, true
from sqlalchemy.orm import Session

from billing.cards.models import Attempt, Dispute, Refund
from billing.claims import credit
from billing.ledger.book import Account, Entry, book
from config.clock import business_date


def give_back(session: Session, row: Refund, now: dt.datetime) -> None:
    """Undo what a refund took: its credit is the customer's again, and what we bore of it is ours no more."""
    took = -int(
        session.execute(
            text("SELECT coalesce(sum(amount_ore), 0) FROM credit_entries WHERE code = 'card_refund' AND ref = :id"),
            {"id": row.id},
        ).scalar_one()
    )
    today = business_date(now)
    if took:
        credit.payout_back(session, row.agreement_id, row.id, took, today, now, "card_refund")
    if took < row.amount_ore:
        entry = Entry(
            Account("refunds"), Account("write_off"), row.amount_ore - took, "card_refund_written_back", row.id
        )
        book(session, [entry], booked_on=today, now=now)


def theirs(session: Session, attempt_id: int, paid_ore: int) -> int:
    """Return what disputes may still take of the customer for a payment (øre): a bank may take more than it was."""
    before = select(func.coalesce(func.sum(Dispute.claim_ore + Dispute.credit_ore), 0))
    return max(paid_ore - int(session.scalars(before.where(Dispute.attempt_id == attempt_id)).one()), 0)


def take(
    session: Session,
    owner: int,
    way: credit.Back,
    ref: int,
    ore: int,
    *,
    now: dt.datetime,
    since: dt.datetime | None = None,
    attempt_id: int | None = None,
) -> dict[int, int]:
    """Take what we bore of disputes of an agreement that were lost since a payout or refund ``ref`` was asked for, or
    of one attempt's, from the credit (øre) that ``ref`` gives back. The balance is locked. Returns how much by dispute.
    """
    today = business_date(now)
    left = min(ore, credit.held(session, [owner]).get(owner, 0))
    lost = select(Dispute).where(
        Dispute.agreement_id == owner,
        Dispute.state == "lost",
        Dispute.written_off_ore > 0,
        true() if since is None else Dispute.ended_at >= since,
        true() if attempt_id is None else Dispute.attempt_id == attempt_id,
    )
    entries: list[Entry] = []
    took: dict[int, int] = {}
    for one in session.scalars(lost.order_by(Dispute.id).execution_options(populate_existing=True)).all():
        session.flush()
        paid_ore = session.get_one(Attempt, one.attempt_id).amount_ore
        taken = min(left, one.written_off_ore, theirs(session, one.attempt_id, paid_ore))
        part = f"{way} {ref}"
        if taken:
            one.written_off_ore -= taken
            one.credit_ore += taken
            left -= taken
            took[one.id] = taken
            entries += [
                Entry(Account("disputes"), Account("write_off"), taken, "card_dispute_written_back", one.id, part),
                Entry(Account("credit", owner), Account("disputes"), taken, "card_dispute_credit", one.id, part),
            ]
    if entries:
        session.flush()
        credit.dispute_borne(session, owner, ref, sum(took.values()), today, now, way)
        book(session, entries, booked_on=today, now=now)
    return took
