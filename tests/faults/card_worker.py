"""A worker that charges what is due and is killed (-9) at a named point. Run as a process by test_kill_card_worker."""

from __future__ import annotations

import datetime as dt
import os
import signal
import sys

from billing.cards import charge, steps
from config.database import make_engine, session_factory
from config.jobs import JobContext
from config.settings import load


def main() -> None:
    """Do the job, and die at the point as by a power cut."""
    point, database_url, gateway_url, folder, now = sys.argv[1:6]

    def die(reached: str) -> None:
        if reached == point:
            os.kill(os.getpid(), signal.SIGKILL)

    steps.hook = die
    settings = load(
        {
            "BRIKKE_VAR": folder,
            "STRIPE_API_KEY": "sk_test_x",
            "STRIPE_API_BASE": gateway_url,
            "STRIPE_WEBHOOK_SECRETS": "whsec_x",
        }
    )
    context = JobContext(session_factory(make_engine(database_url)), settings, "due_charges")
    charge.job(context, dt.datetime.fromisoformat(now))


if __name__ == "__main__":
    main()
