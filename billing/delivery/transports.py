"""Where mail goes: an SMTP server, or a folder of ``.eml`` files.

A transport says how a mail ended by returning (it was accepted) or by raising one of four errors. What decides is
whether the server can have taken it: until the text is handed over nothing has happened, and it may be tried again;
once that has begun and no answer comes, it may have arrived.
"""

from __future__ import annotations

import os
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import BytesHeaderParser
from email.policy import default
from pathlib import Path
from typing import Protocol

from billing.delivery.mail import envelope
from config.settings import Settings
from config.values import MailTarget

LONGEST_ERROR = 300


class SendError(Exception):
    """A mail was not (surely) accepted."""


class RefusedError(SendError):
    """The server will never take this mail: trying again is of no use."""


class LaterError(SendError):
    """This mail was not taken now; the next one may be."""


class UnreachableError(SendError):
    """No mail can be sent now: no server, no sign-in, our sender refused, no folder. Nothing was handed over."""


class NoAnswerError(SendError):
    """It was handed over and no answer came: it may have arrived."""


class Transport(Protocol):
    """A way to send mail. Not to be shared between threads."""

    def send(self, delivery_id: int, recipient: str, mail: bytes) -> None:
        """Send a mail; returns when it is accepted. Raises SendError, BadAddressError."""

    def found(self, delivery_id: int, rfc_message_id: str) -> bool | None:
        """Return whether an earlier attempt arrived; None when that cannot be known."""

    def close(self) -> None:
        """Let go of the connection."""


class Folder:
    """Mail as files: whole or not there, named by the delivery, so that a repeat takes the first one's place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def send(self, delivery_id: int, recipient: str, mail: bytes) -> None:
        """Write the mail. Raises UnreachableError when the folder cannot be written, BadAddressError."""
        envelope(recipient)
        path = self.folder / file_name(delivery_id)
        temporary = self.folder / f".{path.name}.{os.getpid()}"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(mail)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            raise UnreachableError(f"the mailbox folder cannot be written: {error.strerror}") from None

    def found(self, delivery_id: int, rfc_message_id: str) -> bool | None:
        """Return whether the file is there and is this delivery's: a folder may outlive its database."""
        try:
            with (self.folder / file_name(delivery_id)).open("rb") as file:
                head = BytesHeaderParser(policy=default).parse(file)
        except FileNotFoundError:
            return False
        except OSError:
            return None
        return str(head["Message-ID"]).strip() == rfc_message_id

    def close(self) -> None:
        """There is nothing to let go of."""


def file_name(delivery_id: int) -> str:
    """Return the name of a delivery's file in the folder: names sort by delivery."""
    return f"{delivery_id:012d}.eml"


class Smtp:
    """Mail through an SMTP server, over one connection while it lasts."""

    def __init__(self, target: MailTarget, sender: str, timeout_seconds: float, context: ssl.SSLContext) -> None:
        self.target = target
        self.sender = envelope(sender)
        self.timeout_seconds = timeout_seconds
        self.context = context
        self._open: smtplib.SMTP | None = None

    def send(self, delivery_id: int, recipient: str, mail: bytes) -> None:
        """Send the mail. Raises SendError, BadAddressError."""
        to = envelope(recipient)
        server = self._ready()
        with self._before():
            code, answer = server.mail(self.sender)
            if code != 250:
                raise UnreachableError(_said("the server does not take our sender", code, answer))
            code, answer = server.rcpt(to)
            if code not in (250, 251):
                raise _refusal(code, answer)
            code, answer = server.docmd("DATA")
            if code != 354:
                raise _refusal(code, answer)
        try:
            server.send(_stuffed(mail))
            code, answer = server.getreply()
        except OSError as error:
            self._drop()
            raise NoAnswerError(f"the connection broke after the mail was handed over: {_brief(error)}") from None
        if code != 250:
            if code in (421, -1):
                self._drop()
            if code == -1:
                raise NoAnswerError("the answer after the mail was handed over made no sense")
            raise _refusal(code, answer)

    def found(self, delivery_id: int, rfc_message_id: str) -> bool | None:
        """A server does not tell."""
        return None

    def close(self) -> None:
        """Say goodbye, if there is anybody."""
        if self._open is not None:
            try:
                self._open.quit()
            except OSError:
                self._open.close()
            self._open = None

    def _ready(self) -> smtplib.SMTP:
        """Return a connection that is up and between mails. Raises UnreachableError."""
        if self._open is not None:
            try:
                if self._open.rset()[0] == 250:
                    return self._open
            except OSError:
                pass
            self._drop()
        target = self.target
        try:
            if target.security == "tls":
                self._open = smtplib.SMTP_SSL(
                    target.host, target.port, timeout=self.timeout_seconds, context=self.context
                )
            else:
                self._open = smtplib.SMTP(target.host, target.port, timeout=self.timeout_seconds)
            if target.security == "starttls":
                self._open.starttls(context=self.context)
            self._open.ehlo_or_helo_if_needed()
            if target.username:
                self._open.login(target.username, target.password)
        except OSError as error:
            self._drop()
            raise UnreachableError(f"the mail server cannot be used: {_brief(error)}") from None
        return self._open

    @contextmanager
    def _before(self) -> Iterator[None]:
        """What breaks in here broke before anything was handed over. The connection stays for a plain refusal."""
        try:
            yield
        except UnreachableError:
            self._drop()
            raise
        except OSError as error:  # smtplib's own are among them
            self._drop()
            raise LaterError(f"the connection broke before the mail was handed over: {_brief(error)}") from None

    def _drop(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


def transport_of(settings: Settings) -> Transport:
    """Return the transport that MAIL_URL names. It connects when the first mail is sent."""
    if settings.mail_url.folder is not None:
        return Folder(settings.mail_url.folder)
    return Smtp(settings.mail_url, settings.mail_from, settings.http_timeout_seconds, ssl.create_default_context())


def _refusal(code: int, answer: bytes) -> SendError:
    """Return what a server's code means for this mail: 5xx never, anything else not now."""
    said = _said("the server refused it", code, answer)
    return RefusedError(said) if 500 <= code <= 599 else LaterError(said)


def _said(what: str, code: int, answer: bytes) -> str:
    return f"{what}: {code} {answer.decode('utf-8', 'replace')}".replace("\n", " ")[:LONGEST_ERROR]


def _brief(error: Exception) -> str:
    """Return an error in short; a refused sign-in without what the server quotes of it."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"it refused our user name or password ({error.smtp_code})"
    return f"{type(error).__name__}: {error}"[:LONGEST_ERROR]


def _stuffed(mail: bytes) -> bytes:
    """Return the text as it goes over the wire: CRLF lines, leading dots doubled, a dot on its own at the end."""
    lines = mail.replace(b"\r\n", b"\n").replace(b"\r", b"\n").removesuffix(b"\n").split(b"\n")
    return b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines) + b"\r\n.\r\n"
