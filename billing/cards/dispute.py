"""Disputes: a cardholder's bank takes a payment back, for good or until it has judged.

Events are hints: the dispute is read again (``look``) and carried through as it is now (``apply``), so they may come in
any order and any number of times. What it is about may not be known as paid yet: then the payment is read too.

- Opened: the card is not charged any more, what is asked for of its refunds stops, and nothing of the payment is
  refunded. So much of the agreement's credit does not leave (``claims.leaving``), and what of it a loss would take pays
  nothing (``claims.lots``). Payouts and refunds of other payments that stand in its way stop. What the bank withdraws
  meanwhile is in the account `disputes`.
- Won: the money came back (an inquiry never took any), and the card may be charged again.
- Lost: what the payment still settles of its claim is owed again, on a new invoice with a due date, without the fee
  when nothing of it is paid by that card any more; what of it had become credit is taken of that; what is spent is
  ours to bear.
- Lost, and all of it came back after that: it is won after all. What had been taken of the customer is their credit,
  and pays that invoice first, from that day on; what we bore is not ours to bear any more. What we bore of another
  dispute of the payment is taken of that credit first, as if this had come back before that one was lost.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import structlog
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from accounts.customers.tell import NewMessage, tell
from billing.cards import borne, ours, outcome, refund
from billing.cards.gateway import CardGateway, DisputeDetails, GatewayUnavailable, Outcome, Succeeded
from billing.cards.models import Attempt, Card, Charge, Dispute
from billing.cards.outcome import Seller
from billing.claims import credit, leaving
from billing.claims.settle import Settlement, allocate
from billing.claims.standing import recompute_locked
from billing.invoices.reissue import reissue
from billing.ledger.book import Account, Entry, book
from billing.passages.balances import lock
from config.clock import business_date
from config.database import SessionFactory

log = structlog.get_logger()

DISPUTED = "disputed"
ACTOR = refund.GATEWAY
AFTER_ALL = "after all"
"""The part of a transfer that brings money of a lost dispute back."""
REASON = "The card payment was taken back by the card's bank"


@dataclass(frozen=True)
class Look:
    """A dispute as it is at the provider, and its payment's outcome where we did not know that it succeeded."""

    told: DisputeDetails
    payment: Outcome | None = None


def attempt_of(session: Session, told: DisputeDetails) -> int | None:
    """Return the attempt whose payment is disputed, by the provider's reference or our metadata; None: not ours."""
    known = session.scalars(select(Attempt.id).where(Attempt.provider_ref == told.payment)).one_or_none()
    if known is not None:
        return known
    said = {"attempt": told.attempt, "charge": told.charge, "key": told.key}
    return ours.attempt_of(session, {name: word for name, word in said.items() if word is not None}, told.customer)


def look(sessions: SessionFactory, gateway: CardGateway, ref: str) -> Look:
    """Read a dispute, outside any transaction. Raises what ``CardGateway.dispute`` raises."""
    return with_payment(sessions, gateway, gateway.dispute(ref))


def with_payment(sessions: SessionFactory, gateway: CardGateway, told: DisputeDetails) -> Look:
    """Return a dispute as it was read, with its payment's outcome where that is not known to have succeeded."""
    with sessions() as session:
        attempt_id = attempt_of(session, told)
        paid = attempt_id is None or session.get_one(Attempt, attempt_id).state == "succeeded"
    return Look(told) if paid else Look(told, gateway.retrieve(told.payment))


