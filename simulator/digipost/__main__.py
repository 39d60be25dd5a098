"""`python -m simulator.digipost --port N --sender 1234 --key FILE`: Digipost as a process.

FILE is the sender's private key (PEM), made when it is missing: `DIGIPOST_KEY_FILE` of who sends.
"""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from simulator.digipost.server import DigipostServer
from simulator.digipost.signatures import new_key, private_pem


def main() -> None:
    """Listen until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m simulator.digipost", description="A Digipost to practise on.")
    parser.add_argument("--port", type=int, default=12112, help="on 127.0.0.1; 0 = a free one")
    parser.add_argument("--sender", default="1000", help="the sender's number")
    parser.add_argument("--key", type=Path, required=True, help="the sender's private key")
    told = parser.parse_args()
    if not told.key.exists():
        told.key.parent.mkdir(parents=True, exist_ok=True)
        told.key.touch(mode=0o600)
        told.key.write_bytes(private_pem(new_key()))
    key = load_pem_private_key(told.key.read_bytes(), None)
    if not isinstance(key, RSAPrivateKey):
        parser.error(f"{told.key} holds no RSA key")
    server = DigipostServer({told.sender: key.public_key()}, port=told.port)
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    server.start()
    print(f"Digipost on {server.url}", flush=True)
    over.wait()
    server.stop()


if __name__ == "__main__":
    main()
