"""The only place where the simulated world reads the wall clock."""

from __future__ import annotations

from datetime import UTC, datetime


def wall() -> datetime:
    """Return the real instant, aware, in UTC."""
    return datetime.now(tz=UTC)
