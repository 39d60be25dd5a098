"""The mailbox folder: what has been sent, as a person would find it in their e-mail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from email import policy
from email.parser import BytesHeaderParser
from pathlib import Path

TEMPLATE = "X-Brikke-Template"
_PARSER = BytesHeaderParser(policy=policy.default)


@dataclass(frozen=True)
class Mail:
    """The head of one e-mail: to whom, what about, made from which template."""

    to: str
    subject: str
    template: str


def mails(folder: Path) -> Iterator[Mail]:
    """Read the heads of all e-mails in a folder, oldest first."""
    for path in sorted(folder.rglob("*.eml")):
        with path.open("rb") as file:
            head = _PARSER.parse(file)
        yield Mail(str(head["To"]), str(head["Subject"]), str(head[TEMPLATE] or head["Subject"]))


def templates(folder: Path, address: str) -> list[str]:
    """Return what was sent to an address, as the names of its templates, oldest first."""
    return [mail.template for mail in mails(folder) if address in mail.to]


def count(folder: Path) -> Counter[str]:
    """Count what was sent, by template."""
    return Counter(mail.template for mail in mails(folder))
