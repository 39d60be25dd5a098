"""Telling the print house what to do: JSON under `/_control`. Wrong input changes nothing and is answered 400.

| call | what |
|---|---|
| `POST /_control/faults` | something shall go wrong (`faults.py` has the table); `GET` lists, `DELETE` clears |
| `GET /_control/books` | what was printed, by batch |
| `POST /_control/look` | take what lies in ``in`` now |
"""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from simulator.printhouse.faults import BadFault
from simulator.printhouse.house import PrintHouse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

MAX_BODY = 64 * 1024


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


class Control:
    """The control face, listening on 127.0.0.1 in a thread of its own, as a context."""

    def __init__(self, house: PrintHouse, port: int = 0) -> None:
        self._house = house
        self._server = make_server("127.0.0.1", port, self, threaded=True, request_handler=_Quiet)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Control:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one call (WSGI)."""
        request = Request(environ)
        request.max_content_length = MAX_BODY
        try:
            status, body = self._do(request)
        except (BadFault, ValueError) as error:
            status, body = 400, {"error": str(error)}
        return Response(json.dumps(body), status=status, content_type="application/json")(environ, start_response)

    def _do(self, request: Request) -> tuple[int, dict[str, Any]]:
        call = (request.method, request.path.removeprefix("/_control/"))
        asked = json.loads(request.get_data() or b"{}")
        if not isinstance(asked, dict):
            raise BadFault("say a JSON object")
        if call == ("GET", "faults"):
            return 200, {"faults": [asdict(one) for one in self._house.faults.waiting()]}
        if call == ("POST", "faults"):
            return 200, asdict(self._house.faults.add(asked))
        if call == ("DELETE", "faults"):
            self._house.faults.clear()
            return 200, {"done": True}
        if call == ("GET", "books"):
            return 200, {"printed": self._house.books()}
        if call == ("POST", "look"):
            return 200, {"batches": self._house.look()}
        return 404, {"error": f"no {request.method} {request.path} here"}
