"""Where lists that are pushed go: a small port, and the folder that a transfer program empties.

Which it is for a charger its exchange says (billing.roadside.exchange.transport).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol


class Outbox(Protocol):
    """Takes files for one charger. Delivering a name again puts the same file there again, never a second one."""

    def deliver(self, name: str, content: Iterable[bytes]) -> None:
        """Put a file there whole, or raise OSError and put none."""


class SwitchedOff(OSError):
    """Nothing goes to this charger by file until somebody switches that on again: what waits, waits."""


class FolderOutbox:
    """A folder: a file appears in it under its name when it is whole, on disk and closed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def deliver(self, name: str, content: Iterable[bytes]) -> None:
        """Write beside, make durable, rename."""
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder / f".{name}.part"
        with unfinished.open("wb") as file:
            for piece in content:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self.folder / name)
