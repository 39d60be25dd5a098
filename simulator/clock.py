"""The only place where the simulated world reads the wall clock.

Not `config.clock`: the stand-ins are other people's systems and import nothing of the product; each has its own clock.
"""

from __future__ import annotations

from datetime import UTC, datetime


def wall() -> datetime:
    """Return the real instant, aware, in UTC."""
    return datetime.now(tz=UTC)
