"""`python -m simulator.efaktura --port N`: the hub as a process. It forgets everything when it ends."""

from __future__ import annotations

import argparse
import signal
import threading

from simulator.efaktura.server import HubServer


def main() -> None:
    """Listen until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m simulator.efaktura", description="An eFaktura hub to practise on.")
    parser.add_argument("--port", type=int, default=12121, help="on 127.0.0.1; 0 = a free one")
    parser.add_argument("--user", default="brikke", help="EFAKTURA_USER")
    parser.add_argument("--password", default="secret", help="EFAKTURA_PASSWORD")
    parser.add_argument("--issuer", default="ISSUER-1", help="EFAKTURA_ISSUER")
    told = parser.parse_args()
    hub = HubServer(port=told.port, user=told.user, password=told.password, issuer=told.issuer)
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    hub.start()
    print(f"eFaktura hub on {hub.url}", flush=True)
    over.wait()
    hub.stop()


if __name__ == "__main__":
    main()
