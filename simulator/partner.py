"""A partner's HTTP service as a stand-in: what goes wrong, how it is told, and a server around the one who answers.

| fault | what happens | fields |
|---|---|---|
| `timeout` | no answer: held, then cut | `when` before or after the effect (after), `hold_seconds` (30) |
| `error` | 5xx without a signature | `status` (500), `when` (before) |
| `rate_limit` | 429, before anything | `retry_after` seconds (none) |
| `slow` | the answer is late, and comes in drops | `seconds` (1) |
| `garbage` | something else than an answer, after the effect | `what`: text, xml, entities, empty, huge or json |
| `signature` | after the effect, the answer is signed wrongly | |

Every fault has `times` (1; null = until cleared) and `on`: a call by its name, or `any`. `POST /_control/faults` adds
one, `GET` lists them, `DELETE` clears them; what else can be told is each partner's own.
"""

from __future__ import annotations

import itertools
import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

MAX_BODY = 32 * 1024 * 1024
_FIELDS: dict[str, dict[str, Any]] = {
    "timeout": {"when": "after", "hold_seconds": 30.0},
    "error": {"when": "before", "status": 500},
    "rate_limit": {"retry_after": None},
    "slow": {"seconds": 1.0},
    "garbage": {"what": "text"},
    "signature": {},
}
_BOMB = b'<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><a>&c;</a>'
GARBAGE = {
    "text": b"<html>Welcome to the hotel. Sign in for Wi-Fi</html>",
    "xml": b"<?xml version='1.0'?><error",
    "entities": _BOMB,
    "empty": b"",
    "huge": b"<a>" + b"x" * (4 * 1024 * 1024) + b"</a>",
    "json": b'{"recipients": [{"ref": 7, "result": "member"}], "state": ["delivered"]}',
}


class BadControl(ValueError):
    """What was told makes no sense; the text says why."""


@dataclass
class Fault:
    """One thing that shall go wrong; see the table above."""

    id: int
    kind: str
    on: str
    times: int | None
    fields: dict[str, Any]


class Faults:
    """The faults that wait. In memory only."""

    def __init__(self, calls: tuple[str, ...]) -> None:
        self._calls = calls
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._waiting: list[Fault] = []

    def add(self, asked: Mapping[str, Any]) -> Fault:
        """Add a fault as control gives it. Raises BadControl."""
        kind = asked.get("kind")
        if kind not in _FIELDS:
            raise BadControl(f"kind must be one of {', '.join(_FIELDS)}")
        extra = set(asked) - {"kind", "on", "times"} - set(_FIELDS[kind])
        on, times = asked.get("on", "any"), asked.get("times", 1)
        if extra or on not in {*self._calls, "any"} or not (times is None or (type(times) is int and times > 0)):
            raise BadControl(f"a {kind} fault has on ({', '.join(self._calls)}), times, {', '.join(_FIELDS[kind])}")
        fields = _FIELDS[kind] | {name: asked[name] for name in _FIELDS[kind] if name in asked}
        if fields.get("when") not in {None, "before", "after"} or fields.get("what", "text") not in GARBAGE:
            raise BadControl(f"when is before or after; what is one of {', '.join(GARBAGE)}")
        fault = Fault(next(self._numbers), kind, on, times, fields)
        with self._lock:
            self._waiting.append(fault)
        return fault

    def clear(self) -> None:
        """Forget them all."""
        with self._lock:
            self._waiting.clear()

    def waiting(self) -> list[Fault]:
        """Return those that are not used up."""
        with self._lock:
            return list(self._waiting)

    def take(self, kind: str, on: str, when: str | None = None) -> Fault | None:
        """Return the first fault that fits this call, one time used, or None."""
        with self._lock:
            for fault in self._waiting:
                if fault.kind != kind or fault.on not in {"any", on} or fault.fields.get("when") != when:
                    continue
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times == 0:
                        self._waiting.remove(fault)
                return fault
        return None


@dataclass(frozen=True)
class Asked:
    """A request. Names of headers are in small letters; ``path`` and ``query`` as they stand in the address."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Told:
    """An answer."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def told_json(status: int, body: Any) -> Told:
    """Return an answer in JSON."""
    return Told(status, json.dumps(body).encode(), {"Content-Type": "application/json"})


