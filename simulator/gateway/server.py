"""The gateway as a server: in a thread of a test or a demo, or as a process of its own."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from simulator.gateway import checkout, disputes, pages, payments, refunds, setups
from simulator.gateway.api import Api, ApiAnswer, CutOff
from simulator.gateway.control import Control
from simulator.gateway.courier import Courier
from simulator.gateway.faults import Fault, Faults
from simulator.gateway.store import Store
from simulator.gateway.world import World

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: addresses hold ids of customers."""


class GatewayServer:
    """A gateway that listens on 127.0.0.1. Use `with GatewayServer() as gateway:` or `start` and `stop`.

    `port` 0 = a free one; `data` = its file, ":memory:" forgets; `webhook_secrets` each sign (two while one is rolled
    over); `first_wait`: seconds before an undelivered webhook is tried again, doubled each time.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        data: Path | str = ":memory:",
        webhook_url: str | None = None,
        webhook_secrets: Sequence[str] = ("whsec_simulator",),
        latency_ms: int = 0,
        first_wait: float = 1.0,
        host: str = "127.0.0.1",
    ) -> None:
        self._store = Store(data)
        faults = Faults()
        courier = Courier(self._store, faults, url=webhook_url, secrets=list(webhook_secrets), first_wait=first_wait)
        self.world = World(self._store, faults, courier)
        self.world.latency_ms = latency_ms
        self._api = Api(self.world)
        self._control = Control(self.world, self._api)
        self._stopping = threading.Event()
        self._server = make_server(host, port, self, threaded=True, request_handler=_Quiet)
        self.port: int = self._server.server_port
        self.url = f"http://{host}:{self.port}"
        self.world.address = self.url
        self._thread: threading.Thread | None = None

    def __enter__(self) -> GatewayServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, in a thread of its own."""
        self.world.courier.start()
        self._thread = threading.Thread(
            target=lambda: self._server.serve_forever(poll_interval=0.01), name="gateway", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and close the file; held connections are cut at once."""
        self._stopping.set()
        self._server.shutdown()
        if self._thread is not None:
            self._thread.join(timeout=5)
        self._server.server_close()
        self.world.courier.stop()
        self._store.close()

    # What tests and the demo use directly; the same as under /_control.

    def fault(self, kind: str, **fields: Any) -> Fault:
        """Let something go wrong; see `faults.py`."""
        return self.world.faults.add({"kind": kind, **fields})

    def books(self) -> dict[str, Any]:
        """Return every successful payment, every refund and dispute with the sums in øre."""
        return payments.books(self.world)

    def add_card(self, customer_id: str, card: str = "consumer") -> str:
        """Give a customer a test card; returns the payment method's id."""
        return str(setups.add_card(self.world, customer_id, card)["id"])

    def give_card(self, setup_id: str, card: str = "consumer") -> None:
        """Type a test card on the page of a setup."""
        setups.give_card(self.world, setup_id, card)

    def pay_page(self, page_id: str, card: str = "consumer", *, fails: bool = False) -> None:
        """Pay with a test card on the page of a payment."""
        checkout.pay(self.world, page_id, card, fails=fails)

    def end_page(self, page_id: str) -> None:
        """Let a page's time be over."""
        checkout.end_now(self.world, page_id)

    def renew_card(self, payment_method: str, how: str = "renewed") -> None:
        """Let a bank renew a card, let it expire, or take it away (``detached``)."""
        setups.renew_card(self.world, payment_method, how)

    def end_charge(self, payment: str, how: str = "succeed") -> None:
        """Let a payment that is under way ``succeed`` or ``fail``."""
        payments.end(self.world, payment, how)

    def end_refund(self, refund_id: str, how: str = "succeed") -> None:
        """Let a refund ``succeed``, ``fail`` or be ``cancel``led."""
        refunds.end(self.world, refund_id, how)

    def open_dispute(
        self, payment: str, amount: int | None = None, *, reason: str = "fraudulent", inquiry: bool = False
    ) -> str:
        """Let a bank dispute a payment, or only ask about it; returns the dispute's id."""
        return str(disputes.open_(self.world, payment, amount, reason=reason, inquiry=inquiry)["id"])

    def end_dispute(self, dispute_id: str, how: str) -> None:
        """Let a dispute go on: ``escalate``, ``win``, ``lose``, ``reverse``, ``close``, ``update``: `disputes.end`."""
        disputes.end(self.world, dispute_id, how)

    def move_clock(self, to: datetime | None, *, running: bool = False) -> None:
        """Move the gateway's clock; None = real time again."""
        self.world.move_clock(to, running=running)

    def forget_keys(self) -> None:
        """Forget idempotency keys, as after 24 hours."""
        self._api.keys.forget()

    def wait_for_webhooks(self, timeout: float = 5.0) -> bool:
        """Wait until every webhook is delivered or given up; False when that took too long."""
        until = time.monotonic() + timeout
        while self.world.courier.counts()["waiting"]:
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (WSGI)."""
        request = Request(environ)
        try:
            response = self._answer(request)
        except CutOff as cut:
            self._hold_and_cut(environ["werkzeug.socket"], cut.hold_seconds)
            raise ConnectionError("cut off as told") from cut
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        path = request.path
        if path.startswith("/v1/"):
            return _json(self._api.answer(request))
        if path.startswith("/_control/"):
            return _json(self._control.answer(request))
        mode = path.removeprefix("/pay/").partition("/")[0] if path.startswith("/pay/") else ""
        if mode in ("setup", "payment") and request.method in {"GET", "POST"}:
            return pages.answer(self.world, request, mode, path.removeprefix(f"/pay/{mode}/"))
        if path == "/":
            return _json(ApiAnswer(200, {"what": "a stand-in for a card gateway; see /_control/books"}))
        return _json(ApiAnswer(404, {"error": {"message": "nothing here"}}))

    def _hold_and_cut(self, connection: socket.socket, seconds: float) -> None:
        """Say nothing until the time is over, the caller gives up, or the server stops."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._stopping.is_set():
            readable, _, _ = select.select([connection], [], [], 0.05)
            if readable:  # the request is read already: what comes now is the caller hanging up
                break
        connection.shutdown(socket.SHUT_RDWR)


def _json(answer: ApiAnswer) -> Response:
    response = Response(json.dumps(answer.body), status=answer.status, content_type="application/json")
    for name, value in answer.headers.items():
        response.headers[name] = value
    return response
