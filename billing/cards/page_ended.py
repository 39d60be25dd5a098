"""Before a charge is settled another way, the page on which its customer may be paying it is ended at the provider.

Otherwise it could be paid there and be on an invoice too.
"""

from __future__ import annotations

from billing.cards import confirm
from billing.cards.gateway import GatewayUnavailable
from billing.cards.provider import gateway_of
from billing.invoices.seller import seller_of
from config import http
from config.problems import Conflict, Unavailable


def end_page(agreement_id: int) -> None:
    """End the page that is open for a charge of an agreement, if one is; its attempt is ``nothing`` then.

    For requests, before the verb that settles the charge: it commits the session where there is a page, since nothing
    is held open while the provider is asked. One that the provider cannot end yet stays unknown, and the verb refuses.
    Raises Conflict ``charge-paid`` where the customer has paid meanwhile, Unavailable where the provider does not
    answer.
    """
    session, settings, now = http.current_session(), http.current_settings(), http.request_now()
    gateway = gateway_of(settings)
    if gateway is None or confirm.open_page(session, agreement_id) is None:
        return
    session.commit()
    try:
        word = confirm.leave(http.current_sessions(), gateway, agreement_id, seller=seller_of(settings), now=now)
    except GatewayUnavailable as error:
        raise Unavailable(
            "The customer has the payment page open, and the card provider, which must close it first, does not answer "
            "just now. Try again in a minute.",
            slug="page-open",
        ) from error
    if word == "succeeded":
        raise Conflict("The customer has just paid this charge, on the page where it is confirmed.", slug="charge-paid")
