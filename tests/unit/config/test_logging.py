"""Logging that is set up anew is so for loggers that were used before, too."""

from __future__ import annotations

import pytest
import structlog
from structlog.testing import capture_logs

from config.logging import configure
from config.settings import load


def test_a_logger_that_was_used_before_follows(capsys: pytest.CaptureFixture[str]) -> None:
    log = structlog.get_logger()
    configure(load({"LOG_JSON": "false", "LOG_LEVEL": "ERROR"}))
    log.warning("unheard", plate="EV10001")
    configure(load({"LOG_JSON": "true"}))
    with capture_logs() as logs:
        log.warning("second")
    assert [entry["event"] for entry in logs] == ["second"]
    log.warning("third", plate="EV10001")
    said = capsys.readouterr().err
    assert '"event": "third"' in said
    assert "unheard" not in said
    assert "EV10001" not in said
