"""localstripe as a process of its own, and the bridge over what it does not take.

It runs in an environment beside the product's (var/second-opinion, made by `make second-opinion`), on 127.0.0.1 only
and without the file in /tmp that `python -m localstripe` would keep its data in and listen to all the world from.

The bridge stands between our client and it, and leaves out of a request exactly the fields of `LEFT_OUT`, which
localstripe refuses though Stripe takes them. It changes nothing of any answer.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx

VENV = Path(__file__).resolve().parents[2] / "var" / "second-opinion"
KEY = "sk_test_second_opinion"
LEFT_OUT: dict[tuple[str, str], dict[str, str]] = {
    ("POST", "/v1/payment_intents"): {"allowed_payment_method_types[0]": "card", "description": "Bompenger"},
    ("GET", "/v1/payment_intents"): {"customer": "cus_1", "created[gte]": "1700000000"},
    ("GET", "/v1/refunds"): {"created[gte]": "1700000000"},
    ("GET", "/v1/balance_transactions"): {"created[gte]": "1700000000", "currency": "nok"},
    ("GET", "/v1/payouts"): {"created[gte]": "1700000000"},
}
"""What localstripe refuses in a request: fields that Stripe takes there, each with a value of the kind we send."""

_SERVE = """
import socket
from aiohttp import web
from localstripe import resources, server
resources.Store.dump_to_disk = lambda self: None
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
web.run_app(server.app, sock=listener, print=None)
"""


def installed() -> bool:
    """Return whether the environment was made to its end: the stamp is written last."""
    return any(VENV.glob(".whole-*"))


@contextmanager
def localstripe() -> Iterator[str]:
    """Give the address of a localstripe with nothing in it, stopped afterwards. Raises `RuntimeError`: none starts."""
    process = subprocess.Popen([VENV / "bin" / "python", "-c", _SERVE], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()  # empty when it ended; its reason is on stderr
        if not port:
            raise RuntimeError(f"localstripe did not start (code {process.wait(10)})")
        url = f"http://127.0.0.1:{port}"
        # Connections wait in the listener's queue until it is up: the first answer says that it is.
        httpx.get(f"{url}/v1/customers", headers={"Authorization": f"Bearer {KEY}"}, timeout=30).raise_for_status()
        yield url
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def bridge(to: str) -> Iterator[str]:
    """Give the address of the bridge to `to`."""
    with httpx.Client(base_url=to, timeout=30) as beyond:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _crossing(beyond))
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def _crossing(beyond: httpx.Client) -> type[BaseHTTPRequestHandler]:
    class Crossing(BaseHTTPRequestHandler):
        def _cross(self) -> None:
            parts = urlsplit(self.path)
            left_out = LEFT_OUT.get((self.command, parts.path), {})

            def kept(encoded: str) -> str:
                return urlencode([pair for pair in parse_qsl(encoded) if pair[0] not in left_out])

            body = kept(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())
            passed = ("Authorization", "Content-Type", "Idempotency-Key", "Stripe-Version")
            headers = {name: self.headers[name] for name in passed if name in self.headers}
            query = kept(parts.query)
            answer = beyond.request(
                self.command, parts.path + (f"?{query}" if query else ""), content=body, headers=headers
            )
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers.get("Content-Type", "text/plain"))
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_DELETE = _cross

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    return Crossing
