"""The processes of production count together, and each is started once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from config.settings import HOME

COUNT = """
import os, sys
from commands import processes
from config import settings

def again(*_arguments):
    raise SystemExit("the process began again")

os.execv = again
processes.count_together(settings.load())
from config import metrics
metrics.JOB_RUNS.labels("deliveries", "done").inc(int(sys.argv[1]))
"""
SCRAPE = (
    COUNT
    + """
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
registry = CollectorRegistry()
MultiProcessCollector(registry)
print(generate_latest(registry).decode())
"""
)


def python(var: Path, code: str, *arguments: str) -> str:
    environ = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=HOME, env={**environ, "BRIKKE_VAR": str(var)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_process_is_told_where_to_count_without_beginning_again(tmp_path: Path) -> None:
    python(tmp_path, COUNT, "3")
    [file] = (tmp_path / "metrics").glob("counter_*.db")
    (tmp_path / "metrics" / f"counter_{os.getpid()}.db").write_bytes(file.read_bytes())  # of one that is alive
    said = python(tmp_path, SCRAPE, "4")
    assert re.search(r'brikke_job_runs_total\{job="deliveries",outcome="done"\} 7', said), said
    assert not file.exists()


def test_it_is_said_when_it_is_too_late(tmp_path: Path) -> None:
    late = COUNT.replace("import os, sys", "import os, sys, config.metrics").replace(
        "processes.count_together(settings.load())",
        "try:\n    processes.count_together(settings.load())\nexcept RuntimeError:\n    raise SystemExit(0)\n"
        "raise SystemExit('not noticed')",
    )
    python(tmp_path, late, "1")
    assert not (tmp_path / "metrics").exists()
