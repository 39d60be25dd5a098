"""Decide which agreements' cards are due: inside the ingest transaction, and daily when a week has passed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import and_, bindparam, func, insert, or_, select, update
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from billing.cards.models import Card, Charge
from billing.cards.rules import is_due
from billing.passages import held
from billing.passages.backlog import slices as backlog
from billing.passages.backlog.models import Backlog
from billing.passages.balances import lock
from billing.passages.models import Balance
from config.clock import business_date, business_now
from config.jobs import JobContext, ring
from config.rates import whole

CHUNK = 500


def decide(session: Session, agreement_ids: Sequence[int], *, now: dt.datetime, cause: str = "threshold") -> int:
    """Make charges due for those of the agreements that pay by card and have reached the threshold.

    The caller holds the locks on their balances, so that a sum is judged once. Where the week is not over the
    date is noted (``charge_not_before``) and the daily sweep takes it then. Returns how many became due.
    """
    if not agreement_ids:
        return 0
    today = business_date(now)
    threshold_ore, week_days = whole("card_threshold_ore", today), whole("card_week_days", today)
    slice_week = dt.timedelta(days=whole("backlog_week_days", today))
    candidates = session.execute(
        select(Balance.agreement_id, Balance.unbilled_ore, Balance.last_charged_on, Backlog.last_on)
        .join(Agreement, Agreement.id == Balance.agreement_id)
        .outerjoin(Backlog, and_(Backlog.agreement_id == Balance.agreement_id, Backlog.ended_at.is_(None)))
        .where(
            Balance.agreement_id == func.any(bindparam("ids", list(agreement_ids))),
            Balance.unbilled_ore >= threshold_ore,
            Balance.open_charge_id.is_(None),
            Agreement.payment_method == "card",
            Agreement.standing != "closed",  # what a closed one drove before its end is invoiced
            or_(Agreement.closed_at.is_(None), Agreement.closed_at > now),
        )
    ).all()
    due, waits = [], []
    disputed = held.sums(session, [row.agreement_id for row in candidates]) if candidates else {}
    for row in candidates:
        decision = is_due(
            unbilled_ore=row.unbilled_ore - disputed.get(row.agreement_id, 0),
            threshold_ore=threshold_ore,
            open_charge=False,
            last_charged_on=row.last_charged_on,
            week_days=week_days,
            today=today,
            slice_on=row.last_on + slice_week if row.last_on else None,
        )
        if decision.charge:
            due.append(row.agreement_id)
        elif decision.not_before:
            waits.append({"of": row.agreement_id, "date": decision.not_before})
    if waits:
        _wait(session, waits)
    if due:
        _open(session, due, cause=cause, now=now)
    return len(due)


def _wait(session: Session, waits: Sequence[dict[str, object]]) -> None:
    session.connection().execute(
        update(Balance).where(Balance.agreement_id == bindparam("of")).values(charge_not_before=bindparam("date")),
        waits,
    )


def _open(session: Session, agreement_ids: Sequence[int], *, cause: str, now: dt.datetime) -> None:
    made = session.execute(
        insert(Charge).returning(Charge.id, Charge.agreement_id),
        [{"agreement_id": one, "cause": cause, "next_at": now, "due_at": now} for one in agreement_ids],
    ).all()
    session.connection().execute(
        update(Balance)
        .where(Balance.agreement_id == bindparam("of"))
        .values(open_charge_id=bindparam("charge"), charge_not_before=None),
        [{"of": row.agreement_id, "charge": row.id} for row in made],
    )
    ring(session, "due_charges")


def call_off(session: Session, charge: Charge, *, now: dt.datetime) -> None:
    """Call off a charge that has not been tried; its sum is unbilled as it was, and judged anew tomorrow.

    The caller holds the balance's lock.
    """
    charge.state, charge.ended_at = "cancelled", now
    balance = session.get_one(Balance, charge.agreement_id, populate_existing=True)
    balance.open_charge_id, balance.charge_not_before = None, business_date(now) + dt.timedelta(days=1)
    session.flush()


def open_now(session: Session, agreement_id: int, *, cause: str, now: dt.datetime) -> bool:
    """Have whatever an agreement has not been billed for charged now, whatever the sum and the week; say whether.

    ``cause``: closing, method or agent. An open charge that has not been tried takes it all; one that is being tried
    goes on as it is, and what has come since waits: False, as where there is nothing to charge or no card that may be
    tried. Of a backlog the charge takes its slice, and what is disputed stays. A sum that the provider does not take
    (``card_smallest_ore``) ends on an invoice by itself. Locks the balance. Raises ValueError for another cause.
    """
    if cause not in ("closing", "method", "agent"):
        raise ValueError(f"{cause} is no cause that asks for no sum")
    lock(session, [agreement_id])
    balance = session.get_one(Balance, agreement_id, populate_existing=True)
    usable = select(Card.id).where(
        Card.agreement_id == agreement_id, Card.removed_at.is_(None), Card.refused_code.is_(None)
    )
    if session.scalars(usable.limit(1)).one_or_none() is None:
        return False
    if balance.open_charge_id is not None:
        charge = session.get_one(Charge, balance.open_charge_id, populate_existing=True, with_for_update=True)
        if charge.state != "due":
            return False
        charge.cause, charge.next_at = cause, min(charge.next_at, now)
        session.flush()
        ring(session, "due_charges")
        return True
    if balance.unbilled_ore - held.sums(session, [agreement_id]).get(agreement_id, 0) <= 0:
        return False
    _open(session, [agreement_id], cause=cause, now=now)
    session.refresh(balance)
    return True


def week_over(session: Session, *, now: dt.datetime, after: int = 0) -> tuple[int, int, int]:
    """Take one chunk of agreements whose week is over, above agreement id ``after``.

    Returns (how many were looked at, how many became due, the last agreement id); (0, 0, after) at the end.
    """
    today = business_date(now)
    ids = list(
        session.scalars(
            select(Balance.agreement_id)
            .where(Balance.charge_not_before <= today, Balance.open_charge_id.is_(None), Balance.agreement_id > after)
            .order_by(Balance.agreement_id)
            .limit(CHUNK)
        )
    )
    if not ids:
        return 0, 0, after
    lock(session, ids)
    due = decide(session, ids, now=now, cause="week_over")
    session.execute(
        update(Balance)
        .where(
            Balance.agreement_id == func.any(bindparam("ids", ids)),
            Balance.charge_not_before <= today,
            Balance.open_charge_id.is_(None),
        )
        .values(charge_not_before=None)
        .execution_options(synchronize_session=False)
    )
    return len(ids), due, ids[-1]


def job_week_over(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Daily: charge those whose sum passed the threshold before their week was over, or by passages moved to them.

    Before that, backlogs that have come down to one slice end.
    """
    del scheduled_for  # a day that was missed is judged by today, not by itself
    ended = None
    while ended != 0:
        with ctx.sessions.begin() as session:
            ended = backlog.end_reached(session, now=business_now(session), after=ended or 0)
    looked = due = after = 0
    while True:
        with ctx.sessions() as session:
            seen, made, after = week_over(session, now=business_now(session), after=after)
            session.commit()
        looked, due = looked + seen, due + made
        if not seen:
            return {"looked_at": looked, "due": due}
