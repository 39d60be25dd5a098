"""Send what waits for a charger, by the way it has."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.roadside.exchange.models import Outgoing
from billing.roadside.exchange.outgoing import producer
from billing.roadside.exchange.transport import ConnectedOutbox
from billing.roadside.exchange.world import Look, failed
from billing.roadside.lists.outbox import FolderOutbox, Outbox
from config.clock import business_now, now_utc
from config.sftp import PIECE, Sftp

_MEMORY = 8 * 1024 * 1024


class OtherBytes(RuntimeError):
    """A file that was made before comes out different now; it is not sent, somebody must look."""


def waiting(look: Look, session: Session) -> list[int]:
    """Return the files whose turn it is, oldest first, as many as one look takes."""
    query = (
        select(Outgoing.id)
        .where(Outgoing.charger_id == look.charger.id, Outgoing.next_at <= now_utc())
        .order_by(Outgoing.id)
        .limit(look.settings.exchange_max_files)
    )
    return list(session.scalars(query))


def push(look: Look, there: Sftp | None) -> None:
    """Send what waits; ``there`` is the connection of a charger with a server. Of each that fails its row says why; it
    ends when the connection does."""
    outbox: Outbox = FolderOutbox(look.folder / "out")
    if there is not None:
        assert look.exchange.remote_out is not None
        outbox = ConnectedOutbox(there, look.exchange.remote_out)
    with look.sessions() as session:
        ids = waiting(look, session)
    for outgoing_id in ids:
        if there is not None and there.broken:
            return
        _send(look, outbox, outgoing_id)


def _send(look: Look, outbox: Outbox, outgoing_id: int) -> None:
    with look.sessions() as session:
        row = session.get_one(Outgoing, outgoing_id)
    try:
        with _made(look, row) as content:
            outbox.deliver(row.name, _pieces(content))
    except Exception as error:  # whatever it is: this file's matter, kept in its row
        with look.sessions.begin() as session:
            again = session.get_one(Outgoing, outgoing_id, with_for_update=True)
            again.state = "failed" if failed(look, again, f"send {row.kind}", error) else "waiting"
        return
    with look.sessions.begin() as session:
        sent = session.get_one(Outgoing, outgoing_id, with_for_update=True)
        sent.state, sent.sent_at, sent.sends = "sent", business_now(session), sent.sends + 1
        sent.attempts, sent.next_at, sent.error = 0, None, None
    look.counts["sent"] += 1


@contextmanager
def _made(look: Look, row: Outgoing) -> Iterator[BinaryIO]:
    """Make a file's bytes, on disk beyond some megabytes, and hold them to the hash of the first time, which is
    committed before any of them leaves. Raises OtherBytes."""
    with tempfile.SpooledTemporaryFile(_MEMORY) as spooled:
        content = cast(BinaryIO, spooled)
        digest, size = hashlib.sha256(), 0
        for piece in producer(row.kind)(look.sessions, row):
            digest.update(piece)
            size += len(piece)
            content.write(piece)
        if row.sha256 is None:
            with look.sessions.begin() as session:
                kept = session.get_one(Outgoing, row.id, with_for_update=True)
                kept.sha256, kept.size = digest.digest(), size
        elif row.sha256 != digest.digest():
            raise OtherBytes(f"{row.name} has other bytes than when it was first made")
        content.seek(0)
        yield content


def _pieces(content: BinaryIO) -> Iterator[bytes]:
    while piece := content.read(PIECE):
        yield piece
