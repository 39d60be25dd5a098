"""Files that hold a key or a password: read when needed, taken only where nobody else can read them."""

from __future__ import annotations

import stat
from pathlib import Path

LARGEST = 64 * 1024


class KeyFileError(OSError):
    """A key or password cannot be used; the message never holds any of it."""


def read_private(path: Path, shown: str) -> bytes:
    """Return what a file holds; ``shown`` names it in errors. Raises KeyFileError.

    As ssh does, a file that others may read is not taken; nor is a link, which could lead elsewhere.
    """
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise KeyFileError(f"{shown} is not a plain file")
        if status.st_mode & 0o077:
            raise KeyFileError(f"{shown} can be read by others; make it 0600")
        if status.st_size > LARGEST:
            raise KeyFileError(f"{shown} is over {LARGEST} bytes")
        return path.read_bytes()
    except KeyFileError:
        raise
    except FileNotFoundError:
        raise KeyFileError(f"there is no {shown}") from None
    except OSError as error:
        raise KeyFileError(f"{shown} cannot be read: {error.strerror}") from None
