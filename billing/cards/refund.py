"""Refunds: what we owe a customer, back over the card that had paid it. Asked for, approved, stopped, and how it ended.

The credit is taken when a refund is asked for, under the agreement's balance lock, and so is what is left of the
payment: two at once never get more than there is of either. What does not come about gives both back. What one person
may let leave of a holder's credit has a limit, over cards and to bank accounts together (``claims.leaving``): above it
a second person approves. Calling the provider is `refund_call`.

A passage that was paid for is given back by `give_back`: it is credited, what presents its claim is issued anew, and
what was settled too much is refunded, all in one transaction. While a payment's dispute is open nothing of it is
refunded, and so much of the credit does not leave: its bank may take it back as well.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from accounts.access.principal import must_be_another
from accounts.customers.tell import NewMessage, tell
from billing.cards import borne
from billing.cards.models import Charge, Refund
from billing.claims import credit
from billing.claims.leaving import after_debts, disputed, in_turn, lately, must_be_payable, must_be_there, take_turns
from billing.invoices.reissue import LONGEST_REASON, Reissued, reissue
from billing.ledger.book import Account, Entry, book
from billing.passages import join
from billing.passages.balances import lock
from billing.passages.credit import credit as credit_passage
from config.clock import business_date
from config.jobs import ring
from config.problems import Conflict, Invalid, NotFound
from config.rates import whole

BELL = "card_refunds"
GATEWAY = "card gateway"


@dataclass(frozen=True)
class Paid:
    """A payment of a charge, and what of it can still be given back (øre). ``disputed``: nothing as long as it is."""

    attempt_id: int
    left_ore: int
    disputed: bool


@dataclass(frozen=True)
class GivenBack:
    """What came of giving passages back: the document issued anew, and the refund, None where what became credit was
    used on what else is owed, or (``waits``) stays in credit while a card's bank disputes a payment."""

    reissued: Reissued
    refund: Refund | None
    waits: bool = False


_PAID = """
    SELECT t.id, t.amount_ore
           - coalesce((SELECT sum(r.amount_ore) FROM card_refunds AS r
                       WHERE r.attempt_id = t.id AND r.state NOT IN ('failed', 'cancelled')), 0)
           - coalesce((SELECT sum(d.withdrawn_ore) FROM card_disputes AS d
                       WHERE d.attempt_id = t.id AND d.state <> 'won'), 0) AS left_ore,
           EXISTS (SELECT FROM card_disputes AS d WHERE d.attempt_id = t.id AND d.state = 'opened') AS disputed
    FROM attempts AS t WHERE t.charge_id = :charge AND t.state = 'succeeded' ORDER BY t.credited DESC, t.id
"""


def paid(session: Session, charge_id: int) -> list[Paid]:
    """Return the payments of a charge, those first that came after it had ended another way."""
    rows = session.execute(text(_PAID), {"charge": charge_id})
    return [Paid(row.id, max(int(row.left_ore), 0), row.disputed) for row in rows]


def request(
    session: Session, charge_id: int, *, amount_ore: int | None, reason: str, actor: str, now: dt.datetime
) -> Refund:
    """Ask for ``amount_ore`` of the agreement's credit (None: all of it) to go back to the card that paid a charge.

    Never more than is left of one payment. What is past due is paid with the credit first. Raises NotFound; Invalid for
    a sum that is not positive and without a reason; Conflict: ``not-enough-credit``, ``over-payment`` (with what there
    is), ``charge-not-paid``, ``charge-disputed``, ``set-off-only`` by the holder's rulebook.
    """
    reason = _said(reason)
    if amount_ore is not None and amount_ore <= 0:
        raise Invalid("A refund is more than nothing.", errors=[{"field": "amount_ore", "message": "must be above 0"}])
    charge = _charge(session, charge_id)
    there = after_debts(session, charge.agreement_id, now, actor)
    withheld = disputed(session, charge.agreement_id)
    chosen = _choose(paid(session, charge_id), amount_ore)
    wanted = min(max(there - withheld, 0), chosen.left_ore) if amount_ore is None else amount_ore
    must_be_there(wanted, there, withheld)
    return _ask(session, charge, chosen, wanted, reason=reason, actor=actor, now=now)


