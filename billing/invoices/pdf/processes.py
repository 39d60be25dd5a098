"""Rendering in processes of its own: started fresh, recycled, and killed when one hangs.

A typst compiler belongs to one thread, keeps what it has seen in memory, hangs in a forked child and cannot be
interrupted. So each is alone in a process that is *spawned* (never forked from ours), serves a number of
documents, and is replaced; a hanging one costs its document and nothing else.
"""

from __future__ import annotations

import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from billing.invoices.pdf.render import job
from billing.invoices.pdf.worker import receive, send
from billing.invoices.presentation import DocumentView

PROCESSES = 2
RECYCLE_AFTER = 500
TIMEOUT_SECONDS = 60
RECYCLE_ABOVE_BYTES = 500_000  # a job this large (some 3,000 lines) leaves hundreds of MB behind in the process
WORKER = Path(__file__).with_name("worker.py")


class RenderError(RuntimeError):
    """A document could not be rendered; the message says why, without what is in the document."""


class RenderTimeoutError(RenderError):
    """A document took longer than allowed; its process was killed and is replaced."""


class _Process:
    """One worker process and the socket to it. Started when first used."""

    def __init__(self, timeout_seconds: float, worker: Path) -> None:
        self.served = 0
        self.timeout_seconds = timeout_seconds
        self.socket, theirs = socket.socketpair()
        with theirs:
            alarm = max(1, round(timeout_seconds) + 5)  # later than ours; for the day nobody is left to kill it
            self.popen = subprocess.Popen(
                [sys.executable, "-P", str(worker), str(theirs.fileno()), str(alarm)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.socket.settimeout(timeout_seconds)

    def ask(self, body: bytes) -> bytes:
        """Return the answer to one job. Raises TimeoutError, EOFError or OSError when the process is no good."""
        send(self.socket, body)
        answer = receive(self.socket)
        self.served += 1
        return answer

    def stop(self) -> None:
        """End the process: it needs no farewell, since it holds nothing."""
        self.socket.close()
        self.popen.kill()
        self.popen.wait()

    def forget(self) -> None:
        """Let go of a process that belongs to our parent: close our copy of its socket, leave it alive."""
        self.socket.close()
        self.popen.returncode = 0  # not our child: nothing to wait for, and nothing to warn about


def _ended(process: _Process | None) -> _Process | None:
    """End `process` and return what stands in its place: nothing, until one is needed."""
    if process is not None:
        process.stop()
    return None


class Renderer:
    """A number of rendering processes behind one `render`, for as long as the `with` lasts.

    `processes` run at a time and start on first need; each is replaced after `recycle_after` documents, after
    a very large one, when it dies, and when one document takes longer than `timeout_seconds` without a sign.
    Safe to call from several threads; they wait for a free process. Not to be used across a fork.
    """

    def __init__(
        self,
        processes: int = PROCESSES,
        recycle_after: int = RECYCLE_AFTER,
        timeout_seconds: float = TIMEOUT_SECONDS,
        *,
        worker: Path = WORKER,
    ) -> None:
        if processes < 1 or recycle_after < 1 or timeout_seconds <= 0:
            raise ValueError("a renderer needs at least one process, one document and some time")
        self.processes = processes
        self.recycle_after = recycle_after
        self.timeout_seconds = timeout_seconds
        self._worker = worker
        # Last in, first out: few documents keep one process warm instead of starting all.
        self._free: queue.LifoQueue[_Process | None] = queue.LifoQueue()
        for _ in range(processes):
            self._free.put(None)
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def render(self, view: DocumentView) -> bytes:
        """Return the PDF of `view`. Raises RenderError, or RenderTimeoutError when it took too long."""
        body = job(view)
        process = self._free.get()
        try:
            if self._closed:
                raise RenderError("the renderer is closed")
            if process is None:
                process = _Process(self.timeout_seconds, self._worker)
            answer = process.ask(body)
        except TimeoutError:
            process = _ended(process)
            raise RenderTimeoutError(f"document {view.number}: no PDF within {self.timeout_seconds:g} s") from None
        except (EOFError, OSError) as problem:
            process = _ended(process)
            raise RenderError(f"document {view.number}: the rendering process ended ({problem})") from None
        except BaseException:  # an interrupt in the middle: what comes next on its socket is not for the next
            process = _ended(process)
            raise
        else:
            if process.served >= self.recycle_after or len(body) > RECYCLE_ABOVE_BYTES:
                process = _ended(process)
        finally:
            self._free.put(process)
        if answer[:1] != b"+":
            raise RenderError(f"document {view.number}: {answer[1:].decode(errors='replace')}")
        return answer[1:]

    def render_all(self, views: Iterable[DocumentView]) -> Iterator[bytes | RenderError]:
        """Render `views` on all processes; yield each PDF, or what went wrong with it, in their order.

        Takes all of `views` in at once: hand it a chunk, not a run.
        """
        with ThreadPoolExecutor(self.processes, thread_name_prefix="render") as threads:
            yield from threads.map(self._attempt, views)

    def _attempt(self, view: DocumentView) -> bytes | RenderError:
        try:
            return self.render(view)
        except RenderError as problem:
            return problem

    def pids(self) -> list[int]:
        """Return the ids of the processes that are running and free."""
        return [process.popen.pid for process in list(self._free.queue) if process is not None]

    def close(self) -> None:
        """Wait for documents under way and end all processes. Closing twice is closing once."""
        if self._closed:
            return
        taken = [self._free.get() for _ in range(self.processes)]
        self._closed = True
        for process in taken:
            _ended(process)
            self._free.put(None)

    def forget(self) -> None:
        """In a forked child: let go of the parent's processes without ending them."""
        self._closed = True
        for process in list(self._free.queue):
            if process is not None:
                process.forget()


class _Shared:
    """The renderer of this process, the process it belongs to, and the lock around both."""

    def __init__(self) -> None:
        self.renderer: Renderer | None = None
        self.pid = 0
        self.lock = threading.Lock()

    def fresh_lock(self) -> None:
        """In a forked child: a lock another thread held during the fork would stay held."""
        self.lock = threading.Lock()


_own = _Shared()
os.register_at_fork(after_in_child=_own.fresh_lock)


def shared() -> Renderer:
    """Return this process's renderer, made on first use: the one for the web and for the worker's jobs.

    A process forked from one that had a renderer (gunicorn with preload) gets its own.
    """
    with _own.lock:
        if _own.renderer is None or _own.pid != os.getpid():
            if _own.renderer is not None:
                _own.renderer.forget()
            _own.renderer, _own.pid = Renderer(), os.getpid()
        return _own.renderer


def close_shared() -> None:
    """End this process's shared renderer, if it has one."""
    with _own.lock:
        if _own.renderer is not None and _own.pid == os.getpid():
            _own.renderer.close()
        _own.renderer = None
