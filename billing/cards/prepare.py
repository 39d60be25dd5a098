"""Fix the sums of charges and write their next attempts, some fifty a transaction.

An attempt is committed as ``unknown`` before the provider is called, and there is no second one while it is.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, insert, or_, select, text, update
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from billing.cards.default import pass_on
from billing.cards.gateway import ChargeRequest
from billing.cards.models import Attempt, Card, CardCustomer, Charge
from billing.cards.outcome import Seller, give_up_some
from billing.cards.rules import NEED_THE_SUM, fee
from billing.cards.steps import passed
from billing.claims.make import make
from billing.passages.balances import lock
from billing.passages.models import Balance
from config.clock import business_date
from config.rates import whole


@dataclass(frozen=True)
class Prepared:
    """An attempt that is committed as unknown, the request that goes with it, and the real instant it was written."""

    attempt_id: int
    request: ChargeRequest
    called_at: dt.datetime


# The lock is tried row by row until there are enough, so that two workers share what waits and none waits for another.
_PICK = text("""
    WITH waiting AS MATERIALIZED (
        SELECT c.id FROM charges AS c
        WHERE c.state IN ('due', 'claimed') AND c.next_at <= :now AND c.id > :after
          AND NOT EXISTS (SELECT FROM attempts AS a WHERE a.charge_id = c.id AND a.state = 'unknown')
        ORDER BY c.id LIMIT :wide
    )
    SELECT id FROM waiting WHERE pg_try_advisory_xact_lock(hashtextextended('brikke charge ' || id, 0)) LIMIT :limit
""")
_WIDE = 20


def pick(session: Session, *, now: dt.datetime, after: int, limit: int) -> list[int]:
    """Take the next charges whose time has come, by id above ``after``, that no other worker has in hand.

    They are this transaction's until it ends.
    """
    told = {"now": now, "after": after, "wide": limit * _WIDE, "limit": limit}
    ids = sorted(session.scalars(_PICK, told))
    passed("picked")
    return ids


def prepare(
    session: Session, charge_id: int, *, seller: Seller, now: dt.datetime, real: dt.datetime
) -> Prepared | None:
    """Do as ``prepare_some`` does, for one. None when there is nothing to call for."""
    ready = prepare_some(session, [charge_id], seller=seller, now=now, real=real)
    return ready[0] if ready else None


def prepare_some(
    session: Session, charge_ids: Sequence[int], *, seller: Seller, now: dt.datetime, real: dt.datetime
) -> list[Prepared]:
    """Fix the sums of charges and write their next attempts; return what there is to call for.

    A charge has nothing when another worker has it, when it is not its time, when the sum fell below the threshold
    before it was claimed (it is cancelled), or when no card may be tried for it: then it goes on an invoice, as does
    one that waited for its customer, and one that is smaller than the provider takes. ``real`` is the real instant.
    """
    owners = session.scalars(select(Charge.agreement_id).where(Charge.id == func.any(list(charge_ids)))).all()
    lock(session, owners)
    passed("locked")
    unknown = select(Attempt.id).where(Attempt.charge_id == Charge.id, Attempt.state == "unknown").exists()
    charges = session.scalars(
        select(Charge)
        .where(
            Charge.id == func.any(list(charge_ids)),
            Charge.state.in_(("due", "claimed")),
            Charge.next_at <= now,
            ~unknown,
        )
        .order_by(Charge.id)
        .with_for_update(of=Charge)
        .execution_options(populate_existing=True)
    ).all()
    _claim(session, [charge for charge in charges if charge.state == "due"], now=now)
    passed("claimed")
    smallest = whole("card_smallest_ore", business_date(now))
    claimed = [charge for charge in charges if charge.state == "claimed"]
    cards = _cards(session, claimed, now=now)
    to_try = [
        charge
        for charge in claimed
        if charge.id in cards and charge.waits_for is None and (charge.amount_ore or 0) >= smallest
    ]
    ready = _attempts(session, to_try, cards, now=now, real=real)
    # Last, since invoices take their numbers from a series that others wait for.
    tried = {charge.id for charge in to_try}
    give_up_some(session, [charge for charge in claimed if charge.id not in tried], seller=seller, now=now)
    passed("attempted")
    return ready


def _claim(session: Session, charges: Sequence[Charge], *, now: dt.datetime) -> None:
    """Take what is unbilled into the charges' claims, and cancel those that have nothing to take.

    A charge that needs the sum is cancelled where that no longer reaches, and where the agreement has been closed or
    pays by invoice now; the others take whatever is there. What was booked after ``now`` is not taken: whoever booked
    it saw a charge open, so the daily sweep judges the sum anew.
    """
    if not charges:
        return
    today = business_date(now)
    threshold = whole("card_threshold_ore", today)
    reach = set(
        session.scalars(
            select(Agreement.id)
            .join(Balance, Balance.agreement_id == Agreement.id)
            .where(
                Agreement.id == func.any([charge.agreement_id for charge in charges]),
                Agreement.payment_method == "card",
                or_(Agreement.closed_at.is_(None), Agreement.closed_at > now),
                Balance.unbilled_ore >= threshold,
            )
        )
    )
    need = [charge for charge in charges if charge.cause in NEED_THE_SUM]
    rest = [charge for charge in charges if charge.cause not in NEED_THE_SUM]
    made = _make(session, [charge for charge in need if charge.agreement_id in reach], threshold, now)
    made |= _make(session, rest, 1, now)
    without = []
    for charge in charges:
        if charge.agreement_id in made:
            charge.state = "claimed"
            charge.claim_id, charge.amount_ore = made[charge.agreement_id]
        else:
            charge.state, charge.ended_at = "cancelled", now
            without.append(charge.agreement_id)
    session.flush()
    if without:
        rid = update(Balance).where(Balance.agreement_id.in_(without))
        session.execute(rid.values(open_charge_id=None, charge_not_before=today))


def _make(
    session: Session, charges: Sequence[Charge], minimum_ore: int, now: dt.datetime
) -> dict[int, tuple[int, int]]:
    """Make the charges' claims; return agreement id → (claim id, its sum in øre)."""
    claims = make(
        session,
        [charge.agreement_id for charge in charges],
        kind="card",
        run={charge.agreement_id: f"charge:{charge.id}" for charge in charges},
        part="",
        cutoff=now,
        minimum_ore=minimum_ore,
        now=now,
    )
    return {claim.agreement_id: (claim.claim_id, claim.amount_ore) for claim in claims}


