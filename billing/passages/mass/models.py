"""Tables of mass corrections."""

from __future__ import annotations

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, ForeignKey, Index, Integer, PrimaryKeyConstraint, Text
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, Id, Instant, Ore, Str


class MassCorrection(Base):
    """What is corrected: passages of a charger's stations from ``since`` until ``until`` (exclusive, by when they
    happened), perhaps only some; or, with ``undoes_id``, what another one corrected.

    ``state``: preview (counted, nothing booked), running (being worked through), done. ``digest`` is over the passages
    that the preview found and which of them were billed; ``passages``, ``agreements``, ``sum_ore``, ``billed`` and
    ``billed_ore`` are their counts and sums. ``done``/``done_ore``: how many were corrected, and their sum;
    ``skipped``: how many had been changed otherwise, or (an undo) sent anew, when their turn came. Passages up to
    ``last_passage_id`` are worked through, in ``chunks`` chunks.
    """

    __tablename__ = "mass_corrections"
    __table_args__ = (
        CheckConstraint("state IN ('preview', 'running', 'done')", name="state"),
        CheckConstraint("bearer IN ('charger', 'us')", name="bearer"),
        CheckConstraint("since < until", name="period"),
        CheckConstraint("(state = 'preview') = (confirmed_at IS NULL)", name="confirmed"),
        CheckConstraint("(state = 'done') = (finished_at IS NOT NULL)", name="finished"),
        CheckConstraint("(country IS NULL) = (plate IS NULL)", name="vehicle"),
        CheckConstraint("reason <> ''", name="reason"),
        Index("uq_mass_corrections_undoes", "undoes_id", unique=True),
        Index("ix_mass_corrections_running", "id", postgresql_where="state = 'running'"),
    )

    id: Mapped[Id]
    undoes_id: Mapped[int | None] = mapped_column(ForeignKey("mass_corrections.id"))
    charger_id: Mapped[int] = mapped_column(ForeignKey("chargers.id"))
    stations: Mapped[list[str]] = mapped_column(ARRAY(Text))
    since: Mapped[Instant]
    until: Mapped[Instant]
    service: Mapped[Str | None]
    vehicle_class: Mapped[Str | None]
    country: Mapped[Str | None]
    plate: Mapped[Str | None]
    bearer: Mapped[Str]
    reason: Mapped[Str]
    actor: Mapped[Str]
    state: Mapped[Str]
    made_at: Mapped[Instant]
    digest: Mapped[Str]
    passages: Mapped[int] = mapped_column(Integer)
    agreements: Mapped[int] = mapped_column(Integer)
    sum_ore: Mapped[Ore]
    billed: Mapped[int] = mapped_column(Integer)
    billed_ore: Mapped[Ore]
    confirmed_at: Mapped[Instant | None]
    confirmed_by: Mapped[Str | None]
    finished_at: Mapped[Instant | None]
    last_passage_id: Mapped[int] = mapped_column(BigInteger, server_default="0")
    chunks: Mapped[int] = mapped_column(Integer, server_default="0")
    done: Mapped[int] = mapped_column(Integer, server_default="0")
    done_ore: Mapped[Ore] = mapped_column(server_default="0")
    skipped: Mapped[int] = mapped_column(Integer, server_default="0")

    @property
    def name(self) -> str:
        """Return what reversals name as their reason, and the trail and messages as their subject."""
        return f"mass:{self.id}"


class MassPassage(Base):
    """A passage that a confirmed mass correction is about; of an undo: the passage that had been reversed.

    ``outcome`` is null until its turn comes; then done, or left (it had been changed otherwise, or sent anew).
    """

    __tablename__ = "mass_passages"
    __table_args__ = (
        PrimaryKeyConstraint("mass_id", "passage_id"),
        CheckConstraint("outcome IN ('done', 'left')", name="outcome"),
        Index("ix_mass_passages_agreement", "agreement_id", "mass_id"),
    )

    mass_id: Mapped[int] = mapped_column(ForeignKey("mass_corrections.id"))
    passage_id: Mapped[int] = mapped_column(BigInteger)
    booked_at: Mapped[Instant]
    agreement_id: Mapped[int] = mapped_column(ForeignKey("agreements.id"))
    amount_ore: Mapped[Ore]
    billed: Mapped[bool]
    """Whether it was in a claim when the correction was confirmed."""
    outcome: Mapped[Str | None]
