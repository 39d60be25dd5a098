"""Book one chunk of a batch: the passages, then which of the touched agreements' cards are due. One transaction."""

from __future__ import annotations

import datetime as dt

from sqlalchemy.orm import Session

from billing.cards.due import decide
from billing.passages.batches import Receiving
from billing.passages.incoming import Chunk
from billing.passages.ingest import Begun, Booked, book_chunk
from config.clock import business_date
from config.rates import whole


def book(session: Session, batch: Receiving, chunk: Chunk, *, now: dt.datetime, begun: Begun | None = None) -> Booked:
    """Book a chunk (``begun`` in this session, or not) and decide, under the locks it took, which charges it makes due.
    The caller commits. Raises passages.ingest.StillChanging.
    """
    booked = book_chunk(session, batch, chunk, now=now, begun=begun)
    threshold_ore = whole("card_threshold_ore", business_date(now))
    # Few have reached it: the others' balances are not read once more.
    reached = [one for one in booked.touched if booked.unbilled.get(one, threshold_ore) >= threshold_ore]
    decide(session, reached, now=now)
    return booked
