"""The machine's certificates, read once a process: for a client of its own each, that takes longer than a story's
requests."""

from __future__ import annotations

import functools
import ssl


@functools.cache
def context() -> ssl.SSLContext:
    """Return what a client of HTTP verifies others by."""
    return ssl.create_default_context()