def apply(session: Session, found: Look, *, seller: Seller, now: dt.datetime) -> str:
    """Carry a dispute through as it was read. Returns opened, won or lost; ignored where it is not ours.

    One that has ended stays as it ended, but for a lost one whose money has come back. Raises GatewayUnavailable where
    the provider does not (yet) say that its payment succeeded: the event is sent again, and the job asks again.
    """
    told = found.told
    attempt_id = attempt_of(session, told)
    if attempt_id is None:
        return "ignored"
    charge = session.scalars(
        select(Charge).join(Attempt, Attempt.charge_id == Charge.id).where(Attempt.id == attempt_id)
    ).one()
    lock(session, [charge.agreement_id])
    now = _after_all(session, charge.agreement_id, now)
    attempt = session.get_one(Attempt, attempt_id, populate_existing=True, with_for_update={"key_share": True})
    row = _row(session, charge, attempt, told, now)
    if isinstance(found.payment, Succeeded):  # the row is there, so that nobody spends what it brings
        outcome.apply(session, attempt_id, found.payment, seller=seller, now=now)
        session.refresh(charge)
        session.refresh(attempt)
    if attempt.state != "succeeded":
        raise GatewayUnavailable(f"attempt {attempt_id} is disputed, and is not known to have succeeded")
    if row.state != "opened":
        if row.state == "lost" and _all_back(told) and told.withdrawn_ore >= row.withdrawn_ore:
            _came_back(session, row, charge, attempt, told.withdrawn_ore, now)
        return row.state
    row.reason, row.evidence_due_at = told.reason, told.evidence_due_at
    row.amount_ore = max(told.amount_ore, told.withdrawn_ore)
    _withdraw(session, row, told.withdrawn_ore, now)
    back = told.returned_ore >= row.withdrawn_ore
    if back and (told.status == "won" or (told.status == "lost" and row.withdrawn_ore)):
        _won(session, row, attempt, now)
    else:
        session.flush()
        leaving.stop_payouts(session, row.agreement_id, actor=ACTOR, now=now)
        refund.stop_short(session, row.agreement_id, now=now)
        if told.status == "lost" and row.withdrawn_ore:
            _lost(session, row, charge, attempt, told.returned_ore, seller=seller, now=now)
    session.flush()
    return row.state


CODES = (
    "card_dispute", "card_dispute_won", "card_dispute_claim", "card_dispute_credit", "card_dispute_written_off",
    "card_dispute_credit_back", "card_dispute_written_back",
)  # fmt: skip
_LATEST = """
    SELECT max(at) FROM (
        SELECT opened_at AS at FROM card_disputes WHERE agreement_id = :agreement UNION ALL
        SELECT ended_at FROM card_disputes WHERE agreement_id = :agreement UNION ALL
        SELECT t.created_at FROM card_disputes AS d
            JOIN transfers AS t ON t.code = ANY(:codes) AND t.ref = d.id WHERE d.agreement_id = :agreement UNION ALL
        SELECT requested_at FROM card_refunds WHERE agreement_id = :agreement UNION ALL
        SELECT requested_at FROM payouts WHERE agreement_id = :agreement
    ) AS known WHERE at <= :until
"""


def _after_all(session: Session, agreement_id: int, now: dt.datetime) -> dt.datetime:
    """Return ``now``, or when the latest was that was done meanwhile: an event waits for the provider's answer and for
    the lock, and is carried through after what came before it."""
    params = {"agreement": agreement_id, "until": now + leaving.WAITED, "codes": list(CODES)}
    latest: dt.datetime | None = session.execute(text(_LATEST), params).scalar_one()
    return max(now, latest or now)


def _row(session: Session, charge: Charge, attempt: Attempt, told: DisputeDetails, now: dt.datetime) -> Dispute:
    """Return the dispute's row, made when it is heard of for the first time. The balance is locked."""
    row = session.scalars(
        select(Dispute).where(Dispute.provider_ref == told.ref).execution_options(populate_existing=True)
    ).one_or_none()
    if row is not None:
        return row
    row = Dispute(
        provider_ref=told.ref,
        agreement_id=charge.agreement_id,
        charge_id=charge.id,
        attempt_id=attempt.id,
        amount_ore=max(told.amount_ore, told.withdrawn_ore),
        withdrawn_ore=0,
        reason=told.reason,
        state="opened",
        evidence_due_at=told.evidence_due_at,
        opened_at=now,
    )
    session.add(row)
    session.flush()
    session.execute(
        update(Card).where(Card.id == attempt.card_id, Card.refused_code.is_(None)).values(refused_code=DISPUTED)
    )
    refund.stop(session, attempt.id, now=now)
    return row


def _withdraw(session: Session, row: Dispute, withdrawn_ore: int, now: dt.datetime) -> None:
    """Book what the bank has taken since we looked last; it may take once more."""
    before, more = row.withdrawn_ore, withdrawn_ore - row.withdrawn_ore
    if more <= 0:
        return
    row.withdrawn_ore = withdrawn_ore
    session.flush()
    part = str(before) if before else ""
    entry = Entry(Account("disputes"), Account("card_clearing"), more, "card_dispute", row.id, part)
    book(session, [entry], booked_on=business_date(now), now=now)


