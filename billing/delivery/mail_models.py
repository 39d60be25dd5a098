"""Tables of e-mail: links that were sent instead of attachments, and mail that came back."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, Id, Instant, Str

OUTCOMES = (
    "permanent", "temporary", "delivered", "unclear", "repeat", "other_address", "foreign", "unreadable",
)  # fmt: skip
"""What a mail in our mailbox was: ours came back for good; not yet; it arrived after all; one cannot tell; the same
notice again; of an address that the customer has changed since; none of ours; more than a reader should be given."""


class MailLink(Base):
    """That a delivery's document was put behind a link: written before the mail leaves.

    ``until`` (when the link ends) is real time, as tokens are; ``settled_at`` (business time): when a person opened it,
    or it was found unopened and the next channel was asked.
    """

    __tablename__ = "mail_links"
    __table_args__ = (Index("ix_mail_links_waiting", "delivery_id", postgresql_where="settled_at IS NULL"),)

    delivery_id: Mapped[int] = mapped_column(ForeignKey("deliveries.id"), primary_key=True)
    until: Mapped[Instant]
    settled_at: Mapped[Instant | None]


class BouncedMail(Base):
    """A mail in the mailbox that bounces come to, as it was read: once, unique by ``mailbox`` and its ``name`` there.

    ``rfc_message_id`` is the notice's own; ``recipient``, ``status`` (``5.1.1``) and ``diagnostic`` are as it says.
    Nothing else of a mail is kept, and of one that is not about our mail nothing at all.
    """

    __tablename__ = "bounced_mails"
    __table_args__ = (
        UniqueConstraint("mailbox", "name"),
        CheckConstraint(f"outcome IN {OUTCOMES}", name="outcome"),
        Index("ix_bounced_mails_delivery", "delivery_id", postgresql_where="delivery_id IS NOT NULL"),
        Index("ix_bounced_mails_notice", "rfc_message_id", postgresql_where="rfc_message_id IS NOT NULL"),
    )

    id: Mapped[Id]
    mailbox: Mapped[Str]
    name: Mapped[Str]
    read_at: Mapped[Instant]
    outcome: Mapped[Str]
    rfc_message_id: Mapped[Str | None]
    delivery_id: Mapped[int | None] = mapped_column(BigInteger)
    recipient: Mapped[Str | None]
    status: Mapped[Str | None]
    diagnostic: Mapped[Str | None]
