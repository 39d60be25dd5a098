"""Reads of agreements, their history and their blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement, Block, StandingChange
from config.problems import NotFound


def by_number(session: Session, number: int, *, lock: bool = False) -> Agreement:
    """Return the agreement of a number, locked when it is to be changed. Raises NotFound."""
    query = select(Agreement).where(Agreement.number == number)
    if lock:
        query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    found = session.scalar(query)
    if found is None:
        raise NotFound("There is no such agreement.")
    return found


def by_id(session: Session, agreement_id: int) -> Agreement:
    """Return the agreement of an id. Raises NotFound."""
    found = session.get(Agreement, agreement_id)
    if found is None:
        raise NotFound("There is no such agreement.")
    return found


def of_customers(session: Session, customer_ids: Sequence[int]) -> Sequence[Agreement]:
    """Return all agreements of customers, by id; a ferry agreement after the one it is additional to."""
    query = select(Agreement).where(Agreement.customer_id.in_(customer_ids)).order_by(Agreement.id)
    return session.scalars(query).all()


def family(session: Session, agreement: Agreement) -> Sequence[Agreement]:
    """Return an agreement and those additional to it."""
    query = select(Agreement).where((Agreement.id == agreement.id) | (Agreement.parent_id == agreement.id))
    return session.scalars(query.order_by(Agreement.id)).all()


@dataclass(frozen=True)
class Story:
    """How an agreement stands and how it came to: every change, oldest first, and every block."""

    agreement: Agreement
    changes: Sequence[StandingChange]
    blocks: Sequence[Block]

    @property
    def active_block(self) -> Block | None:
        """The block that has not ended."""
        return next((block for block in self.blocks if block.ended_at is None), None)


def story(session: Session, agreement: Agreement) -> Story:
    """Return the full history of an agreement's standing."""
    changes = session.scalars(
        select(StandingChange).where(StandingChange.agreement_id == agreement.id).order_by(StandingChange.id)
    ).all()
    blocks = session.scalars(select(Block).where(Block.agreement_id == agreement.id).order_by(Block.id)).all()
    return Story(agreement, changes, blocks)


def customer_number(session: Session, agreement: Agreement) -> int:
    """Return the number of the customer who holds an agreement. Customers is the room above, so its table is
    named here as in the foreign key."""
    number = session.execute(text("SELECT number FROM customers WHERE id = :id"), {"id": agreement.customer_id})
    return int(number.scalar_one())
