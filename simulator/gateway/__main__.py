"""`python -m simulator.gateway --port N --data FILE --webhook-url URL --webhook-secret S`: the gateway as a process."""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path

from simulator.gateway.server import GatewayServer


def main() -> None:
    """Listen until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m simulator.gateway", description="A card gateway to practise on.")
    parser.add_argument("--port", type=int, default=12111, help="on 127.0.0.1; 0 = a free one")
    parser.add_argument("--data", type=Path, required=True, help="its SQLite file")
    parser.add_argument("--webhook-url", help="where webhooks go; none are sent without it")
    parser.add_argument(
        "--webhook-secret", action="append", help="signs webhooks; give it twice while one is rolled over"
    )
    parser.add_argument("--latency-ms", type=int, default=0, help="how long each call takes at least")
    told = parser.parse_args()
    told.data.parent.mkdir(parents=True, exist_ok=True)
    gateway = GatewayServer(
        port=told.port,
        data=told.data,
        webhook_url=told.webhook_url,
        webhook_secrets=told.webhook_secret or ["whsec_simulator"],
        latency_ms=told.latency_ms,
    )
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    gateway.start()
    print(f"card gateway on {gateway.url}", flush=True)
    over.wait()
    gateway.stop()


if __name__ == "__main__":
    main()