class Cut(Exception):
    """No answer: hold the connection so long, then cut it."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Partner(ABC):
    """A stand-in that listens on 127.0.0.1. Use `with Stand(…) as stand:` or `start` and `stop`; `port` 0 = a free one.

    Calls are answered one at a time (`lock`), so that a stand-in needs no care of its own; faults hold nobody else up.
    """

    calls: tuple[str, ...] = ()

    def __init__(self, *, port: int = 0, host: str = "127.0.0.1") -> None:
        self.lock = threading.RLock()
        self.faults = Faults(self.calls)
        self.seen: list[tuple[str, str]] = []
        """Method and path of every call, oldest first."""
        self._stopping = threading.Event()
        self._server = _Server((host, port), self)
        self.port: int = self._server.server_address[1]
        self.url = f"http://{host}:{self.port}"

    def __enter__(self) -> Any:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, in a thread of its own."""
        threading.Thread(target=self._server.serve_forever, args=(0.01,), name=type(self).__name__, daemon=True).start()

    def stop(self) -> None:
        """Stop listening; held connections are cut."""
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def fault(self, kind: str, **fields: Any) -> Fault:
        """Let something go wrong; see the table above."""
        return self.faults.add({"kind": kind, **fields})

    @abstractmethod
    def call_of(self, asked: Asked) -> str:
        """Return the name of a call, by which faults mean it."""

    @abstractmethod
    def answer(self, asked: Asked) -> Told:
        """Do what is asked and say so."""

    def finish(self, asked: Asked, told: Told, *, wrongly: bool) -> Told:
        """Return an answer as it leaves (signed, where the partner signs); ``wrongly``: as nobody should take it."""
        return told

    @abstractmethod
    def control(self, method: str, name: str, rest: str, given: dict[str, Any]) -> Any:
        """Do what control tells; None where there is nothing to tell back. Raises BadControl, LookupError."""

    def respond(self, asked: Asked) -> Told:
        """Return the answer to a request, or what goes wrong instead. Raises Cut."""
        if asked.path.startswith("/_control/"):
            return self._controlled(asked)
        call = self.call_of(asked)
        self.seen.append((asked.method, asked.path))
        self._before(call)
        limited = self.faults.take("rate_limit", call)
        if limited is not None:
            after = limited.fields["retry_after"]
            return Told(429, b"", {} if after is None else {"Retry-After": str(after)})
        broken = self.faults.take("error", call, "before")
        if broken is not None:
            return Told(broken.fields["status"], b"broken")
        with self.lock:
            told = self.answer(asked)
        broken = self.faults.take("error", call, "after")
        if broken is not None:
            return Told(broken.fields["status"], b"broken")
        cut = self.faults.take("timeout", call, "after")
        if cut is not None:
            raise Cut(float(cut.fields["hold_seconds"]))
        garbage = self.faults.take("garbage", call)
        if garbage is not None:
            told = Told(told.status, GARBAGE[garbage.fields["what"]], told.headers)
        wrongly = self.faults.take("signature", call) is not None
        return self.finish(asked, told, wrongly=wrongly)

    def drip(self, asked: Asked) -> float:
        """Return over how many seconds the answer to a call is to come."""
        slow = self.faults.take("slow", self.call_of(asked)) if not asked.path.startswith("/_control/") else None
        return 0.0 if slow is None else float(slow.fields["seconds"])

    def wait(self, seconds: float) -> None:
        """Wait, or until the stand-in stops."""
        self._stopping.wait(seconds)

    @property
    def stopped(self) -> bool:
        """Whether it has been stopped: what came over a connection that was kept is not answered any more."""
        return self._stopping.is_set()

    def _before(self, call: str) -> None:
        cut = self.faults.take("timeout", call, "before")
        if cut is not None:
            raise Cut(float(cut.fields["hold_seconds"]))

    def _controlled(self, asked: Asked) -> Told:
        name, _, rest = asked.path.removeprefix("/_control/").partition("/")
        try:
            given = json.loads(asked.body or b"{}")
            if not isinstance(given, dict):
                raise BadControl("say a JSON object")
            done: Any = None
            if name == "faults":
                done = self._fault_control(asked.method, given)
            else:
                with self.lock:
                    done = self.control(asked.method, name, unquote(rest), given)
        except LookupError:
            return told_json(404, {"error": f"no {asked.method} {asked.path} here"})
        except ValueError as error:
            return told_json(400, {"error": str(error)})
        return told_json(200, {"done": True} if done is None else done)

    def _fault_control(self, method: str, given: dict[str, Any]) -> Any:
        if method == "POST":
            return asdict(self.faults.add(given))
        if method == "DELETE":
            self.faults.clear()
            return None
        return {"faults": [asdict(one) for one in self.faults.waiting()]}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], partner: Partner) -> None:
        super().__init__(address, _Handler)
        self.partner = partner


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: addresses hold ids."""

    def _handle(self) -> None:
        partner, address = self.server.partner, urlsplit(self.path)
        size = self.headers.get("Content-Length", "0")
        if not size.isdecimal() or int(size) > MAX_BODY:
            self.close_connection = True
            return self._write(Told(413), 0.0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, address.path, address.query, headers, self.rfile.read(int(size)))
        if partner.stopped:
            self.close_connection = True
            return None
        try:
            told = partner.respond(asked)
        except Cut as cut:
            partner.wait(cut.seconds)
            self.close_connection = True
            return None
        return self._write(told, partner.drip(asked))

    def _write(self, told: Told, seconds: float) -> None:
        """Write an answer: at once, or in ten drops over so many seconds."""
        drop = max(1, len(told.body) // 10 if seconds else len(told.body))
        try:
            self.send_response_only(told.status)
            for name, value in {**told.headers, "Content-Length": str(len(told.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            for at in range(0, len(told.body), drop):
                self.wfile.write(told.body[at : at + drop])
                self.wfile.flush()
                if seconds:
                    self.server.partner.wait(seconds / 10)
        except OSError:  # the caller has hung up
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_DELETE = _handle
