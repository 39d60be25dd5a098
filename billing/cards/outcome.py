"""Record what came of attempts: once, whoever brings it (the answer, a webhook, the sweep)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TypeVar

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from accounts.customers.tell import NewMessage, tell
from billing.cards.default import pass_on
from billing.cards.gateway import Declined, GatewayMisuse, Outcome, RateLimited, Succeeded, Unknown
from billing.cards.late import keep
from billing.cards.models import Attempt, Card, Charge
from billing.cards.paid import Payment, Seller, release, succeed
from billing.cards.rules import NEED_THE_SUM, after_decline, confirm_by, morning
from billing.cards.steps import passed
from billing.cards.why import Why, reasons
from billing.cards.why import tell as tell_why
from billing.invoices.issue import issue
from billing.invoices.rules import due_date
from billing.passages.balances import lock
from billing.passages.models import Balance
from config.clock import business_date, now_utc
from config.jobs import ring
from config.rates import whole, wholes

__all__ = ["Seller", "apply", "apply_some", "forget", "give_up", "give_up_some", "of_misuse", "try_now"]

T = TypeVar("T", Charge, Attempt)

log = structlog.get_logger()

CARD_IS_WHY = frozenset({"resource_missing", "payment_method_unactivated", "payment_method_unexpected_state"})
"""Refused requests that say something of the card (it is gone at the provider), not of our settings."""


NOT_TRIED = "not tried: turned away as one too many (429), asked again with the same key"
"""Why an attempt is unknown that the provider has not looked at: the only time it was asked it was too busy."""

SUM_IS_WHY = frozenset({"amount_too_small", "amount_too_large"})
"""Declines for good that say nothing bad of the card."""


def of_misuse(misuse: GatewayMisuse) -> Outcome:
    """Say what a request that the provider will never accept means: a dead card, or nothing known (our mistake).

    Our own mistakes (a wrong key, say) must not turn everybody's charges into invoices: the attempt stays
    unknown and is asked again when it has been mended.
    """
    if misuse.code in CARD_IS_WHY:
        return Declined(None, misuse.code, str(misuse), needs_customer=True, retry="never")
    return Unknown(reason=f"refused: {misuse.code or misuse}", same_key_helps=misuse.code != "idempotency_error")


def apply(session: Session, attempt_id: int, result: Outcome, *, seller: Seller, now: dt.datetime) -> str:
    """Do as ``apply_some`` does, for one; return its word."""
    return apply_some(session, {attempt_id: result}, seller=seller, now=now)[attempt_id]


def apply_some(session: Session, results: Mapping[int, Outcome], *, seller: Seller, now: dt.datetime) -> dict[int, str]:
    """Record results on their attempts and carry them through to claims, ledger, documents and balances.

    Returns by attempt succeeded, declined or unknown (or nothing, where it is known that it never happened); a result
    that is recorded already is a result too, and changes nothing. A decline on a page of the provider's is none: the
    customer may try again there. Lock order: balances, charges, attempts, then the rest. Raises LookupError.
    """
    ids = sorted(results)
    charges = _locked(session, Charge, lock_balances(session, ids))
    attempts = _locked(session, Attempt, ids)
    if len(attempts) != len(ids):
        raise LookupError(f"no attempt {min(set(ids) - set(attempts))}")
    passed("applying")
    paid: dict[int, Payment] = {}
    later: dict[int, Outcome] = {}
    for attempt_id, attempt in attempts.items():
        charge, result = charges[attempt.charge_id], results[attempt_id]
        if attempt.state == "succeeded" or (attempt.state != "unknown" and not isinstance(result, Succeeded)):
            continue
        if charge.id in paid:
            later[attempt_id] = result  # of two attempts of one charge the second finds it ended
        elif isinstance(result, Succeeded):
            if _pays(session, charge, attempt, result, now=now):
                paid[charge.id] = Payment(charge, attempt, result)
        elif isinstance(result, Declined):
            if attempt.kind == "off_session":
                _declined(session, charge, attempt, result, seller=seller, now=now)
        else:
            _still_unknown(attempt, result)
    session.flush()
    succeed(session, list(paid.values()), seller=seller, now=now)
    if later:
        apply_some(session, later, seller=seller, now=now)
    return {attempt_id: attempt.state for attempt_id, attempt in attempts.items()}


def lock_balances(session: Session, attempt_ids: Sequence[int]) -> list[int]:
    """Lock the balances of attempts' agreements; return the attempts' charges."""
    owners = session.execute(
        select(Charge.agreement_id, Charge.id)
        .join(Attempt, Attempt.charge_id == Charge.id)
        .where(Attempt.id == func.any(list(attempt_ids)))
    ).all()
    lock(session, [row.agreement_id for row in owners])
    return [row.id for row in owners]


def _locked(session: Session, model: type[T], ids: Sequence[int]) -> dict[int, T]:
    query = select(model).where(model.id == func.any(list(ids))).order_by(model.id).with_for_update()
    return {one.id: one for one in session.scalars(query.execution_options(populate_existing=True))}


def _pays(session: Session, charge: Charge, attempt: Attempt, result: Succeeded, *, now: dt.datetime) -> bool:
    """Say whether a payment pays its charge: while that is open, else it becomes the customer's credit.

    A payment that was given up, or declined, pays an open charge too, even while another attempt is unknown: that one
    is from then on only looked up, since sending it again would make the payment if it was not made.
    """
    if result.amount_ore != attempt.amount_ore:
        raise AssertionError(f"attempt {attempt.id} asked for {attempt.amount_ore} øre, {result.amount_ore} were taken")
    before, pays = attempt.state, charge.state == "claimed"
    if before != "unknown" or not pays:
        log.error("card_paid_after_all", attempt=attempt.id, charge=charge.id, ref=result.ref, pays_the_charge=pays)
    if not pays:
        keep(session, charge, attempt, result, now=now)
    elif before != "unknown":
        session.execute(
            update(Attempt)
            .where(Attempt.charge_id == charge.id, Attempt.id != attempt.id, Attempt.state == "unknown")
            .values(lookup=True)
        )
    return pays


def _still_unknown(attempt: Attempt, result: Unknown | RateLimited) -> None:
    # The sweep writes ``sent_at`` before it sends: whoever sent it before that may not have lived to tell.
    only_time = attempt.asked_at == attempt.called_at and attempt.sent_at is None
    attempt.asked_at = now_utc()
    if isinstance(result, Unknown):
        attempt.message = result.reason
        attempt.lookup = attempt.lookup or not result.same_key_helps
        if attempt.kind == "off_session":  # a page has its own
            attempt.provider_ref = attempt.provider_ref or result.ref
    else:
        attempt.message = NOT_TRIED if only_time else "rate limited: asked again with the same key"


def _declined(
    session: Session, charge: Charge, attempt: Attempt, result: Declined, *, seller: Seller, now: dt.datetime
) -> None:
    attempt.state, attempt.provider_ref, attempt.ended_at = "declined", result.ref, now
    attempt.code, attempt.message = result.code, result.message
    card = session.get_one(Card, attempt.card_id, populate_existing=True)
    # A decline of before its bank gave it another number or expiry says nothing of the card as it is now.
    renewed = card.updated_at is not None and card.updated_at > attempt.started_at
    if result.retry == "never" and result.code not in SUM_IS_WHY and not result.confirm and not renewed:
        card.refused_code = result.code  # of a disputed card too: it stays when that is won (updater asks for disputes)
        session.flush()
    turn = _turn(session, charge, now=now)
    if charge.state != "claimed":
        return  # it ended while this attempt was unknown: there is nothing left to try
    charge.tries += 1
    another = turn is not None and (turn.id != attempt.card_id or renewed)
    if turn is not None and another and not _tried(session, charge, turn):
        charge.next_at = _in_its_week(session, charge, now, now=now)
        ring(session, "due_charges")
        return
    first = session.scalars(
        select(Attempt.started_at).where(Attempt.charge_id == charge.id).order_by(Attempt.number).limit(1)
    ).one()
    first_on, today = business_date(first), business_date(now)
    days = wholes("card_retry_bank_days", today)
    confirm = result.confirm and not another
    until = confirm_by(first_on=first_on, today=today, retry_bank_days=days) if confirm else None
    if until is not None:
        _wait_for_customer(session, charge, attempt, until, now=now)
        return
    then = after_decline(
        never=result.retry == "never" and not another,
        needs_customer=result.needs_customer and not another,
        first_on=first_on,
        today=today,
        retry_bank_days=days,
    )
    if then.on is None:
        give_up(session, charge, seller=seller, now=now)
    else:
        charge.next_at = _in_its_week(session, charge, morning(then.on), now=now)


def _in_its_week(session: Session, charge: Charge, at: dt.datetime, *, now: dt.datetime) -> dt.datetime:
    """Return when a charge may be tried again: not within the week of money that was found meanwhile."""
    paid_on = session.get_one(Balance, charge.agreement_id, populate_existing=True).last_charged_on
    if paid_on is None or charge.cause not in NEED_THE_SUM:
        return at
    return max(at, morning(paid_on + dt.timedelta(days=whole("card_week_days", business_date(now)))))


def _turn(session: Session, charge: Charge, *, now: dt.datetime) -> Card | None:
    """Return the card that a charge is tried on next, or None: the one chosen for it while it works, else the default.

    That may be another than was declined: one that takes over, or that was given while nobody knew of the decline.
    """
    chosen = None if charge.card_id is None else session.get_one(Card, charge.card_id, populate_existing=True)
    if chosen is not None and chosen.removed_at is None and chosen.refused_code is None:
        return chosen
    return pass_on(session, charge.agreement_id, now=now)


def _tried(session: Session, charge: Charge, card: Card) -> bool:
    """Say whether a card, as it is now, has been tried for a charge: then it waits for the next day of retries."""
    tried = select(Attempt.id).where(Attempt.charge_id == charge.id, Attempt.card_id == card.id)
    if card.updated_at is not None:
        tried = tried.where(Attempt.started_at >= card.updated_at)
    return session.scalars(tried.limit(1)).one_or_none() is not None


def _wait_for_customer(session: Session, charge: Charge, attempt: Attempt, until: dt.date, *, now: dt.datetime) -> None:
    """Try no more by ourselves, have the customer told that the bank wants them to confirm, and invoice it after that.

    ``until`` is the day that they are told: the last on which it helps. It is invoiced the morning after.
    """
    charge.waits_for, charge.next_at = "customer", morning(until + dt.timedelta(days=1))
    told = NewMessage(
        charge.agreement_id,
        "card_confirm",
        f"attempt:{attempt.id}",
        data={"amount_ore": charge.amount_ore, "facts": {"until_on": until.isoformat()}},
    )
    tell(session, [told], now=now)


def try_now(session: Session, agreement_id: int, *, now: dt.datetime) -> bool:
    """Have an open charge tried at once, whatever it waited for; say whether there is one.

    For a card that is new, chosen or updated. One whose outcome nobody knows is tried when it is known that it was not
    paid. Locks the balance.
    """
    lock(session, [agreement_id])
    charge = session.scalars(
        select(Charge)
        .where(Charge.agreement_id == agreement_id, Charge.state.in_(("due", "claimed")))
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    if charge is None:
        return False
    charge.waits_for, charge.next_at = None, min(charge.next_at, now)
    session.flush()
    ring(session, "due_charges")
    return True


def give_up(session: Session, charge: Charge, *, seller: Seller, now: dt.datetime, because: Why | None = None) -> None:
    """Do as ``give_up_some`` does, for one."""
    give_up_some(session, [charge], seller=seller, now=now, because=because)


def give_up_some(
    session: Session, charges: Sequence[Charge], *, seller: Seller, now: dt.datetime, because: Why | None = None
) -> None:
    """Put charges that no card pays on invoices: number, due date and the customer's channel are theirs now.

    No fee: the sum ends up on an invoice. The customer is told why: ``because``, else by what the charges have been
    through. The caller holds the balances' and the charges' locks.
    """
    if not charges:
        return
    today = business_date(now)
    whys = reasons(session, charges, smallest_ore=whole("card_smallest_ore", today))
    claims = []
    for charge in charges:
        assert charge.claim_id is not None
        charge.state, charge.ended_at, charge.waits_for = "invoiced", now, None
        claims.append(charge.claim_id)
    session.flush()
    documents = issue(
        session,
        claims,
        seller=seller,
        issued_on=today,
        due_on=due_date(today, whole("invoice_term_days", today)),
        run_id=None,
        now=now,
    )
    tell_why(session, documents, whys if because is None else [because] * len(charges))
    release(session, [charge.agreement_id for charge in charges], charged_on=None, now=now)


def forget(session: Session, attempt_id: int, *, now: dt.datetime) -> None:
    """Record that an attempt certainly never happened; the charge may be tried anew at once."""
    lock_balances(session, [attempt_id])
    session.execute(
        update(Attempt)
        .where(Attempt.id == attempt_id, Attempt.state == "unknown")
        .values(state="nothing", ended_at=now)
    )
