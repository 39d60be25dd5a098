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
import zlib
from pathlib import Path

import typst

HERE = Path(__file__).resolve().parent
STANDARDS: list[typst.PDFStandard] = ["a-2a", "ua-1"]
QUOTED = re.compile(r"`[^`]*`")
LENGTH = struct.Struct(">I")
ENTRY = struct.Struct(">BIH")
XREF = re.compile(rb"xref\n0 (\d+)\n")
TRAILER = re.compile(rb"trailer\n<</Size \d+(.*)>>\n")
TOGETHER = 1_000  # objects in a stream: a reader unpacks all of them to see one

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
        pdf_standards=STANDARDS,
        pdf_tags=True,
        timestamp=parts["timestamp"],
    )
    if not isinstance(pdf, bytes):
        raise TypeError("typst gave no PDF")
    return packed(pdf)


def packed(pdf: bytes) -> bytes:
    """Return a PDF of typst's with what is not a stream in it compressed, in object streams (ISO 32000-1, 7.5.7).

    Most of a tagged document is its structure, an object for every cell, which typst writes as plain text: 1.6 kB a
    line, and a tenth of it packed. PDF/A-2 allows it. Raises ValueError for a file that is not as typst writes them.
    """
    start = int(pdf[pdf.rindex(b"startxref") + 9 :].split()[0])
    table = XREF.match(pdf, start)
    if table is None or (size := int(table[1])) < 1:
        raise ValueError("the PDF has no plain table of its objects")
    at = [int(pdf[i : i + 10]) for i in range(table.end() + 20, table.end() + 20 * size, 20)]
    trailer = TRAILER.match(pdf, table.end() + 20 * size)
    if trailer is None:
        raise ValueError("the PDF has no plain trailer")
    ends = dict(zip(sorted(at), [*sorted(at)[1:], start], strict=True))
    out = bytearray(pdf[: min(at)])
    where: list[bytes] = [ENTRY.pack(0, 0, 65_535)]
    small: list[tuple[int, bytes]] = []
    for number, here in enumerate(at, 1):
        whole = pdf[here : ends[here]].rstrip()
        body = whole.removeprefix(b"%d 0 obj" % number).removesuffix(b"endobj").strip()
        if len(body) > len(whole) - 10:
            raise ValueError(f"object {number} of the PDF is not where its table says")
        if body.endswith(b"endstream"):
            where.append(ENTRY.pack(1, len(out), 0))
            out += whole + b"\n"
        else:
            where.append(ENTRY.pack(2, size + len(small) // TOGETHER, len(small) % TOGETHER))
            small.append((number, body))
    for first in range(0, len(small), TOGETHER):
        some = small[first : first + TOGETHER]
        heads, offset = [], 0
        for number, body in some:
            heads.append(b"%d %d" % (number, offset))
            offset += len(body) + 1
        head = b" ".join(heads) + b"\n"
        where.append(ENTRY.pack(1, len(out), 0))
        kind = b"/Type/ObjStm/N %d/First %d" % (len(some), len(head))
        out += _stream(len(where) - 1, kind, head + b"\n".join(body for _, body in some))
    where.append(ENTRY.pack(1, len(out), 0))
    kind = b"/Type/XRef/W[1 4 2]/Size %d%s" % (len(where), trailer[1])
    return bytes(out + _stream(len(where) - 1, kind, b"".join(where)) + b"startxref\n%d\n%%%%EOF" % len(out))


def _stream(number: int, kind: bytes, content: bytes) -> bytes:
    small = zlib.compress(content)
    return b"%d 0 obj\n<<%s/Filter/FlateDecode/Length %d>>\nstream\n%s\nendstream\nendobj\n" % (
        number, kind, len(small), small,
    )  # fmt: skip


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
