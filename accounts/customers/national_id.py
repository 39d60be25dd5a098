"""Keep a customer's national id, encrypted, for look-ups at mailboxes; open it for those; forget it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from accounts.customers import rules
from accounts.customers.models import Customer
from config.checks import Checks
from config.sealed import Sealing, Unsealable


def keep(session: Session, customer: Customer, value: str | None, *, sealing: Sealing, synthetic: bool) -> bool:
    """Keep the national id of a private person (row locked by the caller), or forget it (None); say whether that
    changed anything.

    One that is kept already is sealed anew: nobody learns by trying whether it is the same. ``synthetic``: made-up ids
    are taken. Raises Invalid, which does not repeat the value.
    """
    if value is None:
        if customer.national_id is None:
            return False
        customer.national_id = None
    else:
        checks = Checks()
        if customer.kind != "private":
            checks.note("national_id", "not_wanted", "is only for a private person")
        kept = checks.take("national_id", lambda given: rules.national_id(given, synthetic=synthetic), value, "")
        checks.done()
        customer.national_id = sealing.seal(kept)
    customer.version += 1
    session.flush()
    return True


def opened(customer: Customer, sealing: Sealing) -> str | None:
    """Return the national id for a look-up, None where we keep none. Not to be kept, logged or shown.

    Raises `config.sealed.Unsealable` where its key is not ours any more.
    """
    return None if customer.national_id is None else sealing.open(customer.national_id)


@dataclass(frozen=True)
class SealedAnew:
    """``done``: sealed by the key of today; ``lost``: cannot be opened by any of our keys; ``after``: where to go on,
    None at the end."""

    done: int
    lost: int
    after: int | None


def seal_anew(session: Session, *, sealing: Sealing, after: int = 0, limit: int = 500) -> SealedAnew:
    """Seal ids that an older key sealed with the key of today, so that the old one can be taken out of the settings.

    Looks at ``limit`` customers with an id above the customer id ``after``. What cannot be opened stays as it is.
    """
    looked = session.scalars(
        select(Customer)
        .where(Customer.national_id.is_not(None), Customer.id > after)
        .order_by(Customer.id)
        .limit(limit)
        .with_for_update(key_share=True)
    ).all()
    done = lost = 0
    for customer in looked:
        sealed = customer.national_id
        if sealed is None or sealing.is_of_first(sealed):
            continue
        try:
            customer.national_id = sealing.seal(sealing.open(sealed))
            done += 1
        except Unsealable:
            lost += 1
    session.flush()
    return SealedAnew(done, lost, looked[-1].id if len(looked) == limit else None)
