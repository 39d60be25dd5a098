"""Payouts: what we owe a customer, to their bank account. Asked for, approved, stopped, and what the bank said.

The credit is taken when a payout is asked for, under the agreement's balance lock: two at once never get more than
there is. What does not come about gives it back. A sum above a figure waits for a second person; a smaller one is
approved by that rule. Ordering is `payout_orders`.

The figure counts what leaves of one holder's credit, over cards too, and what goes to one bank account from whatever
agreement (``claims.leaving``): requests take turns by advisory locks. The order is balance, then holder, then account,
one of each a transaction and nothing of another agreement's after them; so who waits for one of them holds nothing that
its holder could want.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import select
from sqlalchemy.orm import Session

from accounts.access.principal import must_be_another
from accounts.customers.tell import NewMessage, tell
from billing.cards import borne
from billing.claims import credit
from billing.claims.leaving import after_debts, disputed, in_turn, lately, must_be_payable, must_be_there, take_turns
from billing.ledger.book import Account, Entry, book
from billing.passages.balances import lock
from billing.payments.payout_models import Payout, PayoutOrder
from config.clock import business_date
from config.problems import Conflict, Invalid, NotFound
from config.rates import whole
from config.values import bank_account

LONGEST = 300
"""Characters of what the bank says."""


def request(
    session: Session,
    agreement_id: int,
    *,
    amount_ore: int | None,
    account: str,
    reason: str | None,
    actor: str,
    now: dt.datetime,
) -> Payout:
    """Ask for ``amount_ore`` of an agreement's credit (None: all of it) to be paid to a bank account.

    What is past due is paid with the credit first. Raises Invalid for an account that cannot be or a sum that is not
    positive; Conflict (``not-enough-credit``, with what there is; ``credit-disputed``, with what may leave while the
    bank of a card disputes a payment; ``set-off-only`` by the holder's rulebook).
    """
    try:
        account = bank_account(account)
    except ValueError as error:
        wrong = {"field": "account", "code": "account", "message": str(error)}
        raise Invalid("That is not a Norwegian account number of 11 digits.", errors=[wrong]) from None
    if amount_ore is not None and amount_ore <= 0:
        raise Invalid("A payout is more than nothing.", errors=[{"field": "amount_ore", "message": "must be above 0"}])
    lock(session, [agreement_id])
    take_turns(session, agreement_id, account)
    now = in_turn(session, agreement_id, now, account)
    today = business_date(now)
    must_be_payable(session, agreement_id)
    there = after_debts(session, agreement_id, now, actor)
    withheld = disputed(session, agreement_id)
    wanted = max(there - withheld, 0) if amount_ore is None else amount_ore
    must_be_there(wanted, there, withheld)
    second = lately(session, agreement_id, now, account) + wanted > whole("payout_second_approver_ore", today)
    row = Payout(
        agreement_id=agreement_id,
        amount_ore=wanted,
        account=account,
        state="requested" if second else "approved",
        reason=reason.strip() if reason and reason.strip() else None,
        requested_by=actor,
        requested_at=now,
        approved_at=None if second else now,
    )
    session.add(row)
    session.flush()
    credit.payout(session, agreement_id, row.id, wanted, today, now)
    return row


def approve(session: Session, payout_id: int, *, actor: str, now: dt.datetime) -> Payout:
    """Approve a payout that somebody else asked for; approved before is a result.

    Raises NotFound; Forbidden for who asked for it; Conflict when it has ended.
    """
    row = _locked(session, payout_id)
    if row.state in ("approved", "ordered", "paid"):
        return row
    if row.state != "requested":
        raise Conflict(f"The payout was {row.state}.", slug="payout-ended")
    must_be_another(row.requested_by, actor, "Who asked for a payout cannot approve it; it takes somebody else.")
    row.state, row.approved_by, row.approved_at = "approved", actor, now
    session.flush()
    return row


def cancel(session: Session, payout_id: int, *, actor: str, now: dt.datetime) -> Payout:
    """Stop a payout that the bank has not been told of; the credit comes back. Stopped before is a result.

    Raises NotFound; Conflict (``payout-ordered``) when it is too late.
    """
    row = _locked(session, payout_id)
    if row.state == "cancelled":
        return row
    if row.state not in ("requested", "approved"):
        raise Conflict("The bank has the order already; it cannot be stopped here.", slug="payout-ordered")
    return _come_back(session, row, "cancelled", None, actor, now)


def rejected(session: Session, payout_id: int, *, why: str, actor: str, now: dt.datetime) -> Payout:
    """Note that the bank refused a payout; the credit comes back and the customer is told. Noted before is a result.

    The bank cannot have refused a file that it has not been given: were the credit back before the file goes out, the
    customer would be paid twice. Raises NotFound; Conflict (``not-ordered``, ``not-written``).
    """
    row = _locked(session, payout_id)
    if row.state == "rejected":
        return row
    _must_be_ordered(row)
    _must_be_written(session, row)
    _come_back(session, row, "rejected", why.strip()[:LONGEST], actor, now)
    tell(session, [NewMessage(row.agreement_id, "payout_rejected", f"payout:{row.id}", None, _said(row))], now=now)
    return row


def paid(session: Session, payout_id: int, *, reference: str, actor: str, now: dt.datetime) -> Payout:
    """Note that the bank has paid a payout, under its reference, and book it; the customer is told.

    Noted before under the same reference is a result. Raises NotFound; Conflict (``not-ordered``, ``not-written``,
    ``paid-otherwise``).
    """
    row = _locked(session, payout_id)
    reference = reference.strip()[:LONGEST]
    if row.state == "paid":
        if row.reference != reference:
            raise Conflict(f"It was paid under reference {row.reference}.", slug="paid-otherwise")
        return row
    _must_be_ordered(row)
    _must_be_written(session, row)
    row.state, row.reference, row.ended_by, row.ended_at = "paid", reference, actor, now
    session.flush()
    entry = Entry(Account("refunds"), Account("bank"), row.amount_ore, "payout_paid", row.id)
    book(session, [entry], booked_on=business_date(now), now=now)
    tell(session, [NewMessage(row.agreement_id, "payout_paid", f"payout:{row.id}", None, _said(row))], now=now)
    return row


def _locked(session: Session, payout_id: int) -> Payout:
    """Return a payout, its agreement's balance locked: every change of it begins there."""
    agreement_id = session.scalar(select(Payout.agreement_id).where(Payout.id == payout_id))
    if agreement_id is None:
        raise NotFound("There is no such payout.")
    lock(session, [agreement_id])
    return session.get_one(Payout, payout_id, populate_existing=True, with_for_update={"key_share": True})


def _must_be_written(session: Session, row: Payout) -> None:
    """The bank can have done nothing with a file that it has not been given."""
    if session.scalar(select(PayoutOrder.written_at).where(PayoutOrder.id == row.order_id)) is None:
        raise Conflict("The order's file has not been put in the bank's outbox yet.", slug="not-written")


def _must_be_ordered(row: Payout) -> None:
    if row.state != "ordered":
        raise Conflict(f"The payout is {row.state}; the bank has not been told of it.", slug="not-ordered")


def _come_back(session: Session, row: Payout, state: str, why: str | None, actor: str, now: dt.datetime) -> Payout:
    """Make a payout credit again, less what we bore of disputes that were lost meanwhile. It pays what is past due."""
    row.state, row.reference, row.ended_by, row.ended_at = state, why, actor, now
    session.flush()
    credit.payout_back(session, row.agreement_id, row.id, row.amount_ore, business_date(now), now)
    borne.take(session, row.agreement_id, "payout", row.id, row.amount_ore, since=row.requested_at, now=now)
    after_debts(session, row.agreement_id, now, actor)
    return row


def _said(row: Payout) -> dict[str, int]:
    return {"amount_ore": row.amount_ore}
