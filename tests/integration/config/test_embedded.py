"""The PostgreSQL that comes with Brikke: quick, shared, shut to strangers, gone with its last user."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from config import embedded
from config.embedded import EmbeddedError, start
from config.embedded_guard import processes_of

HOME = Path(__file__).resolve().parents[3]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="means something as root only")

USE = """
import sys, pathlib, time, psycopg
from config.embedded import start
server = start(pathlib.Path(sys.argv[1]), durable=False)
with psycopg.connect(server.url) as connection:
    connection.execute("SELECT 1")
print(server.port, flush=True)
sys.stdin.read()
"""


def user(var: Path) -> subprocess.Popen[str]:
    """Another process that uses the server until its input ends; its first line is the port."""
    return subprocess.Popen(
        [sys.executable, "-c", USE, str(var)], cwd=HOME, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def owners_of(data: Path) -> set[int]:
    """Return whose the server's processes are; short-lived ones of it come and go meanwhile."""
    owners = set()
    for pid in processes_of(data):
        with suppress(FileNotFoundError):
            owners.add(Path(f"/proc/{pid}").stat().st_uid)
    return owners


def port_of(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def gone(data: Path) -> bool:
    deadline = time.monotonic() + 20
    while processes_of(data):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def var(tmp_path: Path) -> Iterator[Path]:
    # pytest's own folders are closed to others, which is another test's subject.
    folder = tmp_path
    while folder != folder.parent and folder.stat().st_uid == os.geteuid() and str(folder).startswith("/tmp/"):
        folder.chmod(0o755)
        folder = folder.parent
    yield tmp_path / "var"
    base = tmp_path / "var" / "pg"
    assert not base.is_dir() or gone(base / "data"), "a server was left behind"


def test_the_first_start_is_quick_and_the_server_is_ours(var: Path) -> None:
    began = time.monotonic()
    with start(var) as server:
        seconds = time.monotonic() - began
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE EXTENSION btree_gist")
            connection.execute("CREATE EXTENSION pg_trgm")
            assert connection.info.server_version >= 180000
            shown = connection.execute(
                "SELECT current_setting('fsync'), current_setting('listen_addresses'), lower('ÆØÅ'),"
                " current_setting('password_encryption'), current_setting('TimeZone')"
            ).fetchone()
            assert shown == ("on", "127.0.0.1", "æøå", "scram-sha-256", "UTC")
    assert seconds < 2 or (os.cpu_count() or 1) < 4, f"{seconds:.2f} s"
    assert seconds < 6


def test_nobody_comes_in_without_the_password(var: Path) -> None:
    with start(var, durable=False) as server:
        assert stat.S_IMODE((var / "pg/password").stat().st_mode) == 0o600
        for host in ("127.0.0.1", str(var / "pg/socket")):
            for secret in ("''", "wrong"):
                with pytest.raises(psycopg.OperationalError, match="password"):
                    psycopg.connect(f"host={host} port={server.port} user=brikke dbname=brikke password={secret}")
            right = f"host={host} port={server.port} user=brikke dbname=brikke password={server.password}"
            psycopg.connect(right).close()


def test_what_is_committed_is_there_next_time(var: Path) -> None:
    with start(var) as server, psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS n")
    assert gone(var / "pg/data")
    with start(var) as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (42,)


def test_a_second_process_finds_the_running_server(var: Path) -> None:
    with start(var, durable=False) as server:
        other = user(var)
        assert port_of(other) == server.port
        assert other.communicate("")[0] == ""
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_the_server_outlives_its_starter_while_another_uses_it(var: Path) -> None:
    first = user(var)
    port = port_of(first)
    second = user(var)
    assert port_of(second) == port
    first.kill()
    first.communicate()
    with start(var, durable=False) as server:
        assert server.port == port
    second.communicate("")
    assert gone(var / "pg/data")


def test_many_start_at_once_and_share_one_server(var: Path) -> None:
    processes = [user(var) for _ in range(4)]
    assert len({port_of(process) for process in processes}) == 1
    for process in processes:
        process.communicate("")


def test_two_checkouts_at_once(var: Path) -> None:
    with start(var / "a", durable=False) as one, start(var / "b", durable=False) as two:
        assert one.port != two.port
        for server, other in ((one, two), (two, one)):
            with psycopg.connect(server.url) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(server.url.replace(str(server.port), str(other.port)))
    assert gone(var / "a/pg/data")
    assert gone(var / "b/pg/data")


def test_a_half_made_database_is_made_anew(var: Path) -> None:
    (var / "pg/data.new/base").mkdir(parents=True)
    (var / "pg/data.new/PG_VERSION").write_text("18\n")
    with start(var, durable=False) as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_server_that_cannot_start_says_why_in_one_line(var: Path) -> None:
    with start(var, durable=False):
        pass
    version = var / "pg/data/PG_VERSION"
    version.write_text("9.6\n")
    with pytest.raises(EmbeddedError, match=r"incompatible|version|FATAL") as caught:
        start(var, durable=False)
    assert "\n" not in str(caught.value)
    assert str(var / "pg/log") in str(caught.value)


@as_root
def test_as_root_the_server_is_somebody_else(var: Path) -> None:
    with start(var, durable=False):
        owners = owners_of(var / "pg/data")
        assert owners
        assert 0 not in owners


@as_root
def test_under_a_closed_home_the_data_lies_where_the_servers_user_may_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, open_ = tmp_path / "home", tmp_path / "lasting"
    closed.mkdir(mode=0o700)
    for folder in (tmp_path, *tmp_path.parents):
        if folder != Path("/tmp") and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    monkeypatch.setattr(embedded, "LASTING", (open_,))
    with start(closed / "var", durable=False) as server:
        named = Path((closed / "var/pg").read_text().splitlines()[0])
        assert named.parent == open_
        assert server.base == named
        assert (named / "data").stat().st_uid != 0
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS n")
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700  # nobody opened it
    with start(closed / "var", durable=False) as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (42,)
    assert gone(named / "data")


@as_root
def test_the_program_is_copied_when_the_servers_user_cannot_reach_it(
    var: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_test = embedded._can
    monkeypatch.setattr(
        embedded,
        "_can",
        lambda account, test, path: "site-packages" not in str(path) and true_test(account, test, path),
    )
    with start(var, durable=False) as server, psycopg.connect(server.url) as connection:
        connection.execute("CREATE EXTENSION btree_gist")
        programs = set()
        for pid in processes_of(var / "pg/data"):
            with suppress(FileNotFoundError):
                programs.add(Path(f"/proc/{pid}/exe").readlink())
        assert all(str(program).startswith(str(var / "pg")) for program in programs)


@as_root
def test_root_starts_what_an_ordinary_user_made(var: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    with start(var, durable=False):
        pass
    for path in [var / "pg/data", *(var / "pg/data").rglob("*")]:
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    shutil.rmtree(var / "pg/socket")
    with start(var, durable=False):
        assert owners_of(var / "pg/data") == {nobody.pw_uid}


def test_a_marker_that_names_nothing_is_refused(var: Path) -> None:
    var.mkdir()
    (var / "pg").write_text("somewhere\n")
    with pytest.raises(EmbeddedError, match="does not name a folder"):
        start(var)
