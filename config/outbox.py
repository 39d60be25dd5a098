"""Folders that somebody else empties: files put there whole or not at all, each name once, never written over.

Owns: how such a file is written. It has its name only when all of it is on disk (written beside, synced, linked), so
that who fetches never sees half a file; and after a crash between writing and our commit it is found there and left
alone. Does not own: names, when to put, or what may be put again; chargers' folders, where a name may be delivered anew
in place of itself, have ``billing.roadside.lists.outbox``.
"""

from __future__ import annotations

import os
from pathlib import Path


class OtherContent(RuntimeError):
    """A file of the name lies in the folder and holds something else; a person must look."""


def put(folder: Path, name: str, content: bytes) -> bool:
    """Put a file into a folder under its name, making the folder; False when the same file lies there already.

    Raises OtherContent when another does, which stays as it is; OSError, and then there is no file of the name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target, beside = folder / name, folder / f".{name}.{os.getpid()}.tmp"
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(beside, target)  # a rename would write over what is there
        except FileExistsError:
            if target.read_bytes() != content:
                raise OtherContent(f"{target} holds something else") from None
            return False
    finally:
        beside.unlink(missing_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return True
