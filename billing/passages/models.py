"""Tables of the passages room.

``records`` and ``passages`` have no foreign keys (they cost 38 % of ingest); ``brikke audit`` checks them.
``passages`` is partitioned by month of ``booked_at``; partitions are made by ``partitions.py``.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Sequence,
    SmallInteger,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, Id, Instant, Ore, Str

PASSAGE_IDS = Sequence("passage_ids", metadata=Base.metadata)
_REFUSED = "code IN ('unknown_vehicle', 'not_valid')"
"""The records that support asks for by what was read (billing.roadside.lists.near); some percent of all."""


class Batch(Base):
    """A file or request of records as it came. ``counts`` and ``sums`` are by answer code; ``done`` records are
    answered.

    ``state``: receiving (chunks are being booked), done, refused (nothing of it was booked; ``error`` says why).
    ``way``: http, file, inbox or sftp. ``is_file``: the same bytes again are the same file, and get the same answers.
    ``file_number`` counts the files of ``sender`` (the charger itself or a hub; '' where the file does not say);
    ``originator`` is whose records they are by the file; ``records`` how many it says there are. It is booked in
    chunks of ``chunk_size``, so that one that was cut short goes on where it was.
    """

    __tablename__ = "batches"
    __table_args__ = (
        CheckConstraint("state IN ('receiving', 'done', 'refused')", name="state"),
        Index("ix_batches_charger", "charger_id", "id"),
        Index(
            "uq_batches_content",
            "charger_id",
            "sha256",
            unique=True,
            postgresql_where="is_file AND state <> 'refused'",
        ),
        Index(
            "uq_batches_file_number",
            "charger_id",
            "sender",
            "file_number",
            unique=True,
            postgresql_where="file_number IS NOT NULL AND state <> 'refused'",
        ),
        Index("ix_batches_receiving", "id", postgresql_where="state = 'receiving'"),
    )

    id: Mapped[Id]
    charger_id: Mapped[int] = mapped_column(ForeignKey("chargers.id"))
    name: Mapped[Str]
    format: Mapped[Str]
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    received_at: Mapped[Instant]
    finished_at: Mapped[Instant | None]
    state: Mapped[Str] = mapped_column(server_default="receiving")
    done: Mapped[int] = mapped_column(Integer, server_default="0")
    counts: Mapped[dict[str, int]] = mapped_column(JSONB, server_default="{}")
    sums: Mapped[dict[str, int]] = mapped_column(JSONB, server_default="{}")
    error: Mapped[Str | None]
    way: Mapped[Str] = mapped_column(server_default="file")
    is_file: Mapped[bool] = mapped_column(server_default="false")
    bytes: Mapped[int | None] = mapped_column(BigInteger)
    chunk_size: Mapped[int] = mapped_column(Integer, server_default="10000")
    file_number: Mapped[int | None] = mapped_column(BigInteger)
    sender: Mapped[Str | None]
    originator: Mapped[Str | None]
    records: Mapped[int | None] = mapped_column(Integer)


class BatchPart(Base):
    """A piece of a batch as it was received, compressed (zstandard); all of them in order are its bytes."""

    __tablename__ = "batch_parts"
    __table_args__ = (PrimaryKeyConstraint("batch_id", "part"),)

    batch_id: Mapped[int] = mapped_column(BigInteger)
    part: Mapped[int] = mapped_column(Integer)
    content: Mapped[bytes] = mapped_column(LargeBinary)


class BatchAnswers(Base):
    """What was answered to a chunk of a batch, in order: JSON Lines, compressed (zstandard). Never changed: whoever
    asks again is told the same."""

    __tablename__ = "batch_answers"
    __table_args__ = (PrimaryKeyConstraint("batch_id", "chunk"),)

    batch_id: Mapped[int] = mapped_column(BigInteger)
    chunk: Mapped[int] = mapped_column(Integer)
    content: Mapped[bytes] = mapped_column(LargeBinary)


class BatchFault(Base):
    """A record of a batch that could not become a row in ``records``: broken, or in conflict with one that is."""

    __tablename__ = "batch_faults"
    __table_args__ = (PrimaryKeyConstraint("batch_id", "position"),)

    batch_id: Mapped[int] = mapped_column(BigInteger)
    position: Mapped[int]
    code: Mapped[Str]
    detail: Mapped[Str]
    source_id: Mapped[Str | None]
    raw: Mapped[Str]


class Record(Base):
    """What a charger sent, once per (charger, source id), with our answer and the passage it became.

    ``hash`` is over the business fields. ``body`` keeps the record where no passage does.
    """

    __tablename__ = "records"
    __table_args__ = (
        PrimaryKeyConstraint("charger_id", "source_id"),
        Index("ix_records_refused_plate", text("(body ->> 'plate')"), "passed_at", postgresql_where=_REFUSED),
        Index("ix_records_refused_pan", text("(body ->> 'pan')"), "passed_at", postgresql_where=_REFUSED),
    )

    charger_id: Mapped[int]
    source_id: Mapped[Str]
    batch_id: Mapped[int] = mapped_column(BigInteger)
    position: Mapped[int]
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    passed_at: Mapped[Instant]
    amount_ore: Mapped[Ore]
    code: Mapped[Str]
    flags: Mapped[int] = mapped_column(Integer, server_default="0")
    detail: Mapped[Str | None]
    passage_id: Mapped[int | None] = mapped_column(BigInteger)
    body: Mapped[dict[str, Any] | None] = mapped_column(JSONB)


class Correction(Base):
    """A record that cancels or adjusts another (``original_id``); its own row in ``records`` is its dedupe and answer.

    Of several of one original the one with the highest (``version``, ``issued_at``, source id) is in force, whatever
    order they came in. ``state``: waiting (the original is not here), applied (it was in force, or is), superseded
    (a higher one was here before), refused (it could not be booked; the original stays).
    """

    __tablename__ = "corrections"
    __table_args__ = (
        PrimaryKeyConstraint("charger_id", "source_id"),
        CheckConstraint("action IN ('cancel', 'adjust')", name="action"),
        CheckConstraint("state IN ('waiting', 'applied', 'superseded', 'refused')", name="state"),
        CheckConstraint("(state = 'waiting') = (decided_at IS NULL)", name="decided"),
        Index("ix_corrections_original", "charger_id", "original_id"),
        Index("ix_corrections_waiting", "charger_id", "original_id", postgresql_where="state = 'waiting'"),
    )

    charger_id: Mapped[int] = mapped_column(Integer)
    source_id: Mapped[Str]
    original_id: Mapped[Str]
    action: Mapped[Str]
    version: Mapped[int] = mapped_column(Integer)
    """0 where the charger counts none."""
    issued_at: Mapped[Instant]
    """When the charger issued it; 1970 where it does not say."""
    state: Mapped[Str]
    received_at: Mapped[Instant]
    decided_at: Mapped[Instant | None]


class Amendment(Base):
    """That a record was decided anew: what had been answered, what is said now, why and by whom. ``records`` holds
    what counts now; ``batch_answers`` what was answered first, at ``position`` of the batch."""

    __tablename__ = "amendments"
    __table_args__ = (
        CheckConstraint(
            "cause IN ('original_came', 'gave_up', 'contested', 'moved', 'read_taken_back')",
            name="cause",
        ),
        Index("ix_amendments_charger", "charger_id", "id"),
        Index("ix_amendments_record", "charger_id", "source_id", "id"),
    )

    id: Mapped[Id]
    charger_id: Mapped[int] = mapped_column(Integer)
    source_id: Mapped[Str]
    batch_id: Mapped[int] = mapped_column(BigInteger)
    position: Mapped[int] = mapped_column(Integer)
    was_code: Mapped[Str]
    was_detail: Mapped[Str | None]
    code: Mapped[Str]
    flags: Mapped[int] = mapped_column(Integer)
    detail: Mapped[Str | None]
    amount_ore: Mapped[Ore]
    cause: Mapped[Str]
    """original_came (it had waited), gave_up (it waited too long), contested (an agent decided it anew), moved (to who
    settles elsewhere), read_taken_back (the read that it was a second one of)."""
    reason: Mapped[Str | None]
    actor: Mapped[Str]
    at: Mapped[Instant]


class Passage(Base):
    """An accepted record on an agreement, or a counter-row (``reverses_id``) with negative amounts.

    Amounts are øre as received: ``list_ore`` before discounts, ``amount_ore`` what is to be paid, VAT included
    at ``vat_bp``. ``passed_offset`` is the sender's UTC offset in minutes. ``external`` journeys are shown and
    never billed. ``owed`` says whether the charger is owed (or, on a counter-row, no longer owed) the amount.
    """

    __tablename__ = "passages"
    __table_args__ = (
        PrimaryKeyConstraint("id", "booked_at"),
        CheckConstraint("service IN ('toll', 'ferry')", name="service"),
        Index("ix_passages_agreement", "agreement_id", "passed_at", "id"),
        {"postgresql_partition_by": "RANGE (booked_at)"},
    )

    id: Mapped[int] = mapped_column(BigInteger, PASSAGE_IDS, autoincrement=False)
    booked_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True))
    agreement_id: Mapped[int] = mapped_column(BigInteger)
    registration_id: Mapped[int | None] = mapped_column(BigInteger)
    charger_id: Mapped[int]
    source_id: Mapped[Str]
    batch_id: Mapped[int] = mapped_column(BigInteger)
    reverses_id: Mapped[int | None] = mapped_column(BigInteger)
    passed_at: Mapped[Instant]
    passed_offset: Mapped[int] = mapped_column(SmallInteger)
    station: Mapped[Str]
    project: Mapped[Str]
    service: Mapped[Str]
    country: Mapped[Str | None]
    plate: Mapped[Str | None]
    pan: Mapped[Str | None]
    vehicle_class: Mapped[Str | None]
    list_ore: Mapped[Ore]
    amount_ore: Mapped[Ore]
    vat_bp: Mapped[int]
    flags: Mapped[int]
    external: Mapped[bool]
    owed: Mapped[bool]
    claim_id: Mapped[int | None] = mapped_column(BigInteger)


class LaneRead(Base):
    """In which lane an accepted record was read, where it says: by this second reads of one passing are known.

    ``stands``: it is what second reads repeat; of a read that was corrected only its adjustment in force is, and no
    double that was accepted all the same. Where the others were read is for adjustments that do not say."""

    __tablename__ = "lane_reads"
    __table_args__ = (
        PrimaryKeyConstraint("charger_id", "source_id"),
        Index("ix_lane_reads_vehicle", "charger_id", "country", "plate", "passed_at"),
    )

    charger_id: Mapped[int] = mapped_column(Integer)
    source_id: Mapped[Str]
    station: Mapped[Str]
    lane: Mapped[Str]
    country: Mapped[Str]
    plate: Mapped[Str]
    passed_at: Mapped[Instant]
    stands: Mapped[bool] = mapped_column(server_default=text("true"))


class DoubleRead(Base):
    """A refused second read of a passing, and the read that was kept of it; ``freed`` when that is taken back, until
    the double is decided anew."""

    __tablename__ = "double_reads"
    __table_args__ = (
        PrimaryKeyConstraint("charger_id", "source_id"),
        Index("ix_double_reads_kept", "charger_id", "kept_id"),
        Index("ix_double_reads_freed", "charger_id", "source_id", postgresql_where="freed"),
    )

    charger_id: Mapped[int] = mapped_column(Integer)
    source_id: Mapped[Str]
    kept_id: Mapped[Str]
    freed: Mapped[bool] = mapped_column(server_default=text("false"))


class PassingsApart(Base):
    """That a person says that two reads near each other in a lane are two passings. Both ways, by their originals: it
    holds for whatever they are adjusted to."""

    __tablename__ = "passings_apart"
    __table_args__ = (PrimaryKeyConstraint("charger_id", "original_id", "other_id"),)

    charger_id: Mapped[int] = mapped_column(Integer)
    original_id: Mapped[Str]
    other_id: Mapped[Str]


class Reversal(Base):
    """That a passage was reversed: by which counter-row, what replaced it, why. The key makes it happen once."""

    __tablename__ = "reversals"

    passage_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    counter_id: Mapped[int] = mapped_column(BigInteger)
    replaced_by: Mapped[int | None] = mapped_column(BigInteger)
    cause: Mapped[Str]
    """moved (to the agreement that has the vehicle), credited (by support), cancelled or adjusted (by the charger;
    ``replaced_by`` is null: what comes in its place is a record of its own), uncredited (of a crediting's counter-row:
    the charger took back what it had been left), mass or mass_credited (a mass correction, borne by the charger or by
    us; ``replaced_by`` is then written, once, when that is undone)."""
    reason: Mapped[Str | None]
    actor: Mapped[Str]
    at: Mapped[Instant]


class Balance(Base):
    """What of an agreement is not billed, and what the card threshold needs. Locked by agreement id, ascending.

    ``open_since`` is the arrival of the oldest unbilled passage. ``open_charge_id`` is the card charge that is
    not settled yet. ``last_charged_on`` is the Oslo date on which a card last paid; ``charge_not_before`` the one on
    which the sum is judged again: when a full week has passed, or the day after a charge was called off.
    """

    __tablename__ = "balances"
    __table_args__ = ({"postgresql_with": {"fillfactor": 50}},)

    agreement_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    unbilled_ore: Mapped[Ore] = mapped_column(server_default="0")
    unbilled_count: Mapped[int] = mapped_column(Integer, server_default="0")
    open_since: Mapped[Instant | None]
    open_charge_id: Mapped[int | None] = mapped_column(BigInteger)
    last_charged_on: Mapped[dt.date | None]
    charge_not_before: Mapped[dt.date | None]
