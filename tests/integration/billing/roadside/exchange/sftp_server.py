"""A charger's SFTP server: a real one, on loopback, in a thread of its own, that can be told to fail."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

USER, PASSWORD = "brikke", "hemmelig"


@dataclass
class Faults:
    """What the server does wrong. ``drop_after``: bytes read or written after which the connection is cut."""

    drop_read_after: int | None = None
    drop_write_after: int | None = None
    disk_full: bool = False
    slow: bool = False
    refuse_rename: bool = False
    refuse_remove: bool = False
    no_posix_rename: bool = False
    short: bool = False
    """It lists more bytes than it gives."""


@dataclass
class Charger:
    """The server: its folder, port and fingerprint, the keys it lets in, its faults, and how often it did what."""

    root: Path
    faults: Faults = field(default_factory=Faults)
    calls: Counter[str] = field(default_factory=Counter)
    port: int = 0
    host_key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))
    let_in: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))
    _loop: asyncio.AbstractEventLoop | None = None
    _thread: threading.Thread | None = None
    _server: Any = None

    @property
    def fingerprint(self) -> str:
        return self.host_key.get_fingerprint("sha256")

    @property
    def inbox(self) -> Path:
        """Where the charger puts its files for us."""
        return self.root / "to-brikke"

    @property
    def outbox(self) -> Path:
        """Where ours arrive."""
        return self.root / "from-brikke"

    def start(self) -> None:
        for folder in (self.inbox, self.outbox, self.root / "done"):
            folder.mkdir(parents=True, exist_ok=True)
        ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(20)

    def stop(self) -> None:
        assert self._loop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()

    def _run(self, ready: threading.Event) -> None:
        assert self._loop is not None
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(
            asyncssh.listen(
                "127.0.0.1",
                self.port,
                server_host_keys=[self.host_key],
                server_factory=lambda: _Login(self),
                sftp_factory=lambda channel: _Files(channel, self),
                reuse_address=True,
            )
        )
        self.port = self._server.sockets[0].getsockname()[1]
        ready.set()
        self._loop.run_forever()
        self._server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


class _Login(asyncssh.SSHServer):
    def __init__(self, charger: Charger) -> None:
        self._charger = charger

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, PASSWORD)

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == USER and key == self._charger.let_in.convert_to_public()


class _Files(asyncssh.SFTPServer):
    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], charger: Charger) -> None:
        super().__init__(channel, chroot=bytes(charger.root))
        self._charger, self._bytes = charger, 0

    def _count(self, what: str) -> None:
        self._charger.calls[what] += 1

    def _cut(self, after: int | None, more: int) -> None:
        self._bytes += more
        if after is not None and self._bytes > after:
            self.channel.get_connection().abort()

    async def read(self, file_obj: Any, offset: int, size: int) -> bytes:
        self._count("read")
        if self._charger.faults.slow:
            await asyncio.sleep(60)
        data: bytes = super().read(file_obj, offset, size)  # type: ignore[assignment]  # it is bytes, not awaited
        self._cut(self._charger.faults.drop_read_after, len(data))
        return data[: len(data) // 2] if self._charger.faults.short and offset == 0 else data

    async def write(self, file_obj: Any, offset: int, data: bytes) -> int:
        self._count("write")
        if self._charger.faults.slow:
            await asyncio.sleep(60)
        if self._charger.faults.disk_full:
            raise asyncssh.SFTPFailure("No space left on device")
        self._cut(self._charger.faults.drop_write_after, len(data))
        written: int = super().write(file_obj, offset, data)  # type: ignore[assignment]  # as above
        return written

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        self._count("rename")
        self._may_rename()
        super().rename(oldpath, newpath)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        self._count("posix_rename")
        if self._charger.faults.no_posix_rename:
            raise asyncssh.SFTPOpUnsupported("no such extension")
        self._may_rename()
        super().posix_rename(oldpath, newpath)

    def _may_rename(self) -> None:
        if self._charger.faults.refuse_rename:
            raise asyncssh.SFTPPermissionDenied("renaming is not allowed")

    def remove(self, path: bytes) -> None:
        self._count("remove")
        if self._charger.faults.refuse_remove:
            raise asyncssh.SFTPPermissionDenied("removing is not allowed")
        super().remove(path)
