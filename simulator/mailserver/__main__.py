"""`python -m simulator.mailserver --port 2525 --maildir FOLDER`: the mail server as a process."""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path

from simulator.mailserver.server import MailServer


def main() -> None:
    """Listen until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m simulator.mailserver", description="A mail server to practise on.")
    parser.add_argument("--port", type=int, default=2525, help="of SMTP, on 127.0.0.1; 0 = a free one")
    parser.add_argument("--imap-port", type=int, default=0)
    parser.add_argument("--control-port", type=int, default=0)
    parser.add_argument("--maildir", type=Path, required=True, help="where notices of what came back go")
    told = parser.parse_args()
    server = MailServer(told.maildir, port=told.port, imap_port=told.imap_port, control_port=told.control_port)
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    server.start()
    print(f"mail server: smtp {server.port}, imap {server.imap_port}, control {server.url}", flush=True)
    over.wait()
    server.stop()


if __name__ == "__main__":
    main()
