"""The bytes of files for chargers: the answers of a batch, and that a file was refused."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from accounts.chargers.models import Charger
from billing.passages.models import Batch
from billing.roadside import files
from billing.roadside.exchange.models import Incoming, Outgoing
from billing.roadside.formats import Answered, Head, iso12855
from billing.roadside.lists.send import content
from config.database import SessionFactory

FIRST_NUMBER = 1_500_000_000
"""Our messages that answer no whole batch are numbered from here by their row; those that do, by the batch."""


def answers(sessions: SessionFactory, row: Outgoing) -> Iterator[bytes]:
    """Yield the answer file of batch ``ref``."""
    return files.answer_file(sessions, int(row.ref), row.form)


def status_list(sessions: SessionFactory, row: Outgoing) -> Iterator[bytes]:
    """Yield the status list of version row ``ref``."""
    return content(sessions, int(row.ref))


def refusal(sessions: SessionFactory, row: Outgoing) -> Iterator[bytes]:
    """Yield that incoming file ``ref`` was refused whole: an Ack of ISO 12855, or a line of JSON."""
    with sessions() as session:
        came = session.get_one(Incoming, int(row.ref))
        code = session.get_one(Charger, row.charger_id).code
        batch = session.get(Batch, came.batch_id) if came.batch_id is not None else None
    reason, line = came.error or "it cannot be read", came.line
    if row.form == "iso12855":
        head = Head() if batch is None else Head(batch.file_number, batch.sender or None, batch.originator)
        about = Answered(FIRST_NUMBER + row.id, code, came.name, head, row.made_at)
        yield iso12855.refused(about, reason, line or 1)
        return
    said = {"file": came.name, "bytes": came.size, "refused": True, "line": line, "reason": reason}
    yield msgspec.json.encode({name: value for name, value in said.items() if value is not None}) + b"\n"
