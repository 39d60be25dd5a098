"""How an agreement is paid, and whether its receipts are sent."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from accounts.agreements import rules
from accounts.agreements.models import Agreement
from config.checks import Checks
from config.problems import Conflict, NotFound, PreconditionFailed


def set_payment_method(
    session: Session, agreement_id: int, method: str, *, version: int | None = None
) -> tuple[Agreement, bool]:
    """Set the payment method (invoice or card); return the agreement and whether it was so already.

    'card' is set by billing.cards, once a card is there. With ``version``, only when the agreement is still that
    version. Raises Invalid, NotFound, PreconditionFailed; Conflict when the agreement is closed.
    """
    checks = Checks()
    kept = checks.take("payment_method", rules.payment_method, method, "")
    checks.done()
    row = session.scalar(
        select(Agreement)
        .where(Agreement.id == agreement_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    if row is None:
        raise NotFound("There is no such agreement.")
    if version is not None and row.version != version:
        raise PreconditionFailed("The agreement has changed since you read it; read it again.")
    if row.payment_method == kept:
        return row, True
    if row.standing == rules.CLOSED:
        raise Conflict("The agreement is closed; what is left is invoiced.", slug="agreement-closed")
    row.payment_method = kept
    row.version += 1
    session.flush()
    return row, False


def set_receipts(session: Session, agreement_id: int, by_mail: bool) -> tuple[Agreement, bool]:
    """Have receipts of card payments sent by e-mail, or not; return the agreement and whether it was so already.

    Raises NotFound.
    """
    row = session.scalar(
        select(Agreement)
        .where(Agreement.id == agreement_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    if row is None:
        raise NotFound("There is no such agreement.")
    if row.receipts_by_mail == by_mail:
        return row, True
    row.receipts_by_mail = by_mail
    row.version += 1
    session.flush()
    return row, False
