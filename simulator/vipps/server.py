"""Vipps as a server: in a thread of a test or a demo, or as a process of its own."""

from __future__ import annotations

import json
import select
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from simulator.vipps import pages
from simulator.vipps.api import Api, Call, CutOff, answered
from simulator.vipps.control import Control
from simulator.vipps.courier import Courier
from simulator.vipps.faults import Fault, Faults
from simulator.vipps.world import Ids, World

MAX_BODY = 64 * 1024


class VippsServer:
    """A Vipps that listens on 127.0.0.1. Use `with VippsServer() as vipps:` or `start` and `stop`.

    `port` 0 = a free one; `data` = its file, None forgets; without `webhook_url` none are sent (`kept` has them).
    """

    def __init__(
        self,
        *,
        port: int = 0,
        data: Path | None = None,
        webhook_url: str | None = None,
        ids: Ids | None = None,
        first_wait: float = 0.2,
    ) -> None:
        self.ids = ids or Ids()
        self.faults = Faults()
        self.courier = Courier(self.faults, url=webhook_url, secret=self.ids.webhook_secret, first_wait=first_wait)
        self.world = World(data, self.ids, self.courier.take)
        self.api = Api(self.world, self.faults)
        self.control = Control(self.world, self.faults, self.courier)
        self.stopping = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Handler,), {"vipps": self}))
        self._server.daemon_threads = True
        self.url = self.world.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread: threading.Thread | None = None

    def __enter__(self) -> VippsServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, in a thread of its own."""
        self.courier.start()
        self._thread = threading.Thread(
            target=lambda: self._server.serve_forever(poll_interval=0.01), name="vipps", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop listening; held connections are cut at once."""
        self.stopping.set()
        self._server.shutdown()
        if self._thread is not None:
            self._thread.join(timeout=5)
        self._server.server_close()
        self.courier.stop()

    # What tests and the demo use directly; the same as under /_control.

    def fault(self, kind: str, **fields: Any) -> Fault:
        """Let something go wrong; see `faults.py`."""
        return self.faults.add({"kind": kind, **fields})

    def do(self, reference: str, do: str, amount: int = 0) -> None:
        """Let a customer ``approve`` or ``abort``, a payment ``expire``, or ``refund`` by hand."""
        self.control.do(reference, do, amount)

    def books(self) -> dict[str, Any]:
        """Return every payment and the sums."""
        return self.control.books()

    def wait_for_webhooks(self, timeout: float = 5.0) -> bool:
        """Wait until nothing is in line; False when that took too long."""
        until = time.monotonic() + timeout
        while self.courier.waiting():
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True


class _Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    vipps: VippsServer
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY:
            self._answer(413, {"title": "Too large"})
            return
        body = self.rfile.read(length)
        path = self.path.partition("?")[0]
        if path.startswith("/_control/"):
            self._answer(*self.vipps.control.answer(self.command, path, body))
        elif path.startswith("/pay/"):
            status, to, page = pages.answer(self.vipps.world, self.command, path.removeprefix("/pay/"), body)
            self._answer(status, page, to=to)
        else:
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                answer = answered(self.vipps.api, Call(self.command, path, headers, body))
            except CutOff as cut:
                self._hold(cut.hold_seconds)
                return
            self._answer(answer.status, answer.body)

    def _hold(self, seconds: float) -> None:
        """Say nothing until the time is over, the caller gives up, or the server stops."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.vipps.stopping.is_set():
            if select.select([self.connection], [], [], 0.05)[0]:
                break
        self.close_connection = True

    def _answer(self, status: int, body: dict[str, Any] | str, *, to: str | None = None) -> None:
        raw = (body if isinstance(body, str) else json.dumps(body)).encode()
        kind = "text/html; charset=utf-8" if isinstance(body, str) else "application/json"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw)))
        if to is not None:
            self.send_header("Location", to)
        self.end_headers()
        self.wfile.write(raw)
