"""`python -m simulator.printhouse --folder FOLDER`: the print house as a process."""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path

from simulator.printhouse.control import Control
from simulator.printhouse.house import PrintHouse


def main() -> None:
    """Look into the folder until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m simulator.printhouse", description="A print house to practise on.")
    parser.add_argument("--folder", type=Path, required=True, help="batches come to in/, confirmations go to out/")
    parser.add_argument("--control-port", type=int, default=0)
    told = parser.parse_args()
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    with PrintHouse(told.folder, every=1.0) as house, Control(house, told.control_port) as control:
        print(f"print house on {told.folder}, control {control.url}", flush=True)
        over.wait()


if __name__ == "__main__":
    main()
