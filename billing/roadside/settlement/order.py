"""Payment orders to chargers: made by one, released by another, handed to the bank once, and what became of them."""

from __future__ import annotations

import datetime as dt
import hashlib

from sqlalchemy import func, insert, select, text
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger
from billing.ledger.book import Account, Entry, book
from billing.payments.pain001 import Debtor, Transfer, build
from billing.roadside.settlement.agree import locked
from billing.roadside.settlement.models import ChargerOrder, Settlement
from config.bankdays import add_bank_days, is_bank_day, on_or_after
from config.clock import business_date
from config.jobs import ring
from config.problems import Conflict, Forbidden, Invalid, NotFound
from config.rates import whole

OUTBOX = "bank_outbox"
"""The job that writes what has been released."""
ENDED = ("rejected", "withdrawn")


def order(
    session: Session, settlement_id: int, *, actor: str, now: dt.datetime, execute_on: dt.date | None = None
) -> ChargerOrder:
    """Make the payment order of an agreed settlement, for a second person to release; the open one is a result.

    ``execute_on`` must be a bank day from today on; left out it is the next one but what rates say. Raises NotFound,
    Conflict (``not-agreed``, ``nothing-to-pay``, ``no-account``), Invalid.
    """
    row = locked(session, settlement_id)
    open_one = session.scalar(
        select(ChargerOrder).where(ChargerOrder.settlement_id == row.id, ChargerOrder.state.not_in(ENDED))
    )
    if open_one is not None:
        return open_one
    if row.state == "carried":
        raise Conflict("There is nothing to pay out; what is negative goes into the next one.", slug="nothing-to-pay")
    if row.state != "agreed":
        raise Conflict(f"The settlement is {row.state}; it must be agreed first.", slug="not-agreed")
    charger = session.get_one(Charger, row.charger_id, populate_existing=True)
    if charger.bank_account is None:
        raise Conflict(f"{charger.code} has no bank account; PUT /v1/chargers/{charger.code}.", slug="no-account")
    number = session.scalar(select(func.count()).where(ChargerOrder.settlement_id == row.id)) or 0
    made = session.scalars(
        insert(ChargerOrder).returning(ChargerOrder),
        [
            {
                "settlement_id": row.id,
                "number": number + 1,
                "end_to_end_id": f"S{row.id}-{number + 1}",
                "amount_ore": row.payout_ore,
                "creditor_name": charger.name,
                "account": charger.bank_account,
                "text": f"Oppgjør {charger.code} {row.period_from}/{row.period_to}",
                "execute_on": _execution(execute_on, now),
                "made_at": now,
                "made_by": actor,
            }
        ],
    ).one()
    row.state = "ordered"
    session.flush()
    return made


def _execution(asked: dt.date | None, now: dt.datetime) -> dt.date:
    today = business_date(now)
    if asked is None:
        return add_bank_days(today, whole("settlement_bank_days", today))
    if asked < today or not is_bank_day(asked):
        wrong = {"field": "execute_on", "message": "Must be a bank day from today on."}
        raise Invalid(f"The bank pays nothing on {asked}.", errors=[wrong])
    return asked


def release(session: Session, order_id: int, *, debtor: Debtor, actor: str, now: dt.datetime) -> ChargerOrder:
    """Release an order that somebody else made: its file is made and kept, and the outbox is rung for.

    A day that has passed meanwhile becomes the next bank day. Released before is a result. Raises NotFound; Forbidden
    for who made it; Conflict when it was ended, or the charger's account has changed since (``account-changed``).
    """
    found, row = _locked(session, order_id)
    if found.state in ENDED:
        raise Conflict(f"The order was {found.state}.", slug="order-ended")
    if found.state != "waiting":
        return found
    if _person(found.made_by) == _person(actor):
        raise Forbidden("Who made an order cannot release it; it takes somebody else.", slug="second-person")
    account = session.scalar(select(Charger.bank_account).where(Charger.id == row.charger_id))
    if account != found.account:
        raise Conflict("The charger's account has changed since; withdraw the order.", slug="account-changed")
    found.execute_on = on_or_after(max(found.execute_on, business_date(now)))
    found.content = build(
        f"BRIKKE-{found.end_to_end_id}",
        debtor,
        [Transfer(found.end_to_end_id, found.creditor_name, found.account, found.amount_ore, found.text)],
        made_at=now,
        execute_on=found.execute_on,
    )
    found.sha256 = hashlib.sha256(found.content).digest()
    found.state, found.released_at, found.released_by = "released", now, actor
    session.flush()
    ring(session, OUTBOX)
    return found


