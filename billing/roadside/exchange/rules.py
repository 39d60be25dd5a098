"""Decisions of the exchange: what may be a name or a folder, what a file is, when to try again. Pure functions."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import PurePosixPath

from config.checks import Wrong, refuse_unprintable
from config.sftp import unfinished

KINDS = ("folder", "sftp")
LONGEST_NAME = 200
"""Bytes of a file's name; file systems take 255, and we lengthen it."""
LONGEST_ENDING = 20
LONGEST_FOLDER = 200
RETRY_MINUTES = (1, 2, 5, 15, 30, 60)
"""How long to wait (real time) after the first, second, … attempt; the last figure from then on, for ever."""

_SECRET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f:]{2,39}")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


def next_try(attempts: int, real: dt.datetime) -> dt.datetime:
    """Return when to try again after so many attempts that failed."""
    return real + dt.timedelta(minutes=RETRY_MINUTES[min(max(attempts, 1), len(RETRY_MINUTES)) - 1])


def usable_name(name: str) -> bool:
    """Say whether a file of ours can have this name: one part of a path, printable, not hidden, finished, and nothing
    that leads elsewhere on a charger's system."""
    return bool(name.strip()) and not unfinished(name) and safe_name(name) == name


def shown_name(name: str) -> str:
    """Return the name of a charger's file as it is shown and kept: what is not printable, or would be another path,
    becomes ``_``, and one that is too long is shortened. Most names stay what they are."""
    kept = "".join(char if _is_plain(char) else "_" for char in name)
    if not kept.strip():
        return "file"
    ending = PurePosixPath(kept).suffix
    ending = ending if len(ending.encode()) <= LONGEST_ENDING else ""
    stem = kept.removesuffix(ending)
    while len(f"{stem}{ending}".encode()) > LONGEST_NAME:
        stem = stem[:-1]
    return f"{stem}{ending}"


def safe_name(name: str) -> str:
    """Return what a charger's file is called in our folders: its name without what means something on some system."""
    return re.sub(r"[\\:]", "_", shown_name(name))


def _is_plain(char: str) -> bool:
    try:
        refuse_unprintable(char)
    except Wrong:
        return False
    return char != "/"


def answer_name(name: str, suffix: str, more: str = "") -> str:
    """Return what the answer to a file is called: its name without its ending, ``more``, and the answer's ending. What
    came over HTTP may be called anything: what cannot stand in a name becomes ``_``."""
    stem = "".join(char if char.isprintable() and char not in "\\:" else "_" for char in PurePosixPath(name).stem)
    stem = stem.lstrip(". ") or "file"
    room = LONGEST_NAME - len(suffix.encode()) - len(more.encode())
    while len(stem.encode()) > room:
        stem = stem[:-1]
    return f"{stem}{more}{suffix}"


def secret_name(value: str) -> str:
    """Return the name of a file in the folder of keys: a plain one, nothing that leads elsewhere. Raises Wrong."""
    if not _SECRET_NAME.fullmatch(value):
        raise Wrong("name", "must be the name of a file in ROADSIDE_KEYS: letters, digits, dots, _ and -")
    return value


def host(value: str) -> str:
    """Return a host's name or address. Raises Wrong."""
    if not _HOST.fullmatch(value):
        raise Wrong("host", "must be the name or address of a host")
    return value


def username(value: str) -> str:
    """Return who we are on a server. Raises Wrong."""
    if not _USER.fullmatch(value):
        raise Wrong("username", "must be 1 to 64 letters, digits, _ . @ or -")
    return value


def fingerprint(value: str) -> str:
    """Return a host key's fingerprint as ssh-keygen -l writes it. Raises Wrong."""
    kept = value.rstrip("=")
    if not _FINGERPRINT.fullmatch(kept):
        raise Wrong("fingerprint", "must be SHA256: and 43 characters, as ssh-keygen -lf shows it")
    return kept


def remote_folder(value: str) -> str:
    """Return a folder on a server, relative to where we are let in or from its root. Raises Wrong."""
    refuse_unprintable(value)
    parts = PurePosixPath(value).parts
    if not value.strip() or ".." in parts or "\\" in value or len(value.encode()) > LONGEST_FOLDER:
        raise Wrong("folder", f"must be a folder of at most {LONGEST_FOLDER} bytes, without ..")
    return str(PurePosixPath(value))
