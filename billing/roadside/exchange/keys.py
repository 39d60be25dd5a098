"""Keys and passwords for chargers' servers: files in ROADSIDE_KEYS, named in the exchange, read when needed."""

from __future__ import annotations

import stat
from pathlib import Path

from billing.roadside.exchange.rules import secret_name
from config.checks import Wrong

LARGEST = 64 * 1024


class KeyFileError(OSError):
    """A key or password cannot be used; the message never holds any of it."""


def read_secret(folder: Path, name: str) -> bytes:
    """Return what the file of a name in the folder holds. Raises KeyFileError.

    As ssh does, a file that others may read is not taken; nor is a link, which could lead out of the folder.
    """
    try:
        path = folder / secret_name(name)
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise KeyFileError(f"{name} in ROADSIDE_KEYS is not a plain file")
        if status.st_mode & 0o077:
            raise KeyFileError(f"{name} in ROADSIDE_KEYS can be read by others; make it 0600")
        if status.st_size > LARGEST:
            raise KeyFileError(f"{name} in ROADSIDE_KEYS is over {LARGEST} bytes")
        return path.read_bytes()
    except KeyFileError:
        raise
    except Wrong as wrong:
        raise KeyFileError(f"the name of a key {wrong}") from None
    except FileNotFoundError:
        raise KeyFileError(f"there is no {name} in ROADSIDE_KEYS") from None
    except OSError as error:
        raise KeyFileError(f"{name} in ROADSIDE_KEYS cannot be read: {error.strerror}") from None
