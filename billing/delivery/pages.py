"""The pages of a batch, before a partner is called."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from billing.delivery.port import Later, Outcome, Parcel, Refused

log = structlog.get_logger(__name__)


def made(parcels: Sequence[Parcel]) -> tuple[list[tuple[Parcel, bytes]], dict[int, Outcome]]:
    """Return the parcels that can be sent, each with its page, and by delivery id what became of the others.

    Pages are made one after the other, in the caller's thread. One that cannot be made keeps nobody else's back.
    """
    ready: list[tuple[Parcel, bytes]] = []
    others: dict[int, Outcome] = {}
    for parcel in parcels:
        if not parcel.address:
            others[parcel.delivery_id] = Refused("no_mailbox", {"answer": "no_address"})
            continue
        try:
            ready.append((parcel, parcel.pdf()))
        except Exception as error:
            log.error("no_page", delivery=parcel.delivery_id, error=type(error).__name__)
            others[parcel.delivery_id] = Later("no_page")
    return ready, others
