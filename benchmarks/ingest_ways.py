"""Passages in by other ways: two processes at once, ISO 12855 XML, NDJSON over HTTP. Each against a plain file."""

from __future__ import annotations

import datetime as dt
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import msgspec

from accounts.access import tokens
from benchmarks import world
from benchmarks.frame import ROOT, Place, Result, apart, peak_mb, ratio, scalar, settle, timed, url_of
from benchmarks.ingest import BOOKED, UNIT, VEHICLES, file_in, filled, warm
from billing.passages.rules import Sent
from billing.roadside.formats.iso12855 import Header, Provider
from billing.roadside.formats.iso12855.write import write_details
from config.clock import now_utc
from config.settings import load

EACH = 100_000
IN_XML = 60_000
OVER_HTTP, A_REQUEST = 60_000, 20_000


def _file_rate(place: Place, path: Path) -> float:
    """Return the records a second of a JSON Lines file in a world of its own."""
    with place.kept("world", lambda engine: filled(place, engine)) as like, place.database("file", like=like) as engine:
        settle(engine)
        with apart() as child:
            rate, _, _ = child.submit(file_in, url_of(engine), path, place.folder / "answers", "accepted").result()
            return rate


def two(place: Place) -> list[Result]:
    """Two processes at once, a file each, of the same vehicles; against one of them alone."""
    count, vehicles = place.scaled(EACH), place.scaled(VEHICLES)
    paths = [
        world.write_file(place.folder / f"two{n}.jsonl", count, vehicles=vehicles, seed=n, first=1 + n * count)
        for n in (0, 1)
    ]
    one = _file_rate(place, paths[0])
    with place.kept("world", lambda engine: filled(place, engine)) as like, place.database("two", like=like) as engine:
        settle(engine)
        with apart(2) as children:
            for ready in [children.submit(warm) for _ in paths]:
                ready.result()
            with timed() as seconds:
                url = url_of(engine)
                at_once = [
                    children.submit(file_in, url, path, path.with_suffix(".answers"), "accepted") for path in paths
                ]
                for done in at_once:
                    done.result()
        assert scalar(engine, BOOKED) == 2 * count
    rate = 2 * count / seconds()
    return [Result("ingest_two", rate, UNIT, one, rate / one, None, "floor: one process on one file", (ratio(1.15),))]


def _write_xml(path: Path, records: Path, count: int) -> None:
    """Write a JSON Lines file's records as one message of BillingDetails."""
    charger, us = Provider("NO", world.CHARGER), Provider("NO", "BRIKKE")
    made_at = now_utc().replace(microsecond=0).astimezone(dt.UTC)
    decode = msgspec.json.Decoder(Sent).decode
    with records.open("rb") as lines, path.open("wb") as out:
        for piece in write_details(
            map(decode, lines), Header(charger, charger, us, 1, "BillingDetails", count, made_at)
        ):
            out.write(piece)


def xml(place: Place) -> list[Result]:
    """A message of ISO 12855, read and checked twice (once before anything is booked), to the answer file, as XML."""
    count = place.scaled(IN_XML)
    lines = world.write_file(place.folder / "same.jsonl", count, vehicles=place.scaled(VEHICLES))
    path = place.folder / "details.xml"
    _write_xml(path, lines, count)
    least = _file_rate(place, lines)
    with place.kept("world", lambda engine: filled(place, engine)) as like, place.database("xml", like=like) as engine:
        settle(engine)
        with apart() as child:
            rate, peak, _ = child.submit(file_in, url_of(engine), path, place.folder / "a.xml", "accepted").result()
        assert scalar(engine, BOOKED) == count
    note = "floor: the same records as JSON Lines"
    return [Result("ingest_xml", rate, UNIT, least, rate / least, peak, note, (ratio(0.4),))]


def http(place: Place) -> list[Result]:
    """The same records in requests of 20,000 lines of JSON, sent over a socket to a server of its own."""
    count, a_request = place.scaled(OVER_HTTP), place.scaled(A_REQUEST)
    path = world.write_file(place.folder / "http.jsonl", count, vehicles=place.scaled(VEHICLES))
    least = _file_rate(place, path)
    with place.kept("world", lambda engine: filled(place, engine)) as like, place.database("http", like=like) as engine:
        settle(engine)
        with _served(url_of(engine), place.folder / "http") as (base_url, headers, peak):
            rate = _over_http(base_url, headers, path, a_request)
            most = peak()
        assert scalar(engine, BOOKED) == count
    return [Result("ingest_http", rate, UNIT, least, rate / least, most, "floor: as a file", (ratio(0.6),))]


def _bodies(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as lines:
        while body := b"".join(itertools.islice(lines, size)):
            yield body


@contextmanager
def _served(url: str, folder: Path) -> Iterator[tuple[str, dict[str, str], Callable[[], float]]]:
    """Have `brikke serve` run on a database, with one process for requests; give its address, a charger's headers, and
    what says how much memory its processes have had at most (MB)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {"BRIKKE_VAR": str(folder), "LOG_LEVEL": "WARNING", "DEMO": "1", "BRIKKE_PORT": str(port), "WEB_WORKERS": "1"}
    token = tokens.issue(load(own, folder / ".env"), "charger", charger=world.CHARGER)
    command = [sys.executable, "-m", "app", "serve"]
    server = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | own | {"DATABASE_URL": url}, start_new_session=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        base_url = f"http://127.0.0.1:{port}"
        for _ in range(600):
            with suppress(httpx.TransportError):
                if httpx.get(f"{base_url}/health/ready", trust_env=False).is_success:
                    break
            time.sleep(0.1)
        yield base_url, {"Authorization": f"Bearer {token}"}, lambda: max(map(peak_mb, _workers(server.pid)))
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


def _workers(pid: int) -> list[int]:
    """Return the processes that a server made."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]


def _over_http(base_url: str, headers: dict[str, str], path: Path, a_request: int) -> float:
    done = 0
    with httpx.Client(base_url=base_url, headers=headers, timeout=120, trust_env=False) as client, timed() as seconds:
        for body in _bodies(path, a_request):
            answer = client.post("/v1/passages", content=body, headers={"Content-Type": "application/x-ndjson"})
            assert answer.status_code == 200, answer.text[:500]
            done += answer.content.count(b'"accepted"')
    return done / seconds()


BENCHES = {"ingest_two": two, "ingest_xml": xml, "ingest_http": http}