def _book_back(session: Session, row: Dispute, ore: int, now: dt.datetime, part: str = "") -> None:
    if ore:
        entry = Entry(Account("card_clearing"), Account("disputes"), ore, "card_dispute_won", row.id, part)
        book(session, [entry], booked_on=business_date(now), now=now)


def _won(session: Session, row: Dispute, attempt: Attempt, now: dt.datetime) -> None:
    """Give back what was withheld meanwhile: the card is charged again, and the credit pays what is open."""
    row.state, row.ended_at = "won", now
    session.flush()
    _book_back(session, row, row.withdrawn_ore, now)
    _trust(session, attempt)
    _spend(session, row.agreement_id, now)


def _spend(session: Session, agreement_id: int, now: dt.datetime, first: int | None = None, own_ore: int = 0) -> None:
    """Pay what is open, a claim ``first`` (of which ``own_ore`` has come back), with credit that no dispute holds, and
    judge the agreement anew."""
    today = business_date(now)
    credit.use(session, [first] if first else [], today, now, own_ore)
    credit.use(session, credit.to_pay(session, [agreement_id]), today, now)
    recompute_locked(session, [agreement_id], today, now, ACTOR)


def held_against(session: Session, card_id: int) -> bool:
    """Say whether a payment of a card is disputed, or was lost."""
    one = (
        select(Dispute.id)
        .join(Attempt, Attempt.id == Dispute.attempt_id)
        .where(Attempt.card_id == card_id, Dispute.state != "won")
    )
    return session.scalars(one.limit(1)).first() is not None


def _trust(session: Session, attempt: Attempt) -> None:
    """Let a card be charged again that nothing but this dispute was held against."""
    session.flush()
    if not held_against(session, attempt.card_id):
        marked = update(Card).where(Card.id == attempt.card_id, Card.refused_code == DISPUTED)
        session.execute(marked.values(refused_code=None))


def _all_back(told: DisputeDetails) -> bool:
    return 0 < told.withdrawn_ore <= told.returned_ore


_TAKEN = "SELECT coalesce(sum(amount_ore), 0) FROM transfers WHERE code = 'card_dispute' AND ref = :id"


def _came_back(
    session: Session, row: Dispute, charge: Charge, attempt: Attempt, withdrawn_ore: int, now: dt.datetime
) -> None:
    """Undo a loss. What was placed on the claim and the credit is the customer's credit, which pays the claim first.

    What was taken once more and came back as well, all of it unheard of, is nothing that was booked.
    """
    today, owner = business_date(now), row.agreement_id
    back_ore, theirs_ore, ours_ore = row.withdrawn_ore, row.claim_ore + row.credit_ore, row.written_off_ore
    taken_ore = int(session.execute(text(_TAKEN), {"id": row.id}).scalar_one())
    row.state, row.amount_ore, row.withdrawn_ore = "won", max(row.amount_ore, withdrawn_ore), taken_ore
    row.claim_ore = row.credit_ore = row.written_off_ore = 0
    session.flush()
    _book_back(session, row, back_ore, now, AFTER_ALL)
    if ours_ore:
        entry = Entry(Account("disputes"), Account("write_off"), ours_ore, "card_dispute_written_back", row.id)
        book(session, [entry], booked_on=today, now=now)
    _trust(session, attempt)
    if theirs_ore:
        credit.dispute_back(session, owner, row.id, theirs_ore, today, now)
        took = borne.take(session, owner, "card_dispute", row.id, theirs_ore, attempt_id=attempt.id, now=now)
        left_ore = theirs_ore - sum(took.values())
        _spend(session, owner, now, charge.claim_id, left_ore)
        if left_ore:
            data = {"amount_ore": left_ore}
            tell(session, [NewMessage(owner, "card_dispute_returned", f"card_dispute:{row.id}", None, data)], now=now)
        for other, ore in took.items():
            _tell_lost(session, owner, other, ore, now)
    log.warning("card_dispute_came_back", dispute=row.id, ref=row.provider_ref)


