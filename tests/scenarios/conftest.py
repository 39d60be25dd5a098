"""A stage inside the test: the web application on a real port, jobs run by hand, a gateway of its own, a moved clock.

Stories see the same faces as in `make demo`; only the processes around them are threads of this one, so that each
story takes seconds and has a database to itself.
"""

from __future__ import annotations

import datetime as dt
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, text
from werkzeug.serving import make_server

from app import main
from billing.cards.sweep import sweep
from billing.invoices.pdf.processes import close_shared
from billing.schedule import SCHEDULE
from config import settings as settings_of
from config.clock import now_utc
from config.database import SessionFactory
from config.jobs import JobContext, answer
from simulator.client import Client, Json
from simulator.gateway import GatewayServer
from simulator.shell import CommandFailed
from simulator.stage import Stage
from simulator.times import at
from tests.applications import application

FIRST = dt.date(2026, 1, 1)
SECRET = "whsec_scenarios"


class Inside:
    """A `simulator.stage.Ground` in this process."""

    def __init__(
        self, environ: dict[str, str], engine: Engine, sessions: SessionFactory, gateway: GatewayServer
    ) -> None:
        self.environ = environ
        self.commands = threading.Lock()
        self.engine = engine
        self.sessions = sessions
        self.settings = settings_of.load(environ, Path(environ["BRIKKE_VAR"]) / ".env")
        self.client = Client(self.settings.url, self._token)
        self.gateway = gateway
        self.gateway_url = gateway.url
        self.inbox = self.settings.bank_inbox
        self.mail = Path(environ["BRIKKE_VAR"]) / "mailbox"

    def settle(self) -> None:
        """Answer every bell until none is left, webhooks included."""
        while True:
            assert self.gateway.wait_for_webhooks(10), "a webhook is not taken"
            with self.sessions.begin() as session:
                bells = session.execute(text("DELETE FROM procrastinate_jobs RETURNING task_name, args")).all()
            if not bells:
                return
            for name, payload in bells:
                job = next(row for row in SCHEDULE if row.name == name)
                context = JobContext(self.sessions, self.settings, name, payload["args"])
                answer(self.engine, context, job, only_occurrences=payload["occurrences"])
            self._none_failed()

    def _none_failed(self) -> None:
        with self.sessions() as session:
            failed = session.execute(text("SELECT job, error FROM job_occurrences WHERE state NOT IN ('done')")).all()
        assert not failed, failed

    def command(self, *arguments: str, may_fail: bool = False) -> tuple[int, Json]:
        """Run a command of `brikke` in this process; one at a time, since it takes over stdout."""
        with self.commands:
            done = CliRunner().invoke(main, [*arguments, "--json"], env=self.environ)
        if done.exit_code and not may_fail:
            raise CommandFailed(f"brikke {' '.join(arguments)}: exit code {done.exit_code}: {done.output}")
        lines = done.stdout.strip().splitlines()
        return done.exit_code, json.loads(lines[-1]) if lines else {}

    def sweep(self) -> bool:
        """Ask the gateway about unknown outcomes without waiting a minute first."""
        sweep(JobContext(self.sessions, self.settings, "card_sweep"), asked_before=now_utc() + dt.timedelta(hours=1))
        return True

    def _token(self, role: str, whose: str | None) -> str:
        option = {"customer": "--agreement", "charger": "--charger"}.get(role)
        return str(self.command("token", "--role", role, *([option, str(whose)] if option else []))[1]["token"])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session", autouse=True)
def _pages() -> Iterator[None]:
    """The processes that make PDFs are shared by all stories, and end with them."""
    yield
    close_shared()


@pytest.fixture
def ground(
    database_url: str, engine: Engine, sessions: SessionFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Inside]:
    """A Brikke of the test's own, served on a free port, with a gateway beside it."""
    port = _free_port()
    gateway = GatewayServer(
        data=tmp_path / "gateway.sqlite",
        webhook_url=f"http://127.0.0.1:{port}/v1/webhooks/stripe",
        webhook_secrets=[SECRET],
    )
    environ = {
        "DATABASE_URL": database_url,
        "BRIKKE_VAR": str(tmp_path / "var"),
        "BRIKKE_PORT": str(port),
        "DEMO": "1",
        "STRIPE_API_KEY": "sk_test_scenarios",
        "STRIPE_API_BASE": gateway.url,
        "STRIPE_WEBHOOK_SECRETS": SECRET,
        "HTTP_TIMEOUT_SECONDS": "1",
        "LOG_LEVEL": "ERROR",
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    found = Inside(environ, engine, sessions, gateway)
    server = make_server("127.0.0.1", port, application(found.settings, engine), threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    gateway.start()
    thread.start()
    try:
        yield found
    finally:
        found.client.close()
        server.shutdown()
        thread.join()
        server.server_close()
        gateway.stop()


@pytest.fixture
def stage(ground: Inside) -> Iterator[Stage]:
    """A stage on it: chargers and stations are there, and the clock stands at the first of January 2026."""
    found = Stage(ground)
    found.move(at(FIRST))
    found.open_road()
    try:
        yield found
    finally:
        found.close()
