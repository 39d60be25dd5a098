"""Mailboxes: what is in them, and the beginning of a mail. Nothing in them is changed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from config.settings import Settings
from config.targets import Mailbox

MOST_NAMES = 100_000
NAME = re.compile(r"[!-.0-~][ -.0-~]{0,254}")
"""What a Maildir's file may be called; others, which no mail server writes, are left alone."""


class MailboxError(OSError):
    """The mailbox cannot be read now; the message says why in one line, without a password."""


class Box(Protocol):
    """A mailbox that is open. ``key`` names it and ``era`` begins its mails' names while names mean the same."""

    key: str
    era: str

    def names(self, after: str | None) -> Sequence[str]:
        """Return the names of mails, the oldest first; may leave out those up to ``after``. Raises MailboxError."""

    def beginning(self, name: str, size: int) -> bytes | None:
        """Return the first bytes of a mail; None when it has gone. Raises MailboxError."""

    def close(self) -> None:
        """Let go of it."""


class Maildir:
    """A Maildir: mails lie in ``new`` and ``cur``; the part of a file's name before ``:`` stays when it is moved."""

    era = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = f"folder:{folder}"

    def names(self, after: str | None) -> Sequence[str]:
        """Return all: what is new may sort anywhere."""
        del after
        return sorted(self._files())[:MOST_NAMES]

    def beginning(self, name: str, size: int) -> bytes | None:
        """Return the first bytes of a mail, also when a mail program has moved it meanwhile."""
        for _ in range(2):
            path = self._files().get(name)
            if path is None:
                return None
            try:
                with path.open("rb") as file:
                    return file.read(size)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise MailboxError(f"a mail cannot be read: {error.strerror}") from None
        return None

    def close(self) -> None:
        """There is nothing to let go of."""

    def _files(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for folder in (self.folder / "new", self.folder / "cur"):
            try:
                for path in folder.iterdir():
                    if NAME.fullmatch(path.name) and path.name[0] != "." and path.is_file() and not path.is_symlink():
                        found.setdefault(path.name.partition(":")[0], path)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise MailboxError(f"the mailbox cannot be read: {error.strerror}") from None
        return found


def open_box(settings: Settings, target: Mailbox) -> Box:
    """Return the mailbox that BOUNCE_URL names, open. Raises MailboxError."""
    if target.folder is not None:
        return Maildir(target.folder)
    from billing.delivery.bounces.imap import Imap

    return Imap(target, settings.http_timeout_seconds)
