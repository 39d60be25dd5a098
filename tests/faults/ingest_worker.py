"""Ingest a file again and again, each time in a process that is killed at a moment given, until one ends by itself.

Run by test_kill_ingest: ``python -m tests.faults.ingest_worker SCRATCH URL FILE ANSWERS CHUNK DELAY…``; prints how many
were killed. The process that kills has ingested once, into the database SCRATCH, so that all is loaded, and forks: a
moment is one of the ingest.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import migrations.tables  # noqa: F401 - every table is declared, as in the application
from billing.roadside.ingest_file import ingest_file
from config.database import make_engine, session_factory


def _ingest(url: str, path: Path, answers: Path, chunk: int) -> None:
    engine = make_engine(url)
    ingest_file(session_factory(engine), path, "FJELL", answers=answers, chunk_size=chunk)
    engine.dispose()


def _child(url: str, path: Path, answers: Path, chunk: int) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        _ingest(url, path, answers, chunk)
        code = 0
    finally:
        os._exit(code)


def main() -> None:
    """Kill one process a delay (seconds after it began), then let one end."""
    scratch, url, path, answers, chunk = *sys.argv[1:3], Path(sys.argv[3]), Path(sys.argv[4]), int(sys.argv[5])
    few = path.with_name("few.jsonl")
    few.write_text("".join(path.read_text().splitlines(keepends=True)[:200]))
    _ingest(scratch, few, path.with_name("few.answers"), chunk)
    killed = 0
    for delay in sys.argv[6:]:
        child = _child(url, path, answers, chunk)
        time.sleep(float(delay))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        killed += os.WIFSIGNALED(status)
    _, status = os.waitpid(_child(url, path, answers, chunk), 0)
    assert os.WIFEXITED(status), status
    assert os.WEXITSTATUS(status) == 0, status
    print(killed)


if __name__ == "__main__":
    main()
