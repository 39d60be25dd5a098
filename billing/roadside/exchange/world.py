"""What all steps of a look at one charger share, and what is written down when one fails."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from accounts.chargers.models import Charger
from billing.roadside.exchange.models import Exchange
from billing.roadside.exchange.rules import next_try
from billing.roadside.exchange.transport import folder_of
from config.clock import now_utc
from config.database import SessionFactory
from config.settings import Settings

log = structlog.get_logger(__name__)

LONGEST_ERROR = 500


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