def _charge(session: Session, charge_id: int) -> Charge:
    """Return a charge, its agreement's balance and its holder's turn locked. Raises NotFound; Conflict where credit is
    never paid out."""
    agreement_id = session.scalar(select(Charge.agreement_id).where(Charge.id == charge_id))
    if agreement_id is None:
        raise NotFound("There is no such charge.")
    lock(session, [agreement_id])
    take_turns(session, agreement_id)
    must_be_payable(session, agreement_id)
    return session.get_one(Charge, charge_id, populate_existing=True)


def _said(reason: str) -> str:
    if not reason.strip() or len(reason.strip()) > LONGEST_REASON:
        wrong = {"field": "reason", "code": "missing" if not reason.strip() else "too_long", "message": "is needed"}
        raise Invalid(f"Say why, in {LONGEST_REASON} characters at most.", errors=[wrong])
    return reason.strip()


def _choose(payments: Sequence[Paid], amount_ore: int | None) -> Paid:
    """Return the payment to refund: the first of which that much is left."""
    if not payments:
        raise Conflict("No card has paid this charge.", slug="charge-not-paid")
    usable = [one for one in payments if not one.disputed and one.left_ore]
    if not usable and any(one.disputed for one in payments):
        raise Conflict("The card's bank disputes this payment; wait for the outcome.", slug="charge-disputed")
    fits = [one for one in usable if amount_ore is None or one.left_ore >= amount_ore]
    if not fits:
        most = max((one.left_ore for one in usable), default=0)
        raise Conflict(f"There are {most} øre left of the payment.", slug="over-payment", extra={"left_ore": most})
    return fits[0]


def _ask(
    session: Session, charge: Charge, chosen: Paid, ore: int, *, reason: str, actor: str, now: dt.datetime
) -> Refund:
    now = in_turn(session, charge.agreement_id, now)
    today = business_date(now)
    second = lately(session, charge.agreement_id, now) + ore > whole("card_refund_second_approver_ore", today)
    row = Refund(
        agreement_id=charge.agreement_id,
        charge_id=charge.id,
        attempt_id=chosen.attempt_id,
        amount_ore=ore,
        state="requested" if second else "approved",
        reason=reason,
        requested_by=actor,
        requested_at=now,
        approved_at=None if second else now,
    )
    session.add(row)
    session.flush()
    credit.payout(session, charge.agreement_id, row.id, ore, today, now, "card_refund")
    if not second:
        ring(session, BELL)
    return row


_ITS_PASSAGES = """
    SELECT p.id, v.passage_id IS NOT NULL AS taken_back FROM passages AS p
    LEFT JOIN reversals AS v ON v.passage_id = p.id
    WHERE p.agreement_id = :agreement AND p.claim_id = :claim AND p.reverses_id IS NULL AND NOT p.external ORDER BY p.id
"""

DOCUMENT = """
    SELECT d.number FROM documents AS d JOIN claims AS c ON c.id = d.claim_id AND c.version = d.version
    WHERE d.claim_id = :claim AND d.kind = 'invoice'
      AND NOT EXISTS (SELECT FROM documents AS n WHERE n.credits_id = d.id)
"""

_RELEASED = """
    SELECT coalesce(-sum(a.amount_ore), 0)::bigint FROM allocations AS a JOIN claims AS c ON c.id = a.claim_id
    WHERE a.claim_id = :claim AND a.source = 'released' AND a.source_id = c.version
"""


