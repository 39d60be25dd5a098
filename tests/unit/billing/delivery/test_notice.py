"""What notices of mail servers mean, as such servers write them; and that nothing anybody writes breaks the reader."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from billing.delivery.bounces.notice import MAX_BYTES, Notice, UnreadableError, read

OURS = "<17.20260201060000000000@brikke.example>"
RETURNED = f"From: Brikke <faktura@brikke.example>\nTo: Kari <kari@example.no>\nMessage-ID: {OURS}\nSubject: x\n\nhei\n"


def report(fields: str, *, returned: str = RETURNED, kind: str = "message/rfc822", head: str = "") -> bytes:
    """Return a notice as RFC 3464 has it."""
    return (
        f"From: MAILER-DAEMON@mx.example.net (Mail Delivery System)\nMessage-ID: <abc@mx.example.net>\n{head}"
        'MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary="=_cut"\n\n'
        "--=_cut\nContent-Type: text/plain\n\nI'm sorry to have to inform you\n\n"
        f"--=_cut\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.net\n\n{fields}\n"
        f"--=_cut\nContent-Type: {kind}\n\n{returned}\n--=_cut--\n"
    ).encode()


def fields(status: str = "5.1.1", action: str = "failed") -> str:
    return (
        f"Final-Recipient: rfc822; Kari@example.no\nAction: {action}\nStatus: {status}\n"
        "Diagnostic-Code: smtp; 550 5.1.1 <kari@example.no>: no such user\n  in table\n"
    )


def prose(words: str, *, sender: str = "MAILER-DAEMON@mx.example.net", head: str = "", body: str = "") -> bytes:
    body = body or f"--- Below this line is a copy of the message.\n\nReturn-Path: <x@y>\n{RETURNED}"
    return f"From: {sender}\nSubject: failure notice\n{head}\n{words}\n\n{body}".encode()


def said(content: bytes) -> Notice:
    notice = read(content).notice
    assert notice is not None
    assert notice.returned == (OURS,)
    return notice


@pytest.mark.parametrize(
    ("status", "action", "verdict"),
    [
        ("5.1.1", "failed", "permanent"),
        ("5.7.26", "FAILED ", "permanent"),
        ("4.4.7", "failed", "permanent"),  # given up after days of tries
        ("4.2.2", "delayed", "temporary"),
        ("5.0.0", "delayed", "temporary"),
        ("2.0.0", "delivered", "delivered"),
        ("2.0.0", "relayed", "delivered"),
        ("5.1.1", "", "permanent"),
        ("4.1.1", "", "temporary"),
        ("", "", "unclear"),
        ("nonsense", "exploded", "unclear"),
    ],
)
def test_what_a_report_means(status: str, action: str, verdict: str) -> None:
    assert said(report(fields(status, action))).verdict == verdict


def test_a_report_says_who_and_why_in_one_line() -> None:
    mail = read(report(fields()))
    assert mail.own_id == "<abc@mx.example.net>"
    assert mail.notice == Notice(
        (OURS,), "permanent", "5.1.1", "kari@example.no",
        "smtp; 550 5.1.1 <kari@example.no>: no such user in table",
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["text/rfc822-headers", "message/rfc822", "message/global-headers", "message/global"])
def test_what_was_returned_is_known_by_its_headers(kind: str) -> None:
    assert said(report(fields(), kind=kind)).verdict == "permanent"


def test_a_report_in_utf8() -> None:
    content = report("Final-Recipient: utf-8; kari@example.no\nAction: failed\nStatus: 5.1.1\n")
    assert said(content.replace(b"message/delivery-status", b"message/global-delivery-status")).verdict == "permanent"


def test_of_several_recipients_the_worst_counts() -> None:
    both = fields("2.0.0", "relayed") + "\n" + fields("5.2.2", "failed")
    assert said(report(both)).verdict == "permanent"


@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        ("Hi. This is the qmail-send program.\nRemote host said: 550 5.1.1 no such user", "permanent"),
        ("I'm afraid I wasn't able to deliver your message.\nThis is a permanent error; I've given up.", "permanent"),
        ("A message that you sent could not be delivered:\n  kari@example.no\n    550 Unrouteable", "permanent"),
        ("Warning: message 1abc has been delayed. Delivery will be retried. 451 4.7.1 greylisted", "temporary"),
        ("Something happened to this.", "unclear"),
        ("The invoice of kr 550,00", "unclear"),
    ],
)
def test_what_prose_means(words: str, verdict: str) -> None:
    assert said(prose(words)).verdict == verdict


def test_words_of_the_returned_mail_do_not_count() -> None:
    body = f"{RETURNED}\n550 5.1.1 this stood in our own mail"
    assert said(prose("Here is your mail.", body=body)).verdict == "unclear"


@pytest.mark.parametrize(
    "content",
    [
        f"From: Kari <kari@example.no>\nIn-Reply-To: {OURS}\nReferences: {OURS}\n\nTakk! 550 kr\n".encode(),
        f"From: Kari <kari@example.no>\nAuto-Submitted: auto-replied\nIn-Reply-To: {OURS}\n\nPå ferie\n".encode(),
        prose("550 5.1.1 no", sender="kari@example.no"),  # a person quotes: only machines are believed
        prose("550 5.1.1 no", sender="noreply@example.no", head="Auto-Submitted: auto-replied\n"),
        prose("550 5.1.1 no", body="nothing was returned"),
        report(fields(), returned="Subject: of somebody else\n\nhei\n"),
        b"",
        b"\0\0\0",
    ],
)
def test_what_is_no_notice_about_a_mail(content: bytes) -> None:
    assert read(content).notice is None


def nested(depth: int) -> bytes:
    head = "".join(f'Content-Type: multipart/mixed; boundary="b{n}"\n\n--b{n}\n' for n in range(depth))
    return b"From: MAILER-DAEMON@x.example\n" + head.encode() + RETURNED.encode()


@pytest.mark.parametrize(
    "content",
    [
        nested(5_000),
        nested(21),
        b"From: x\n" + b"Content-Type: message/rfc822\n\n" * 3_000,
        b'Content-Type: multipart/mixed; boundary="x"\n\n' + b"--x\n\nhei\n" * 200,
    ],
)
def test_what_is_too_deep_or_has_too_many_parts_is_not_read(content: bytes) -> None:
    with pytest.raises(UnreadableError):
        read(content)


@pytest.mark.parametrize(
    "mail",
    [
        report(fields()).replace(b"text/plain", b"text/plain; charset=no-such-charset"),
        report(fields()).replace(b"text/plain", b"text/plain; charset=\xff\xfe"),
        report(fields()).replace(b"no such user", b"no such \xe6\xf8\xe5 \0\x1b[31m user"),
        report(fields(), returned=RETURNED + "x" * 2 * MAX_BYTES),
        report(fields())[:-15],
        report(fields(), head="X-Long: " + "y" * 100_000 + "\n"),
    ],
)
def test_wrong_charsets_and_cut_mails_are_read_all_the_same(mail: bytes) -> None:
    notice = said(mail)
    assert notice.verdict == "permanent"
    assert (notice.diagnostic or "").isprintable()
    assert len(notice.diagnostic or "") <= 300


@settings(max_examples=150, deadline=None)
@example(b"Content-Type: message/delivery-status\n\n\n\n: \n")
@given(
    st.one_of(
        st.binary(max_size=400),
        st.lists(st.sampled_from([report(fields())[n : n + 60] for n in range(0, 1200, 60)]), max_size=30).map(
            b"".join
        ),
    )
)
def test_nothing_but_unreadable_is_ever_raised(content: bytes) -> None:
    with contextlib.suppress(UnreadableError):
        read(content)
