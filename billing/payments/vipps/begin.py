"""Begin paying an open invoice with Vipps: what is open is committed as a payment, and Vipps makes its page.

Of a claim one payment is live at a time. Pressed twice, or again after a lost answer, it is the same one; where another
sum is open by now, the page that was open is given up first.
"""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.invoices import listed
from billing.passages.balances import lock
from billing.payments.vipps.carry import carry_on
from billing.payments.vipps.client import VippsClient, VippsUnavailable
from billing.payments.vipps.models import LIVE, VippsPayment
from billing.payments.vipps.rules import LEAST_ORE
from config.clock import now_utc
from config.database import SessionFactory
from config.problems import Conflict, Invalid


@dataclass(frozen=True)
class Begun:
    """A payment that waits for its customer: its reference, the page where they approve it, and its sum (øre)."""

    reference: str
    url: str
    amount_ore: int


def begin(
    sessions: SessionFactory,
    client: VippsClient,
    agreement_id: int,
    invoice: int,
    *,
    return_url: str,
    actor: str,
    now: dt.datetime,
    request_key: str | None = None,
) -> Begun:
    """Return the page at Vipps where what is open of an agreement's invoice is paid; the one that is open, if one is.

    The browser comes back to ``return_url``, in which ``{reference}`` becomes the payment's. ``request_key``: the
    caller's, who gets the same payment for the same key, however it stands by then (without a page where it has
    ended). Raises NotFound for an invoice that is not the agreement's; Conflict: ``nothing-to-pay``; ``too-little``;
    ``vipps-under-way`` where one is being completed; Invalid where that key was of another invoice; VippsUnavailable:
    again is harmless.
    """
    for _ in range(2):  # a page that is over, or of another sum, makes room for one more
        with sessions() as session:
            payment_id, wanted_ore, keyed = _open(
                session, agreement_id, invoice, return_url=return_url, actor=actor, now=now, request_key=request_key
            )
            session.commit()
        word = carry_on(sessions, client, payment_id, now=now, fresh=True)
        with sessions() as session:
            row = session.get_one(VippsPayment, payment_id)
            made = Begun(row.reference, row.url or "", row.amount_ore)
        if keyed and word != "unknown":
            return made
        if word == "created" and made.url and made.amount_ore == wanted_ore:
            return made
        if word == "created":
            word = carry_on(sessions, client, payment_id, now=now, leave=True)
        if word in LIVE or word == "captured":
            raise Conflict(
                "A payment of this invoice with Vipps is being completed. Look again in a minute.",
                slug="vipps-under-way",
            )
    raise VippsUnavailable("Vipps makes no page for this invoice just now")


def _open(
    session: Session,
    agreement_id: int,
    invoice: int,
    *,
    return_url: str,
    actor: str,
    now: dt.datetime,
    request_key: str | None,
) -> tuple[int, int, bool]:
    """Return the payment that is live, or that a key is of, or a new one; what is open (øre); whether by its key."""
    lock(session, [agreement_id])
    document = listed.one(session, agreement_id, invoice)
    known = None if request_key is None else _known(session, agreement_id, invoice, request_key)
    if known is not None:
        return known.id, known.amount_ore, True
    if document.open_ore <= 0 or document.due_on is None:
        raise Conflict("Nothing of this invoice is to be paid.", slug="nothing-to-pay")
    if document.open_ore < LEAST_ORE:
        raise Conflict("Vipps takes no less than a krone. Pay it by bank.", slug="too-little")
    live = select(VippsPayment.id).where(VippsPayment.claim_id == document.claim_id, VippsPayment.state.in_(LIVE))
    payment_id = session.scalars(live).one_or_none()
    if payment_id is not None:
        return payment_id, document.open_ore, False
    real, reference = now_utc(), f"brikke-{invoice}-{secrets.token_hex(8)}"
    row = VippsPayment(
        agreement_id=agreement_id,
        claim_id=document.claim_id,
        invoice=invoice,
        reference=reference,
        request_key=request_key,
        create_key=f"brikke-create-{secrets.token_hex(12)}",
        return_url=return_url.replace("{reference}", reference),
        amount_ore=document.open_ore,
        state="unknown",
        started_by=actor,
        started_at=now,
        called_at=real,
        asked_at=real,
    )
    session.add(row)
    session.flush()
    return row.id, row.amount_ore, False


def _known(session: Session, agreement_id: int, invoice: int, request_key: str) -> VippsPayment | None:
    """Return the payment that a caller's key is of, if it has been used. Raises Invalid where it was of another."""
    row = session.scalars(
        select(VippsPayment).where(VippsPayment.agreement_id == agreement_id, VippsPayment.request_key == request_key)
    ).one_or_none()
    if row is not None and row.invoice != invoice:
        raise Invalid(
            "This Idempotency-Key was used for another request; take a new key for a new act.",
            slug="idempotency-key-reused",
        )
    return row
