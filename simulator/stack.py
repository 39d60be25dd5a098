"""A whole Brikke of one's own: in a temporary folder, as the processes of production, started by the command line.

Nothing is left behind however it ends: the processes are stopped in order, and the kernel ends them when we are killed.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx

from simulator.client import Client, Json
from simulator.shell import COMMAND, HOME, brikke

READY_SECONDS = 60.0
STOP_SECONDS = 15.0
SETTLE_SECONDS = 60.0
POLL_SECONDS = 0.05  # a look costs the web server some milliseconds, which the worker needs as well
PR_SET_PDEATHSIG = 1


class StackFailed(Exception):
    """A process of the stack did not start, or ended; the text holds what it said last."""


class JobFailed(Exception):
    """A job of Brikke failed, or did not end."""


class Stack:
    """The processes and what is needed to reach them. Fulfils `simulator.stage.Ground`."""

    def __init__(self, folder: Path, extra: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.inbox = folder / "bank" / "in"
        self.mail = folder / "mailbox"
        port, gateway_port = _free_ports(2)
        self.base_url = f"http://127.0.0.1:{port}"
        self.gateway_url = f"http://127.0.0.1:{gateway_port}"
        self.webhook_secret = f"whsec_{secrets.token_hex(16)}"
        self._gateway_port = gateway_port
        own = {
            "BRIKKE_VAR": str(folder),
            "BRIKKE_HOST": "127.0.0.1",
            "BRIKKE_PORT": str(port),
            "DEMO": "1",
            "STRIPE_API_KEY": "sk_test_practice",
            "STRIPE_PUBLISHABLE_KEY": "pk_test_practice",
            "STRIPE_API_BASE": self.gateway_url,
            "STRIPE_WEBHOOK_SECRETS": self.webhook_secret,
            "MAIL_URL": f"folder:{self.mail}",
            "BANK_INBOX": str(self.inbox),
            "HTTP_TIMEOUT_SECONDS": "2",
            "LOG_LEVEL": "WARNING",
        }
        # Nothing of the caller's own settings reaches the stack, above all no database.
        kept = {
            name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV") if name in os.environ
        }
        self.environ = kept | own | dict(extra or {})
        self.client = Client(self.base_url, self._token)
        self._processes: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._logs: list[IO[bytes]] = []

    def start(self) -> None:
        """Start everything and wait until it is ready. Raises StackFailed or CommandFailed."""
        gateway = ["--port", str(self._gateway_port), "--data", str(self.folder / "gateway.sqlite")]
        hooks = ["--webhook-url", f"{self.base_url}/v1/webhooks/stripe", "--webhook-secret", self.webhook_secret]
        self._start("gateway", sys.executable, "-m", "simulator.gateway", *gateway, *hooks)
        # The worker holds the embedded database from here on; the commands in between only use it.
        brikke(self.environ, "migrate")
        self._start("web", *COMMAND, "serve")
        self._start("worker", *COMMAND, "worker")
        self._start("scheduler", *COMMAND, "scheduler")
        self._wait(f"{self.base_url}/health/ready")
        self._wait(self.gateway_url)

    def stop(self) -> None:
        """End everything: asked first, then killed. Never raises."""
        self.client.close()
        for how in (signal.SIGTERM, signal.SIGKILL):
            for _, process in reversed(self._processes):
                if process.poll() is None:
                    process.send_signal(how)
            deadline = time.monotonic() + STOP_SECONDS
            while time.monotonic() < deadline and any(p.poll() is None for _, p in self._processes):
                time.sleep(0.02)
        for log in self._logs:
            log.close()

    def settle(self) -> None:
        """Wait until no occurrence of a job is due or running. Raises StackFailed."""
        try:
            settle(self.client, self._look_after)
        except JobFailed as failed:
            raise StackFailed(f"{failed}\n{self.last_words('worker')}") from failed

    def command(self, *arguments: str, may_fail: bool = False) -> tuple[int, Json]:
        """Run `brikke … --json` against this stack."""
        return brikke(self.environ, *arguments, may_fail=may_fail)

    def sweep(self) -> bool:
        """Say that the sweep cannot be hurried here: it asks a minute of real time after the last call."""
        return False

    def last_words(self, name: str) -> str:
        """Return the end of what a process has said."""
        path = self.folder / "log" / f"{name}.txt"
        return path.read_text("utf-8", errors="replace")[-3000:] if path.exists() else ""

    def _token(self, role: str, whose: str | None) -> str:
        whose_option = {"customer": "--agreement", "charger": "--charger"}.get(role)
        scope = [whose_option, str(whose)] if whose_option else []
        return str(brikke(self.environ, "token", "--role", role, *scope)[1]["token"])

    def _start(self, name: str, *command: str) -> None:
        path = self.folder / "log" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        log = path.open("ab")
        self._logs.append(log)
        parent = os.getpid()
        process = subprocess.Popen(
            command,
            env=self.environ,
            cwd=HOME,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches us alone; we end them in order
            preexec_fn=lambda: _die_with(parent),  # noqa: PLW1509 - prctl and getppid only
        )
        self._processes.append((name, process))

    def _wait(self, url: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            self._look_after()
            try:
                if httpx.get(url, timeout=2, trust_env=False).is_success:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
        raise StackFailed(f"{url} does not answer after {READY_SECONDS:.0f} s\n{self.last_words('web')}")

    def _look_after(self) -> None:
        for name, process in self._processes:
            if process.poll() is not None:
                raise StackFailed(f"{name} ended (exit code {process.returncode}):\n{self.last_words(name)}")


def settle(client: Client, look_after: Callable[[], None] = lambda: None) -> None:
    """Wait until no occurrence of a job is due or running. Raises JobFailed when one failed or it takes too long."""
    deadline = time.monotonic() + SETTLE_SECONDS
    params = {"state": ["due", "running", "failed", "given_up"], "limit": 50}
    time.sleep(POLL_SECONDS)
    while items := client.call("GET", "/v1/jobs", role="operator", params=params).json()["items"]:
        failed = [row for row in items if row["state"] in {"failed", "given_up"}]
        if failed:
            raise JobFailed(f"a job failed: {failed[0]}")
        if time.monotonic() > deadline:
            raise JobFailed(f"not done after {SETTLE_SECONDS:.0f} s: {items[:5]}")
        look_after()
        time.sleep(POLL_SECONDS)


@contextmanager
def running(extra: Mapping[str, str] | None = None, *, keep: bool = False) -> Iterator[Stack]:
    """Run a stack in a folder of its own for as long as the block lasts; SIGTERM ends it like Ctrl-C."""
    previous = signal.signal(signal.SIGTERM, _interrupt)
    folder = Path(tempfile.mkdtemp(prefix="brikke-demo-"))
    # The embedded server may run as another user of the system, who must be able to go through.
    folder.chmod(0o755)
    stack = Stack(folder, extra)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
        signal.signal(signal.SIGTERM, previous)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _die_with(parent: int) -> None:
    """Have the kernel stop this new process when the one that started it is gone (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on; all are held until the last is chosen, so that they differ."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
