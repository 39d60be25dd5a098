"""``kill -9`` of every process there is around the embedded server: committed data stays, no server stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from config.embedded import EmbeddedServer, start
from config.embedded_guard import processes_of

HOME = Path(__file__).resolve().parents[2]

# Writes number after number, each its own commit, and says each number after it was committed.
WRITE = """
import sys, pathlib, psycopg
from config.embedded import start
server = start(pathlib.Path(sys.argv[1]))
with psycopg.connect(server.url, autocommit=True) as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS kept (n bigint PRIMARY KEY)")
    first = connection.execute("SELECT coalesce(max(n), 0) FROM kept").fetchone()[0]
    for n in range(first + 1, first + 1_000_000):
        connection.execute("INSERT INTO kept VALUES (%s)", (n,))
        print(n, flush=True)
"""


@pytest.fixture
def var(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path
    while str(folder).startswith("/tmp/") and folder.stat().st_uid == os.geteuid():
        folder.chmod(0o755)  # as root the server's user must come in
        folder = folder.parent
    yield tmp_path / "var"
    assert gone(tmp_path / "var/pg/data"), "a server was left behind"


def gone(data: Path, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while processes_of(data):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def writer(var: Path) -> tuple[subprocess.Popen[str], int]:
    """A process that has committed some rows and goes on; with the last number it has said so far."""
    process = subprocess.Popen([sys.executable, "-c", WRITE, str(var)], cwd=HOME, text=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    for _ in range(50):
        last = int(process.stdout.readline())
    return process, last


def said(process: subprocess.Popen[str], last: int) -> int:
    """Return the last number a killed writer said."""
    rest = process.communicate()[0]
    lines = [line for line in rest.splitlines() if line.isdigit()]
    return int(lines[-1]) if lines and rest.endswith("\n") else int(lines[-2]) if len(lines) > 1 else last


def kept(server: EmbeddedServer) -> int:
    with psycopg.connect(server.url) as connection:
        row = connection.execute("SELECT count(*), max(n) FROM kept").fetchone()
    assert row is not None
    assert row[0] == row[1], "numbers are missing"
    return int(row[0])


def ids(var: Path) -> tuple[int, int]:
    """Return the process ids of the server and of its guard."""
    found = json.loads((var / "pg/server.json").read_text())
    return int(found["pid"]), int(found["guard"])


def test_the_starter_is_killed(var: Path) -> None:
    process, last = writer(var)
    process.kill()
    last = said(process, last)
    assert gone(var / "pg/data"), "nobody uses it, and it still runs"
    with start(var) as server:
        assert kept(server) >= last


def test_the_server_is_killed_and_comes_back_by_itself_on_the_same_port(var: Path) -> None:
    with start(var) as server:
        process, last = writer(var)
        os.kill(ids(var)[0], signal.SIGKILL)
        last = said(process, last)  # its connection broke
        deadline = time.monotonic() + 30
        while True:
            try:
                assert kept(server) >= last
                break
            except psycopg.OperationalError:
                assert time.monotonic() < deadline
                time.sleep(0.05)


def test_the_server_is_killed_again_and_again(var: Path) -> None:
    with start(var) as server:
        process, last = writer(var)
        process.kill()
        last = said(process, last)
        for _ in range(3):
            before = ids(var)[0]
            os.kill(before, signal.SIGKILL)
            deadline = time.monotonic() + 30
            while True:
                try:
                    assert kept(server) >= last
                    break
                except psycopg.OperationalError:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            assert ids(var)[0] != before


def test_the_guard_is_killed(var: Path) -> None:
    process, last = writer(var)
    os.kill(ids(var)[1], signal.SIGKILL)
    last = said(process, last)
    assert gone(var / "pg/data"), "the kernel should have told the server"
    with start(var) as server:
        assert kept(server) >= last


def test_starter_guard_and_server_are_killed_at_once(var: Path) -> None:
    process, last = writer(var)
    server_id, guard_id = ids(var)
    for pid in (guard_id, server_id, process.pid):
        os.kill(pid, signal.SIGKILL)
    last = said(process, last)
    assert (var / "pg/data/postmaster.pid").exists(), "the test means to leave it behind"
    with start(var) as server:
        assert kept(server) >= last


def test_a_pid_file_that_names_a_living_stranger_is_not_believed_and_the_stranger_lives(var: Path) -> None:
    process, last = writer(var)
    for pid in (*reversed(ids(var)), process.pid):
        os.kill(pid, signal.SIGKILL)
    last = said(process, last)
    assert gone(var / "pg/data")
    owner = (var / "pg/data").stat()
    as_owner = {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}
    stranger = subprocess.Popen(["sleep", "60"], **as_owner)  # type: ignore[call-overload]  # keywords as they come
    try:
        pid_file = var / "pg/data/postmaster.pid"
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        with start(var) as server:
            assert kept(server) >= last
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_connection_file_left_behind_is_not_believed(var: Path) -> None:
    with start(var):
        _, guard = ids(var)
        text = (var / "pg/server.json").read_text()
    assert gone(var / "pg/data")
    (var / "pg/server.json").write_text(text)
    with start(var) as server:
        assert ids(var)[1] != guard
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
