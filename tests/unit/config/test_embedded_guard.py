"""The guard of the embedded server, without one: where a server comes back after a start that failed."""

from __future__ import annotations

import fcntl
import socket
from pathlib import Path

import pytest

from config.embedded_guard import Guard, free_port, is_free


class Starting(Guard):
    """A guard whose server starts the second time only; it notes at which port."""

    def __init__(self, base: Path, port: int) -> None:
        super().__init__({"base": str(base), "postgres": "", "options": {}, "account": None})
        self.port = port
        self.tried: list[int] = []

    def start(self) -> bool:
        self.tried.append(self.port)
        self.stopping = len(self.tried) == 2
        return self.stopping

    def announce(self) -> None:
        """Nobody asks."""

    def watch(self, users: int) -> None:
        """It has died already."""


@pytest.mark.parametrize("taken", [False, True])
def test_a_server_comes_back_at_its_port_unless_somebody_took_it(tmp_path: Path, taken: bool) -> None:
    (tmp_path / "data").mkdir()
    with socket.socket() as other, (tmp_path / "users").open("a") as user:
        fcntl.flock(user, fcntl.LOCK_SH)
        if taken:
            other.bind(("127.0.0.1", 0))
            other.listen()
        port = other.getsockname()[1] if taken else free_port()
        assert is_free(port) is not taken
        guard = Starting(tmp_path, port)
        guard.run()
    assert guard.tried == [port, 0 if taken else port]
