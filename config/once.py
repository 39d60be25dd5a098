"""A secret that is made once and kept in a file: the first process that needs it makes it, all others read it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path


def kept(path: Path, make: Callable[[], str]) -> str:
    """Return the text of a file, which is made with ``make`` (readable by us alone) when it is not there.

    Raises OSError where it can be neither read nor made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    if not path.exists():
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(make())
        try:
            os.link(fresh, path)  # of two processes that start at once, one wins and both read its key
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text().strip()
