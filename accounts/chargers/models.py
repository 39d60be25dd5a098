"""Tables of the chargers room."""

from __future__ import annotations

import hashlib

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, Integer, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, Id, Instant, Str


class Charger(Base):
    """A toll charger or ferry operator. ``code`` is what files and tokens name it by."""

    __tablename__ = "chargers"
    __table_args__ = (CheckConstraint("kind IN ('toll', 'ferry')", name="kind"),)

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    code: Mapped[Str] = mapped_column(unique=True)
    name: Mapped[Str]
    kind: Mapped[Str]
    org_no: Mapped[Str | None]
    email: Mapped[Str | None]
    phone: Mapped[Str | None]

    @property
    def version(self) -> str:
        """What it says, in short: another text for every change, so that nobody's is lost."""
        said = (self.code, self.name, self.kind, self.org_no, self.email, self.phone)
        return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


class Station(Base):
    """A toll station or ferry connection of a charger, with the name customers read and the project it pays to."""

    __tablename__ = "stations"
    __table_args__ = (UniqueConstraint("charger_id", "code"),)

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    charger_id: Mapped[int] = mapped_column(ForeignKey("chargers.id"))
    code: Mapped[Str]
    name: Mapped[Str]
    project: Mapped[Str]


class Publication(Base):
    """What one charger was told of an agreement, or of one registration on it, and when it knew.

    ``status``: valid, blocked, ended (agreement); removed (registration).
    """

    __tablename__ = "publications"
    __table_args__ = (
        CheckConstraint("status IN ('valid', 'blocked', 'ended', 'removed')", name="status"),
        Index("ix_publications_judged", "agreement_id", "charger_id", "acknowledged_at"),
        Index(
            "ix_publications_registration",
            "registration_id",
            "charger_id",
            postgresql_where="registration_id IS NOT NULL",
        ),
    )

    id: Mapped[Id]
    charger_id: Mapped[int] = mapped_column(ForeignKey("chargers.id"))
    agreement_id: Mapped[int] = mapped_column(BigInteger)
    registration_id: Mapped[int | None] = mapped_column(BigInteger)
    status: Mapped[Str]
    reason: Mapped[Str | None]
    made_at: Mapped[Instant]
    sent_at: Mapped[Instant | None]
    acknowledged_at: Mapped[Instant | None]
