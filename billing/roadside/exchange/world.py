"""What all steps of a look at one charger share, and what is written down when one fails."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from accounts.chargers.models import Charger
from billing.roadside.exchange.models import Exchange
from billing.roadside.exchange.rules import next_try, shown_name
from billing.roadside.exchange.transport import folder_of
from config.clock import now_utc
from config.database import SessionFactory
from config.settings import Settings

log = structlog.get_logger(__name__)

LONGEST_ERROR = 500
IN, TAKING = "in", ".taking"
"""Where a charger's files come, and where one lies from when we begin with it until it is done or refused."""


@dataclass
class Look:
    """One look at one charger. ``counts`` says what was done, by word."""

    sessions: SessionFactory
    settings: Settings
    charger: Charger
    exchange: Exchange
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def folder(self) -> Path:
        """The charger's folder here."""
        return folder_of(self.settings, self.charger.code)


def name_of(path: Path) -> str:
    """Return what a file in ``IN`` or ``TAKING`` is called: what it came as, as it is shown."""
    return shown_name(path.name if path.parent.name == IN else path.name.partition("_")[2])


def lying(look: Look) -> set[tuple[str, int, int]]:
    """Return name, size and time of change (ns) of what lies here and has not been moved on."""
    found = set()
    for folder in (look.folder / IN, look.folder / TAKING):
        for path in folder.iterdir() if folder.is_dir() else ():
            try:
                status = path.lstat()
            except FileNotFoundError:  # moved since it was listed
                continue
            found.add((name_of(path), status.st_size, status.st_mtime_ns))
    return found


def failed(look: Look, row: Any, what: str, error: BaseException | str) -> bool:
    """Write down in a row that another attempt failed, and when the next one is; return whether it alarms.

    ``row`` has ``attempts``, ``next_at`` and ``error``, and is of a session that the caller commits.
    """
    said = error if isinstance(error, str) else _said(error)
    row.attempts += 1
    row.next_at = next_try(row.attempts, now_utc())
    row.error = said[:LONGEST_ERROR]
    alarms: bool = row.attempts >= look.settings.exchange_alarm_after
    say = log.error if alarms else log.warning
    say("exchange.failed", charger=look.charger.code, what=what, error=said, attempts=row.attempts, alarm=alarms)
    look.counts["failed"] += 1
    look.counts["alarms"] += alarms
    return alarms


def _said(error: BaseException) -> str:
    return str(error) if isinstance(error, OSError) and str(error) else f"{type(error).__name__}: {error}"