def give_back(
    session: Session,
    charge_id: int,
    passage_ids: Sequence[int] | None = None,
    *,
    reason: str,
    seller: Mapping[str, Any],
    actor: str,
    now: dt.datetime,
) -> GivenBack:
    """Credit passages that a charge paid (None: all that are left), issue its receipt anew and refund what that frees.

    The fee goes back in proportion. What is open and has a due date is paid with it first. Raises what ``request``
    raises; Invalid for no passage at all; NotFound for one that the charge did not pay; Conflict ``nothing-left`` when
    all is given back already, and what crediting a passage raises.
    """
    reason = _said(reason)
    if passage_ids is not None and not passage_ids:
        raise Invalid("Name the passages.", errors=[{"field": "passages", "code": "missing", "message": "is needed"}])
    charge = _charge(session, charge_id)
    if charge.state != "succeeded" or charge.claim_id is None:
        raise Conflict("No card has paid this charge.", slug="charge-not-paid")
    if any(one.disputed for one in paid(session, charge_id)):
        raise Conflict("The card's bank disputes this payment; wait for the outcome.", slug="charge-disputed")
    _credit(session, charge, passage_ids, reason=reason, actor=actor, now=now)
    number = session.scalar(text(DOCUMENT), {"claim": charge.claim_id})
    if number is None or not join.find(session, charge.agreement_id, charge.claim_id):
        raise Conflict("All of it is given back already.", slug="nothing-left")
    anew = reissue(session, number, reason=reason, seller=seller, now=now, actor=actor)
    freed = int(session.execute(text(_RELEASED), {"claim": charge.claim_id}).scalar_one())
    held = credit.held(session, [charge.agreement_id]).get(charge.agreement_id, 0)
    there = max(held - disputed(session, charge.agreement_id), 0)
    usable = [one for one in paid(session, charge_id) if one.left_ore]
    chosen = next((one for one in usable if one.left_ore >= min(freed, there)), usable[0] if usable else None)
    ore = min(freed, there, chosen.left_ore) if chosen else 0
    if chosen is None or not ore:
        return GivenBack(anew, None, waits=there < min(freed, held))
    return GivenBack(anew, _ask(session, charge, chosen, ore, reason=reason, actor=actor, now=now))


def _credit(
    session: Session,
    charge: Charge,
    passage_ids: Sequence[int] | None,
    *,
    reason: str,
    actor: str,
    now: dt.datetime,
) -> None:
    """Credit those of a charge's passages that are asked for; of all of them, those that nothing took back yet."""
    rows = session.execute(text(_ITS_PASSAGES), {"agreement": charge.agreement_id, "claim": charge.claim_id}).all()
    if passage_ids is not None and set(passage_ids) - {row.id for row in rows}:
        raise NotFound("This charge did not pay for such a passage.")
    asked = set(passage_ids) if passage_ids is not None else {row.id for row in rows if not row.taken_back}
    for passage_id in sorted(asked):
        credit_passage(session, charge.agreement_id, passage_id, reason=reason, actor=actor, now=now)


def approve(session: Session, refund_id: int, *, actor: str, now: dt.datetime) -> Refund:
    """Approve a refund that somebody else asked for; approved before is a result.

    Raises NotFound; Forbidden for who asked for it; Conflict when it has ended.
    """
    row = locked(session, refund_id)
    if row.state in ("approved", "unknown", "succeeded"):
        return row
    if row.state != "requested":
        raise Conflict(f"The refund is {row.state}.", slug="refund-ended")
    must_be_another(row.requested_by, actor, "Who asked for a refund cannot approve it; it takes somebody else.")
    row.state, row.approved_by, row.approved_at = "approved", actor, now
    session.flush()
    ring(session, BELL)
    return row


def cancel(session: Session, refund_id: int, *, actor: str, now: dt.datetime) -> Refund:
    """Stop a refund that the provider has not been asked for; the credit comes back. Stopped before is a result.

    Raises NotFound; Conflict (``refund-called``) when it is too late.
    """
    row = locked(session, refund_id)
    if row.state == "cancelled":
        return row
    if row.state not in ("requested", "approved"):
        raise Conflict("The provider has been asked for it; it cannot be stopped.", slug="refund-called")
    come_back(session, row, "cancelled", actor, now)
    return row


def stop(session: Session, attempt_id: int, *, now: dt.datetime) -> None:
    """Cancel what is asked for of a payment and not under way: its bank takes it back. The balance is locked.

    What is sent at that very moment, or is looked up in vain later, does not go either (``refund_call``).
    """
    waiting = select(Refund).where(Refund.attempt_id == attempt_id, Refund.state.in_(("requested", "approved")))
    for row in session.scalars(waiting.order_by(Refund.id).execution_options(populate_existing=True)).all():
        come_back(session, row, "cancelled", GATEWAY, now)


def stop_short(session: Session, agreement_id: int, *, now: dt.datetime) -> None:
    """Cancel what is asked for of an agreement's payments and not under way, the last first, until what is disputed is
    in credit: whatever card it was to go to. The balance is locked."""
    waiting = select(Refund).where(Refund.agreement_id == agreement_id, Refund.state.in_(("requested", "approved")))
    for row in session.scalars(waiting.order_by(Refund.id.desc()).execution_options(populate_existing=True)).all():
        if disputed(session, agreement_id) <= credit.held(session, [agreement_id]).get(agreement_id, 0):
            return
        come_back(session, row, "cancelled", GATEWAY, now)


