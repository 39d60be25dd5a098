"""``python -m benchmarks [--only NAME] [--large] [--scale S]``: run, print the table, write var/bench.json."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.frame import ROOT, Place, Result, apart, found, run, server_url, timed
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
    name, rate, unit, floor, ratio, peak, mark, wanted, note = cells
    figures = f"{name:<22} {rate:>12} {unit:<14} {floor:>12} {ratio:>7} {peak:>9}"
    return f"{figures} {mark:1} {wanted:<26} {note}".rstrip()


def _number(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{value:,.{digits}f}".replace(",", " ")


def show(result: Result) -> str:
    """Return a result's line of the table: ``!`` where something is not as it is wanted."""
    ratio = "" if result.ratio is None else f"{result.ratio:.2f}"
    digits = 0 if result.rate >= 100 else 2
    cells = (result.name, _number(result.rate, digits), result.unit, _number(result.floor, digits), ratio)
    wanted = ", ".join(map(str, result.wanted))
    return _line((*cells, _number(result.peak_mb), "!" if result.missed else "", wanted, result.note))


def _keep(results: Sequence[Result], *, others: bool) -> None:
    """Write var/bench.json; with ``others`` the figures in it that were not measured now stay."""
    out = ROOT / "var" / "bench.json"
    out.parent.mkdir(exist_ok=True)
    fresh = [result.as_dict() for result in results]
    measured = {row["name"] for row in fresh}
    kept = json.loads(out.read_text()) if others and out.exists() else []
    out.write_text(json.dumps([row for row in kept if row["name"] not in measured] + fresh, indent=1) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; return the exit code, which says nothing of what is missed."""
    benches, large, also = found()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=sorted({*benches, *also}), help="run one, or the one that measures this")
    parser.add_argument("--large", action="store_true", help="those on a large database")
    parser.add_argument("--scale", type=float, default=1.0, help="of the large ones' sizes, such as 0.01: a sample")
    asked = parser.parse_args(arguments)
    one = also.get(asked.only, asked.only)
    names = [one] if one else [name for name in benches if (name in large) == asked.large]
    results: list[Result] = []
    with timed() as seconds, _server() as (url, called), tempfile.TemporaryDirectory(prefix="brikke-bench-") as folder:
        print(f"On {called}.\n")
        print(_line(("benchmark", "rate", "unit", "floor", "ratio", "peak MB", "", "wanted", "")))
        place = Place(url, Path(folder), asked.scale if asked.large or one in large else 1.0)
        try:
            for name in names:
                with apart() as child:
                    for result in child.submit(run, name, place).result():
                        results.append(result)
                        print(show(result), flush=True)
        finally:
            place.forget()
    missed = sum(1 for result in results if result.missed)
    print(f"\n{seconds():.0f} s in all; ! {missed} not as wanted.")
    if place.scale == 1:  # a sample's figures are nobody's
        _keep(results, others=bool(asked.only) or asked.large)
    return 0


if __name__ == "__main__":
    sys.exit(main())
