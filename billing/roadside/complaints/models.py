"""Tables of complaints."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from billing.roadside.complaints.rules import KINDS, OUTCOMES
from config.database import Base, Id, Instant, Str


def _one_of(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in words)


class ComplaintMessage(Base):
    """A message of complaints to a charger, as a file: number 1, 2, 3 … of each. Its bytes are made once; sending them,
    and again, is the exchange's (billing.roadside.exchange)."""

    __tablename__ = "complaint_messages"
    __table_args__ = (UniqueConstraint("charger_id", "number"),)

    id: Mapped[Id]
    charger_id: Mapped[int] = mapped_column(ForeignKey("chargers.id"))
    number: Mapped[int]
    content: Mapped[bytes] = mapped_column(LargeBinary)
    made_at: Mapped[Instant]


class Complaint(Base):
    """That a customer disputes a passage. ``source_id`` is the charger's id of its record.

    ``state``: made, sent (it is in a file to the charger, or the charger has read it), answered. ``correction_id``: the
    record by which the charger did what it had answered. ``made_by`` and ``answered_by`` are actors (``customer:7``).
    ``let_go_at``: since when it holds its passage back no longer although nobody had answered, and ``let_go_why``:
    unanswered (for too long), withdrawn (by the customer). The charger may answer all the same.
    """

    __tablename__ = "complaints"
    __table_args__ = (
        CheckConstraint(f"kind IN ({_one_of(KINDS)})", name="kind"),
        CheckConstraint("state IN ('made', 'sent', 'answered')", name="state"),
        CheckConstraint(f"outcome IN ({_one_of(OUTCOMES)})", name="outcome"),
        CheckConstraint("(state = 'made') = (sent_at IS NULL)", name="sent"),
        CheckConstraint(
            "(state = 'answered') = (outcome IS NOT NULL) AND (state = 'answered') = (answered_at IS NOT NULL) "
            "AND (state = 'answered') = (answered_by IS NOT NULL)",
            name="answered",
        ),
        CheckConstraint(
            "correction_id IS NULL OR outcome IN ('upheld', 'adjusted') AND corrected_at IS NOT NULL", name="corrected"
        ),
        CheckConstraint(
            "let_go_why IN ('unanswered', 'withdrawn') AND (let_go_why IS NULL) = (let_go_at IS NULL)", name="let_go"
        ),
        Index(
            "uq_complaints_open",
            "passage_id",
            unique=True,
            postgresql_where="state <> 'answered' AND let_go_at IS NULL",
        ),
        Index("ix_complaints_passage", "passage_id"),
        Index("ix_complaints_agreement", "agreement_id", "id"),
        Index("ix_complaints_charger", "charger_id", "id"),
        Index("ix_complaints_made", "charger_id", "id", postgresql_where="state = 'made'"),
        Index(
            "ix_complaints_uncorrected",
            "answered_at",
            postgresql_where="outcome IN ('upheld', 'adjusted') AND correction_id IS NULL",
        ),
    )

    id: Mapped[Id]
    agreement_id: Mapped[int] = mapped_column(ForeignKey("agreements.id"))
    passage_id: Mapped[int] = mapped_column(BigInteger)
    charger_id: Mapped[int] = mapped_column(ForeignKey("chargers.id"))
    source_id: Mapped[Str]
    kind: Mapped[Str]
    text: Mapped[Str]
    state: Mapped[Str] = mapped_column(server_default="made")
    outcome: Mapped[Str | None]
    response: Mapped[Str | None]
    message_id: Mapped[int | None] = mapped_column(ForeignKey("complaint_messages.id"))
    made_at: Mapped[Instant]
    made_by: Mapped[Str]
    sent_at: Mapped[Instant | None]
    answered_at: Mapped[Instant | None]
    answered_by: Mapped[Str | None]
    correction_id: Mapped[Str | None]
    corrected_at: Mapped[Instant | None]
    let_go_at: Mapped[Instant | None]
    let_go_why: Mapped[Str | None]
