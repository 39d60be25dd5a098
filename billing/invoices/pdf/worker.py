"""The process that renders: jobs in, PDFs out, over one socket. Run as a file, by path, and by nobody else.

It imports nothing of Brikke, so it starts in a fraction of a second, holds no secret and no database, and what
goes in is data only. A frame is a length of 4 bytes (big endian) and a body; an answer's body begins with `+`
(the PDF follows) or `-` (the error follows). It ends when its socket closes.

    python worker.py FD SECONDS
"""

from __future__ import annotations

import json
import re
import signal
import socket
import struct
import sys
import threading
from pathlib import Path

import typst

HERE = Path(__file__).resolve().parent
TAGGED: list[typst.PDFStandard] = ["a-2a", "ua-1"]
UNTAGGED: list[typst.PDFStandard] = ["a-2u"]
QUOTED = re.compile(r"`[^`]*`")
LENGTH = struct.Struct(">I")

_own = threading.local()  # a Compiler belongs to the thread that made it


def compile_job(job: bytes) -> bytes:
    """Return the PDF for a job made by `render.job`. Raises typst.TypstError."""
    compiler: typst.Compiler | None = getattr(_own, "compiler", None)
    if compiler is None:
        compiler = typst.Compiler(str(HERE / "invoice.typ"), root=str(HERE), ignore_system_fonts=True)
        _own.compiler = compiler
    parts = json.loads(job)
    pdf = compiler.compile(
        format="pdf",
        sys_inputs={"data": json.dumps(parts["data"], ensure_ascii=False)},
        pdf_standards=TAGGED if parts["tagged"] else UNTAGGED,
        pdf_tags=parts["tagged"],
        timestamp=parts["timestamp"],
    )
    if not isinstance(pdf, bytes):
        raise TypeError("typst gave no PDF")
    return pdf


def receive(sock: socket.socket) -> bytes:
    """Read one frame. Raises EOFError when the other side is gone, TimeoutError per the socket's setting."""
    return _exactly(sock, LENGTH.unpack(_exactly(sock, LENGTH.size))[0])


def send(sock: socket.socket, body: bytes) -> None:
    """Write one frame."""
    sock.sendall(LENGTH.pack(len(body)) + body)


def _exactly(sock: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = sock.recv(min(count - len(parts), 1 << 20))
        if not part:
            raise EOFError("the other side closed")
        parts += part
    return bytes(parts)


def main(descriptor: int, seconds: int) -> None:
    """Serve jobs from the socket `descriptor` until it closes; one that takes over `seconds` ends the process.

    The alarm is the kernel's (default action), so it also ends a process that hangs in native code after
    whoever watched it has died.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then closes the socket
    with socket.socket(fileno=descriptor) as sock:
        while True:
            try:
                job = receive(sock)
            except (EOFError, ConnectionError):
                return
            signal.alarm(seconds)
            try:
                answer = b"+" + compile_job(job)
            except Exception as problem:
                # What typst quotes may be a customer's name, and this goes to a log.
                answer = b"-" + QUOTED.sub("`…`", f"{type(problem).__name__}: {problem}").encode()
            signal.alarm(0)
            send(sock, answer)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
