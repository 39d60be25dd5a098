"""Tables of the chargers room."""

from __future__ import annotations

import datetime as dt
import hashlib
from decimal import Decimal

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    PrimaryKeyConstraint,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, Id, Instant, Str


class Charger(Base):
    """A toll charger or ferry operator. ``code`` is what files and tokens name it by.

    ``lists``: none (it is told of every change at once), pull (it fetches status lists) or push (they are put in its
    outbox); ``list_types`` which ones it takes, ``list_format`` in what form. ``latency_minutes``: how long after its
    acknowledgement a list counts, where that is agreed with it. ``told_from``: since when it is told anything; null:
    from the beginning.
    """

    __tablename__ = "chargers"
    __table_args__ = (
        CheckConstraint("kind IN ('toll', 'ferry')", name="kind"),
        CheckConstraint("lists IN ('none', 'pull', 'push')", name="lists"),
        CheckConstraint("list_types IN ('both', 'tags', 'plates')", name="list_types"),
        CheckConstraint("latency_minutes >= 0", name="latency_minutes"),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    code: Mapped[Str] = mapped_column(unique=True)
    name: Mapped[Str]
    kind: Mapped[Str]
    org_no: Mapped[Str | None]
    email: Mapped[Str | None]
    phone: Mapped[Str | None]
    bank_account: Mapped[Str | None]
    lists: Mapped[Str] = mapped_column(server_default="none")
    list_types: Mapped[Str] = mapped_column(server_default="both")
    list_format: Mapped[Str] = mapped_column(server_default="jsonl")
    latency_minutes: Mapped[int | None] = mapped_column(Integer)
    told_from: Mapped[Instant | None]

    @property
    def version(self) -> str:
        """What it says, in short: another text for every change, so that nobody's is lost."""
        said = (self.code, self.name, self.kind, self.org_no, self.email, self.phone, self.lists, self.list_types,
                self.list_format, self.latency_minutes, self.bank_account)  # fmt: skip
        return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


class Project(Base):
    """What stations of a charger pay to, with the name customers read. ``from_on`` and ``to_on``: the Oslo dates it
    collects from and to, both inclusive, where they are known."""

    __tablename__ = "projects"
    __table_args__ = (
        UniqueConstraint("charger_id", "code"),
        CheckConstraint("to_on >= from_on", name="period"),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    charger_id: Mapped[int] = mapped_column(ForeignKey("chargers.id"))
    code: Mapped[Str]
    name: Mapped[Str]
    from_on: Mapped[dt.date | None]
    to_on: Mapped[dt.date | None]


class Station(Base):
    """A toll station or ferry connection of a charger, with the name customers read and the project it pays to.

    ``latitude`` and ``longitude`` are degrees (WGS 84), both or neither.
    """

    __tablename__ = "stations"
    __table_args__ = (
        UniqueConstraint("charger_id", "code"),
        CheckConstraint("latitude BETWEEN -90 AND 90 AND longitude BETWEEN -180 AND 180", name="place"),
        CheckConstraint("(latitude IS NULL) = (longitude IS NULL)", name="whole_place"),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    charger_id: Mapped[int] = mapped_column(ForeignKey("chargers.id"))
    code: Mapped[Str]
    name: Mapped[Str]
    project: Mapped[Str]
    latitude: Mapped[Decimal | None] = mapped_column(Numeric(9, 6))
    longitude: Mapped[Decimal | None] = mapped_column(Numeric(9, 6))


class ChargerOddity(Base):
    """That an odd record of a charger is accepted, or not; where there is none it is as by default (oddities.py)."""

    __tablename__ = "charger_oddities"
    __table_args__ = (
        PrimaryKeyConstraint("charger_id", "oddity"),
        CheckConstraint(
            "oddity IN ('too_old', 'unknown_station', 'tag_plate_mismatch', 'wrong_class', 'double_read')",
            name="oddity",
        ),
    )

    charger_id: Mapped[int] = mapped_column(ForeignKey("chargers.id"))
    oddity: Mapped[Str]
    accepted: Mapped[bool]


class Publication(Base):
    """A change that chargers are to be told: of an agreement, of one registration on it, or of one of its tags. Stored
    once, whoever is told.

    ``status``: valid, blocked, ended (agreement); registered, removed (registration); tag (issued, moved, lost …).
    ``effective_at``: from when it counts, never before it was made; who takes no lists is told then. ``position``:
    its place among what lists say, from 1 without a gap; null until it is given one (billing.roadside.lists.release).
    """

    __tablename__ = "publications"
    __table_args__ = (
        CheckConstraint("status IN ('valid', 'blocked', 'ended', 'removed', 'registered', 'tag')", name="status"),
        CheckConstraint(
            "(status IN ('removed', 'registered')) = (registration_id IS NOT NULL) "
            "AND (status = 'tag') = (tag_id IS NOT NULL)",
            name="about",
        ),
        UniqueConstraint("position"),
        Index("ix_publications_agreement", "agreement_id", "effective_at", "id"),
        Index("ix_publications_refusing", "agreement_id", postgresql_where="status IN ('blocked', 'ended')"),
        Index("ix_publications_registration", "registration_id", postgresql_where="registration_id IS NOT NULL"),
        Index("ix_publications_unlisted", "effective_at", "id", postgresql_where="position IS NULL"),
    )

    id: Mapped[Id]
    agreement_id: Mapped[int] = mapped_column(BigInteger)
    registration_id: Mapped[int | None] = mapped_column(BigInteger)
    tag_id: Mapped[int | None] = mapped_column(BigInteger)
    status: Mapped[Str]
    reason: Mapped[Str | None]
    made_at: Mapped[Instant]
    effective_at: Mapped[Instant]
    position: Mapped[int | None] = mapped_column(BigInteger)


class ListPeriod(Base):
    """That a charger takes status lists, from when and until when: which, and with what latency (see Charger). One that
    begins when another ends goes on from it. What changes outside of these it is told at once."""

    __tablename__ = "list_periods"
    __table_args__ = (
        CheckConstraint("until IS NULL OR until >= since", name="period"),
        CheckConstraint("list_types IN ('both', 'tags', 'plates')", name="list_types"),
        CheckConstraint("latency_minutes >= 0", name="latency_minutes"),
        Index("ix_list_periods_charger", "charger_id", "since"),
        Index("uq_list_periods_open", "charger_id", unique=True, postgresql_where="until IS NULL"),
    )

    id: Mapped[Id]
    charger_id: Mapped[int] = mapped_column(ForeignKey("chargers.id"))
    since: Mapped[Instant]
    until: Mapped[Instant | None]
    list_types: Mapped[Str] = mapped_column(server_default="both")
    latency_minutes: Mapped[int | None] = mapped_column(Integer)


class ListVersion(Base):
    """A version of a status list for one charger: which changes it holds, and what became of it.

    Versions of a (charger, list type) are 1, 2, 3 …; their ranges of change positions follow each other without gap
    or overlap, an empty one having ``through_change`` = ``from_change`` - 1. A full list also says all that was before.
    ``state``: made, sent (or fetched), acknowledged, rejected, superseded (a later full list was acknowledged).
    ``next_at``: when it is sent again, or alarms again, unless it is acknowledged by then.
    """

    __tablename__ = "list_versions"
    __table_args__ = (
        CheckConstraint("list_type IN ('tags', 'plates')", name="list_type"),
        CheckConstraint("kind IN ('full', 'incremental')", name="kind"),
        CheckConstraint("state IN ('made', 'sent', 'acknowledged', 'rejected', 'superseded')", name="state"),
        CheckConstraint("(state = 'acknowledged') = (acknowledged_at IS NOT NULL)", name="acknowledged"),
        CheckConstraint("(state IN ('made', 'sent')) = (next_at IS NOT NULL)", name="waiting"),
        CheckConstraint("through_change >= from_change - 1", name="range"),
        UniqueConstraint("charger_id", "list_type", "version"),
        Index("ix_list_versions_through", "charger_id", "list_type", "through_change", "version"),
        Index(
            "ix_list_versions_full",
            "charger_id",
            "list_type",
            "acknowledged_at",
            postgresql_where="kind = 'full' AND acknowledged_at IS NOT NULL",
        ),
        Index("ix_list_versions_waiting", "next_at", postgresql_where="next_at IS NOT NULL"),
    )

    id: Mapped[Id]
    charger_id: Mapped[int] = mapped_column(ForeignKey("chargers.id"))
    list_type: Mapped[Str]
    version: Mapped[int]
    kind: Mapped[Str]
    from_change: Mapped[int] = mapped_column(BigInteger)
    through_change: Mapped[int] = mapped_column(BigInteger)
    format: Mapped[Str]
    name: Mapped[Str]
    row_count: Mapped[int]
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[Str]
    made_at: Mapped[Instant]
    sent_at: Mapped[Instant | None]
    acknowledged_at: Mapped[Instant | None]
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    next_at: Mapped[Instant | None]
    error: Mapped[Str | None]


class ListPart(Base):
    """The bytes of a version, gzipped, in pieces of a megabyte: what is sent again is what was sent."""

    __tablename__ = "list_parts"
    __table_args__ = (PrimaryKeyConstraint("version_id", "part"),)

    version_id: Mapped[int] = mapped_column(ForeignKey("list_versions.id"))
    part: Mapped[int]
    body: Mapped[bytes] = mapped_column(LargeBinary)
