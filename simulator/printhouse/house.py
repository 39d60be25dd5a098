"""The print house: looks into ``in``, prints what is right, and writes confirmations into ``out``."""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import hashlib
import io
import itertools
import json
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simulator.clock import wall
from simulator.printhouse.check import Printed, WrongBatch, check
from simulator.printhouse.faults import Fault, Faults


def _today() -> dt.date:
    return wall().date()


def _damaged(content: bytes) -> bytes:
    """Return a batch whose last page has a byte changed: a ZIP that opens, and a hash that is wrong."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as held, zipfile.ZipFile(out, "w") as archive:
        for name in held.namelist():
            page = held.read(name)
            archive.writestr(name, page[:-1] + bytes([page[-1] ^ 1]) if name == held.namelist()[-1] else page)
    return out.getvalue()


class PrintHouse:
    """A print house over a folder. `look()` does what waits, once; `with PrintHouse(folder)` looks again and again.

    `today` is its calendar. `printed` are its books: by batch, the letters that left the house.
    """

    def __init__(self, folder: Path, *, today: Callable[[], dt.date] = _today, every: float = 0.2) -> None:
        self.folder, self.today, self.every = folder, today, every
        self.faults = Faults()
        self.printed: dict[str, list[Printed]] = {}
        self._hashes: dict[str, str] = {}
        self._later: list[tuple[str, list[dict[str, Any]]]] = []
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._again_and_again, name="printhouse", daemon=True)
        for name in ("in", "out"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> PrintHouse:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=5)

    def fault(self, kind: str, **fields: object) -> Fault:
        """Let something go wrong; see `faults.py`."""
        return self.faults.add({"kind": kind, **fields})

    def books(self) -> dict[str, Any]:
        """Return what was printed, by batch."""
        with self._lock:
            return {
                batch: [{"sheet": one.sheet, "lines": list(one.lines), "sha256": one.sha256} for one in letters]
                for batch, letters in self.printed.items()
            }

    def look(self) -> int:
        """Take every batch that lies in ``in``, and confirm; return how many there were."""
        with self._lock:
            for batch, sheets in self._later:
                self._write_csv(batch, sheets)
            self._later.clear()
            paths = sorted((self.folder / "in").glob("*.zip"))
            for path in paths:
                content = path.read_bytes()
                path.unlink()
                self._take(path.name, content)
            return len(paths)

    def _take(self, name: str, content: bytes) -> None:
        if self.faults.take("damage"):
            content = _damaged(content)
        batch, sha256 = name.removesuffix(".zip"), hashlib.sha256(content).hexdigest()
        try:
            letters = check(name, content)
        except WrongBatch as wrong:
            self._confirm({"batch": batch, "state": "refused", "sha256": sha256, "reason": str(wrong)})
            return
        if self._hashes.setdefault(batch, sha256) != sha256:
            self._confirm({"batch": batch, "state": "refused", "sha256": sha256, "reason": "another batch of the name"})
            return
        self.printed.setdefault(batch, letters)  # it came again: it is confirmed again, and not printed again
        rejected = {fault.sheet: fault.reason for fault in self.faults.take("reject")}
        sheets = [self._sheet(letter, rejected.get(letter.sheet)) for letter in letters]
        if self.faults.take("garbage"):
            self._put(b'{"batch": "brikke-print-9", "state": [', ".json")
        if self.faults.take("lose"):
            return
        accepted = {"batch": batch, "state": "accepted", "sha256": sha256}
        if self.faults.take("apart"):
            self._confirm(accepted)
            self._later.append((batch, sheets))
            return
        for _ in range(1 + len(self.faults.take("twice"))):
            self._confirm(accepted | {"sheets": sheets})

    def _sheet(self, letter: Printed, why: str | None) -> dict[str, Any]:
        if why is not None:
            return {"sheet": letter.sheet, "state": "rejected", "reason": why}
        ref = f"P{letter.sheet:06}"
        return {"sheet": letter.sheet, "state": "posted", "posted_on": self.today().isoformat(), "ref": ref}

    def _confirm(self, told: dict[str, Any]) -> None:
        told = {"id": f"C{next(self._numbers):06}", **told}
        self._put(json.dumps(told).encode(), ".json")

    def _write_csv(self, batch: str, sheets: list[dict[str, Any]]) -> None:
        out = io.StringIO(newline="")
        names = ["batch", "sheet", "state", "posted_on", "reason", "ref"]
        rows = csv.DictWriter(out, names, delimiter=";", restval="")
        rows.writeheader()
        rows.writerows({"batch": batch, **sheet} for sheet in sheets)
        self._put(out.getvalue().encode(), ".csv")

    def _put(self, content: bytes, ending: str) -> None:
        path = self.folder / "out" / f"confirmation-{next(self._numbers):06}{ending}"
        beside = path.with_name(f".{path.name}.part")
        beside.write_bytes(content)
        beside.rename(path)

    def _again_and_again(self) -> None:
        while not self._over.wait(self.every):
            with contextlib.suppress(OSError):  # a file that went away meanwhile
                self.look()
