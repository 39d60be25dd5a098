"""The mail server as threads of a test or a demo, or as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request

from simulator.mailserver import control
from simulator.mailserver.faults import Fault, Faults
from simulator.mailserver.imap import Imap, Numbered
from simulator.mailserver.notices import notice, put
from simulator.mailserver.smtp import MOST_BYTES, Kept, Talk

USER, PASSWORD = "bounces", "hemmelig"

Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


class MailServer:
    """A mail server that listens on 127.0.0.1. Use `with MailServer(maildir) as server:` or `start` and `stop`.

    `maildir`: where notices go. `context`: a server's certificate: SMTP then offers STARTTLS, and IMAP speaks TLS from
    the first byte. `keep`: how many mails are kept; all are counted. After `start`: `port` (SMTP), `imap_port`, `url`
    (of control).
    """

    def __init__(
        self,
        maildir: Path,
        *,
        context: ssl.SSLContext | None = None,
        port: int = 0,
        imap_port: int = 0,
        control_port: int = 0,
        keep: int = 10_000,
    ) -> None:
        self.maildir, self.context, self.port, self.imap_port = maildir, context, port, imap_port
        self.faults = Faults()
        self.box = Numbered(maildir)
        self.mails: list[Kept] = []
        self.count = 0
        self._most = keep
        self._ready = threading.Event()
        self._over: asyncio.Event
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="mailserver", daemon=True)
        self._control = make_server(
            "127.0.0.1",
            control_port,
            lambda environ, start: control.answer(self, Request(environ))(environ, start),
            threaded=True,
            request_handler=_Quiet,
        )
        self.url = f"http://127.0.0.1:{self._control.server_port}"

    def __enter__(self) -> MailServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, in threads of its own. Raises OSError when that does not work."""
        for name in ("tmp", "new", "cur"):
            (self.maildir / name).mkdir(parents=True, exist_ok=True)
        self._thread.start()
        threading.Thread(target=self._control.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        if not self._ready.wait(10):
            raise OSError("the mail server did not start")

    def stop(self) -> None:
        """Stop listening; connections are cut."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(timeout=5)
        self._control.shutdown()
        self._control.server_close()

    def fault(self, kind: str, **fields: object) -> Fault:
        """Let something go wrong; see `faults.py`."""
        return self.faults.add({"kind": kind, **fields})

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        smtp = await asyncio.start_server(self._smtp, "127.0.0.1", self.port, limit=MOST_BYTES)
        imap = await asyncio.start_server(self._imap, "127.0.0.1", self.imap_port, ssl=self.context)
        self.port = smtp.sockets[0].getsockname()[1]
        self.imap_port = imap.sockets[0].getsockname()[1]
        self._ready.set()
        await self._over.wait()
        smtp.close()
        imap.close()

    async def _smtp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _until_gone(writer, Talk(reader, writer, self.faults, self._keep, self.context).run())

    async def _imap(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _until_gone(writer, Imap(reader, writer, self.box, USER, PASSWORD).run())

    def _keep(self, mail: Kept, bounce: Fault | None) -> None:
        self.count += 1
        if len(self.mails) < self._most:
            self.mails.append(mail)
        if bounce is not None:
            told = notice(mail.content, mail.sender, mail.recipient, status=bounce.status, form=bounce.form)
            put(self.maildir, told)


async def _until_gone(writer: asyncio.StreamWriter, talk: Awaitable[None]) -> None:
    with contextlib.suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
        await talk
    with contextlib.suppress(OSError):
        writer.close()
