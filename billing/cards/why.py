"""Why a charge ended on an invoice, as a word that the customer's letter has a sentence for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from billing.cards.models import Attempt, Charge

Why = Literal["funds", "expired", "gone", "confirm", "bank", "no_card", "small", "chosen"]

_CODES: dict[str, Why] = {
    "insufficient_funds": "funds",
    "card_velocity_exceeded": "funds",
    "withdrawal_count_limit_exceeded": "funds",
    "expired_card": "expired",
    "lost_card": "gone",
    "stolen_card": "gone",
    "pickup_card": "gone",
    "restricted_card": "gone",
    "invalid_account": "gone",
    "invalid_number": "gone",
    "new_account_information_available": "gone",
    "payment_method_missing": "gone",
    "resource_missing": "gone",
    "revocation_of_authorization": "gone",
    "revocation_of_all_authorizations": "gone",
    "authentication_required": "confirm",
    "authentication_not_handled": "confirm",
    "approve_with_id": "confirm",
    "amount_too_small": "small",
}

_TELL = text("""
    UPDATE messages AS m SET data = jsonb_build_object('facts', jsonb_build_object('why', w.why))
    FROM unnest(CAST(:documents AS bigint[]), CAST(:whys AS text[])) AS w (document_id, why)
    WHERE m.subject = 'document:' || w.document_id AND m.template = 'card_failed' AND m.planned_at IS NULL
""")


def why(*, code: str | None, waited: bool, small: bool) -> Why:
    """Say why, by the code of the last decline, None where no card was tried. ``waited``: for its customer."""
    if waited:
        return "confirm"
    if code is not None:
        return _CODES.get(code, "bank")
    return "small" if small else "no_card"


def reasons(session: Session, charges: Sequence[Charge], *, smallest_ore: int) -> list[Why]:
    """Return why each of the charges, which are still open, is given up."""
    declines = (
        select(Attempt.charge_id, Attempt.code)
        .where(Attempt.charge_id == func.any([charge.id for charge in charges]), Attempt.state == "declined")
        .order_by(Attempt.number)
    )
    codes = {row.charge_id: row.code for row in session.execute(declines)}  # the last of each stays
    return [
        why(
            code=codes.get(charge.id),
            waited=charge.waits_for == "customer",
            small=(charge.amount_ore or 0) < smallest_ore,
        )
        for charge in charges
    ]


def tell(session: Session, document_ids: Sequence[int], whys: Sequence[Why]) -> None:
    """Have the letters that go out with the invoices say why."""
    session.execute(_TELL, {"documents": list(document_ids), "whys": list(whys)})
