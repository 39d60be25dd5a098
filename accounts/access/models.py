"""Tables of access."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Index, LargeBinary, SmallInteger, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, Id, Instant, Str


class TrailEntry(Base):
    """One act or look-up: who, as what, did what to which subject, why. Appended, never changed."""

    __tablename__ = "audit_trail"
    __table_args__ = (Index("ix_audit_trail_subject", "subject", "id"),)

    id: Mapped[Id]
    at: Mapped[Instant]
    actor: Mapped[Str]
    role: Mapped[Str]
    action: Mapped[Str]
    subject: Mapped[Str]
    """What it was done to, as ``agreement:12345678`` or ``customer:1000001``."""
    reason: Mapped[Str | None]
    detail: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")


class IdempotencyKey(Base):
    """The answer once given to a request that moves money, so that a repeat gets it again."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (UniqueConstraint("principal", "key"),)

    id: Mapped[Id]
    principal: Mapped[Str]
    key: Mapped[Str]
    request_hash: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int] = mapped_column(SmallInteger)
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
    headers: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    created_at: Mapped[Instant]
