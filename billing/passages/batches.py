"""Batches: their rows, their bytes as received, and what was answered to them.

Bytes and answers are kept compressed, in pieces: what is asked for later is read a piece at a time.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

import msgspec
import zstandard
from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger
from billing.passages.incoming import Answer
from billing.passages.models import Batch, BatchAnswers, BatchPart
from config.database import raw, touched

PIECE = 1024 * 1024
"""Bytes of a batch that are compressed and kept as one part."""

_LEVEL = 1
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Answer)


@dataclass(frozen=True)
class Tally:
    """How many records of a batch have been answered, and their øre, by answer code."""

    done: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    sums: Counter[str] = field(default_factory=Counter)

    def plus(self, answers: Sequence[Answer], amounts: Sequence[int]) -> Tally:
        """Return the tally with a chunk's answers."""
        counts, sums = Counter(self.counts), Counter(self.sums)
        for answer, ore in zip(answers, amounts, strict=True):
            counts[answer.code] += 1
            sums[answer.code] += ore
        return Tally(self.done + len(answers), counts, sums)


@dataclass(frozen=True)
class Receiving:
    """A batch that is being booked: its id, whose it is, when it arrived, and what has been answered so far."""

    batch_id: int
    charger: Charger
    received_at: dt.datetime
    tally: Tally = field(default_factory=Tally)


class AnotherProcess(RuntimeError):
    """A chunk was booked by somebody else meanwhile; nothing of ours stays."""


def open_batch(
    session: Session,
    charger: Charger,
    *,
    name: str,
    form: str,
    sha256: bytes,
    now: dt.datetime,
    way: str = "file",
    is_file: bool = False,
    chunk_size: int = 10_000,
    size: int | None = None,
) -> Receiving:
    """Write the row of a batch that begins to be booked."""
    row = {
        "charger_id": charger.id,
        "name": name,
        "format": form,
        "sha256": sha256,
        "received_at": now,
        "way": way,
        "is_file": is_file,
        "chunk_size": chunk_size,
        "bytes": size,
    }
    batch_id = session.execute(insert(Batch).returning(Batch.id), [row]).scalar_one()
    return Receiving(batch_id, charger, now)


def receiving(session: Session, batch: Batch) -> Receiving:
    """Return how far a batch has come that was begun before."""
    charger = session.get_one(Charger, batch.charger_id)
    tally = Tally(batch.done, Counter(batch.counts), Counter(batch.sums))
    return Receiving(batch.id, charger, batch.received_at, tally)


def close_batch(session: Session, batch: Receiving, *, now: dt.datetime, error: str | None = None) -> None:
    """Say that a batch is done; with ``error``, that it was refused (or the rest of it, from where it says)."""
    row = session.get_one(Batch, batch.batch_id, populate_existing=True)
    row.finished_at, row.error = now, error
    row.state = "refused" if error is not None else "done"
    session.flush()


def keep_bytes(session: Session, batch_id: int, stream: BinaryIO) -> None:
    """Keep a batch as it was received."""
    connection = raw(session)
    compressor = zstandard.ZstdCompressor(level=_LEVEL)
    with (
        connection.cursor() as cursor,
        cursor.copy("COPY batch_parts (batch_id, part, content) FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.set_types(["int8", "int4", "bytea"])
        number = 0
        while piece := stream.read(PIECE):
            copy.write_row((batch_id, number, compressor.compress(piece)))
            number += 1


def kept_bytes(session: Session, batch_id: int) -> Iterator[bytes]:
    """Yield the pieces of a batch as it was received; nothing for one from before they were kept."""
    unpack = zstandard.ZstdDecompressor().decompress
    number = 0
    while (part := session.get(BatchPart, (batch_id, number))) is not None:
        yield unpack(part.content)
        session.expunge(part)
        number += 1


def keep_answers(session: Session, batch_id: int, chunk: int, answers: Sequence[Answer]) -> None:
    """Keep what is answered to a chunk, in the transaction that books it."""
    content = zstandard.ZstdCompressor(level=_LEVEL).compress(_ENCODER.encode_lines(answers))
    session.execute(insert(BatchAnswers), [{"batch_id": batch_id, "chunk": chunk, "content": content}])


def kept_answers(session: Session, batch_id: int) -> Iterator[bytes]:
    """Yield the answers of a batch's chunks in order, each chunk's as JSON Lines."""
    unpack = zstandard.ZstdDecompressor().decompress
    after = -1
    query = select(BatchAnswers.chunk, BatchAnswers.content).where(BatchAnswers.batch_id == batch_id)
    while row := session.execute(query.where(BatchAnswers.chunk > after).order_by(BatchAnswers.chunk).limit(1)).first():
        after = row.chunk
        yield unpack(row.content)


def read_answers(lines: bytes) -> list[Answer]:
    """Return the answers that JSON Lines hold."""
    return _DECODER.decode_lines(lines)


def count_chunk(session: Session, batch: Receiving, after: Receiving) -> None:
    """Write how far a batch has come. Raises AnotherProcess when somebody else has taken it further meanwhile."""
    tally = after.tally
    done = session.execute(
        text(
            "UPDATE batches SET done = :done, counts = CAST(:counts AS jsonb), sums = CAST(:sums AS jsonb) "
            "WHERE id = :batch AND done = :before AND state = 'receiving'"
        ),
        {
            "batch": batch.batch_id,
            "before": batch.tally.done,
            "done": tally.done,
            "counts": msgspec.json.encode(tally.counts).decode(),
            "sums": msgspec.json.encode(tally.sums).decode(),
        },
    )
    if touched(done) != 1:
        raise AnotherProcess(f"batch {batch.batch_id} is being booked by another process")
