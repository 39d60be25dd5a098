"""Present a claim anew: what corrects its passages joins it, and what was settled too much is credit again.

The claim keeps its id, so a payment with the KID of any of its invoices finds it. Its next version is the sum of all
its passages and counter-rows. Where that is less than has been settled, the latest money is released into credit;
where it is below zero, what is below is credit as well, and the claim is never open again.

A card's fee goes back with it: the claim keeps the part of its first fee that its passages are of what it was made
with, rounded half away from zero, so that all parts add up to the whole fee. A claim that is dearer takes no more fee.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from billing.claims import credit
from billing.claims.models import Joined
from billing.claims.rules import release
from billing.claims.settle import BOOK
from billing.ledger.book import Account, Entry, book, book_query
from billing.passages import join
from config.money import divide


@dataclass(frozen=True)
class Anew:
    """A claim's next version: its sum before and now (øre), what joined it, what of its fee went back, and what became
    credit of it."""

    claim_id: int
    agreement_id: int
    version: int
    before_ore: int
    amount_ore: int
    joined_ore: int
    joined: int
    fee_back_ore: int
    credited_ore: int


def present_anew(
    session: Session, claim_id: int, today: dt.date, now: dt.datetime, *, without_fee: bool = False
) -> Anew:
    """Begin the next version of a claim that a document presents. The agreement's balance must be locked.

    ``without_fee``: no card pays it any more, so all of the fee goes back. The standing is not judged: the caller gives
    the claim its due date first. Raises LookupError for no such claim, ValueError for one that is not above zero, which
    nothing presents as an invoice.
    """
    claim = session.execute(text(_CLAIM), {"id": claim_id}).one_or_none()
    if claim is None:
        raise LookupError(f"no claim {claim_id}")
    if claim.amount_ore <= 0:
        raise ValueError(f"claim {claim_id} is {claim.amount_ore} øre: there is nothing to present anew")
    rows = join.find(session, claim.agreement_id, claim_id)
    joined_ore = sum(row.amount_ore for row in rows)
    passages_ore = claim.passages_ore + joined_ore
    fee_ore = 0 if without_fee else min(claim.fee_ore, fee_left(claim.first_fee_ore, claim.first_ore, passages_ore))
    amount_ore = passages_ore + fee_ore
    version = claim.version + 1
    excess = max(claim.settled_ore - max(amount_ore, 0), 0)
    released = _release(session, claim, version, excess, today, now)
    session.execute(
        text(
            "UPDATE claims SET passages_ore = passages_ore + :ore, passages_count = passages_count + :count, "
            "joined_ore = joined_ore + :ore, fee_ore = :fee, version = :version WHERE id = :id"
        ),
        {"ore": joined_ore, "count": len(rows), "fee": fee_ore, "version": version, "id": claim_id},
    )
    _join(session, claim, version, rows, today, now)
    _book(session, claim, version, passages_ore, fee_ore, today, now)
    credit.of_claims(session, [claim_id], today, now)
    return Anew(
        claim_id, claim.agreement_id, version, claim.amount_ore, amount_ore, joined_ore, len(rows),
        claim.fee_ore - fee_ore, released + max(-amount_ore, 0),
    )  # fmt: skip


_CLAIM = """
    SELECT id, agreement_id, passages_ore, fee_ore, amount_ore, settled_ore, version,
           passages_ore - joined_ore AS first_ore,
           coalesce((SELECT amount_ore FROM transfers WHERE code = 'card_fee' AND ref = c.id AND part = ''), 0)
               AS first_fee_ore
    FROM claims AS c WHERE id = :id FOR NO KEY UPDATE
