"""The world of these tests."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from tests.integration.billing.invoices.world import World


@pytest.fixture
def world(session: Session) -> World:
    """An empty world with a charger and a station."""
    return World(session)
