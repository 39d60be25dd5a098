"""`python -m simulator.vipps --port N --webhook-url URL --webhook-secret S`: Vipps as a process."""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path

from simulator.vipps.server import VippsServer
from simulator.vipps.world import Ids


def main() -> None:
    """Listen until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m simulator.vipps", description="Vipps to practise on.")
    parser.add_argument("--port", type=int, default=12112, help="on 127.0.0.1; 0 = a free one")
    parser.add_argument("--data", type=Path, help="its file; without one it forgets when it ends")
    parser.add_argument("--webhook-url", help="where webhooks go; none are sent without it")
    parser.add_argument("--webhook-secret", default=Ids.webhook_secret, help="what signs them")
    told = parser.parse_args()
    vipps = VippsServer(
        port=told.port, data=told.data, webhook_url=told.webhook_url, ids=Ids(webhook_secret=told.webhook_secret)
    )
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    vipps.start()
    print(f"Vipps on {vipps.url}", flush=True)
    over.wait()
    vipps.stop()


if __name__ == "__main__":
    main()
