"""Credit: what we owe a customer who paid too much, and its use on claims.

Each entry carries the value date of the payment that its money came with, so what is used on a claim counts as paid
on that day: who paid two invoices in time with one transfer has paid both in time. The oldest money is used first.

Whoever changes or spends credit holds the agreement's balance lock, so the sum cannot go below zero.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.claims.lots import free
from billing.claims.settle import Settlement, allocate
from billing.ledger.book import book_query
from billing.passages.balances import lock


@dataclass(frozen=True)
class Gain:
    """So many øre (> 0) of a payment that become an agreement's credit; ``value_date`` is the payment's.

    ``payment_id``: of the bank's payment, of the card attempt where the code is ``card_extra``, of the capture by Vipps
    where it is ``vipps_extra``.
    """

    agreement_id: int
    payment_id: int
    amount_ore: int
    value_date: dt.date


class _Entry(NamedTuple):
    """A credit entry to be."""

    agreement_id: int
    amount_ore: int
    ref: int
    value_date: dt.date


_ADD = """
    INSERT INTO credit_entries (agreement_id, amount_ore, code, ref, value_date, at)
    SELECT agreement_id, amount_ore, :code, ref, value_date, :now
    FROM unnest(CAST(:agreements AS bigint[]), CAST(:amounts AS bigint[]), CAST(:refs AS bigint[]),
                CAST(:dates AS date[])) AS g (agreement_id, amount_ore, ref, value_date)
    ORDER BY ref
    ON CONFLICT (code, ref) DO NOTHING
    RETURNING id
"""

_BOOK_GAIN = """
    SELECT CASE code WHEN 'card_extra' THEN 'card_clearing' WHEN 'vipps_extra' THEN 'vipps_clearing' ELSE 'suspense'
           END AS debit, 0 AS debit_owner,
           'credit' AS credit, agreement_id AS credit_owner, amount_ore,
           CASE WHEN code IN ('card_extra', 'vipps_extra') THEN code ELSE 'overpaid' END AS code, id AS ref, '' AS part
    FROM credit_entries WHERE id = ANY(:ids)
"""

_BOOK_LOSS = """
    SELECT 'credit' AS debit, agreement_id AS debit_owner, 'suspense' AS credit, 0 AS credit_owner,
           -amount_ore AS amount_ore, 'credit_back' AS code, id AS ref, '' AS part
    FROM credit_entries WHERE id = ANY(:ids)
"""


_BOOK_PAYOUT = """
    SELECT CASE WHEN amount_ore < 0 THEN 'credit' ELSE 'refunds' END AS debit,
           CASE WHEN amount_ore < 0 THEN agreement_id ELSE 0 END AS debit_owner,
           CASE WHEN amount_ore < 0 THEN 'refunds' ELSE 'credit' END AS credit,
           CASE WHEN amount_ore < 0 THEN 0 ELSE agreement_id END AS credit_owner,
           abs(amount_ore) AS amount_ore, code, ref, '' AS part
    FROM credit_entries WHERE id = ANY(:ids)
"""

_BOOK_DISPUTE = """
    SELECT 'credit' AS debit, agreement_id AS debit_owner, 'disputes' AS credit, 0 AS credit_owner,
           -amount_ore AS amount_ore, 'card_dispute_credit' AS code, ref, '' AS part
    FROM credit_entries WHERE id = ANY(:ids)
"""

_BOOK_DISPUTE_BACK = """
    SELECT 'disputes' AS debit, 0 AS debit_owner, 'credit' AS credit, agreement_id AS credit_owner,
           amount_ore, 'card_dispute_credit_back' AS code, ref, '' AS part
    FROM credit_entries WHERE id = ANY(:ids)
"""

_BOOK_CLAIMS = """
    SELECT 'unbilled' AS debit, 0 AS debit_owner, 'credit' AS credit, agreement_id AS credit_owner,
           -amount_ore AS amount_ore, 'credit_claim' AS code, id AS ref, '' AS part
    FROM claims WHERE id = ANY(:claims) AND amount_ore < 0
