"""``python -m benchmarks [--only NAME] [--large]``: run, print the table, write var/bench.json."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from benchmarks.frame import ROOT, Place, Result, found, run, server_url
from config.embedded import start


@contextmanager
def _server() -> Iterator[tuple[str, str]]:
    """Give the server's URL and what to call it. Without DATABASE_URL: an embedded one as Brikke runs it."""
    if url := server_url():
        yield url, "the server in DATABASE_URL"
        return
    with start(ROOT / "var" / "bench") as server:
        yield server.url, "embedded PostgreSQL, durable as by default"


def _line(cells: Sequence[str]) -> str:
    return f"{cells[0]:<22} {cells[1]:>12} {cells[2]:<14} {cells[3]:>12} {cells[4]:>7} {cells[5]:>9}  {cells[6]}"


def _show(result: Result) -> str:
    def number(value: float | None, digits: int = 0) -> str:
        return "" if value is None else f"{value:,.{digits}f}".replace(",", " ")

    ratio = "" if result.ratio is None else f"{result.ratio:.2f}"
    digits = 0 if result.rate >= 100 else 2
    cells = (result.name, number(result.rate, digits), result.unit, number(result.floor, digits), ratio)
    return _line((*cells, number(result.peak_mb), result.note)).rstrip()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; return the exit code."""
    benches, large, also = found()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=sorted({*benches, *also}), help="run one, or the one that measures this")
    parser.add_argument("--large", action="store_true", help="those on a large database")
    asked = parser.parse_args(arguments)
    wanted = also.get(asked.only, asked.only)
    names = [wanted] if wanted else [name for name in benches if (name in large) == asked.large]
    results: list[Result] = []
    with _server() as (url, called), tempfile.TemporaryDirectory(prefix="brikke-bench-") as folder:
        print(f"On {called}.\n")
        print(_line(("benchmark", "rate", "unit", "floor", "ratio", "peak MB", "")))
        spawn = multiprocessing.get_context("spawn")  # a process each: nobody's memory or caches help another
        for name in names:
            with ProcessPoolExecutor(1, mp_context=spawn) as child:
                for result in child.submit(run, name, Place(url, Path(folder))).result():
                    results.append(result)
                    print(_show(result), flush=True)
    out = ROOT / "var" / "bench.json"
    out.parent.mkdir(exist_ok=True)
    fresh = [result.as_dict() for result in results]
    measured = {row["name"] for row in fresh}
    kept = json.loads(out.read_text()) if asked.only and out.exists() else []  # one alone leaves the others' figures
    out.write_text(json.dumps([row for row in kept if row["name"] not in measured] + fresh, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
