"""The application with the tests' own room in it."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine

import web.app
from config.settings import Settings
from tests.applications import application


@pytest.fixture
def example(settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Flask:
    """The whole application and, beside its rooms, tests/integration/web/example_room.py."""
    monkeypatch.setattr(web.app, "ROOMS", (*web.app.ROOMS, "tests.integration.web.example_room"))
    return application(settings, engine)


@pytest.fixture
def http(example: Flask) -> FlaskClient:
    """A client of the application with the example room."""
    return example.test_client()
