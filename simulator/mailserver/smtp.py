"""SMTP as a server speaks it: EHLO, STARTTLS, MAIL, RCPT, DATA, RSET, NOOP, QUIT, and the faults that were told."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from simulator.mailserver.faults import Fault, Faults

MOST_BYTES = 32 * 1024 * 1024
MOST_RECIPIENTS = 100
PATIENCE = 60.0
_PATH = re.compile(r"(?:FROM|TO):\s*<([^<>\s]*)>", re.IGNORECASE)


@dataclass(frozen=True)
class Kept:
    """A mail that was taken: from and to whom its envelope said."""

    sender: str
    recipient: str
    content: bytes


class Talk:
    """One connection."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        faults: Faults,
        keep: Callable[[Kept, Fault | None], None],
        context: ssl.SSLContext | None,
    ) -> None:
        self.reader, self.writer, self.faults, self.keep, self.context = reader, writer, faults, keep, context
        self.secure = False
        self.sender: str | None = None
        self.recipients: list[str] = []

    async def run(self) -> None:
        """Talk until the other side says QUIT, hangs up, or says nothing for a minute."""
        await self.say("220 mx.example.net ESMTP, a stand-in")
        while True:
            line = await asyncio.wait_for(self.reader.readline(), PATIENCE)
            if not line:
                return
            command, _, rest = line.decode("latin-1").strip().partition(" ")
            if not await self.answer(command.upper(), rest):
                return

    async def say(self, *lines: str) -> None:
        """Send an answer."""
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode("latin-1", "replace"))
        await self.writer.drain()

    async def answer(self, command: str, rest: str) -> bool:
        """Answer one command; say whether to go on."""
        match command:
            case "EHLO" | "HELO":
                offers = ["STARTTLS"] if self.context is not None and not self.secure else []
                offers += [f"SIZE {MOST_BYTES}", "8BITMIME"]
                await self.say("250-mx.example.net", *(f"250-{one}" for one in offers[:-1]), f"250 {offers[-1]}")
            case "STARTTLS":
                await self.start_tls()
            case "MAIL":
                await self.begin(rest)
            case "RCPT":
                await self.to(rest)
            case "DATA":
                return await self.data()
            case "RSET":
                self.sender, self.recipients = None, []
                await self.say("250 2.0.0 Ok")
            case "NOOP":
                await self.say("250 2.0.0 Ok")
            case "QUIT":
                await self.say("221 2.0.0 Bye")
                return False
            case _:
                await self.say("502 5.5.2 not a command here")
        return True

    async def start_tls(self) -> None:
        """Go on in TLS, having forgotten all that was said in the clear."""
        if self.context is None or self.secure:
            await self.say("454 4.7.0 no TLS here")
            return
        await self.say("220 2.0.0 go ahead")
        await self.writer.start_tls(self.context)
        self.secure, self.sender, self.recipients = True, None, []

    async def begin(self, rest: str) -> None:
        """Take who sends."""
        match = _PATH.match(rest)
        if match is None:
            await self.say("501 5.5.4 MAIL FROM:<address>")
            return
        self.sender, self.recipients = match[1], []
        await self.say("250 2.1.0 Ok")

    async def to(self, rest: str) -> None:
        """Take a recipient, refuse it, or put it off."""
        match = _PATH.match(rest)
        if match is None or not match[1] or self.sender is None or len(self.recipients) >= MOST_RECIPIENTS:
            await self.say("503 5.5.1 not now" if match else "501 5.5.4 RCPT TO:<address>")
            return
        fault = self.faults.take("refuse", match[1]) or self.faults.take("defer", match[1])
        if fault is not None:
            await self.say(f"{fault.code} {fault.code // 100}.1.1 {fault.text}")
            return
        self.recipients.append(match[1])
        await self.say("250 2.1.5 Ok")

    async def data(self) -> bool:
        """Take the text; say whether to go on."""
        if self.sender is None or not self.recipients:
            await self.say("503 5.5.1 no recipients")
            return True
        await self.say("354 end with <CRLF>.<CRLF>")
        lines, size = [], 0
        while (line := await asyncio.wait_for(self.reader.readline(), PATIENCE)) != b".\r\n":
            size += len(line)
            if not line or size > MOST_BYTES:
                return False
            lines.append(line.removeprefix(b"."))
        content = b"".join(lines)
        for recipient in self.recipients:
            drop = self.faults.take("drop", recipient)
            if drop is None or drop.kept:
                bounce = self.faults.take("bounce", recipient)
                self.keep(Kept(self.sender, recipient, content), bounce)
            if drop is not None:
                self.writer.transport.abort()
                return False
            if (slow := self.faults.take("slow", recipient)) is not None:
                await asyncio.sleep(slow.seconds)
        self.sender, self.recipients = None, []
        await self.say("250 2.0.0 Ok: kept")
        return True
