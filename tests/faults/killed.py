"""What tests of killed processes share: the worker that kills, and everything a database says at the end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

ROOT = Path(__file__).parent.parent.parent


def run_worker(module: str, *about: str, timeout: int) -> int:
    """Run a module of this folder to its end, which must be a good one; return the number it printed."""
    worker = subprocess.run(
        [sys.executable, "-m", f"tests.faults.{module}", *about],
        cwd=ROOT,
        timeout=timeout,
        check=False,
        capture_output=True,
        text=True,
    )
    assert worker.returncode == 0, worker.stderr
    return int(worker.stdout)


def everything(engine: Engine, queries: Mapping[str, str]) -> dict[str, list[Any]]:
    """The rows of each query, by its name."""
    with engine.connect() as connection:
        return {name: list(connection.execute(text(query)).all()) for name, query in queries.items()}
