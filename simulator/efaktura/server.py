"""The hub as a server: in a thread of a test or a demo, or as a process of its own."""

from __future__ import annotations

import copy
import json
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from lxml import etree

from simulator.efaktura import soap
from simulator.efaktura.control import Control
from simulator.efaktura.faults import Fault, Faults
from simulator.efaktura.hub import Consumer, Hub

PATH = "/efaktura-atg-service/v1"
MAX_BODY = 64 * 1024 * 1024
_ON = {
    "getEfakturaIdentifiers": "identifiers",
    "addShipment": "shipment",
    "getShipmentStatus": "status",
    "getTransactionStatus": "status",
    "cancelTransaction": "cancel",
}
_XML = "text/xml; charset=utf-8"
_BOMB = (
    '<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1 or str()};" * 10}">' for n in range(1, 12))
    + "]><b>&a11;</b>"
)
_SHAPE = f"<{{}} xmlns='{soap.SPACE}'><unheardOf>1</unheardOf></{{}}>"


class HubServer:
    """A hub that listens on 127.0.0.1. Use `with HubServer() as hub:` or `start` and `stop`. ``port`` 0 = a free one;
    ``url`` is what EFAKTURA_URL is to be. ``calls`` names the calls that came in, in their order, by operation."""

    def __init__(
        self,
        *,
        port: int = 0,
        user: str = "brikke",
        password: str = "secret",  # noqa: S107  # of a stand-in
        issuer: str = "ISSUER-1",
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.user, self.password, self.issuer = user, password, issuer
        self.faults = Faults()
        self.hub = Hub(self.faults, issuer=issuer)
        self.calls: list[str] = []
        self.bodies: list[bytes] = []
        """The last envelopes that came in, at most ten."""
        self.stopping = threading.Event()
        self.control = Control(self.hub, self.faults)
        handler = type("HubHandler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer((host, port), handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.address = f"{'https' if tls is not None else 'http'}://{host}:{self.port}"
        self.url = self.address + PATH
        self._thread: threading.Thread | None = None

    def __enter__(self) -> HubServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, in a thread of its own."""
        self._thread = threading.Thread(
            target=lambda: self._server.serve_forever(poll_interval=0.01), name="efaktura-hub", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop listening; held connections are cut at once."""
        self.stopping.set()
        self._server.shutdown()
        if self._thread is not None:
            self._thread.join(timeout=5)
        self._server.server_close()

    # What tests and the demo use directly; the same as under /_control.

    def fault(self, kind: str, **told: Any) -> Fault:
        """Let something go wrong; see `faults.py`."""
        return self.faults.add({"kind": kind, **told})

    def consumer(self, identifier: str, **told: Any) -> Consumer:
        """Add a consumer; see `hub.Consumer`."""
        return self.hub.add_consumer({"identifier": identifier, **told})

    def soap(self, body: bytes) -> tuple[int, bytes, str]:
        """Answer an envelope: status, body, content type. Raises CutOff."""
        self.bodies = [*self.bodies[-9:], body]
        try:
            asked = soap.read(body, self.user, self.password)
            name = soap.operation_of(asked)
            self.calls.append(name)
            return self._answer(name, asked)
        except soap.SoapFault as told:
            return 500, soap.fault(told), _XML

    def _answer(self, name: str, asked: etree._Element) -> tuple[int, bytes, str]:
        on = _ON[name]
        early = self._broken(on, "before")
        if early is not None:
            return early
        made = soap.answer(self.hub, asked)
        late = self._broken(on, "after")
        if late is not None:
            return late
        made = _spoiled(self.faults, on, made)
        garbage = self.faults.take("garbage", on=on)
        if garbage is not None:
            return _garbage(garbage.body, name, soap.envelope_of(made))
        return 200, soap.envelope_of(made), _XML

    def _broken(self, on: str, when: str) -> tuple[int, bytes, str] | None:
        cut = self.faults.take("timeout", on=on, when=when)
        if cut is not None:
            raise CutOff(cut.hold_seconds)
        error = self.faults.take("error", on=on, when=when)
        if error is not None:
            return error.status, b"<html>Something went wrong</html>", "text/html"
        told = self.faults.take("soap_fault", on=on, when=when)
        if told is not None:
            return 500, soap.fault(soap.SoapFault(told.code, "As told", told.number or None)), _XML
        return None


class CutOff(Exception):
    """No answer: hold the connection so long, then cut it."""

    def __init__(self, hold_seconds: float) -> None:
        super().__init__(f"cut after {hold_seconds} s")
        self.hold_seconds = hold_seconds


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer

    def log_message(self, *_: Any) -> None:
        """Say nothing: requests are about people."""

    def do_POST(self) -> None:
        """Answer SOAP or control."""
        if self.path == PATH:
            self._soap(self._body())
        else:
            self._control("POST")

    def do_GET(self) -> None:
        """Answer control."""
        self._control("GET")

    def do_DELETE(self) -> None:
        """Answer control."""
        self._control("DELETE")

    def _body(self) -> bytes:
        size = int(self.headers.get("Content-Length") or 0)
        return self.rfile.read(min(size, MAX_BODY))

    def _soap(self, body: bytes) -> None:
        try:
            status, made, kind = self.hub.soap(body)
        except CutOff as cut:
            self._hold(cut.hold_seconds)
            return
        slow = kind == "slow"
        self._send(status, made, _XML if slow else kind, self._dripping if slow else None)

    def _control(self, method: str) -> None:
        if not self.path.startswith("/_control/"):
            self._send(404, b"nothing here", "text/plain")
            return
        status, made = self.hub.control.answer(method, self.path, self._body())
        self._send(status, json.dumps(made).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str, write: Callable[[bytes], None] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            (write or self.wfile.write)(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the caller has had enough

    def _dripping(self, body: bytes) -> None:
        """Write a byte at a time, for as long as somebody listens."""
        for start in range(len(body)):
            if self.hub.stopping.wait(0.02):
                return
            self.wfile.write(body[start : start + 1])
            self.wfile.flush()

    def _hold(self, seconds: float) -> None:
        """Say nothing until the time is over, the caller gives up, or the server stops."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.hub.stopping.is_set():
            readable, _, _ = select.select([self.connection], [], [], 0.02)
            if readable:  # the request is read already: what comes now is the caller hanging up
                break
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


def _spoiled(faults: Faults, on: str, made: etree._Element) -> etree._Element:
    """Return an answer with its lines doubled, backwards, left out or contradicting, where a fault says so."""
    lines = [one for one in made if etree.QName(one).localname in ("answer", "result") and len(one)]
    if faults.take("double", on=on):
        for one in lines:
            made.append(copy.deepcopy(one))
    if faults.take("contradict", on=on):
        made.append(_otherwise(copy.deepcopy(lines[0])))
    if faults.take("reorder", on=on):
        for one in lines:
            made.remove(one)
        made.extend(lines[::-1])
    if faults.take("leave_out", on=on):
        made.remove(lines[-1])
    return made


def _otherwise(line: etree._Element) -> etree._Element:
    for name, value in (("result", "SEVERAL_FOUND"), ("status", "STOPPED")):
        for node in line.iter(f"{{{soap.SPACE}}}{name}"):
            node.text = value if len(node) == 0 else node.text
    return line


def _garbage(body: str, name: str, right: bytes) -> tuple[int, bytes, str]:
    made: dict[str, tuple[int, bytes, str]] = {
        "html": (200, b"<html><body>Down for maintenance</body></html>", "text/html"),
        "text": (200, b"OK", _XML),
        "empty": (200, b"", _XML),
        "truncated": (200, right[: len(right) // 2], _XML),
        "huge": (200, right + b" " * (20 * 1024 * 1024), _XML),
        "dtd": (200, right.replace(b"?>", b"?><!DOCTYPE x SYSTEM 'http://127.0.0.1:9/x.dtd'>", 1), _XML),
        "entities": (200, _BOMB.encode(), _XML),
        "schema": (200, soap.envelope_of(etree.fromstring(_SHAPE.format(f"{name}Response", f"{name}Response"))), _XML),
        "slow": (200, right, "slow"),
    }
    return made[body]
