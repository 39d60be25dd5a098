"""Credit that leaves us, to a bank account or to the card or Vipps payment that it came with: what all ways ask.

- The holder's rulebook must have credit paid out, and what is past due is paid with it first.
- What the bank of a card disputes stays: while a dispute is open (an inquiry too), so much of the agreement's credit
  may not leave, and payouts that the bank has not been told of are stopped as far as they stand in its way.
- What one person lets leave has a limit, and all ways count together for it, over all agreements of a holder and for
  a bank account: no way of splitting a sum goes round the second person.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.claims import credit
from billing.claims.standing import recompute_locked
from config import receivers
from config.clock import business_date
from config.problems import Conflict
from config.rates import whole

WAITED = dt.timedelta(minutes=1)
"""Longer than anybody waits for a turn."""


def must_be_payable(session: Session, agreement_id: int) -> None:
    """Raise Conflict (``set-off-only``) where the holder's rulebook has credit used on invoices and never paid out."""
    org_no = session.scalar(
        text("SELECT k.org_no FROM agreements AS a JOIN customers AS k ON k.id = a.customer_id WHERE a.id = :id"),
        {"id": agreement_id},
    )
    if not receivers.rulebook(org_no).payout:
        raise Conflict("Credit is set off for this receiver, never paid out.", slug="set-off-only")


def after_debts(session: Session, agreement_id: int, now: dt.datetime, actor: str) -> int:
    """Pay what is past due with an agreement's credit, and return what is left of it (øre). The balance is locked."""
    today = business_date(now)
    if credit.use(session, credit.past_due(session, [agreement_id], today), today, now):
        recompute_locked(session, [agreement_id], today, now, actor)
    return credit.held(session, [agreement_id]).get(agreement_id, 0)


def disputed(session: Session, agreement_id: int) -> int:
    """Return what the banks of an agreement's cards have withdrawn, or may yet, in disputes that are open (øre)."""
    return int(
        session.execute(
            text(
                "SELECT coalesce(sum(amount_ore), 0) FROM card_disputes "
                "WHERE agreement_id = :agreement AND state = 'opened'"
            ),
            {"agreement": agreement_id},
        ).scalar_one()
    )


def must_be_there(wanted_ore: int, there_ore: int, disputed_ore: int = 0) -> None:
    """Raise Conflict unless that much credit (øre) is there, and any, and is not what is disputed.

    ``not-enough-credit`` with what there is; ``credit-disputed`` with what of it may leave.
    """
    free = max(there_ore - disputed_ore, 0)
    if 0 < wanted_ore <= free:
        return
    if disputed_ore and there_ore and wanted_ore <= there_ore:
        detail = f"A card's bank disputes a payment: of the credit {free} øre may leave until that is decided."
        raise Conflict(detail, slug="credit-disputed", extra={"free_ore": free})
    detail = f"There are {there_ore} øre in credit." if there_ore else "There is nothing in credit."
    raise Conflict(detail, slug="not-enough-credit", extra={"credit_ore": there_ore})


def take_turns(session: Session, agreement_id: int, account: str | None = None) -> None:
    """Let one at a time ask for credit of this holder, or to this bank account, until the transaction ends; what
    ``lately`` sums counts it. The agreement's balance is locked before, and nothing of another's after."""
    holder = session.execute(
        text("SELECT customer_id FROM agreements WHERE id = :id"), {"id": agreement_id}
    ).scalar_one()
    for key in (f"brikke leaving customer {holder}", account and f"brikke payout account {account}"):
        if key:
            session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": key})


# What the provider made although it waited for a person again is of whoever asked for it.
_GONE = """
    WITH mine AS (
        SELECT id FROM agreements WHERE customer_id = (SELECT customer_id FROM agreements WHERE id = :agreement)
    ), gone AS (
        SELECT amount_ore AS ore, requested_at FROM card_refunds
        WHERE agreement_id IN (SELECT id FROM mine) AND coalesce(approved_by, 'card gateway') = 'card gateway'
          AND requested_at >= :since AND state IN ('approved', 'unknown', 'succeeded')
        UNION ALL
        SELECT amount_ore, requested_at FROM vipps_refunds
        WHERE agreement_id IN (SELECT id FROM mine) AND approved_by IS NULL AND requested_by <> 'vipps'
          AND requested_at >= :since AND state IN ('approved', 'unknown', 'succeeded')
        UNION ALL
        SELECT amount_ore, requested_at FROM payouts
        WHERE (agreement_id IN (SELECT id FROM mine) OR account = :account) AND approved_by IS NULL
          AND requested_at >= :since AND state IN ('approved', 'ordered', 'paid')
    )
"""
_LATELY = _GONE + "SELECT coalesce(sum(ore), 0)::bigint FROM gone"  # noqa: S608 - no input in it
_NEWEST = _GONE + "SELECT max(requested_at) FROM gone WHERE requested_at <= :until"  # noqa: S608 - no input in it


def lately(session: Session, agreement_id: int, now: dt.datetime, account: str | None = None) -> int:
    """Return what one person has let leave of this holder's credit, over cards and to bank accounts, or to this bank
    account from anybody's, within payout_window_days (øre). Asked while the turn is held (``take_turns``)."""
    since = now - dt.timedelta(days=whole("payout_window_days", business_date(now)))
    params = {"agreement": agreement_id, "account": account, "since": since}
    return int(session.execute(text(_LATELY), params).scalar_one())


def in_turn(session: Session, agreement_id: int, now: dt.datetime, account: str | None = None) -> dt.datetime:
    """Return when it is that this turn asks: ``now``, or when the turn before did that began later and was let go
    first. So requests have the order in which they counted each other; the audit reads it. What lies further ahead
    than ``WAITED`` was asked for under a clock that has been moved back since, and moves nothing."""
    params = {"agreement": agreement_id, "account": account, "since": now, "until": now + WAITED}
    newest: dt.datetime | None = session.execute(text(_NEWEST), params).scalar_one()
    return newest or now


_NOT_TOLD = """
    SELECT id, amount_ore FROM payouts WHERE agreement_id = :agreement AND state IN ('requested', 'approved')
    ORDER BY id FOR NO KEY UPDATE
"""


def stop_payouts(session: Session, agreement_id: int, *, actor: str, now: dt.datetime) -> list[int]:
    """Cancel payouts that the bank has not been told of, the last first, until what is disputed is in credit; return
    their ids. The balance is locked."""
    stopped: list[int] = []
    short = disputed(session, agreement_id) - credit.held(session, [agreement_id]).get(agreement_id, 0)
    if short <= 0:
        return stopped
    for row in reversed(session.execute(text(_NOT_TOLD), {"agreement": agreement_id}).all()):
        if short <= 0:
            break
        session.execute(
            text("UPDATE payouts SET state = 'cancelled', ended_by = :actor, ended_at = :now WHERE id = :id"),
            {"id": row.id, "actor": actor, "now": now},
        )
        credit.payout_back(session, agreement_id, row.id, row.amount_ore, business_date(now), now)
        short -= row.amount_ore
        stopped.append(row.id)
    return stopped
