"""Shapes of the agreements' HTTP face."""

from __future__ import annotations

from accounts.agreements.rules import METHODS, STANDINGS
from accounts.vehicles.schemas import WhenSchema
from config import http


class AgreementSchema(http.Schema):
    """An agreement."""

    number = http.agreement_number(dump_only=True)
    customer = http.whole("The number of the customer who holds it.", 1000001, dump_only=True)
    kind = http.choice("tag, or ferry for an additional agreement.", ("tag", "ferry"), dump_only=True)
    operator = http.text("A ferry agreement's operator.", "FJORD", dump_only=True, allow_none=True)
    parent = http.agreement_number(
        "The tag agreement a ferry agreement is additional to.", dump_only=True, allow_none=True
    )
    additional = http.list_of(
        http.agreement_number(), "Ferry agreements additional to this one.", [10000002], dump_only=True
    )
    payment_method = http.choice("How it is paid.", METHODS, dump_only=True)
    standing = http.choice("Whether it is good on the road.", STANDINGS, dump_only=True)
    opened_at = http.instant("When it was opened.", dump_only=True)
    closed_at = http.instant(
        "From when it is closed, which may lie ahead; passages from before are still taken.",
        dump_only=True,
        allow_none=True,
    )


class StandingChangeSchema(http.Schema):
    """One change of standing."""

    standing = http.choice("What it became.", STANDINGS, dump_only=True)
    at = http.instant("When.", dump_only=True)
    reason = http.text("Why: opened, overdue, paid, paid_in_time, reopened, closed.", "overdue", dump_only=True)
    actor = http.text("Who or what caused it; for support.", "system", dump_only=True)


class BlockSchema(http.Schema):
    """That it was closed to traffic for an unpaid claim."""

    at = http.instant("When.", dump_only=True)
    claims = http.list_of(http.whole("A claim's id.", 5), "The overdue claims.", [5], dump_only=True)
    ended_at = http.instant("When it ended; null while it lasts.", dump_only=True, allow_none=True)
    ending = http.choice(
        "reopened by support, or voided because payment was in time.",
        ("reopened", "voided"),
        dump_only=True,
        allow_none=True,
    )
    contact = http.mapping(
        "How the customer made contact; for support.",
        {"channel": "phone", "note": ""},
        dump_only=True,
        allow_none=True,
    )


class PublicationSchema(http.Schema):
    """What a charger was told, and when it knew."""

    charger = http.text("The charger's code.", "FJELL", dump_only=True)
    status = http.choice(
        "valid, blocked or ended: the agreement; removed: one vehicle.",
        ("valid", "blocked", "ended", "removed"),
        dump_only=True,
    )
    reason = http.text("A word for why.", "overdue", dump_only=True, allow_none=True)
    vehicle = http.whole("Id of the vehicle that was removed.", 42, dump_only=True, allow_none=True)
    version = http.whole(
        "The version of its status list that says so; null where it is told at once.", 1842, dump_only=True,
        allow_none=True,
    )  # fmt: skip
    made_at = http.instant("When it was made.", dump_only=True)
    sent_at = http.instant("When it was sent.", dump_only=True, allow_none=True)
    acknowledged_at = http.instant("From when the charger knew.", dump_only=True, allow_none=True)


class StandingSchema(http.Schema):
    """How an agreement stands, and how it came to."""

    agreement = http.agreement_number(dump_only=True)
    standing = http.choice("Whether it is good on the road.", STANDINGS, dump_only=True)
    since = http.instant("Since when.", dump_only=True)
    closed_at = http.instant("From when it is, or will be, closed.", dump_only=True, allow_none=True)
    history = http.many(StandingChangeSchema, "Every change, oldest first.", dump_only=True)
    blocks = http.many(BlockSchema, "Every block, oldest first; at most the last lasts.", dump_only=True)
    publications = http.many(
        PublicationSchema, "What chargers were told, newest first; all of it under /publications.", dump_only=True
    )


class NewAdditionalSchema(WhenSchema):
    """An additional ferry agreement on a plate or on a tag."""

    operator = http.text("The ferry operator's code.", "FJORD", max_length=20)
    settlement = http.choice(
        "own: on a ferry agreement with us, opened if need be; external: at the other company, shown here.",
        ("own", "external"),
    )
    external_ref = http.text(
        "With external: the other company's agreement number.",
        "FK-77-1",
        max_length=60,
        load_default=None,
        allow_none=True,
    )
    country = http.text("The vehicle's country.", "NO", min_length=2, max_length=2, load_default="NO")
    plate = http.text(
        "The vehicle's plate; or give pan.", "EL 12345", max_length=30, load_default=None, allow_none=True
    )
    pan = http.text(
        "The PAN of a tag of this agreement; or give plate.",
        "9578000100000000123",
        max_length=40,
        load_default=None,
        allow_none=True,
    )
