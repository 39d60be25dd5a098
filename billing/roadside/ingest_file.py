"""``brikke ingest FILE --charger CODE``: book a file of records, and write the answers where one wants them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import msgspec

from billing.passages.incoming import Answer
from billing.roadside.formats import FORMATS, by_name
from billing.roadside.receive import CHUNK, Received, receive
from config.database import SessionFactory
from config.problems import Invalid, TooLarge

_ENCODER = msgspec.json.Encoder()
ANSWER_COLUMNS = ("position", "id", "code", "flags", "field", "detail")


def ingest_file(
    sessions: SessionFactory,
    path: Path,
    code: str,
    *,
    form: str | None = None,
    answers: Path | None = None,
    max_bytes: int | None = None,
    chunk_size: int = CHUNK,
) -> Received:
    """Book the records of a file for a charger and return the summary.

    The format is ``form``, or what the file's name says (.jsonl, .ndjson, .json, .csv). ``answers`` gets one
    line a record in order: CSV where its name ends so, else JSON Lines. Raises Invalid for a format we do not
    know or a file that cannot be read; TooLarge over ``max_bytes``; NotFound for an unknown charger.
    """
    kind = form or by_name(path)
    if kind is None or kind not in FORMATS:
        raise Invalid(f"{path.name}: say the format: {', '.join(sorted(FORMATS))}.", slug="unknown-format")
    if not path.is_file():
        raise Invalid(f"There is no file {path}.", slug="no-file")
    if max_bytes is not None and path.stat().st_size > max_bytes:
        raise TooLarge(f"{path.name} is over {max_bytes} bytes (MAX_PASSAGE_FILE_BYTES).")
    with ExitStack() as stack:
        stream = stack.enter_context(path.open("rb", buffering=0))
        write: Callable[[list[Answer]], None] = lambda _: None  # noqa: E731
        if answers is not None and answers.suffix.lower() == ".csv":
            write = _csv_writer(stack.enter_context(answers.open("w", newline="", encoding="utf-8")))
        elif answers is not None:
            write = _lines_writer(stack.enter_context(answers.open("wb")))
        return receive(sessions, code, stream, form=kind, name=path.name, answered=write, chunk_size=chunk_size)


def _lines_writer(out: IO[bytes]) -> Callable[[list[Answer]], None]:
    def write(answers: list[Answer]) -> None:
        out.write(_ENCODER.encode_lines(answers))
        out.flush()

    return write


def _csv_writer(out: IO[str]) -> Callable[[list[Answer]], None]:
    writer = csv.writer(out)
    writer.writerow(ANSWER_COLUMNS)

    def write(answers: list[Answer]) -> None:
        writer.writerows((a.position, a.id, a.code, " ".join(a.flags), a.field, a.detail) for a in answers)
        out.flush()

    return write
