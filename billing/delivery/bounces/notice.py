"""What a mail in our mailbox says about a mail of ours: notices by RFC 3464 and 6533, and those of servers that write
only prose. Pure functions on bytes that anybody may have written.

A mail of ours is known by its Message-ID among the headers of what was returned; one that merely answers it (its
``In-Reply-To``, an absence notice) is none. ``Action: failed`` is final whatever the status: the server has given up,
also after 4.4.7.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser, HeaderParser
from email.policy import compat32
from typing import Literal

MAX_BYTES = 256 * 1024
"""So much of a mail is read; what was returned may hold a whole PDF, and its headers come before."""
MOST_PARTS = 50
MOST_BOUNDARIES = 20
LONGEST_TEXT = 20_000
LONGEST_LINE = 300

Verdict = Literal["permanent", "temporary", "delivered", "unclear"]
_WORST: tuple[Verdict, ...] = ("permanent", "unclear", "temporary", "delivered")
_ACTIONS: dict[str, Verdict] = {
    "failed": "permanent", "delayed": "temporary", "delivered": "delivered", "relayed": "delivered",
    "expanded": "delivered",
}  # fmt: skip
_CLASSES: dict[str, Verdict] = {"5": "permanent", "4": "temporary", "2": "delivered"}

_MESSAGE_ID = re.compile(r"<[!-;=?-~]{3,250}>")
_IN_PROSE = re.compile(r"^Message-ID:\s{0,5}(<[!-;=?-~]{3,250}>)", re.IGNORECASE | re.MULTILINE)
_STATUS = re.compile(r"\b([245])\.\d{1,3}\.\d{1,3}\b")
_ADDRESS = re.compile(r"[!-;=?-~]{1,64}@[A-Za-z0-9.-]{1,253}")
_MACHINE = re.compile(r"^(mailer-daemon|postmaster|mail-daemon|mdaemon|maildaemon|noreply-mailer)\b", re.IGNORECASE)
_DELAYED = re.compile(
    r"has been delayed|delivery delayed|warning: message|will (keep trying|be retried|retry)|still trying|not yet been "
    r"delivered|no action is required",
    re.IGNORECASE,
)
_FINAL = re.compile(r"\b5\.\d{1,3}\.\d{1,3}\b|\b55[0-9][ -]|permanent(ly)? (error|fail)|I've given up", re.IGNORECASE)


class UnreadableError(ValueError):
    """It is more than a reader should be given: too deep, too many parts, or not a mail."""


@dataclass(frozen=True)
class Notice:
    """What is said of a mail of ours: ``returned`` its Message-IDs (one, or what may be it), ``status`` such as 5.1.1,
    ``recipient`` the address in lower case. The texts are one printable line each."""

    returned: tuple[str, ...]
    verdict: Verdict
    status: str | None
    recipient: str | None
    diagnostic: str | None


@dataclass(frozen=True)
class Mail:
    """A mail: its own Message-ID, and what it says of one of ours, if it does."""

    own_id: str | None
    notice: Notice | None


def read(content: bytes) -> Mail:
    """Return what a mail says. Looks at the first MAX_BYTES. Raises UnreadableError, and nothing else."""
    content = content[:MAX_BYTES]
    if content.lower().count(b"boundary") > MOST_BOUNDARIES or content.lower().count(b"message/rfc822") > MOST_PARTS:
        raise UnreadableError("it is nested too deep")
    try:
        mail = BytesParser(policy=compat32).parsebytes(content)
        own = _MESSAGE_ID.search(_header(mail, "Message-ID"))
        return Mail(own[0] if own else None, _notice(mail))
    except UnreadableError:
        raise
    except Exception as error:  # the parser is not ours, and neither is what it is given
        raise UnreadableError(f"it cannot be read: {type(error).__name__}") from error


def _notice(mail: Message) -> Notice | None:
    parts = _parts(mail)
    returned = tuple(dict.fromkeys(found for part in parts for found in _returned(part)))
    groups = [group for part in parts for group in _groups(part)]
    if groups:
        return _reported(groups, returned)
    if not _by_machine(mail):
        return None
    prose = "\n".join(_text(part) for part in parts if part.get_content_type() == "text/plain")[:LONGEST_TEXT]
    returned = returned or tuple(dict.fromkeys(_IN_PROSE.findall(prose)))
    if not returned:
        return None
    # What was returned stands below the words of the server: only these say what happened.
    words = _IN_PROSE.split(prose, maxsplit=1)[0]
    status = _STATUS.search(words)
    verdict: Verdict = "unclear"
    if _DELAYED.search(words):
        verdict = "temporary"
    elif _FINAL.search(words):
        verdict = "permanent"
    lines = [line for line in words.splitlines() if _STATUS.search(line) or _FINAL.search(line)]
    said = next((line for line in lines if _STATUS.search(line)), lines[0] if lines else None)
    return Notice(returned, verdict, status[0] if status else None, None, _line(said))


def _reported(groups: Sequence[Message], returned: tuple[str, ...]) -> Notice | None:
    """Return what the fields per recipient say: the worst, should there be several (our mails have one)."""
    found = []
    for group in groups:
        status = _STATUS.search(_header(group, "Status"))
        action = _header(group, "Action").strip().lower()
        verdict: Verdict = _ACTIONS.get(action) or (_CLASSES[status[1]] if status else "unclear")
        address = _ADDRESS.search(_header(group, "Final-Recipient") or _header(group, "Original-Recipient"))
        said = _line(_header(group, "Diagnostic-Code"))
        found.append(
            Notice(returned, verdict, status[0] if status else None, address[0].lower() if address else None, said)
        )
    return min(found, key=lambda one: _WORST.index(one.verdict)) if returned else None


def _parts(mail: Message) -> list[Message]:
    """Return the parts of a mail in order, without going into mails in it."""
    found: list[Message] = []
    waiting = [mail]
    while waiting:
        part = waiting.pop()
        found.append(part)
        if len(found) > MOST_PARTS:
            raise UnreadableError("it has too many parts")
        if part.get_content_maintype() == "multipart" and part.is_multipart():
            waiting += reversed(_inner(part))
    return found


def _inner(part: Message) -> list[Message]:
    payload = part.get_payload()
    return [one for one in payload if isinstance(one, Message)] if isinstance(payload, list) else []


def _groups(part: Message) -> Iterator[Message]:
    """Yield the fields of each recipient of a report."""
    kind = part.get_content_type()
    if kind == "message/delivery-status":
        blocks = _inner(part)
    elif kind in ("message/global-delivery-status", "text/delivery-status"):
        inner = _inner(part)
        rest = _text(inner[0]) if inner else _text(part)
        blocks = inner + [HeaderParser(policy=compat32).parsestr(block) for block in rest.split("\n\n")[:MOST_PARTS]]
    else:
        return
    for block in blocks[:MOST_PARTS]:
        if any(_header(block, name) for name in ("Action", "Final-Recipient", "Status")):
            yield block


def _returned(part: Message) -> Iterator[str]:
    """Yield the Message-IDs of a mail, or its headers, that a part holds."""
    kind = part.get_content_type()
    if kind in ("message/rfc822", "message/global"):
        heads = _inner(part)[:1]
    elif kind in ("text/rfc822-headers", "message/global-headers", "message/rfc822-headers"):
        heads = _inner(part)[:1] or [HeaderParser(policy=compat32).parsestr(_text(part))]
    else:
        return
    for head in heads:
        yield from _MESSAGE_ID.findall(_header(head, "Message-ID"))[:1]


def _by_machine(mail: Message) -> bool:
    """Say whether a mail server wrote a mail, not a person or an absence notice."""
    if _header(mail, "Auto-Submitted").strip().lower().startswith("auto-replied") and not _header(
        mail, "X-Failed-Recipients"
    ):
        return False
    sender = _ADDRESS.search(_header(mail, "From"))
    return (
        _header(mail, "Return-Path").strip() == "<>"
        or bool(sender and _MACHINE.match(sender[0]))
        or bool(_header(mail, "X-Failed-Recipients"))
        or bool(re.match(r"\s*mailer-daemon", _header(mail, "From"), re.IGNORECASE))
    )


def _header(part: Message, name: str) -> str:
    """Return a header, unfolded and in short; empty where there is none."""
    value = part.get(name)
    return " ".join(str(value).split())[:2000] if value is not None else ""


def _text(part: Message) -> str:
    """Return a part's text; whatever its charset is said to be, or cannot be read, becomes something."""
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        return ""
    return content[: LONGEST_TEXT * 4].decode("utf-8", "replace").replace("\r\n", "\n")


def _line(text: str | None) -> str | None:
    """Return text as one printable line that a column can hold."""
    shown = "".join(char if char.isprintable() else " " for char in (text or ""))
    return " ".join(shown.split())[:LONGEST_LINE] or None
