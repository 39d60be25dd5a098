"""`brikke run` (what `make run` calls): everything in one go, on this machine, with a small world in it.

The processes are the same as in production, started and watched from here. They end with this one, however it
ends: asked to at Ctrl-C, by the kernel when it is killed.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import click
import httpx
from sqlalchemy import text

from commands import base
from config import logging, settings
from config.embedded_guard import die_with_parent
from config.runtime import Runtime, open_runtime
from config.settings import Settings
from migrations.run import migrate

READY_SECONDS = 60.0
STOP_SECONDS = 15.0
DEATHS, WITHIN_SECONDS = 5, 60.0  # a process that ends this often in so short a time is not started again


@dataclass
class Child:
    """A process we keep alive."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes]
    deaths: deque[float] = field(default_factory=lambda: deque(maxlen=DEATHS))


class Household:
    """The processes of one `brikke run`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = dict(environ)
        self.children: list[Child] = []
        self.stop = threading.Event()

    def start(self, name: str, *command: str) -> None:
        """Start a process of ours and keep it."""
        self.children.append(Child(name, list(command), self.spawn(*command)))

    def spawn(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a process that Ctrl-C does not reach (we stop it in order) and that dies with us."""
        parent = os.getpid()
        return subprocess.Popen(
            [sys.executable, *command],
            env=self.environ,
            cwd=settings.HOME,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: die_with_parent(parent, signal.SIGTERM),  # noqa: PLW1509 - only prctl and getppid
        )

    def watch(self) -> int:
        """Keep the children alive until told to stop. Returns the exit code."""
        while not self.stop.wait(0.3):
            for child in self.children:
                code = child.process.poll()
                if code is None:
                    continue
                child.deaths.append(time.monotonic())
                if len(child.deaths) == DEATHS and child.deaths[-1] - child.deaths[0] < WITHIN_SECONDS:
                    click.echo(f"brikke: {child.name} keeps ending (exit code {code}); giving up", err=True)
                    return 1
                click.echo(f"brikke: {child.name} ended (exit code {code}); starting it again", err=True)
                child.process = self.spawn(*child.command)
        return 0

    def end(self) -> None:
        """Stop every child: asked first, then killed."""
        for how in (signal.SIGTERM, signal.SIGKILL):
            for child in reversed(self.children):
                if child.process.poll() is None:
                    child.process.send_signal(how)
            deadline = time.monotonic() + STOP_SECONDS
            for child in self.children:
                try:
                    child.process.wait(max(deadline - time.monotonic(), 0.1))
                except subprocess.TimeoutExpired:
                    click.echo(f"brikke: {child.name} does not end", err=True)


@click.command()
@base.as_json
@base.guarded
def run(as_json: bool) -> None:
    """Everything in one go, with a small world the first time; Ctrl-C ends it."""
    began = time.monotonic()
    environ = {"DEMO": "true"} | dict(os.environ)
    loaded = settings.load(environ)
    logging.configure(loaded)
    if not _free(loaded.host, loaded.port):
        base.fail(f"BRIKKE_PORT {loaded.port} on {loaded.host} is in use; choose another: BRIKKE_PORT=8001 make run", 1)
    runtime = open_runtime(loaded)
    household = Household(environ)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: household.stop.set())
    try:
        migrate(runtime.engine)
        code = _live(household, runtime, began, as_json=as_json)
    finally:
        household.end()
        runtime.close()
    if not as_json:
        click.echo("Brikke has ended.")
    sys.exit(code)


def _live(household: Household, runtime: Runtime, began: float, *, as_json: bool) -> int:
    """Start everything, fill the world when it is empty, say the address, and watch."""
    loaded = runtime.settings
    if not loaded.stripe_api_key:
        _stand_in(household, loaded)
    if loaded.demo and not loaded.vipps_url:
        _vipps(household, loaded)
    household.start("web", "-m", "app", "serve")
    household.start("worker", "-m", "app", "worker")
    household.start("scheduler", "-m", "app", "scheduler")
    if not _ready(household, loaded):
        return 0 if household.stop.is_set() else 1
    if loaded.demo and _empty(runtime):
        if not as_json:
            click.echo("Filling a small world ...")
        if not _fill(household, loaded):
            return 0 if household.stop.is_set() else 1
    seconds = round(time.monotonic() - began, 1)
    line = f"\n  Brikke is ready on {loaded.url} ({seconds} s). Ctrl-C ends it.\n"
    base.show({"url": loaded.url, "seconds": seconds}, as_json=as_json, line=line)
    return household.watch()


def _stand_in(household: Household, loaded: Settings) -> None:
    """Start the practice card gateway, and point our settings at it."""
    port = loaded.port + 100 if _free("127.0.0.1", loaded.port + 100) else _any_port()
    secret = f"whsec_{secrets.token_hex(16)}"
    household.environ |= {
        "STRIPE_API_KEY": "sk_test_practice",
        "STRIPE_PUBLISHABLE_KEY": "pk_test_practice",
        "STRIPE_API_BASE": f"http://127.0.0.1:{port}",
        "STRIPE_WEBHOOK_SECRETS": secret,
    }
    data = loaded.var / "gateway.sqlite"
    options = ["--port", str(port), "--data", str(data), "--webhook-secret", secret]
    household.start(
        "card gateway", "-m", "simulator.gateway", *options, "--webhook-url", f"{loaded.url}/v1/webhooks/stripe"
    )


def _vipps(household: Household, loaded: Settings) -> None:
    """Start a Vipps to practise on, and point our settings at it."""
    port = loaded.port + 101 if _free("127.0.0.1", loaded.port + 101) else _any_port()
    secret = secrets.token_hex(16)
    household.environ |= {
        "VIPPS_URL": f"http://127.0.0.1:{port}",
        "VIPPS_CLIENT_ID": "practice-client",
        "VIPPS_CLIENT_SECRET": "practice-client-secret",
        "VIPPS_SUBSCRIPTION_KEY": "practice-subscription-key",
        "VIPPS_MSN": "123456",
        "VIPPS_WEBHOOK_SECRETS": secret,
    }
    options = ["--port", str(port), "--data", str(loaded.var / "vipps.json"), "--webhook-secret", secret]
    household.start("Vipps", "-m", "simulator.vipps", *options, "--webhook-url", f"{loaded.url}/v1/webhooks/vipps")


def _ready(household: Household, loaded: Settings) -> bool:
    """Wait until the web answers that it is ready."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and not household.stop.wait(0.1):
        if household.children[-3].process.poll() is not None:
            click.echo("brikke: the web server ended at once; what it said is above", err=True)
            return False
        try:
            if httpx.get(f"http://{loaded.host}:{loaded.port}/health/ready", timeout=2).is_success:
                return True
        except httpx.HTTPError:
            continue
    if not household.stop.is_set():
        click.echo(f"brikke: the web server is not ready after {READY_SECONDS:.0f} s", err=True)
    return False


def _empty(runtime: Runtime) -> bool:
    with runtime.sessions() as session:
        return not session.scalar(text("SELECT EXISTS (SELECT FROM agreements)"))


def _fill(household: Household, loaded: Settings) -> bool:
    """Let the simulator make a world, through the public faces like everybody else."""
    process = household.spawn("-m", "simulator.world", "--base-url", loaded.url)
    while process.poll() is None:
        if household.stop.wait(0.1):
            process.terminate()
            process.wait(STOP_SECONDS)
            return False
    if process.returncode:
        click.echo("brikke: the small world could not be filled; what went wrong is above", err=True)
    return process.returncode == 0


def _free(host: str, port: int) -> bool:
    """Say whether the port can be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _any_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
