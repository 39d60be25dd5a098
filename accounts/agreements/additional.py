"""Additional ferry agreements: which agreement an operator's journeys with a vehicle or a tag settle on."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from accounts.agreements.open import open_agreement
from accounts.vehicles.additional import On, attach, operator
from accounts.vehicles.models import Registration
from config.problems import Conflict, NotFound


@dataclass(frozen=True)
class Additional:
    """An additional agreement's registration, the agreement it settles on or is shown on, and whether it was
    there already."""

    registration: Registration
    agreement: Agreement
    already: bool


def add_additional(
    session: Session,
    agreement_id: int,
    operator_code: str,
    on: On,
    *,
    settlement: str,
    external_ref: str | None = None,
    valid_from: dt.datetime,
    now: dt.datetime,
    actor: str,
    reason: str | None = None,
) -> Additional:
    """Add an additional agreement to a tag agreement, for a ferry operator's journeys with a plate or a tag.

    ``external``: the journeys settle at the other company under ``external_ref``; we only show them. ``own``:
    they settle on the customer's ferry agreement with that operator, which is opened when there is none. From an
    earlier instant (support, with a ``reason``) journeys booked since move there.
    Raises NotFound, Invalid; Conflict when the tag agreement is closing or the vehicle or tag has one already.
    """
    code = operator(session, operator_code)
    # Held until the end, so that two requests at once open one ferry agreement, not two.
    tag_agreement = session.scalar(
        select(Agreement)
        .where(Agreement.id == agreement_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    if tag_agreement is None:
        raise NotFound("There is no such agreement.")
    if tag_agreement.kind != "tag":
        raise Conflict("A ferry agreement is additional itself; add to the tag agreement.", slug="not-a-tag-agreement")
    if tag_agreement.closed_at is not None:
        raise Conflict("The agreement is closed, or will be on a given day.", slug="agreement-closing")
    target = tag_agreement if settlement != "own" else _ferry(session, tag_agreement, code, now, actor)
    entered = attach(
        session, target.id, code, on, settlement=settlement, external_ref=external_ref, valid_from=valid_from, now=now,
        actor=actor, reason=reason,
    )  # fmt: skip
    return Additional(entered.registration, target, entered.already)


def _ferry(session: Session, parent: Agreement, code: str, now: dt.datetime, actor: str) -> Agreement:
    """Return the customer's ferry agreement with an operator, opened now when there is none that lasts."""
    found = session.scalar(
        select(Agreement)
        .where(Agreement.parent_id == parent.id, Agreement.operator == code, Agreement.closed_at.is_(None))
        .order_by(Agreement.id)
        .limit(1)
    )
    return found or open_agreement(
        session, parent.customer_id, now=now, actor=actor, operator=code, parent_id=parent.id
    )
