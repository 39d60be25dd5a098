"""The `brikke` command, run as a process of its own: the only way in besides HTTP and files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent.parent
COMMAND = [sys.executable, "-m", "app"]
"""`brikke` of this checkout, whether or not it is on the path."""
LONGEST_SECONDS = 300.0


class CommandFailed(Exception):
    """A command ended with another exit code than 0; the text holds what it said."""


def brikke(environ: Mapping[str, str], *arguments: str, may_fail: bool = False) -> tuple[int, dict[str, Any]]:
    """Run `brikke … --json`; return its exit code and its JSON. Raises CommandFailed unless it may fail."""
    done = subprocess.run(
        [*COMMAND, *arguments, "--json"],
        env=dict(environ),
        cwd=HOME,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    if done.returncode and not may_fail:
        raise CommandFailed(f"brikke {' '.join(arguments)}: exit code {done.returncode}: {done.stderr[-2000:]}")
    lines = done.stdout.strip().splitlines()
    found = json.loads(lines[-1]) if lines else {}
    return done.returncode, found if isinstance(found, dict) else {"result": found}
