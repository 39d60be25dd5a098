"""The HTTP shapes of status lists and of what chargers knew."""

from __future__ import annotations

from accounts.chargers.rules import LIST_TYPES
from config import http

HIGHEST = 2**31 - 1


class ListQuery(http.QuerySchema):
    """Which version is to be fetched."""

    type = http.choice("Which list.", LIST_TYPES, load_default="tags")
    version = http.whole("That version.", 42, low=1, high=HIGHEST, load_default=None)
    since = http.whole(
        "The version you have (0: none): what follows it. Left out, with `version` left out too: the newest full list.",
        41,
        high=HIGHEST,
        load_default=None,
    )


class VersionsQuery(http.PageQuery):
    """Which versions."""

    type = http.choice("Of one list only.", LIST_TYPES, load_default=None)


class ListVersionSchema(http.Schema):
    """A version of a charger's status list, and what became of it."""

    type = http.choice("Which list.", LIST_TYPES, attribute="list_type")
    version = http.whole("Its number: 1, 2, 3 … for each charger and list.", 42)
    kind = http.choice("All there is, or what has changed since the version before.", ("full", "incremental"))
    state = http.choice(
        "made; sent, or fetched; acknowledged; rejected; superseded by a later full one that was acknowledged.",
        ("made", "sent", "acknowledged", "rejected", "superseded"),
    )
    name = http.text("Its file's name.", "FJELL-tags-000042-incremental.jsonl.gz")
    format = http.text("Its form.", "jsonl")
    rows = http.whole("How many rows it has.", 17, attribute="row_count")
    size = http.whole("Bytes, gzipped.", 812)
    from_change = http.whole("The first change it holds.", 4701)
    through_change = http.whole("The last one; less than the first where it holds none.", 4711)
    made_at = http.instant("When it was made.")
    sent_at = http.instant("When it was first sent, or fetched.", allow_none=True)
    acknowledged_at = http.instant("Since when the charger knows it.", allow_none=True)
    attempts = http.whole("How often it was sent.", 1)
    next_at = http.instant("When it is sent again, or alarms, if it is not acknowledged by then.", allow_none=True)
    error = http.text("Why it was rejected, or not delivered.", "line 7: unknown PAN", allow_none=True)


class AcknowledgementSchema(http.Schema):
    """What a charger says of a version."""

    accepted = http.flag("Whether it has taken the list.", True, required=True)
    reason = http.text("Why not; needed with false.", "line 7: unknown PAN", max_length=500, load_default=None,
                       allow_none=True)  # fmt: skip


class ValidityQuery(http.QuerySchema):
    """At which instant, and what was read."""

    at = http.instant("The instant, with its offset; left out: now.", load_default=None)
    plate = http.text("The plate that was, or should have been, read.", "EL 12345", max_length=30, load_default=None)
    country = http.text("Its country.", "NO", min_length=2, max_length=2, load_default="NO")
    charger = http.text("One charger's code; left out: all.", "FJELL", max_length=20, load_default=None)


class KnewSchema(http.Schema):
    """What a charger had been told of the agreement by an instant."""

    charger = http.text("Its code.", "FJELL")
    charger_name = http.text("Its name.", "Fjellveien Bompengeselskap AS")
    list_type = http.choice(
        "By which list, for one that takes lists.", LIST_TYPES, attribute="list_type", allow_none=True
    )
    status = http.choice(
        "valid also where nothing was told: only a block or an end refuses.", ("valid", "blocked", "ended")
    )
    refused = http.flag("Whether a passage then is refused.", True)
    sentence = http.text("What an answer to the charger says.", "not_valid: blocked, list 1842 acknowledged "
                         "2026-03-02T04:00Z")  # fmt: skip
    version = http.whole("The version of its list that told it.", 1842, allow_none=True)
    told_at = http.instant("Since when it knew.", allow_none=True)
    counts_from = http.instant("Since when that counts: with the agreed latency.", allow_none=True)
    coming = http.text("What has changed by then that it had not been told yet.", "blocked", allow_none=True)


class ValidVehicleSchema(http.Schema):
    """A vehicle or tag that was on the agreement then."""

    country = http.text("Country of the plate.", "NO", allow_none=True)
    plate = http.text("The plate.", "EL12345", allow_none=True)
    pan = http.text("A tag's PAN.", "9578000100000000123", allow_none=True)
    operator = http.text("The ferry operator of an additional agreement; null on the tag agreement.", "FJORD",
                         allow_none=True)  # fmt: skip
    since = http.instant("From when.")
    until = http.instant("Until when.", allow_none=True)


class ValidTagSchema(http.Schema):
    """A tag of the agreement, and the vehicle it was in then."""

    pan = http.text("Its PAN.", "9578000100000000123")
    printed_number = http.text("The number printed on it.", "NO4711")
    state = http.text("How it is today: active, lost, stolen, returned.", "active")
    country = http.text("Country of the vehicle it was in then.", "NO", allow_none=True)
    plate = http.text("Its plate; null: in none.", "EL12345", allow_none=True)
    registered = http.flag("Whether that vehicle was on this agreement then.", True)


class NearMissSchema(http.Schema):
    """A record that was refused and may have been this agreement's."""

    why = http.choice(
        "one_sign: the plate that was read is one sign from a plate of the agreement; country: the same plate with "
        "another country; exact: the very plate, when it was not valid; tag: a tag of the agreement, in a vehicle "
        "that is not on it.",
        ("one_sign", "country", "exact", "tag"),
    )
    charger = http.text("Whose record it was.", "FJELL")
    record = http.text("Its id there.", "FJ-2026-000001")
    passed_at = http.instant("When it happened.")
    station = http.text("Where.", "101", allow_none=True)
    read = http.text("What was read.", "NO EL12346", allow_none=True)
    ours = http.text("The agreement's plate or tag it is near.", "NO EL12345")
    code = http.text("What it was answered.", "unknown_vehicle")
    detail = http.text("And why.", "blocked, list 1842 acknowledged 2026-03-02T04:00Z", allow_none=True)


class ValiditySchema(http.Schema):
    """What chargers knew of an agreement at an instant, what was on it, and what was refused around it."""

    agreement = http.agreement_number()
    at = http.instant("The instant.")
    standing = http.text("How the agreement stood by our own books then.", "blocked")
    chargers = http.many(KnewSchema, "What each charger had been told by then.")
    vehicles = http.many(ValidVehicleSchema, "What was on the agreement then, additional ferry agreements too.")
    tags = http.many(ValidTagSchema, "Its tags, and where they were.")
    near_misses = http.many(
        NearMissSchema,
        "Records refused within some days that may have been this agreement's: why a full-price invoice.",
    )
    looked_for = http.list_of(
        http.text("A plate.", "EL12345"), "The plates that near misses were looked for of; name one if there are many.",
        ["EL12345"],
    )  # fmt: skip
