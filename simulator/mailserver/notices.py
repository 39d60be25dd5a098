"""Notices of what came back, put into a Maildir as a mail server does: whole, under a name of its own."""

from __future__ import annotations

import itertools
import os
import time
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

US = "mx.example.net"
_numbers = itertools.count(1)


def notice(mail: bytes, sender: str, recipient: str, *, status: str, form: str) -> bytes:
    """Return the notice about a mail from ``sender`` that did not reach ``recipient`` (yet: a status of 4.x.x)."""
    late = status.startswith("4")
    words = (
        f"This is the mail system at host {US}.\r\n\r\n"
        + (
            "Your message has been delayed. No action is required.\r\n"
            if late
            else "Your message could not be delivered. This is a permanent error.\r\n"
        )
        + f"\r\n<{recipient}>: {'451' if late else '550'} {status} as told\r\n"
    )
    head = mail.partition(b"\r\n\r\n")[0] + b"\r\n"
    subject = "Delayed Mail (still being retried)" if late else "Undelivered Mail Returned to Sender"
    number = next(_numbers)
    lines = [
        "Return-Path: <>",
        f"From: MAILER-DAEMON@{US} (Mail Delivery System)",
        f"To: {sender}",
        f"Subject: {subject}",
        f"Message-ID: <{time.time_ns()}.{number}@{US}>",
        "Auto-Submitted: auto-replied" if form != "prose" else "X-Loop: no",
        "MIME-Version: 1.0",
    ]
    if form == "prose":
        text = f"{words}\r\n--- Below this line is a copy of the message.\r\n\r\n"
        return "\r\n".join([*lines, "Content-Type: text/plain", "", text]).encode() + head
    cut = f"cut-{number}-{time.time_ns()}"
    report = (
        f"Reporting-MTA: dns; {US}\r\n\r\nFinal-Recipient: rfc822; {recipient}\r\n"
        f"Action: {'delayed' if late else 'failed'}\r\nStatus: {status}\r\n"
        f"Diagnostic-Code: smtp; {'451' if late else '550'} {status} as told\r\n"
    )
    kind, returned = ("text/rfc822-headers", head) if form == "headers" else ("message/rfc822", mail)
    lines += [f'Content-Type: multipart/report; report-type=delivery-status; boundary="{cut}"', "", ""]
    parts = (("text/plain", words.encode()), ("message/delivery-status", report.encode()), (kind, returned))
    body = b"".join(f"--{cut}\r\nContent-Type: {of}\r\n\r\n".encode() + held + b"\r\n" for of, held in parts)
    return "\r\n".join(lines).encode() + body + f"--{cut}--\r\n".encode()


def put(maildir: Path, mail: bytes) -> Path:
    """Put a mail into a Maildir."""
    for name in ("tmp", "new", "cur"):
        (maildir / name).mkdir(parents=True, exist_ok=True)
    name = f"{time.time_ns()}.{os.getpid()}_{next(_numbers)}.{US}"
    beside = maildir / "tmp" / name
    beside.write_bytes(mail)
    return beside.rename(maildir / "new" / name)


def letter(sender: str, recipient: str, subject: str, words: str) -> bytes:
    """Return a mail that a person wrote: what lies in a mailbox beside notices."""
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = sender, recipient, subject
    mail["Message-ID"] = f"<{time.time_ns()}.{next(_numbers)}@example.no>"
    mail.set_content(words)
    return mail.as_bytes()
