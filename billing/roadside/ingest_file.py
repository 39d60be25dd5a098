"""``brikke ingest FILE --charger CODE``: book a file of records, and write the answers where one wants them."""

from __future__ import annotations

from pathlib import Path

from billing.roadside import files
from billing.roadside.formats import FORMATS, by_name
from billing.roadside.receive import CHUNK, Origin, Received, receive
from config.database import SessionFactory
from config.problems import Invalid, TooLarge


def ingest_file(
    sessions: SessionFactory,
    path: Path,
    code: str,
    *,
    form: str | None = None,
    answers: Path | None = None,
    max_bytes: int | None = None,
    chunk_size: int = CHUNK,
    way: str = "file",
) -> Received:
    """Book the records of a file for a charger and return the summary.

    The format is ``form``, or what the file's name says (.jsonl, .ndjson, .json, .csv, .xml). ``answers`` gets the
    answer file when all is booked, in the format that its own name says (else JSON Lines), whole or not at all. The
    same file again books nothing and is answered as it was. Raises Invalid for a format we do not know or a file that
    cannot be read; TooLarge over ``max_bytes``; NotFound for an unknown charger; Conflict (see receive).
    """
    kind = form or by_name(path)
    if kind is None or kind not in FORMATS:
        raise Invalid(f"{path.name}: say the format: {', '.join(sorted(FORMATS))}.", slug="unknown-format")
    if not path.is_file():
        raise Invalid(f"There is no file {path}.", slug="no-file")
    if max_bytes is not None and path.stat().st_size > max_bytes:
        raise TooLarge(f"{path.name} is over {max_bytes} bytes (MAX_PASSAGE_FILE_BYTES).")
    with files.held(path) as stream:
        origin = Origin(path.name, way)
        received = receive(sessions, code, stream, form=kind, origin=origin, chunk_size=chunk_size)
    if answers is not None:
        write_answers(sessions, received.batch_id, answers, by_name(answers) or "jsonl")
    return received


def write_answers(sessions: SessionFactory, batch_id: int, path: Path, form: str | None = None) -> None:
    """Write the answer file of a batch (by default in its own format); it appears when it is whole."""
    unfinished = path.with_name(path.name + ".part")
    with unfinished.open("wb") as out:
        for piece in files.answer_file(sessions, batch_id, form):
            out.write(piece)
    unfinished.replace(path)
