"""Logging: one line an event, to stderr, with what is personal taken out.

Rooms log events with fields (``log.info("job.done", job=...)``); libraries' own messages pass through the same
door. Set up once a process by ``configure``.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from config.settings import HIDDEN, Settings

_PERSONAL = frozenset(
    {"email", "phone", "mobile", "name", "first_name", "last_name", "address", "postal_address", "national_id"}
    | {"plate", "password", "token", "secret", "authorization", "cookie", "card_number", "to", "recipient"}
)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_ELEVEN = re.compile(r"(?<!\d)\d{6}\s?\d{5}(?!\d)")  # a national id
_URL_PASSWORD = re.compile(r"(://[^:/@\s]+:)[^@/\s]+@")


def hide_personal(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take out values of personal fields, and what looks like an address, a national id or a password."""
    for key, value in event.items():
        if key in _PERSONAL:
            event[key] = HIDDEN
        elif isinstance(value, str):
            event[key] = hide_in_text(value)
    return event


def hide_in_text(value: str) -> str:
    """Return the text without e-mail addresses, national ids and passwords in URLs."""
    return _EMAIL.sub(HIDDEN, _URL_PASSWORD.sub(rf"\1{HIDDEN}@", _ELEVEN.sub(HIDDEN, value)))


def configure(settings: Settings) -> None:
    """Set up logging for this process: level and form from the settings."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        hide_personal,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(settings.log_level)),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # a second `configure` (tests, `brikke` in a process) is for all loggers
    )
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    # They tell of every job and every tick, which our own lines tell better.
    for name in ("apscheduler", "procrastinate", "httpx", "httpcore", "stripe", "alembic"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
