"""Keys and passwords for chargers' servers: files in ROADSIDE_KEYS, named in the exchange, read when needed."""

from __future__ import annotations

from pathlib import Path

from billing.roadside.exchange.rules import secret_name
from config.checks import Wrong
from config.secret_files import KeyFileError, read_private

__all__ = ["KeyFileError", "read_secret"]


def read_secret(folder: Path, name: str) -> bytes:
    """Return what the file of a name in the folder holds (`config.secret_files`). Raises KeyFileError."""
    try:
        path = folder / secret_name(name)
    except Wrong as wrong:
        raise KeyFileError(f"the name of a key {wrong}") from None
    return read_private(path, f"{name} in ROADSIDE_KEYS")
