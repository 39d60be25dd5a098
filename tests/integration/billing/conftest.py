"""The world of these tests."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from tests.integration.billing.books import Books


@pytest.fixture
def books(session: Session) -> Books:
    """An empty world with a charger, its books whole."""
    return Books(session)