def _person(actor: str) -> str:
    """Return who it is, whatever the role: one person may have two."""
    return actor.partition(":")[2] or actor


def withdraw(session: Session, order_id: int, *, why: str, actor: str, now: dt.datetime) -> ChargerOrder:
    """Take an order back that nobody has released; its settlement can be ordered again. Withdrawn before is a result.

    Raises NotFound, Conflict (``order-released``).
    """
    found, row = _locked(session, order_id)
    if found.state == "withdrawn":
        return found
    if found.state != "waiting":
        raise Conflict("The order has been released; only the bank can still stop it.", slug="order-released")
    return _end(session, found, row, "withdrawn", why, actor, now)


def rejected(session: Session, order_id: int, *, why: str, actor: str, now: dt.datetime) -> ChargerOrder:
    """Note that the bank refused an order; its settlement can be ordered again. Rejected before is a result.

    The bank cannot have refused a file that it has not been given, and one that goes out after its settlement was
    ordered again would be paid twice. Raises NotFound, Conflict (``not-released``, ``not-written``, ``order-ended``).
    """
    found, row = _locked(session, order_id)
    if found.state == "rejected":
        return found
    _must_be_out(found)
    _must_be_written(found)
    return _end(session, found, row, "rejected", why, actor, now)


def paid(
    session: Session, order_id: int, *, reference: str, paid_on: dt.date, actor: str, now: dt.datetime
) -> ChargerOrder:
    """Note that the bank has paid an order, and book it: the charger is owed that much less.

    Paid before under the same reference is a result. Raises NotFound, Conflict (``not-released``, ``not-written``,
    ``order-ended``, ``paid-otherwise``), Invalid for a day ahead or before it was released.
    """
    found, row = _locked(session, order_id)
    if found.state == "paid":
        if (found.reference, found.paid_on) != (reference, paid_on):
            detail = f"It was paid on {found.paid_on} under reference {found.reference}."
            raise Conflict(detail, slug="paid-otherwise")
        return found
    released_at = _must_be_out(found)
    _must_be_written(found)
    if not business_date(released_at) <= paid_on <= business_date(now):
        wrong = {"field": "paid_on", "message": "Must lie between the order's release and today."}
        raise Invalid(f"It cannot have been paid on {paid_on}.", errors=[wrong])
    found.state, found.reference, found.paid_on = "paid", reference, paid_on
    found.ended_at, found.ended_by, row.state = now, actor, "paid"
    session.flush()
    entry = Entry(Account("payable", row.charger_id), Account("bank"), found.amount_ore, "charger_payment", found.id)
    book(session, [entry], booked_on=business_date(now), now=now)
    return found


def _locked(session: Session, order_id: int) -> tuple[ChargerOrder, Settlement]:
    """Return an order and its settlement, the settlement locked: every change of either begins there."""
    settlement_id = session.scalar(select(ChargerOrder.settlement_id).where(ChargerOrder.id == order_id))
    if settlement_id is None:
        raise NotFound("There is no such payment order.")
    row = locked(session, settlement_id)
    return session.get_one(ChargerOrder, order_id, populate_existing=True, with_for_update=True), row


def _must_be_out(found: ChargerOrder) -> dt.datetime:
    if found.state in (*ENDED, "paid"):
        raise Conflict(f"The order is {found.state}.", slug="order-ended")
    if found.released_at is None:
        raise Conflict("Nobody has released the order.", slug="not-released")
    return found.released_at


def _must_be_written(found: ChargerOrder) -> None:
    """The bank can have done nothing with a file that it has not been given; and what ends before is never given it."""
    if found.written_at is None:
        raise Conflict("The order's file has not been put in the bank's outbox yet.", slug="not-written")


def _end(
    session: Session, found: ChargerOrder, row: Settlement, state: str, why: str, actor: str, now: dt.datetime
) -> ChargerOrder:
    found.state, found.why, found.ended_at, found.ended_by = state, why, now, actor
    row.state = "agreed"
    session.flush()
    return found


def unwritten(session: Session) -> list[int]:
    """Return the ids of released orders that the outbox has not had, the oldest first."""
    query = text("SELECT id FROM charger_orders WHERE state = 'released' AND written_at IS NULL ORDER BY id")
    return list(session.scalars(query))
