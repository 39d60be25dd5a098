"""Book one chunk of a batch: the passages, then which of the touched agreements' cards are due. One transaction."""

from __future__ import annotations

import datetime as dt

from sqlalchemy.orm import Session

from billing.cards.due import decide
from billing.passages.batches import Receiving
from billing.passages.incoming import Chunk
from billing.passages.ingest import Booked, book_chunk


def book(session: Session, batch: Receiving, chunk: Chunk, *, now: dt.datetime) -> Booked:
    """Book a chunk and decide, under the locks it took, which charges it makes due. The caller commits.

    Raises passages.ingest.StillChanging.
    """
    booked = book_chunk(session, batch, chunk, now=now)
    decide(session, booked.touched, now=now)
    return booked