"""


def add(
    session: Session,
    gains: Sequence[Gain],
    code: Literal["overpaid", "assigned", "card_extra", "vipps_extra"],
    today: dt.date,
    now: dt.datetime,
) -> None:
    """Turn money into credit: in suspense, too much for its claim (``overpaid``) or placed by support (``assigned``).

    Or at the card provider, paid after its charge had ended another way (``card_extra``), or
    captured at Vipps though its claim had been (``vipps_extra``). Once per (code, payment).
    The agreements' balances must be locked.
    """
    if not gains:
        return
    ids = _insert(session, code, [_Entry(g.agreement_id, g.amount_ore, g.payment_id, g.value_date) for g in gains], now)
    book_query(session, _BOOK_GAIN, {"ids": ids}, booked_on=today, now=now)


def of_claims(session: Session, claim_ids: Sequence[int], today: dt.date, now: dt.datetime) -> None:
    """Turn what claims are below zero into their agreements' credit, once a claim; the others are passed over.

    It counts from today: it came with no payment. The agreements' balances must be locked.
    """
    rows = session.execute(
        text("SELECT id, agreement_id, -amount_ore AS ore FROM claims WHERE id = ANY(:ids) AND amount_ore < 0"),
        {"ids": list(claim_ids)},
    ).all()
    if rows:
        _insert(session, "credit_note", [_Entry(row.agreement_id, row.ore, row.id, today) for row in rows], now)
        book_query(session, _BOOK_CLAIMS, {"claims": [row.id for row in rows]}, booked_on=today, now=now)


def of_released(session: Session, allocation_ids: Sequence[int], now: dt.datetime) -> None:
    """Give what allocations released of a claim (billing.claims.anew, which books it) back as credit, by value date."""
    rows = session.execute(
        text("SELECT id, agreement_id, amount_ore, value_date FROM allocations WHERE id = ANY(:ids)"),
        {"ids": list(allocation_ids)},
    )
    _insert(session, "released", [_Entry(r.agreement_id, -r.amount_ore, r.id, r.value_date) for r in rows], now)


Way = Literal["payout", "card_refund", "vipps_refund"]
"""How credit leaves us: to a bank account, or over the card or the Vipps payment that it came with."""

Back = Way | Literal["card_dispute"]
"""What gives credit back although the customer has had it of their card's bank: one of these that did not come about,
or the money of a dispute that was lost."""


def payout(
    session: Session, agreement_id: int, ref: int, ore: int, today: dt.date, now: dt.datetime, way: Way = "payout"
) -> None:
    """Take ``ore`` (> 0) of an agreement's credit for a payout or refund ``ref``; the caller holds the balance and
    asked ``held``."""
    ids = _insert(session, way, [_Entry(agreement_id, -ore, ref, today)], now)
    book_query(session, _BOOK_PAYOUT, {"ids": ids}, booked_on=today, now=now)


def payout_back(
    session: Session, agreement_id: int, ref: int, ore: int, today: dt.date, now: dt.datetime, way: Way = "payout"
) -> None:
    """Give the credit of one back that did not come about, once. The agreement's balance must be locked."""
    ids = _insert(session, f"{way}_back", [_Entry(agreement_id, ore, ref, today)], now)
    book_query(session, _BOOK_PAYOUT, {"ids": ids}, booked_on=today, now=now)


def disputed(session: Session, agreement_id: int, dispute_id: int, ore: int, today: dt.date, now: dt.datetime) -> None:
    """Take ``ore`` (> 0) of an agreement's credit that a card's bank has taken back; the caller asked ``held``."""
    ids = _insert(session, "dispute", [_Entry(agreement_id, -ore, dispute_id, today)], now)
    book_query(session, _BOOK_DISPUTE, {"ids": ids}, booked_on=today, now=now)


def dispute_borne(
    session: Session, agreement_id: int, ref: int, ore: int, today: dt.date, now: dt.datetime, way: Back
) -> None:
    """Take ``ore`` (> 0) of the credit that ``ref`` gave back, whose money the card's bank had taken back (once more)
    and we had borne; the caller books it, by dispute. The agreement's balance must be locked."""
    _insert(session, f"dispute_{way}", [_Entry(agreement_id, -ore, ref, today)], now)


def dispute_back(
    session: Session, agreement_id: int, dispute_id: int, ore: int, today: dt.date, now: dt.datetime
) -> None:
    """Give ``ore`` (> 0) that a lost dispute had taken of an agreement back as credit, once; it counts from today. The
    agreement's balance must be locked."""
    ids = _insert(session, "dispute_back", [_Entry(agreement_id, ore, dispute_id, today)], now)
    book_query(session, _BOOK_DISPUTE_BACK, {"ids": ids}, booked_on=today, now=now)


def take_back(session: Session, reversed_gain: Gain, reversal_id: int, today: dt.date, now: dt.datetime) -> int:
    """Take up to a gain's øre of credit back, as the bank reversed its payment; return how much (øre) there was.

    What has been spent cannot be taken back. The agreement's balance must be locked.
    """
    owner = reversed_gain.agreement_id
    amount = min(reversed_gain.amount_ore, held(session, [owner]).get(owner, 0))
    if amount <= 0:
        return 0
    ids = _insert(session, "reversed", [_Entry(owner, -amount, reversal_id, reversed_gain.value_date)], now)
    book_query(session, _BOOK_LOSS, {"ids": ids}, booked_on=today, now=now)
    return amount