"""


def fee_left(first_fee_ore: int, first_ore: int, left_ore: int) -> int:
    """Return the fee (øre) of a claim made with ``first_ore`` > 0 and ``first_fee_ore`` of which ``left_ore`` is left.

    Never more than the first fee, nothing where nothing is left.
    """
    return divide(first_fee_ore * min(max(left_ore, 0), first_ore), first_ore) if first_fee_ore else 0


def _join(
    session: Session, claim: Any, version: int, rows: Sequence[join.Joining], today: dt.date, now: dt.datetime
) -> None:
    """Take the rows into the claim and note with which version they came."""
    join.join(session, claim.agreement_id, claim.id, rows, today)
    if rows:
        session.execute(
            insert(Joined),
            [
                {
                    "passage_id": row.passage_id,
                    "claim_id": claim.id,
                    "version": version,
                    "amount_ore": row.amount_ore,
                    "at": now,
                }
                for row in rows
            ],
        )


def _book(
    session: Session, claim: Any, version: int, passages_ore: int, fee_ore: int, today: dt.date, now: dt.datetime
) -> None:
    """Book what the customer owes less (or more, where a dearer passage came in another's place), and the fee back."""
    less, fee_back = max(claim.passages_ore, 0) - max(passages_ore, 0), claim.fee_ore - fee_ore
    unbilled, receivable = Account("unbilled"), Account("receivable", claim.agreement_id)
    entries = []
    if less > 0:
        entries.append(Entry(unbilled, receivable, less, "claim_reduced", claim.id, str(version)))
    elif less < 0:
        entries.append(Entry(receivable, unbilled, -less, "claim_raised", claim.id, str(version)))
    if fee_back:
        entries.append(Entry(Account("card_fees"), receivable, fee_back, "card_fee_back", claim.id, str(version)))
    if entries:
        book(session, entries, booked_on=today, now=now)


_SETTLED = """
    SELECT a.source, coalesce(p.value_date, a.value_date) AS value_date, a.amount_ore
    FROM allocations AS a
    LEFT JOIN payments AS r ON a.source = 'reversal' AND r.id = a.source_id
    LEFT JOIN payments AS p ON p.id = r.reverses_id
    WHERE a.claim_id = :claim ORDER BY a.id
"""

_ALLOCATE = """
    INSERT INTO allocations (claim_id, agreement_id, source, source_id, amount_ore, value_date, at)
    SELECT :claim, :agreement, source, source_id, -ore, value_date, :now
    FROM unnest(CAST(:sources AS text[]), CAST(:source_ids AS bigint[]), CAST(:ores AS bigint[]),
                CAST(:dates AS date[])) AS t (source, source_id, ore, value_date)
    RETURNING id, source
"""


def _release(session: Session, claim: Any, version: int, excess: int, today: dt.date, now: dt.datetime) -> int:
    """Let go of what is settled too much; return how much of it became credit (øre).

    `payments` is read by its table: its room lies above this one.
    """
    if not excess:
        return 0
    settled = session.execute(text(_SETTLED), {"claim": claim.id}).all()
    written_off = sum(row.amount_ore for row in settled if row.source == "write_off")
    money = [(row.value_date, row.amount_ore) for row in settled if row.source != "write_off"]
    written_back, released = release(money, written_off, excess)
    times = sum(row.source == "write_off" for row in settled)
    parts = [("released", version, ore, day) for day, ore in released]
    if written_back:
        parts.append(("write_off", times + 1, written_back, today))
    made = session.execute(
        text(_ALLOCATE),
        {
            "claim": claim.id,
            "agreement": claim.agreement_id,
            "sources": [part[0] for part in parts],
            "source_ids": [part[1] for part in parts],
            "ores": [part[2] for part in parts],
            "dates": [part[3] for part in parts],
            "now": now,
        },
    ).all()
    session.execute(
        text("UPDATE claims SET settled_ore = settled_ore - :excess WHERE id = :id"), {"excess": excess, "id": claim.id}
    )
    book_query(session, BOOK, {"ids": [row.id for row in made]}, booked_on=today, now=now)
    credit.of_released(session, [row.id for row in made if row.source == "released"], now)
    return excess - written_back
