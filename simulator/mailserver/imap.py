"""The little of IMAP4rev1 that reads a mailbox: LOGIN, EXAMINE, SELECT, UID SEARCH, UID FETCH of a beginning, LOGOUT.

Mails of a Maildir are numbered in the order in which the server first saw them; `renumber` begins anew, as a mailbox
that was restored from a backup does.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

PATIENCE = 60.0
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_FETCH = re.compile(r"(\d+) \(BODY\.PEEK\[\]<0\.(\d+)>\)", re.IGNORECASE)
_SEARCH = re.compile(r"UID (\d+):\*(?: SINCE \S+)?", re.IGNORECASE)


class Numbered:
    """A Maildir whose mails have numbers."""

    def __init__(self, maildir: Path) -> None:
        self.maildir = maildir
        self.validity = 1
        self._uids: dict[str, int] = {}

    def renumber(self) -> None:
        """Number all mails anew, under another UIDVALIDITY."""
        self.validity += 1
        self._uids.clear()

    def mails(self) -> dict[int, Path]:
        """Return the mails by number."""
        found = sorted(path for name in ("new", "cur") for path in (self.maildir / name).glob("*"))
        for path in found:
            self._uids.setdefault(path.name.partition(":")[0], len(self._uids) + 1)
        return {self._uids[path.name.partition(":")[0]]: path for path in found}


class Imap:
    """One connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, box: Numbered, user: str, password: str
    ) -> None:
        self.reader, self.writer, self.box = reader, writer, box
        self.who = (user, password)
        self.signed_in = self.selected = False

    async def run(self) -> None:
        """Talk until LOGOUT, or the other side hangs up."""
        self.say(b"* OK a stand-in")
        while line := await asyncio.wait_for(self.reader.readline(), PATIENCE):
            tag, _, rest = line.decode("latin-1").strip().partition(" ")
            command, _, rest = rest.partition(" ")
            self.say(f"{tag} ".encode() + self.answer(command.upper(), rest))
            await self.writer.drain()
            if command.upper() == "LOGOUT":
                return

    def say(self, line: bytes) -> None:
        """Send a line."""
        self.writer.write(line + b"\r\n")

    def answer(self, command: str, rest: str) -> bytes:
        """Do a command; return how it ended."""
        if command == "CAPABILITY":
            self.say(b"* CAPABILITY IMAP4rev1")
        elif command == "LOGIN":
            words = tuple(quoted.replace("\\", "") or plain for quoted, plain in _WORD.findall(rest))
            if words != self.who:
                return b"NO [AUTHENTICATIONFAILED] no such user"
            self.signed_in = True
        elif command == "LOGOUT":
            self.say(b"* BYE")
        elif not self.signed_in:
            return b"BAD sign in first"
        elif command in ("SELECT", "EXAMINE"):
            if rest.strip('"').upper() != "INBOX":
                return b"NO there is no such mailbox"
            self.selected = True
            self.say(f"* {len(self.box.mails())} EXISTS".encode())
            self.say(f"* OK [UIDVALIDITY {self.box.validity}] of this numbering".encode())
        elif command == "UID" and self.selected:
            return self._uid(rest)
        else:
            return b"BAD not a command here"
        return b"OK done"

    def _uid(self, rest: str) -> bytes:
        command, _, what = rest.partition(" ")
        mails = self.box.mails()
        if command.upper() == "SEARCH" and (search := _SEARCH.fullmatch(what)):
            newest = max(mails, default=0)
            # "n:*" names the newest mail also when that comes before n (RFC 3501, 6.4.8).
            found = [uid for uid in sorted(mails) if uid >= min(int(search[1]), newest)]
            self.say(" ".join(["* SEARCH", *map(str, found)]).encode())
            return b"OK done"
        if command.upper() == "FETCH" and (fetch := _FETCH.fullmatch(what)):
            path = mails.get(int(fetch[1]))
            if path is not None:
                content = path.read_bytes()[: int(fetch[2])]
                self.say(f"* 1 FETCH (UID {fetch[1]} BODY[]<0> {{{len(content)}}}".encode() + b"\r\n" + content + b")")
            return b"OK done"
        return b"BAD not understood"