def held(session: Session, agreement_ids: Sequence[int]) -> dict[int, int]:
    """Return the credit (øre) of those agreements that have any."""
    rows = session.execute(
        text(
            "SELECT agreement_id, sum(amount_ore)::bigint AS ore FROM credit_entries "
            "WHERE agreement_id = ANY(:ids) GROUP BY agreement_id HAVING sum(amount_ore) > 0"
        ),
        {"ids": list(agreement_ids)},
    )
    return {row.agreement_id: row.ore for row in rows}


def use(
    session: Session, claim_ids: Sequence[int], today: dt.date, now: dt.datetime, own_ore: int = 0
) -> dict[int, int]:
    """Settle claims with their agreements' credit, the first due with the oldest credit; return claim id → øre used.

    What an open dispute would take of it is not used, but for ``own_ore``: what has just come in of the payment of
    these claims. It counts as paid on the value date of the payment that the credit came from. Used when an invoice is
    issued and before anything is blocked. The standing is not judged here: a claim just issued is not overdue, other
    callers recompute.
    """
    if not claim_ids:
        return {}
    owners = session.scalars(
        text("SELECT DISTINCT agreement_id FROM claims WHERE id = ANY(:ids) ORDER BY 1"), {"ids": list(claim_ids)}
    ).all()
    lock(session, owners)
    credit = free(session, owners, own_ore)
    if not credit:
        return {}
    # `times` keeps several uses on one claim apart.
    rows = session.execute(
        text(
            "SELECT id, agreement_id, amount_ore - settled_ore AS open_ore, (SELECT count(*) FROM allocations AS a "
            "WHERE a.claim_id = c.id AND a.source = 'credit') AS times FROM claims AS c "
            "WHERE id = ANY(:ids) AND agreement_id = ANY(:owners) AND settled_ore < amount_ore "
            "ORDER BY due_on NULLS LAST, id"
        ),
        {"ids": list(claim_ids), "owners": list(credit)},
    )
    settlements = []
    for row in rows:
        held_lots, open_ore, times = credit[row.agreement_id], row.open_ore, row.times
        while open_ore and held_lots:
            value_date, ore = held_lots.popleft()
            amount, times = min(open_ore, ore), times + 1
            settlements.append(Settlement(row.id, "credit", times, amount, value_date))
            open_ore -= amount
            if ore > amount:
                held_lots.appendleft((value_date, ore - amount))
    return _spend(session, settlements, today, now)


def past_due(session: Session, agreement_ids: Sequence[int], today: dt.date) -> list[int]:
    """Return the open claims past due of agreements: credit is used on them at once, not at the next invoice.

    Who paid two invoices with the KID of one has paid both.
    """
    return list(
        session.scalars(
            text(
                "SELECT id FROM claims WHERE agreement_id = ANY(:ids) AND due_on < :today AND settled_ore < amount_ore"
            ),
            {"ids": list(agreement_ids), "today": today},
        )
    )


def to_pay(session: Session, agreement_ids: Sequence[int]) -> list[int]:
    """Return the open claims of agreements that have a due date, past or not: what a credit note is used on at once."""
    return list(
        session.scalars(
            text(
                "SELECT id FROM claims WHERE agreement_id = ANY(:ids) AND due_on IS NOT NULL "
                "AND settled_ore < amount_ore ORDER BY id"
            ),
            {"ids": list(agreement_ids)},
        )
    )


def _spend(session: Session, settlements: list[Settlement], today: dt.date, now: dt.datetime) -> dict[int, int]:
    """Allocate credit and write what was used as entries; return claim id → øre."""
    done = allocate(session, settlements, today, now)
    if done.leftovers:
        raise AssertionError("the claims changed although their balances are locked")
    rows = session.execute(
        text("SELECT id, claim_id, agreement_id, amount_ore, value_date FROM allocations WHERE id = ANY(:ids)"),
        {"ids": done.allocation_ids},
    ).all()
    _insert(session, "used", [_Entry(row.agreement_id, -row.amount_ore, row.id, row.value_date) for row in rows], now)
    used: Counter[int] = Counter()
    for row in rows:
        used[row.claim_id] += row.amount_ore
    return dict(used)


def _insert(session: Session, code: str, rows: Sequence[_Entry], now: dt.datetime) -> list[int]:
    """Insert entries, each (code, ref) once; return the ids of the new ones."""
    params = {
        "code": code,
        "agreements": [row.agreement_id for row in rows],
        "amounts": [row.amount_ore for row in rows],
        "refs": [row.ref for row in rows],
        "dates": [row.value_date for row in rows],
        "now": now,
    }
    return list(session.scalars(text(_ADD), params))
