"""The HTTP shapes of files, their gaps, what waits and what was decided anew."""

from __future__ import annotations

from billing.roadside.formats import FORMATS
from config import http


class FilesQuery(http.PageQuery):
    """Which files."""

    state = http.choice(
        "Only those that are being booked, are done, or were refused whole.",
        ("receiving", "done", "refused"),
        load_default=None,
    )


class FileSchema(http.Schema):
    """A file or request of records, and what became of it."""

    batch = http.whole("The batch's number.", 17)
    name = http.text("What it was called.", "passages-2026-03-02.jsonl")
    format = http.text("Its format.", "jsonl")
    way = http.text("How it came: http, file, inbox, sftp.", "http")
    state = http.choice("receiving, done, or refused whole.", ("receiving", "done", "refused"), "done")
    file_number = http.whole("Its number, where it has one.", 42, allow_none=True)
    sender = http.text("Who counts it, where it says so.", "HUB", allow_none=True)
    originator = http.text("Whose records they are, where it says so.", "FJELL", allow_none=True)
    announced = http.whole("How many records it says it has.", 2, allow_none=True)
    records = http.whole("How many have been answered.", 2)
    bytes = http.whole("Its size; null for what came before files were kept.", 4711, allow_none=True)
    counts = http.mapping("Records by answer code, as they were answered at first.", {"accepted": 2})
    sums_ore = http.mapping("Øre by answer code, as they were answered at first.", {"accepted": 4960})
    received_at = http.instant("When it came.")
    finished_at = http.instant("When all of it was answered.", allow_none=True)
    error = http.text("Why it was refused.", "line 2: is not JSON", allow_none=True)
    out_of_order = http.flag("Whether a file with a higher number of the same sender came before it.", False)


class AnswerFileQuery(http.QuerySchema):
    """In what form."""

    format = http.choice(
        "The format of the answers; left out, that of the file.", tuple(sorted(FORMATS)), "jsonl", load_default=None
    )


class FileGapSchema(http.Schema):
    """File numbers of a sender that have not come though later ones have."""

    sender = http.text("Who counts them; empty where files do not say.", "HUB", min_length=0)
    first = http.whole("The first that is missing.", 43)
    last = http.whole("The last that is missing.", 44)


class FileGapsSchema(http.Schema):
    """What is missing."""

    items = http.many(FileGapSchema, "By sender and number; empty when all have come.")


class WaitingSchema(http.Schema):
    """A correction whose original has not come."""

    id = http.text("The correction's id.", "FJ-9", attribute="source_id")
    action = http.choice("cancel or adjust.", ("cancel", "adjust"))
    original = http.text("What it corrects.", "FJ-1")
    version = http.whole("Its version.", 2, allow_none=True)
    issued_at = http.instant("When it was issued.", allow_none=True)
    since = http.instant("Since when it waits.")
    until = http.instant("From when on it is refused.", "2026-04-01T09:15:00Z")
    batch = http.whole("The batch it came in.", 17)
    position = http.whole("Its line or place in it.", 1)


class AmendmentSchema(http.Schema):
    """That a record was decided anew."""

    id = http.whole("The decision's number.", 3)
    record = http.text("The record's id.", "FJ-1", attribute="source_id")
    batch = http.whole("The batch that was answered first.", 17, attribute="batch_id")
    position = http.whole("The record's line or place in it.", 1)
    was_code = http.text("What was said before.", "not_valid")
    was_detail = http.text("Why.", "blocked, list 1842 acknowledged 2026-03-02T04:00Z", allow_none=True)
    code = http.text("What is said now.", "accepted")
    flags = http.list_of(http.text("A word.", "by_plate"), "As in answers.", ["by_plate"])
    detail = http.text("Why.", "superseded by FJ-3", allow_none=True)
    amount_ore = http.ore("What the record is about.", 2480)
    cause = http.text("original_came, gave_up, contested, moved, read_taken_back.", "contested")
    reason = http.text("What our agent wrote, where it was contested.", "The block came too late", allow_none=True)
    at = http.instant("When.")


class DecideAgainSchema(http.Schema):
    """Why a record is decided anew, and what is not to count against it."""

    reason = http.text("Why; the charger may read it.", "The vehicle was registered the day before", max_length=300)
    any_age = http.flag("Also when it is too old.", False, load_default=False)
    double = http.flag("Also when it is a second read of one passing; it is flagged so.", False, load_default=False)
    despite = http.flag(
        "Also when the agreement was blocked or ended and the charger had been told. For leads.",
        False,
        load_default=False,
    )


class DecidedAgainSchema(http.Schema):
    """What is said of a record now."""

    id = http.text("The record's id.", "FJ-1")
    changed = http.flag("Whether it is another thing than before.")
    was_code = http.text("What was said before.", "not_valid")
    code = http.text("What is said now.", "accepted")
    detail = http.text("Why.", "not_started", allow_none=True)
    amendment = http.whole("The decision's number, where it is another.", 3, allow_none=True)
