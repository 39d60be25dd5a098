"""Readers of settings that say where partners' mailboxes and file exchanges are: text in, a typed place out; ValueError
says what is wrong without repeating a secret. Empty is None: that is not set up."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import SplitResult, unquote, urlsplit

from config.values import filled, is_loopback

_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}=?")


@dataclass(frozen=True)
class Mailbox:
    """A mailbox to read: a Maildir when ``folder`` is set, else ``mailbox`` on an IMAP server (``tls``: from the first
    byte; without only on this machine)."""

    folder: Path | None = None
    host: str = ""
    port: int = 0
    tls: bool = True
    username: str = ""
    password: str = field(default="", repr=False)
    mailbox: str = "INBOX"


@dataclass(frozen=True)
class Exchange:
    """A place where files are exchanged with a partner: ``folder`` when set, else ``path`` on an SFTP server. In it we
    put into ``in`` and fetch from ``out``."""

    folder: Path | None = None
    host: str = ""
    port: int = 22
    username: str = ""
    password: str | None = field(default=None, repr=False)
    path: str = ""


def mailbox(value: str) -> Mailbox | None:
    """Return a mailbox: ``imaps://USER:PASSWORD@HOST[:PORT]/MAILBOX`` or ``folder:PATH``, a Maildir."""
    if not value:
        return None
    if value.startswith("folder:"):
        return Mailbox(folder=Path(filled(value.removeprefix("folder:"))))
    parts, port = _parts(value, {"imaps": 993, "imap": 143})
    tls = parts.scheme == "imaps"
    if not tls and not is_loopback(parts.hostname or ""):
        raise ValueError("would send the password unprotected; use imaps://")
    if not parts.username or not parts.password:
        raise ValueError("names no user or password")
    named = unquote(parts.path.strip("/")) or "INBOX"
    if not (named.isascii() and named.isprintable()) or '"' in named or "\\" in named:
        raise ValueError("names a mailbox that is not plain ASCII")
    return Mailbox(None, parts.hostname or "", port, tls, unquote(parts.username), unquote(parts.password), named)


def exchange(value: str) -> Exchange | None:
    """Return where files are exchanged: ``folder:PATH`` or ``sftp://USER[:PASSWORD]@HOST[:PORT]/PATH``."""
    if not value:
        return None
    if value.startswith("folder:"):
        return Exchange(folder=Path(filled(value.removeprefix("folder:"))))
    parts, port = _parts(value, {"sftp": 22})
    if not parts.username:
        raise ValueError("names no user")
    path = unquote(parts.path.lstrip("/"))
    if ".." in PurePosixPath(path).parts or "\\" in path or not path.isprintable():
        raise ValueError("names a folder that is none")
    password = unquote(parts.password) if parts.password else None
    return Exchange(None, parts.hostname or "", port, unquote(parts.username), password, str(PurePosixPath(path)))


def _parts(value: str, schemes: dict[str, int]) -> tuple[SplitResult, int]:
    """Return a URL's parts and its port, which a scheme has by itself."""
    wanted = " or ".join(("folder:", *(f"{scheme}://" for scheme in schemes)))
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError("is not a URL, or has a port that is not a number from 1 to 65535") from None
    if parts.scheme not in schemes:
        raise ValueError(f"must begin with {wanted}")
    if not parts.hostname:
        raise ValueError("names no host")
    return parts, port or schemes[parts.scheme]


def host_key(value: str) -> str:
    """Return a host key's fingerprint as ``ssh-keygen -lf`` shows it, without padding; empty stays empty."""
    if value and not _FINGERPRINT.fullmatch(value):
        raise ValueError("must be SHA256: and 43 characters, as ssh-keygen -lf shows it")
    return value.rstrip("=")
