"""Tables of the exchange with chargers."""

from __future__ import annotations

import hashlib

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, Id, Instant, Str


class Exchange(Base):
    """How files are exchanged with a charger. One without a row has a folder, once somebody makes it.

    ``form``: what its files of records are in when their names do not say; ``answer_form``: what answers are written
    in, null: as what they answer. ``key_file``, ``password_file``: names in ROADSIDE_KEYS; secrets are never here.
    ``host_key``: the fingerprint (``SHA256:…``) without which nothing is said to a server. ``remote_in`` is where its
    files lie, ``remote_out`` where ours are put; what was taken goes to ``remote_done``, or is removed where that is
    null. ``attempts``, ``next_at``, ``error``: of reaching it, real time; all three are reset when it is reached.
    """

    __tablename__ = "exchanges"
    __table_args__ = (
        CheckConstraint("kind IN ('folder', 'sftp')", name="kind"),
        CheckConstraint(
            "kind <> 'sftp' OR (host IS NOT NULL AND port IS NOT NULL AND username IS NOT NULL "
            "AND host_key IS NOT NULL AND remote_in IS NOT NULL AND remote_out IS NOT NULL "
            "AND (key_file IS NOT NULL OR password_file IS NOT NULL))",
            name="sftp",
        ),
    )

    charger_id: Mapped[int] = mapped_column(ForeignKey("chargers.id"), primary_key=True, autoincrement=False)
    kind: Mapped[Str]
    enabled: Mapped[bool] = mapped_column(Boolean, server_default="true")
    form: Mapped[Str | None]
    answer_form: Mapped[Str | None]
    host: Mapped[Str | None]
    port: Mapped[int | None] = mapped_column(Integer)
    username: Mapped[Str | None]
    key_file: Mapped[Str | None]
    password_file: Mapped[Str | None]
    host_key: Mapped[Str | None]
    remote_in: Mapped[Str | None]
    remote_out: Mapped[Str | None]
    remote_done: Mapped[Str | None]
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    next_at: Mapped[Instant | None]
    error: Mapped[Str | None]
    reached_at: Mapped[Instant | None]

    @property
    def version(self) -> str:
        """What it says, in short: another text for every change, so that nobody's is lost."""
        said = (self.kind, self.enabled, self.form, self.answer_form, self.host, self.port, self.username,
                self.key_file, self.password_file, self.host_key, self.remote_in, self.remote_out,
                self.remote_done)  # fmt: skip
        return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


class Incoming(Base):
    """A file of a charger's, by where it was found and what it looked like there: the same name with another size or
    time is another file. ``mtime_ns`` since 1970; ``inode`` is 0 on a server.

    ``what``: records, ack, claim or complaint_responses. ``outcome``: booked, again (the same file came before),
    noted (not records), refused (``error`` says why, ``line`` where), gone (somebody took it away).
    """

    __tablename__ = "incoming_files"
    __table_args__ = (
        CheckConstraint("way IN ('inbox', 'sftp')", name="way"),
        CheckConstraint("state IN ('coming', 'taken', 'done', 'left')", name="state"),
        CheckConstraint("state = 'coming' OR outcome IS NOT NULL", name="outcome"),
        Index(
            "uq_incoming_files_file",
            "charger_id",
            "way",
            "name",
            "size",
            "mtime_ns",
            "inode",
            unique=True,
            postgresql_where="state <> 'done'",
        ),
        Index("ix_incoming_files_charger", "charger_id", "id"),
        Index("ix_incoming_files_open", "charger_id", "state", postgresql_where="state IN ('coming', 'taken')"),
    )

    id: Mapped[Id]
    charger_id: Mapped[int] = mapped_column(ForeignKey("chargers.id"))
    way: Mapped[Str]
    name: Mapped[Str]
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    inode: Mapped[int] = mapped_column(BigInteger, server_default="0")
    state: Mapped[Str] = mapped_column(server_default="coming")
    what: Mapped[Str | None]
    outcome: Mapped[Str | None]
    batch_id: Mapped[int | None] = mapped_column(BigInteger)
    line: Mapped[int | None] = mapped_column(Integer)
    error: Mapped[Str | None]
    seen_at: Mapped[Instant]
    taken_at: Mapped[Instant | None]
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    next_at: Mapped[Instant | None]


class Outgoing(Base):
    """A file for a charger: ``kind`` and ``ref`` say what of (see ``outgoing.KINDS``), its bytes are made when it is
    sent, and are the same each time: ``sha256`` holds them to it.

    ``state``: waiting, sent, failed (tried so often that it alarms; it is tried still). ``made_at`` and ``sent_at`` are
    business time, ``next_at`` real. ``sends`` counts the times it was delivered.
    """

    __tablename__ = "outgoing_files"
    __table_args__ = (
        UniqueConstraint("charger_id", "kind", "ref"),
        UniqueConstraint("charger_id", "name"),
        CheckConstraint("state IN ('waiting', 'sent', 'failed')", name="state"),
        CheckConstraint("(state = 'sent') = (next_at IS NULL)", name="next"),
        CheckConstraint("state <> 'sent' OR (sent_at IS NOT NULL AND sha256 IS NOT NULL)", name="sent"),
        Index("ix_outgoing_files_waiting", "charger_id", "next_at", postgresql_where="next_at IS NOT NULL"),
        Index("ix_outgoing_files_charger", "charger_id", "id"),
    )

    id: Mapped[Id]
    charger_id: Mapped[int] = mapped_column(ForeignKey("chargers.id"))
    kind: Mapped[Str]
    ref: Mapped[Str]
    name: Mapped[Str]
    form: Mapped[Str | None]
    state: Mapped[Str] = mapped_column(server_default="waiting")
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    next_at: Mapped[Instant | None]
    error: Mapped[Str | None]
    made_at: Mapped[Instant]
    sent_at: Mapped[Instant | None]
    sends: Mapped[int] = mapped_column(Integer, server_default="0")
    size: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[bytes | None] = mapped_column(LargeBinary)


class AmendmentSent(Base):
    """In which file an amended answer (``amendments``) goes out: in one, for ever the same."""

    __tablename__ = "amendments_sent"
    __table_args__ = (Index("ix_amendments_sent_outgoing", "outgoing_id"),)

    amendment_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    outgoing_id: Mapped[int] = mapped_column(BigInteger)
