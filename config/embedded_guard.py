"""The parent of the embedded PostgreSQL: a small process that lives as long as somebody uses the server.

Started by ``config.embedded`` as a program of its own, with the standard library only. Every Brikke process
that uses the server holds a shared lock on the file ``users``; the kernel lets go of it however that process
ends. When the guard gets that lock for itself, nobody is left, and it stops the server. When the server dies
(``kill -9``), it is started again on the same port, so that connection pools find it. When the guard itself
is killed, the kernel tells the server to stop (parent-death signal).

Arguments: one JSON object (see ``main``). Exit code 0: nobody used the server any more; 1: it will not start.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
TICK = 0.05  # seconds between two looks at the server and at its users
READY_SECONDS = 60.0  # recovery after a crash can take a while
STOP_SECONDS = 20.0
STARTS_IN_A_ROW = 5  # a server that dies at once this often has something wrong that a restart does not mend


def processes_of(data: Path) -> list[int]:
    """Return the process ids of every postgres that works in this data folder.

    A process counts only when its program is called postgres *and* it stands in the folder: a number found in
    a file may long belong to a stranger.
    """
    found = []
    for entry in Path("/proc").iterdir() if Path("/proc/self").exists() else ():
        if not entry.name.isdigit():
            continue
        try:
            program = (entry / "exe").readlink().name  # a zombie has none
            if program.removesuffix(" (deleted)") == "postgres" and (entry / "cwd").samefile(data):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def clear_remains(data: Path) -> None:
    """Wait for what is left of a killed server to end, then remove a pid file that names somebody else.

    Backends of a killed server notice by themselves and go; only those that do not are told to. PostgreSQL
    refuses to start when the pid in the file is in use by *any* process of the same user, also a zombie.
    """
    deadline = time.monotonic() + STOP_SECONDS
    insist = time.monotonic() + 5
    while (left := processes_of(data)) and time.monotonic() < deadline:
        if time.monotonic() > insist:
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGQUIT)
            insist = time.monotonic() + 5
        time.sleep(TICK)
    if not left and Path("/proc/self").exists():
        (data / "postmaster.pid").unlink(missing_ok=True)


def free_port() -> int:
    """Return a port on 127.0.0.1 that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Say whether a server can listen on a port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as PostgreSQL does: closed connections linger
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def die_with_parent(parent: int, how: signal.Signals = signal.SIGINT) -> None:
    """Ask the kernel to signal this process when ``parent`` ends (SIGINT: the server's fast, clean shutdown).

    Runs in the child, after setuid, which would clear it. Linux only.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, how)
    if os.getppid() != parent:
        os._exit(1)


class Guard:
    """One server, from start to stop. ``plan`` is what ``config.embedded`` wrote: paths, account, options."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.base = Path(plan["base"])
        self.data = self.base / "data"
        self.program = plan["postgres"]
        self.options: dict[str, str] = plan["options"]
        self.account: tuple[int, int] | None = tuple(plan["account"]) if plan["account"] else None
        self.port: int = 0
        self.stopping = False
        self.server: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Start, watch, restart, stop. Returns the exit code."""
        with (self.base / "guard").open("a") as alone, (self.base / "users").open("a") as users:
            fcntl.flock(alone, fcntl.LOCK_EX)
            failures = 0
            while not self.stopping:
                clear_remains(self.data)
                if self.start():
                    failures = 0
                    self.announce()
                    self.watch(users.fileno())
                else:
                    failures += 1
                    if not is_free(self.port):  # else clients find it there again
                        self.port = 0
                    if failures == STARTS_IN_A_ROW or nobody_uses(users.fileno()):
                        return 1
                    time.sleep(0.2 * failures)
            return 0

    def start(self) -> bool:
        """Start the server; True once it takes connections."""
        self.port = self.port or free_port()
        options = self.options | {"port": str(self.port)}
        command = [self.program, "-D", str(self.data)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        parent = os.getpid()
        who: dict[str, Any] = {}
        if self.account:
            who = {"user": self.account[0], "group": self.account[1], "extra_groups": []}
        self.server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
            start_new_session=True,
            preexec_fn=lambda: die_with_parent(parent),  # noqa: PLW1509 - no other thread has begun
            **who,
        )
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self.server.poll() is None and not self.stopping:
            if self.ready():
                return True
            time.sleep(0.005)
        self.stop()
        return False

    def ready(self) -> bool:
        """Say whether the pid file is our server's and calls it ready."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        assert self.server is not None
        return len(lines) > 7 and lines[0] == str(self.server.pid) and lines[7].strip() == "ready"

    def announce(self) -> None:
        """Write the connection file, whole or not at all."""
        assert self.server is not None
        text = json.dumps({"port": self.port, "pid": self.server.pid, "guard": os.getpid()})
        fresh = self.base / "server.json.new"
        fresh.write_text(text)
        fresh.replace(self.base / "server.json")
        # initdb does not wait for the disk, so that the first start is quick; this does, beside the work.
        threading.Thread(target=os.sync, daemon=True).start()

    def watch(self, users: int) -> None:
        """Return when the server has died; or when nobody uses it any more, then it has been stopped."""
        assert self.server is not None
        while self.server.poll() is None:
            if self.stopping or nobody_uses(users):
                self.stopping = True
                (self.base / "server.json").unlink(missing_ok=True)
                self.stop()
                return
            time.sleep(TICK)

    def stop(self) -> None:
        """Stop the server: fast shutdown, then harder."""
        server = self.server
        if server is None:
            return
        for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if server.poll() is not None:
                return
            server.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(STOP_SECONDS)


def nobody_uses(users: int) -> bool:
    """Take the users' lock for ourselves if no process holds it; it is then kept until the guard ends."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def main() -> int:
    """Run the guard with the plan given as the only argument."""
    guard = Guard(json.loads(sys.argv[1]))

    def ask_to_stop(_number: int, _frame: object) -> None:
        guard.stopping = True

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return guard.run()


if __name__ == "__main__":
    sys.exit(main())