def _cards(session: Session, charges: Sequence[Charge], *, now: dt.datetime) -> dict[int, tuple[Card, CardCustomer]]:
    """Return by charge id the card to try, and its customer: the one chosen for it while it works, else the default.

    Where that must not be tried any more, another that works is the default from now on. A charge whose agreement has
    no card that may be tried is left out.
    """
    found = _usable(session, charges)
    without = [charge for charge in charges if charge.id not in found and charge.waits_for is None]
    moved = [charge for charge in without if pass_on(session, charge.agreement_id, now=now) is not None]
    return found | _usable(session, moved) if moved else found


def _usable(session: Session, charges: Sequence[Charge]) -> dict[int, tuple[Card, CardCustomer]]:
    """Return what ``_cards`` does as the cards stand."""
    rows = session.execute(
        select(Card, CardCustomer)
        .join(CardCustomer, CardCustomer.agreement_id == Card.agreement_id)
        .where(
            Card.agreement_id == func.any([charge.agreement_id for charge in charges]),
            Card.removed_at.is_(None),
            Card.refused_code.is_(None),
        )
    ).all()
    chosen = {card.id: (card, customer) for card, customer in rows}
    default = {card.agreement_id: (card, customer) for card, customer in rows if card.is_default}
    found = {charge.id: chosen.get(charge.card_id or 0) or default.get(charge.agreement_id) for charge in charges}
    return {charge_id: pair for charge_id, pair in found.items() if pair is not None}


def _attempts(
    session: Session,
    charges: Sequence[Charge],
    cards: Mapping[int, tuple[Card, CardCustomer]],
    *,
    now: dt.datetime,
    real: dt.datetime,
) -> list[Prepared]:
    if not charges:
        return []
    today = business_date(now)
    bp, fixed = whole("card_fee_commercial_bp", today), whole("card_fee_commercial_ore", today)
    ids = [charge.id for charge in charges]
    last = select(Attempt.charge_id, func.max(Attempt.number)).where(Attempt.charge_id == func.any(ids))
    numbers = {row[0]: row[1] for row in session.execute(last.group_by(Attempt.charge_id))}
    rows = []
    for charge in charges:
        card, _ = cards[charge.id]
        amount = charge.amount_ore or 0
        fee_ore = fee(amount, segment=card.segment, fee_bp=bp, fee_ore=fixed)
        rows.append(
            {
                "charge_id": charge.id,
                "number": numbers.get(charge.id, 0) + 1,
                "card_id": card.id,
                "amount_ore": amount + fee_ore,
                "fee_ore": fee_ore,
                "state": "unknown",
                "idempotency_key": f"brikke-{charge.id}-{charge.tries}-{secrets.token_hex(8)}",
                "started_at": now,
                "called_at": real,
                "asked_at": real,
            }
        )
    made = session.scalars(insert(Attempt).returning(Attempt.id), rows).all()
    return prepared_some(session, made)


def prepared(session: Session, attempt_id: int) -> Prepared:
    """Return the very request of an attempt again: same key, same fields."""
    [found] = prepared_some(session, [attempt_id])
    return found


def prepared_some(session: Session, attempt_ids: Sequence[int]) -> list[Prepared]:
    """Return the requests of attempts, by attempt id."""
    rows = session.execute(
        select(
            Attempt.id,
            Attempt.charge_id,
            Attempt.amount_ore,
            Attempt.idempotency_key,
            Attempt.called_at,
            Card.payment_method,
            CardCustomer.provider_customer,
            Agreement.number,
        )
        .join(Card, Card.id == Attempt.card_id)
        .join(CardCustomer, CardCustomer.agreement_id == Card.agreement_id)
        .join(Agreement, Agreement.id == Card.agreement_id)
        .where(Attempt.id == func.any(list(attempt_ids)))
        .order_by(Attempt.id)
    ).all()
    return [
        Prepared(
            row.id,
            ChargeRequest(
                customer_id=row.provider_customer,
                payment_method=row.payment_method,
                amount_ore=row.amount_ore,
                idempotency_key=row.idempotency_key,
                charge=str(row.charge_id),
                attempt=str(row.id),
                description=f"Agreement {row.number}",
            ),
            row.called_at,
        )
        for row in rows
    ]
