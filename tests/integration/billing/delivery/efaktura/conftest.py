"""The stand-in hub with its people, and our channel on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from billing.delivery.efaktura.channel import Efaktura
from billing.delivery.efaktura.hub import Hub
from billing.delivery.efaktura.soap import Account
from simulator.efaktura import HubServer

COST = 250


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """A hub with Kari (yes to all, id 100000001)."""
    with HubServer() as server:
        server.consumer(
            "100000001",
            name="Kari Nordmann",
            national_id="13097248022",
            email="kari@example.no",
            phone="90000001",
            street="Storgata 1",
            postal_code="0155",
        )
        yield server


@pytest.fixture
def account(hub: HubServer) -> Account:
    """Our account there. The hub has a second to answer."""
    return Account(hub.url, hub.user, hub.password, hub.issuer, seconds=1.0)


def channel_on(account: Account, name: str = "efaktura", **other: object) -> Efaktura:
    """Our channel on an account, changed so."""
    made = Hub(replace(account, **other))  # type: ignore[arg-type]  # of a test's own keywords
    return Efaktura(
        made, name=name, address=lambda number, form: f"https://b.example/{form}/{number}", cost=lambda: COST
    )


@pytest.fixture
def channel(account: Account) -> Efaktura:
    """Our channel."""
    return channel_on(account)
