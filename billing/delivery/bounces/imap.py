"""A mailbox on an IMAP server, read over TLS by the standard library: opened read-only, so that no flag changes.

Names are ``<UIDVALIDITY>.<UID>``: a server that numbers anew says so by another UIDVALIDITY, and then everything of the
last weeks is looked at again, which changes nothing (billing.delivery.bounces.read).
"""

from __future__ import annotations

import datetime as dt
import imaplib
import re
import ssl
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from billing.delivery.bounces.boxes import MOST_NAMES, MailboxError
from config.clock import now_utc
from config.targets import Mailbox

T = TypeVar("T")

SINCE = dt.timedelta(days=30)
"""Older mails are not asked for: a server gives up within days, and the answer to a search has a limit."""
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Imap:
    """A mailbox on a server, signed in to. Raises MailboxError, as all it does."""

    def __init__(self, target: Mailbox, timeout: float, context: ssl.SSLContext | None = None) -> None:
        self.target = target
        self.key = f"{target.username}@{target.host}/{target.mailbox}"
        self.era = ""
        self._server: imaplib.IMAP4
        try:
            if target.tls:
                context = context or ssl.create_default_context()
                self._server = imaplib.IMAP4_SSL(target.host, target.port, ssl_context=context, timeout=timeout)
            else:
                self._server = imaplib.IMAP4(target.host, target.port, timeout=timeout)
        except (OSError, imaplib.IMAP4.error) as error:
            raise MailboxError(f"the mail server cannot be used: {type(error).__name__}") from None
        try:
            self._enter()
        except BaseException:
            self.close()
            raise

    def _enter(self) -> None:
        try:
            self._server.login(self.target.username, self.target.password)
        except imaplib.IMAP4.abort:
            raise MailboxError("the mail server hung up") from None
        except imaplib.IMAP4.error:  # what it says may quote what we sent
            raise MailboxError("the mail server refused our user name or password") from None
        except OSError as error:
            raise MailboxError(f"the mail server cannot be used: {type(error).__name__}") from None
        self._do("open the mailbox", lambda: self._server.select(f'"{self.target.mailbox}"', readonly=True))
        said = self._server.response("UIDVALIDITY")[1]
        validity = said[-1] if said else None
        if not isinstance(validity, bytes) or not validity.isdigit():
            raise MailboxError("the mail server does not say how it numbers mails")
        self.era = f"{int(validity):010d}."

    def names(self, after: str | None) -> Sequence[str]:
        """Return the mails of the last weeks that come after one."""
        last = int(after.rpartition(".")[2]) if after and after.startswith(self.era) else 0
        day = now_utc() - SINCE
        since = f"{day.day:02d}-{_MONTHS[day.month - 1]}-{day.year}"
        found = self._do("search", lambda: self._server.uid("SEARCH", f"UID {last + 1}:*", "SINCE", since))
        uids = sorted({int(uid) for line in found if isinstance(line, bytes) for uid in line.split() if uid.isdigit()})
        # "n:*" always names the last mail, also when that is an older one.
        return [f"{self.era}{uid:010d}" for uid in uids if uid > last][:MOST_NAMES]

    def beginning(self, name: str, size: int) -> bytes | None:
        """Return the first bytes of a mail, without its becoming seen."""
        uid = str(int(name.rpartition(".")[2]))
        found = self._do("fetch", lambda: self._server.uid("FETCH", uid, f"(BODY.PEEK[]<0.{size}>)"))
        for item in found:
            if isinstance(item, tuple) and len(item) == 2 and re.search(rb"BODY\[\]", item[0], re.IGNORECASE):
                return bytes(item[1][:size])
        return None

    def close(self) -> None:
        """Say goodbye, if there is anybody."""
        try:
            self._server.logout()
        except (OSError, imaplib.IMAP4.error):
            self._server.shutdown()

    def _do(self, what: str, call: Callable[[], tuple[str, list[Any]]]) -> list[Any]:
        try:
            answer, data = call()
        except (OSError, imaplib.IMAP4.error) as error:
            raise MailboxError(f"{what}: {type(error).__name__}") from None
        if answer != "OK":
            raise MailboxError(f"{what}: the mail server said {answer}")
        return data
