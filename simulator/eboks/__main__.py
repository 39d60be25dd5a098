"""`python -m simulator.eboks --port N --key KEY [--client NAME]`: a distributor of mail to e-Boks as a process."""

from __future__ import annotations

import argparse
import signal
import threading

from simulator.eboks.server import EboksServer


def main() -> None:
    """Listen until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m simulator.eboks", description="An e-Boks to practise on.")
    parser.add_argument("--port", type=int, default=12113, help="on 127.0.0.1; 0 = a free one")
    parser.add_argument("--key", default="simulator", help="the bearer key, or with --client the client's secret")
    parser.add_argument("--client", default="", help="tokens are got by this name and the key, from /token")
    told = parser.parse_args()
    server = EboksServer(told.key, client=told.client, port=told.port)
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    server.start()
    print(f"e-Boks on {server.url}", flush=True)
    over.wait()
    server.stop()


if __name__ == "__main__":
    main()
