"""A request that removes a card, by whatever face: the customer's page, support's, the API."""

from __future__ import annotations

from accounts.access import trail
from accounts.access.principal import principal
from accounts.agreements.models import Agreement
from billing.cards import queries, register
from billing.cards.cards import remove
from billing.cards.page_ended import end_page
from billing.cards.provider import gateway_of
from billing.invoices.seller import seller_of
from config import http


def take_away(agreement: Agreement, card_id: int | None, *, instead: bool, reason: str | None = None) -> None:
    """Remove a card of an agreement (None: the one that is charged), commit, and have the provider forget it.

    ``instead``: what is open on it goes on an invoice; a payment page on which it might be paid is ended first.
    ``agreement`` is as it is afterwards. Raises what ``cards.remove`` and ``page_ended.end_page`` raise, nothing done.
    """
    session, settings = http.current_session(), http.current_settings()
    if instead:
        end_page(agreement.id)
    now = http.request_now()
    card = remove(session, agreement.id, card_id, seller=seller_of(settings), now=now, instead=instead)
    detail = {"card": card.id, "instead": "invoice" if instead else None}
    trail.record(session, principal(), "remove_card", f"agreement:{agreement.number}", now, reason, detail)
    session.flush()
    session.refresh(agreement)
    forgotten, gateway = queries.forgettable(session, [card]), gateway_of(settings)
    session.commit()
    if gateway is not None:
        register.forget(gateway, forgotten)
