"""Credit a passage to the customer: the customer is freed of it, the charger is still owed."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session

from billing.ledger.book import Account, Entry, book
from billing.passages.balances import lock
from billing.passages.models import PASSAGE_IDS, Passage, Reversal
from billing.passages.partitions import ensure
from billing.passages.reverse import BALANCES, COUNTER_ROWS
from config.clock import business_date
from config.problems import Conflict, Invalid, NotFound


def credit(
    session: Session, agreement_id: int, passage_id: int, *, reason: str, actor: str, now: dt.datetime
) -> Reversal:
    """Book a counter-row against a passage of an agreement; return the reversal that names it.

    Whether the passage is billed or not, the counter-row is unbilled and negative, and comes with the next
    claim. A passage credited before is a result. Raises NotFound; Invalid without a reason; Conflict for a
    counter-row, an external journey, or a passage that was moved or taken back otherwise.
    """
    if not reason.strip():
        wrong = {"field": "reason", "code": "missing", "message": "is needed"}
        raise Invalid("Say why the passage is credited.", errors=[wrong])
    lock(session, [agreement_id])
    passage = session.scalar(select(Passage).where(Passage.id == passage_id, Passage.agreement_id == agreement_id))
    if passage is None:
        raise NotFound("There is no such passage on this agreement.")
    if passage.reverses_id is not None:
        raise Conflict("This is a counter-row, which cannot be credited.", slug="counter-row")
    if passage.external:
        raise Conflict("This journey is settled by its operator; ask them.", slug="settled-elsewhere")
    known = session.get(Reversal, passage_id)
    if known is not None:
        if known.cause == "credited":
            return known
        if known.cause == "moved":
            raise Conflict("This passage was moved to the agreement that had the vehicle.", slug="passage-moved")
        raise Conflict("This passage has been taken back already.", slug="taken-back")
    ensure(session, now)
    counter_id = session.execute(PASSAGE_IDS.next_value().select()).scalar_one()
    row = {"passage_id": passage_id, "counter_id": counter_id, "cause": "credited"}
    made = session.scalars(
        insert(Reversal).returning(Reversal), [{**row, "reason": reason.strip(), "actor": actor, "at": now}]
    ).one()
    session.execute(
        text(COUNTER_ROWS),
        {"passages": [passage_id], "agreement": agreement_id, "since": passage.booked_at, "now": now, "owed": False},
    )
    session.execute(text(BALANCES), {"fresh": [counter_id], "now": now, "today": business_date(now)})
    if passage.amount_ore > 0:
        entry = Entry(Account("write_off"), Account("unbilled"), passage.amount_ore, "credited", counter_id)
        book(session, [entry], booked_on=business_date(now), now=now)
    return made
