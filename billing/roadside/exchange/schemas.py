"""Shapes of the exchange's HTTP face. Secrets have none: they are files on our side, and only named."""

from __future__ import annotations

from billing.roadside.exchange.rules import KINDS
from billing.roadside.formats import FORMATS
from config import http

IN_STATES = ("coming", "taken", "done", "left")
OUT_STATES = ("waiting", "sent", "failed")


class ExchangeSchema(http.Schema):
    """How files are exchanged with a charger, and how it stands."""

    kind = http.choice("folder (on our side, CODE/in and CODE/out) or sftp (its server).", KINDS)
    enabled = http.flag("Whether it is used.", load_default=True)
    form = http.choice(
        "What its files of records are in when their names do not say.",
        tuple(FORMATS),
        load_default=None,
        allow_none=True,
    )
    answer_form = http.choice(
        "What answers are written in; null: as what they answer.", tuple(FORMATS), load_default=None, allow_none=True
    )
    host = http.text("Name or address of its server.", "sftp.fjell.example", load_default=None, allow_none=True)
    port = http.whole("Port of its server; null: 22.", 22, low=1, high=65535, load_default=None, allow_none=True)
    username = http.text("Who we are there.", "brikke", max_length=64, load_default=None, allow_none=True)
    key_file = http.text(
        "Name of our private key in ROADSIDE_KEYS.", "fjell.key", max_length=64, load_default=None, allow_none=True
    )
    password_file = http.text(
        "Name of a file with our password in ROADSIDE_KEYS.",
        "fjell.password",
        max_length=64,
        load_default=None,
        allow_none=True,
    )
    host_key = http.text(
        "Fingerprint of its host key, as `ssh-keygen -lf` shows it. No other is spoken to.",
        "SHA256:4v7pXnYyX3hQ0lqLsBqXb3oF0m4y9mQf0Lk3c1e2a7s",
        max_length=60,
        load_default=None,
        allow_none=True,
    )
    remote_in = http.text("Folder there that its files for us lie in.", "to-brikke", load_default=None, allow_none=True)
    remote_out = http.text("Folder there that ours are put in.", "from-brikke", load_default=None, allow_none=True)
    remote_done = http.text(
        "Folder there that taken files are moved to; null: they are removed.",
        "to-brikke/done",
        load_default=None,
        allow_none=True,
    )
    attempts = http.whole("Attempts that failed since it was last reached.", 0, dump_only=True)
    next_at = http.instant("When it is tried again.", dump_only=True, allow_none=True)
    error = http.text(
        "Why the last attempt failed.", "connect: Connection refused", max_length=2000, dump_only=True, allow_none=True
    )
    reached_at = http.instant("When it was last reached.", dump_only=True, allow_none=True)
    waiting = http.whole("Files that wait to be sent.", 0, dump_only=True)
    failed = http.whole("Files that failed so often that somebody must look; they are tried still.", 0, dump_only=True)


class IncomingQuery(http.PageQuery):
    """Which files in."""

    state = http.choice("Only of this state.", IN_STATES, load_default=None)


class OutgoingQuery(http.PageQuery):
    """Which files out."""

    state = http.choice("Only of this state.", OUT_STATES, load_default=None)


class IncomingSchema(http.Schema):
    """A file of a charger."""

    id = http.whole("Its number.", 17)
    way = http.choice("How it came.", ("inbox", "sftp"))
    name = http.text("What it is called.", "passages-2026-03-02.jsonl")
    size = http.whole("Bytes.", 120000)
    state = http.choice("coming, taken (what it holds is stored), done, left (too large).", IN_STATES)
    what = http.text("records, ack, claim, complaint_responses or object.", "records", allow_none=True)
    outcome = http.text("booked, again, noted, refused or gone.", "booked", allow_none=True)
    batch_id = http.whole("The batch it is.", 12, allow_none=True)
    line = http.whole("The line it was refused at.", 3, allow_none=True)
    error = http.text(
        "Why it was refused, or could not be taken yet.", "the file is cut off", max_length=2000, allow_none=True
    )
    attempts = http.whole("Attempts that failed.", 0)
    next_at = http.instant("When it is tried again.", allow_none=True)
    seen_at = http.instant("When it was first seen.")
    taken_at = http.instant("When it was stored.", allow_none=True)


class OutgoingSchema(http.Schema):
    """A file for a charger."""

    id = http.whole("Its number.", 17)
    kind = http.text("answers, amended_answers, refusal, list …", "answers")
    ref = http.text("What of: the batch, the first amendment, the file that was refused.", "12")
    name = http.text("What it is called there.", "passages-2026-03-02.answers.jsonl")
    state = http.choice("waiting, sent, failed (tried so often that it alarms; it is tried still).", OUT_STATES)
    attempts = http.whole("Attempts that failed.", 0)
    next_at = http.instant("When it is tried.", allow_none=True)
    error = http.text("Why the last attempt failed.", "put x: No space left", max_length=2000, allow_none=True)
    made_at = http.instant("When it was to be sent first.")
    sent_at = http.instant("When it was delivered last.", allow_none=True)
    sends = http.whole("How often it was delivered.", 1)
    size = http.whole("Bytes.", 200000, allow_none=True)