def stop_more(session: Session, attempt_id: int, *, now: dt.datetime) -> None:
    """Cancel of what waits to go of a payment what it does not hold any more, the last asked for first."""
    waiting = select(Refund).where(Refund.attempt_id == attempt_id, Refund.state.in_(("requested", "approved")))
    for row in session.scalars(waiting.order_by(Refund.id.desc()).execution_options(populate_existing=True)).all():
        if may_go(session, row):
            return
        come_back(session, row, "cancelled", GATEWAY, now)


def locked(session: Session, refund_id: int) -> Refund:
    """Return a refund, its agreement's balance locked: every change of it begins there. Raises NotFound."""
    agreement_id = session.scalar(select(Refund.agreement_id).where(Refund.id == refund_id))
    if agreement_id is None:
        raise NotFound("There is no such refund.")
    lock(session, [agreement_id])
    return session.get_one(Refund, refund_id, populate_existing=True, with_for_update={"key_share": True})


def may_go(session: Session, row: Refund) -> bool:
    """Say whether a refund that is approved may be called for: its payment is not disputed, and holds that much beside
    all else that goes of it or is gone; and what is disputed of the agreement's payments is in credit. All may have
    changed since it was asked for. The balance is locked."""
    session.flush()
    if disputed(session, row.agreement_id) > credit.held(session, [row.agreement_id]).get(row.agreement_id, 0):
        return False
    found = session.execute(text(_PAID), {"charge": row.charge_id}).all()
    return any(one.id == row.attempt_id and one.left_ore >= 0 and not one.disputed for one in found)


def come_back(session: Session, row: Refund, state: str, actor: str, now: dt.datetime) -> None:
    """End a refund that does not come about: the credit is the customer's again, less what we bore of disputes that
    were lost meanwhile, and pays what is past due."""
    row.state, row.ended_by, row.ended_at = state, actor, now
    session.flush()
    borne.give_back(session, row, now)
    borne.take(session, row.agreement_id, "card_refund", row.id, row.amount_ore, since=row.requested_at, now=now)
    after_debts(session, row.agreement_id, now, actor)


def succeed(session: Session, row: Refund, ref: str, now: dt.datetime) -> None:
    """Book a refund that the provider has made; the customer is told."""
    row.state, row.provider_ref, row.ended_by, row.ended_at = "succeeded", ref, GATEWAY, now
    row.code = row.message = None
    if row.approved_at is None:  # refused, so it waited for a person again; and the request had gone all the same
        row.approved_by, row.approved_at = GATEWAY, now
    session.flush()
    tell_paid(session, row, now)


def tell_paid(session: Session, row: Refund, now: dt.datetime) -> None:
    """Book that a refund's money went, and tell the customer."""
    _book(session, row, Account("refunds"), Account("card_clearing"), "card_refund_paid", now)
    tell(session, [NewMessage(row.agreement_id, "card_refunded", f"card_refund:{row.id}", None, _told(row))], now=now)


def fail(session: Session, row: Refund, ref: str | None, code: str, message: str, now: dt.datetime) -> None:
    """End a refund that the provider refused or could not carry out, which it may say after it had succeeded: the money
    is at the provider again, and the credit the customer's, who is told."""
    if row.state == "succeeded":
        _book(session, row, Account("card_clearing"), Account("refunds"), "card_refund_returned", now)
    row.provider_ref, row.code, row.message = ref or row.provider_ref, code, message
    come_back(session, row, "failed", GATEWAY, now)
    about = f"card_refund:{row.id}"
    tell(session, [NewMessage(row.agreement_id, "card_refund_failed", about, None, _told(row))], now=now)


def _book(session: Session, row: Refund, debit: Account, credit_: Account, code: str, now: dt.datetime) -> None:
    book(session, [Entry(debit, credit_, row.amount_ore, code, row.id)], booked_on=business_date(now), now=now)


def _told(row: Refund) -> dict[str, int]:
    return {"amount_ore": row.amount_ore}
