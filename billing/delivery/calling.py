"""Calling partners over HTTP: one request with every limit on it, many at once, and when to stop trying.

Nothing is believed of an answer here but that it came. No request follows a redirect; an answer is read as it was sent
(no compression, so that a hash over it holds) up to ``MAX_ANSWER`` bytes and for as long as one call may take in all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import httpx

T = TypeVar("T")
R = TypeVar("R")

MAX_ANSWER = 1024 * 1024
"""Bytes of an answer; what these partners tell takes some thousand."""
WORKERS = 4
"""Calls under way at once to one partner from one job."""
GIVE_UP_AFTER = 3
"""Calls in a row without an answer, after which the rest of a batch is not tried."""


class NoReply(Exception):
    """There was no answer that can be used. ``sent``: the partner may have got the request all the same."""

    def __init__(self, why: str, *, sent: bool) -> None:
        super().__init__(why)
        self.why = why
        self.sent = sent


@dataclass(frozen=True)
class Reply:
    """What came back: the body as it was sent."""

    status: int
    headers: httpx.Headers
    body: bytes


def client(seconds: float) -> httpx.Client:
    """Return a client whose steps (connect, write, read) take at most so long each; it may be used by many threads."""
    return httpx.Client(timeout=seconds, follow_redirects=False, headers={"Accept-Encoding": "identity"})


def call(
    by: httpx.Client, method: str, url: str, *, headers: dict[str, str], body: bytes = b"", seconds: float
) -> Reply:
    """Send one request and read its answer, all within about twice ``seconds``. Raises NoReply."""
    until = time.monotonic() + 2 * seconds
    try:
        with by.stream(method, url, headers=headers, content=body or None) as response:
            parts, size = [], 0
            for part in response.iter_raw():
                size += len(part)
                if size > MAX_ANSWER:
                    raise NoReply("answer_too_large", sent=True)
                if time.monotonic() > until:
                    raise NoReply("answer_too_slow", sent=True)
                parts.append(part)
            return Reply(response.status_code, response.headers, b"".join(parts))
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise NoReply("unreachable", sent=False) from error
    except httpx.TimeoutException as error:
        raise NoReply("timeout", sent=True) from error
    except httpx.HTTPError as error:
        raise NoReply("broken_off", sent=True) from error


class Patience:
    """Counts calls in a row without an answer; after too many, the rest of a batch waits for another time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._missed = 0

    def tried(self, send: Callable[[], Reply]) -> Reply:
        """Return the answer to a call, which is not made when too many had none. Raises NoReply."""
        if self._missed >= GIVE_UP_AFTER:
            raise NoReply("not_tried", sent=False)
        try:
            reply = send()
        except NoReply:
            with self._lock:
                self._missed += 1
            raise
        self._missed = 0
        return reply


def each(things: Sequence[T], one: Callable[[T], R]) -> list[R]:
    """Return what ``one`` makes of each thing, some at once, in their order. What it raises is raised."""
    if len(things) < 2:
        return [one(thing) for thing in things]
    with ThreadPoolExecutor(min(WORKERS, len(things))) as pool:
        return list(pool.map(one, things))
