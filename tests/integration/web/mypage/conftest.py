"""The town of tests/browser/world.py: lived through once, copied for each test that wants its people."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.database import SessionFactory
from config.settings import Settings, load
from tests.browser.filled import Filled, filled_town
from tests.browser.world import People, Town
from tests.databases import TEMPLATE, lent


@pytest.fixture(scope="session")
def filled() -> Filled:
    """A database with the whole town on 20 March 2026."""
    return filled_town()


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of the test's own: with the town's people when it wants them, else empty."""
    template = os.environ[TEMPLATE]
    if "people" in request.fixturenames:
        template = request.getfixturevalue("filled").database
    with lent(template) as url:
        yield url


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A demo, without cards."""
    return load({"BRIKKE_VAR": str(tmp_path / "var"), "DEMO": "true"}, tmp_path / ".env")


@pytest.fixture
def people(filled: Filled) -> People:
    """The town's people."""
    return filled.people


@pytest.fixture
def town(request: pytest.FixtureRequest, sessions: SessionFactory, settings: Settings) -> Town:
    """The town; with nobody in it when the test does not want its people."""
    return Town(sessions, settings, founded="people" in request.fixturenames)
