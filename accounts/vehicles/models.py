"""Tables of the vehicles room."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    and_,
    func,
    literal_column,
    or_,
)
from sqlalchemy.dialects.postgresql import ExcludeConstraint
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, Id, Instant, Str

_PERIOD = func.tstzrange(literal_column("valid_from"), literal_column("valid_to"))


class Period:
    """What lasts from ``valid_from`` to ``valid_to``, exclusive; the same instant twice is a period that never was."""

    valid_from: Mapped[Instant]
    valid_to: Mapped[Instant | None]

    @classmethod
    def lasts_after(cls, at: dt.datetime) -> ColumnElement[bool]:
        """Return the condition that some of the period lies after an instant."""
        return or_(cls.valid_to.is_(None), and_(cls.valid_to > at, cls.valid_to > cls.valid_from))


class Registration(Period, Base):
    """A vehicle (country, plate), or on additional agreements a tag (pan), on an agreement for a time.

    ``scope`` is '' on a tag agreement and the ferry operator's charger code on an additional agreement.
    ``settlement`` is ``own`` (settled on ``agreement_id``) or ``external`` (shown there, settled elsewhere;
    ``external_ref`` is the other company's agreement). ``valid_to`` is exclusive; null while it lasts.
    """

    __tablename__ = "registrations"
    __table_args__ = (
        CheckConstraint("valid_to IS NULL OR valid_to >= valid_from", name="period"),
        CheckConstraint("settlement IN ('own', 'external')", name="settlement"),
        CheckConstraint("settlement = 'own' OR scope <> ''", name="external_is_additional"),
        CheckConstraint(
            "(plate IS NULL) <> (pan IS NULL) AND (plate IS NULL) = (country IS NULL)", name="vehicle_or_tag"
        ),
        CheckConstraint("scope <> '' OR plate IS NOT NULL", name="tag_agreement_needs_plate"),
        ExcludeConstraint(
            ("scope", "="),
            ("country", "="),
            ("plate", "="),
            (_PERIOD, "&&"),
            name="ex_registrations_vehicle",
            using="gist",
            where="plate IS NOT NULL",
        ),
        ExcludeConstraint(
            ("scope", "="),
            ("pan", "="),
            (_PERIOD, "&&"),
            name="ex_registrations_pan",
            using="gist",
            where="pan IS NOT NULL",
        ),
        Index("ix_registrations_vehicle", "country", "plate", "scope", "valid_from"),
        Index("ix_registrations_plate", "plate"),  # the support desk's search: nobody spells out the country
        Index("ix_registrations_pan", "pan", "scope", "valid_from", postgresql_where="pan IS NOT NULL"),
        Index("ix_registrations_agreement", "agreement_id", "valid_from"),
        Index("ix_registrations_additional", "agreement_id", "scope", postgresql_where="scope <> ''"),
    )

    id: Mapped[Id]
    agreement_id: Mapped[int] = mapped_column(ForeignKey("agreements.id"))
    scope: Mapped[Str] = mapped_column(server_default="")
    settlement: Mapped[Str] = mapped_column(server_default="own")
    external_ref: Mapped[Str | None]
    country: Mapped[Str | None]
    plate: Mapped[Str | None]
    pan: Mapped[Str | None]
    created_at: Mapped[Instant]


class Tag(Base):
    """A tag: the number printed on it, the PAN in it, the OBU id, and the agreement it was issued to."""

    __tablename__ = "tags"
    __table_args__ = (CheckConstraint("state IN ('active', 'lost', 'stolen', 'returned')", name="state"),)

    id: Mapped[Id]
    agreement_id: Mapped[int] = mapped_column(ForeignKey("agreements.id"), index=True)
    printed_number: Mapped[Str] = mapped_column(unique=True)
    pan: Mapped[Str] = mapped_column(unique=True)
    obu_id: Mapped[Str | None] = mapped_column(unique=True)
    state: Mapped[Str] = mapped_column(server_default="active")
    issued_at: Mapped[Instant]


class Mount(Period, Base):
    """A tag in a vehicle for a time. ``pan`` repeats the tag's, for matching by one index."""

    __tablename__ = "tag_mounts"
    __table_args__ = (
        CheckConstraint("valid_to IS NULL OR valid_to >= valid_from", name="period"),
        ExcludeConstraint(("tag_id", "="), (_PERIOD, "&&"), name="ex_tag_mounts_tag", using="gist"),
        Index("ix_tag_mounts_pan", "pan", "valid_from"),
        Index("ix_tag_mounts_vehicle", "country", "plate"),
    )

    id: Mapped[Id]
    tag_id: Mapped[int] = mapped_column(ForeignKey("tags.id"))
    pan: Mapped[Str]
    country: Mapped[Str]
    plate: Mapped[Str]


class VehicleClass(Base):
    """The class a vehicle is known to be of, by whom and since when: what chargers charge it as is held against it."""

    __tablename__ = "vehicle_classes"

    country: Mapped[Str] = mapped_column(primary_key=True)
    plate: Mapped[Str] = mapped_column(primary_key=True)
    vehicle_class: Mapped[Str]
    actor: Mapped[Str]
    at: Mapped[Instant]


class Removal(Base):
    """That a registration was ended: from when, by whom, why; and whether billing has moved its passages yet.

    With an ``operator`` (a charger's code) it goes on, and only that operator's journeys were taken from it, by an
    additional agreement that began earlier than it was made. ``moved_at`` is null until billing.passages has worked
    through it (work is rows).
    """

    __tablename__ = "removals"
    __table_args__ = (Index("ix_removals_waiting", "id", postgresql_where="moved_at IS NULL"),)

    id: Mapped[Id]
    registration_id: Mapped[int] = mapped_column(ForeignKey("registrations.id"), index=True)
    agreement_id: Mapped[int] = mapped_column(BigInteger)
    operator: Mapped[Str] = mapped_column(server_default="")
    ends_at: Mapped[Instant]
    requested_at: Mapped[Instant]
    actor: Mapped[Str]
    reason: Mapped[Str | None]
    moved_at: Mapped[Instant | None]