# What of a claim its card still pays: what it paid, less what disputes took, and what came back of those and pays the
# claim as credit. Or what the credit that late money of a card became (late.py) pays of its own charge's claim.
_PAYS = """
    WITH taken AS (
        SELECT coalesce(-sum(a.amount_ore) FILTER (WHERE t.credited), 0) AS credited,
               coalesce(sum(a.amount_ore) FILTER (WHERE NOT t.credited), 0) AS ore
        FROM allocations AS a JOIN card_disputes AS d ON d.id = a.source_id JOIN attempts AS t ON t.id = d.attempt_id
        WHERE a.claim_id = :claim AND a.source = 'dispute'
    ), back AS (
        SELECT coalesce(sum(e.amount_ore), 0) AS ore
        FROM credit_entries AS e JOIN card_disputes AS d ON d.id = e.ref
        WHERE e.code = 'dispute_back' AND d.charge_id = :charge
    )
    SELECT least(c.settled_ore, CASE WHEN :credited THEN coalesce(a.credit, 0) - taken.credited
           ELSE coalesce(a.card, 0) + taken.ore + least(coalesce(a.credit, 0), back.ore) END)::bigint AS ore,
           CASE WHEN :credited THEN a.used_on ELSE a.paid_on END AS paid_on
    FROM taken, back, claims AS c LEFT JOIN (
        SELECT claim_id, sum(amount_ore) FILTER (WHERE source = 'credit') AS credit,
               sum(amount_ore) FILTER (WHERE source = 'card') AS card,
               max(value_date) FILTER (WHERE source = 'credit') AS used_on,
               max(value_date) FILTER (WHERE source = 'card') AS paid_on
        FROM allocations WHERE claim_id = :claim GROUP BY 1
    ) AS a ON a.claim_id = c.id
    WHERE c.id = :claim
"""


def _lost(
    session: Session,
    row: Dispute,
    charge: Charge,
    attempt: Attempt,
    returned_ore: int,
    *,
    seller: Seller,
    now: dt.datetime,
) -> None:
    """Place what is gone for good: on the claim, the credit, or us. What came back of it is no loss."""
    today, owner = business_date(now), row.agreement_id
    _book_back(session, row, returned_ore, now)
    row.withdrawn_ore -= returned_ore
    pays = session.execute(
        text(_PAYS), {"claim": charge.claim_id, "charge": charge.id, "credited": attempt.credited}
    ).one_or_none()
    pays_ore, held = max(pays.ore, 0) if pays else 0, credit.held(session, [owner]).get(owner, 0)
    most_ore = min(row.withdrawn_ore, borne.theirs(session, attempt.id, attempt.amount_ore))
    if attempt.credited:
        credit_ore = min(most_ore, held)
        claim_ore = min(most_ore - credit_ore, pays_ore)
    else:
        claim_ore = min(most_ore, pays_ore)
        credit_ore = min(most_ore - claim_ore, held)
    row.claim_ore, row.credit_ore = claim_ore, credit_ore
    row.written_off_ore = row.withdrawn_ore - claim_ore - credit_ore
    row.state, row.ended_at = "lost", now
    session.flush()
    if credit_ore:
        credit.disputed(session, owner, row.id, credit_ore, today, now)
    if row.written_off_ore:
        entry = Entry(
            Account("write_off"), Account("disputes"), row.written_off_ore, "card_dispute_written_off", row.id
        )
        book(session, [entry], booked_on=today, now=now)
    if claim_ore and pays and charge.claim_id is not None:
        gone = claim_ore == pays_ore and not attempt.credited
        _owed_again(session, row, charge.claim_id, pays.paid_on, card_gone=gone, seller=seller, now=now)
    _spend(session, owner, now)
    if claim_ore or credit_ore:
        _tell_lost(session, owner, row.id, claim_ore + credit_ore, now)


def _tell_lost(session: Session, owner: int, dispute_id: int, ore: int, now: dt.datetime) -> None:
    data = {"amount_ore": ore}
    tell(session, [NewMessage(owner, "card_dispute_lost", f"card_dispute:{dispute_id}", None, data)], now=now)


def _owed_again(
    session: Session,
    row: Dispute,
    claim_id: int,
    paid_on: dt.date,
    *,
    card_gone: bool,
    seller: Seller,
    now: dt.datetime,
) -> None:
    """Take the money off its claim and present that anew, with a due date. It is as if it had not been paid."""
    taken = Settlement(claim_id, "dispute", row.id, -row.claim_ore, paid_on)
    if allocate(session, [taken], business_date(now), now).leftovers:
        raise AssertionError(f"claim {claim_id} changed although its balance is locked")
    number = session.execute(text(refund.DOCUMENT), {"claim": claim_id}).scalar_one()
    reissue(session, number, reason=REASON, seller=seller, now=now, actor=ACTOR, card_gone=card_gone)
