"""What tests through HTTP may use: ``settings``, ``app``, ``client``, ``token_for`` and ``bearer``; and the stand-in
for the card gateway: ``stand_in``, with our client of it, ``gateway``.

    def test_an_agent_sees_it(client: FlaskClient, bearer: Bearer) -> None:
        answer = client.get("/v1/agreements/10000001", headers=bearer("agent"))

``bearer("customer", customer_id=7)`` and ``bearer("charger", charger="FJELL")`` say whose; further headers are
given as ``headers={**bearer("agent"), "If-Match": '"1"'}``. What a test writes through ``session`` must be
committed before a request can see it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine

from accounts.access import tokens
from billing.cards.gateway import CardGateway
from billing.cards.stripe.gateway import StripeGateway
from config.settings import Settings, load
from simulator.gateway import GatewayServer
from tests.applications import application

TokenFor = Callable[..., str]
Bearer = Callable[..., dict[str, str]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The defaults, with everything Brikke writes in the test's own folder."""
    return load({"BRIKKE_VAR": str(tmp_path / "var")}, tmp_path / ".env")


@pytest.fixture
def app(settings: Settings, engine: Engine) -> Flask:
    """The whole web application on the test's own database; errors become answers, as in production."""
    # TESTING stays off: it would let exceptions through instead of the 500 that a caller gets.
    return application(settings, engine)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client without token; with pages it keeps cookies."""
    return app.test_client()


@pytest.fixture
def token_for(settings: Settings) -> TokenFor:
    """Make tokens: ``token_for("agent")``, ``token_for("customer", customer_id=7)``; as ``tokens.issue``."""

    def make(
        role: str, *, customer_id: int | None = None, charger: str | None = None, subject: str | None = None
    ) -> str:
        return tokens.issue(settings, role, customer_id=customer_id, charger=charger, subject=subject)

    return make


@pytest.fixture
def bearer(token_for: TokenFor) -> Bearer:
    """Make Authorization headers; arguments as ``token_for``."""

    def make(role: str, **about: int | str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token_for(role, **about)}"}

    return make


@pytest.fixture
def stand_in() -> Iterator[GatewayServer]:
    """The stand-in gateway on a free port."""
    with GatewayServer() as server:
        yield server


@pytest.fixture
def gateway(stand_in: GatewayServer) -> CardGateway:
    """Our client of it."""
    return StripeGateway(api_key="sk_test_x", api_base=stand_in.url, timeout_seconds=5)
