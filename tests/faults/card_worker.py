"""Workers that charge what is due and are killed (-9) at a named point, as by a power cut. For test_kill_card_worker.

Run as a process that reads one order a line (JSON) and answers each with the number of the signal that ended its
worker, 0 where none did. A worker is a fork of it, so that what takes a second (the imports) is done once.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import sys
from typing import Any

from billing.cards import charge, steps
from config.database import make_engine, session_factory
from config.jobs import JobContext
from config.settings import load


def work(order: dict[str, Any]) -> None:
    """Do the job, and die at the point."""

    def die(reached: str) -> None:
        if reached == order["point"]:
            os.kill(os.getpid(), signal.SIGKILL)

    steps.hook = die
    settings = load(
        {
            "BRIKKE_VAR": order["folder"],
            "STRIPE_API_KEY": "sk_test_x",
            "STRIPE_API_BASE": order["gateway"],
            "STRIPE_WEBHOOK_SECRETS": "whsec_x",
        }
    )
    context = JobContext(session_factory(make_engine(order["database"])), settings, "due_charges")
    charge.job(context, dt.datetime.fromisoformat(order["now"]))


def main() -> None:
    """Fork a worker for each order. This process has no thread and no connection of its own to hand down."""
    out = os.dup(1)
    os.dup2(2, 1)  # what workers log is no answer
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                work(json.loads(line))
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        os.write(out, f"{os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0}\n".encode())


if __name__ == "__main__":
    main()
