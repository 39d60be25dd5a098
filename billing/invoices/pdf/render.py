"""Making the PDF, in this process. A process that serves or works renders through `processes.py` instead."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, time

from billing.invoices.pdf import worker
from billing.invoices.pdf.layout import layout
from billing.invoices.presentation import DocumentView

_first_pid: list[int] = []


def job(view: DocumentView) -> bytes:
    """Return what a worker needs to render `view`: JSON of the page's data and its time stamp."""
    stamp = int(datetime.combine(view.issued_on, time(12), UTC).timestamp())
    return json.dumps({"data": layout(view), "timestamp": stamp}, ensure_ascii=False).encode()


def render(view: DocumentView) -> bytes:
    """Return the PDF of `view`: the same bytes for the same view.

    For commands, tests and benchmarks: typst hangs in a process forked from one that has used it, so this
    raises RuntimeError there, and nothing stops it when it takes long. Raises typst.TypstError when the
    template itself is broken; no view can make it so.
    """
    if not _first_pid:
        _first_pid.append(os.getpid())
    if _first_pid[0] != os.getpid():
        raise RuntimeError("this process was forked after rendering: use processes.py")
    return worker.compile_job(job(view))
