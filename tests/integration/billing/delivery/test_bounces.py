"""Mail that comes back, through a mail server that takes, refuses, puts off and returns: the next channel follows."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy.orm import Session

from billing.delivery.again import send_again
from billing.delivery.bounces import read as bounces
from billing.delivery.bounces.boxes import MailboxError, Maildir
from billing.delivery.bounces.imap import Imap
from billing.delivery.bounces.read import job, read_box, take
from billing.delivery.transports import Smtp
from config.clock import now_utc
from config.jobs import JobContext
from config.targets import Mailbox, mailbox
from simulator.mailserver import MailServer
from simulator.mailserver.notices import letter, put
from simulator.mailserver.server import PASSWORD, USER
from tests.integration.billing.delivery.conftest import NOW, Post


@pytest.fixture(autouse=True)
def followed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The messages for which the next way was asked."""
    found: list[int] = []

    def fall_back(session: Session, message_id: int, *, now: dt.datetime, real: dt.datetime) -> None:
        found.append(message_id)

    monkeypatch.setattr(bounces, "fall_back", fall_back)
    return found


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MailServer]:
    with MailServer(tmp_path / "returned") as one:
        yield one


@pytest.fixture
def smtp_post(post: Post, server: MailServer) -> Post:
    post.settings = post.with_mail(f"smtp://127.0.0.1:{server.port}")
    return post


def look(post: Post, server: MailServer) -> dict[str, int | str]:
    return read_box(post.sessions, Maildir(server.maildir))


def ways(post: Post) -> list[tuple[str, str]]:
    return [(row.channel, row.state) for row in post.rows()]


@pytest.mark.parametrize("form", ["report", "headers", "prose"])
def test_what_comes_back_for_good_goes_another_way_once(
    smtp_post: Post, server: MailServer, followed: list[int], form: str
) -> None:
    server.fault("bounce", status="5.1.1", form=form)
    smtp_post.invoice(smtp_post.world.agreement())
    assert smtp_post.run()["sent"] == 1
    assert look(smtp_post, server) == {"permanent": 1}
    assert ways(smtp_post) == [("email", "failed")]
    [row] = smtp_post.rows()
    assert followed == [row.message_id]
    assert "5.1.1" in row.error
    assert row.proof["bounce"]["status"] == "5.1.1"
    for _ in range(2):
        assert look(smtp_post, server) == {}
    assert followed == [row.message_id]


def test_what_is_late_is_noted_and_stays(smtp_post: Post, server: MailServer) -> None:
    server.fault("bounce", status="4.4.1")
    smtp_post.invoice(smtp_post.world.agreement())
    smtp_post.run()
    assert look(smtp_post, server) == {"temporary": 1}
    assert ways(smtp_post) == [("email", "sent")]
    assert smtp_post.rows()[0].proof["delayed"]["status"] == "4.4.1"


def test_foreign_mail_is_left_alone_and_read_once(smtp_post: Post, server: MailServer) -> None:
    smtp_post.invoice(smtp_post.world.agreement())
    smtp_post.run()
    put(server.maildir, letter("kari@example.no", "faktura@brikke.example", "Hei", "550 5.1.1 sier jeg"))
    returned = put(server.maildir, server.mails[0].content)  # our own mail, sent to ourselves, is no notice
    before = {path: path.read_bytes() for path in server.maildir.rglob("*") if path.is_file()}
    assert look(smtp_post, server) == {"foreign": 2}
    assert look(smtp_post, server) == {}
    returned.rename(server.maildir / "cur" / f"{returned.name}:2,S")  # somebody's mail program
    assert look(smtp_post, server) == {}
    assert before.keys() - {returned} == {path for path in server.maildir.rglob("*") if path.is_file()} - {
        server.maildir / "cur" / f"{returned.name}:2,S"
    }
    assert ways(smtp_post) == [("email", "sent")]


def test_a_notice_about_a_mail_of_another_database_is_foreign(smtp_post: Post, server: MailServer) -> None:
    server.fault("bounce")
    smtp_post.invoice(smtp_post.world.agreement())
    smtp_post.run()
    smtp_post.execute("UPDATE deliveries SET rfc_message_id = replace(rfc_message_id, '@', '9@')")
    assert look(smtp_post, server) == {"foreign": 1}
    assert ways(smtp_post) == [("email", "sent")]


def test_hostile_mail_costs_its_neighbours_nothing(smtp_post: Post, server: MailServer) -> None:
    put(server.maildir, b"Content-Type: message/rfc822\n\n" * 50_000)
    put(server.maildir, b"\xff\xfe\0" * 1_000_000)
    (server.maildir / "new" / "n\udcffavn").write_bytes(b"x")
    (server.maildir / "new" / "link").symlink_to("/etc/passwd")
    (server.maildir / "new" / "folder").mkdir()
    server.fault("bounce")
    smtp_post.invoice(smtp_post.world.agreement())
    smtp_post.run()
    assert look(smtp_post, server) == {"unreadable": 1, "foreign": 1, "permanent": 1}


def test_a_look_takes_only_so_many_and_the_next_goes_on(smtp_post: Post, server: MailServer) -> None:
    for number in range(5):
        put(server.maildir, letter("a@example.no", "b@example.no", f"{number}", "hei"))
    found = [read_box(smtp_post.sessions, Maildir(server.maildir), 2).get("foreign", 0) for _ in range(4)]
    assert found == [2, 2, 1, 0]


@pytest.mark.parametrize("state", ["delivered", "ended", "dropped", "queued"])
def test_a_notice_changes_nothing_when_it_is_too_late(
    smtp_post: Post, server: MailServer, followed: list[int], state: str
) -> None:
    """Queued: support is about to send it again."""
    server.fault("bounce")
    smtp_post.invoice(smtp_post.world.agreement())
    smtp_post.run()
    smtp_post.execute("UPDATE deliveries SET state = :state", state=state)
    assert look(smtp_post, server) == {"permanent": 1}
    assert ways(smtp_post) == [("email", state)]
    assert followed == []


def test_a_mail_that_waits_for_its_repeat_and_comes_back_is_not_repeated(smtp_post: Post, server: MailServer) -> None:
    server.fault("drop")
    server.fault("bounce")
    smtp_post.invoice(smtp_post.world.agreement())
    assert smtp_post.run()["unknown"] == 1
    assert look(smtp_post, server) == {"permanent": 1}
    smtp_post.due_now()
    smtp_post.run()
    assert server.count == 1
    assert ways(smtp_post)[0] == ("email", "failed")


def test_old_notices_do_not_undo_what_support_sent_again(smtp_post: Post, server: MailServer) -> None:
    server.fault("bounce")
    agreement = smtp_post.world.agreement()
    smtp_post.invoice(agreement)
    smtp_post.run()
    look(smtp_post, server)
    [first] = (server.maildir / "new").iterdir()
    smtp_post.execute("UPDATE customers SET email = 'ny@example.no'")
    with smtp_post.sessions.begin() as session:
        assert send_again(session, agreement, smtp_post.rows()[0].id, now=NOW, real=now_utc())
    smtp_post.run()
    assert ways(smtp_post)[0] == ("email", "sent")
    put(server.maildir, first.read_bytes())  # the same notice, fetched twice
    assert look(smtp_post, server) == {"repeat": 1}
    put(server.maildir, first.read_bytes().replace(b"@mx.example.net>", b"@other.example>"))
    assert look(smtp_post, server) == {"other_address": 1}
    assert ways(smtp_post)[0] == ("email", "sent")
    server.fault("bounce", recipient="ny@example.no")
    put(server.maildir, first.read_bytes().replace(b"@mx", b"@m3").replace(b"rfc822; kari@", b"rfc822; ny@"))
    assert look(smtp_post, server) == {"permanent": 1}
    assert ways(smtp_post)[0] == ("email", "failed")


def test_the_same_mail_taken_twice_counts_once(smtp_post: Post, server: MailServer) -> None:
    server.fault("bounce")
    smtp_post.invoice(smtp_post.world.agreement())
    smtp_post.run()
    [path] = (server.maildir / "new").iterdir()
    done = []
    for _ in range(2):
        with smtp_post.sessions.begin() as session:
            done.append(take(session, "box", "1", path.read_bytes(), now=NOW, real=now_utc()))
    assert done == ["permanent", "already"]
    with smtp_post.sessions.begin() as session:
        assert take(session, "box", "2", b"x", now=NOW, real=now_utc()) == "foreign"
        assert take(session, "box", "2", b"x", now=NOW, real=now_utc()) == "already"


def certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server's context and that of a client who trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now_utc() - dt.timedelta(days=1))
    made = made.not_valid_after(now_utc() + dt.timedelta(days=2)).add_extension(address, critical=False)
    signed = made.sign(key, hashes.SHA256())
    both = folder / "server.pem"
    both.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(both)
    return served, ssl.create_default_context(cadata=signed.public_bytes(serialization.Encoding.PEM).decode())


def test_the_mailbox_is_read_by_imap_over_tls_and_mail_leaves_by_starttls(post: Post, tmp_path: Path) -> None:
    served, trusting = certificate(tmp_path)
    with MailServer(tmp_path / "returned", context=served) as server:
        target = mailbox(f"imaps://{USER}:{PASSWORD}@127.0.0.1:{server.imap_port}/INBOX")
        assert target is not None
        smtp = post.with_mail(f"smtp+starttls://127.0.0.1:{server.port}").mail_url
        for name in ("a@example.no", "b@example.no"):
            put(server.maildir, letter(name, "us@example.no", "Hei", "hei"))
        server.fault("bounce")
        post.invoice(post.world.agreement())
        assert post.run(Smtp(smtp, "faktura@brikke.example", 5, trusting))["sent"] == 1

        def by_imap(context: ssl.SSLContext = trusting) -> Any:
            box = Imap(target, 5, context)
            try:
                return read_box(post.sessions, box)
            finally:
                box.close()

        assert by_imap() == {"foreign": 2, "permanent": 1}
        assert by_imap() == {}
        put(server.maildir, letter("c@example.no", "us@example.no", "Hei", "hei"))
        assert by_imap() == {"foreign": 1}
        server.box.renumber()  # everything has another name; nothing happens twice
        assert by_imap() == {"foreign": 3, "repeat": 1}
        assert ways(post) == [("email", "failed")]
        assert [path.parent.name for path in server.maildir.rglob("*.example.net")] == ["new"] * 4
        with pytest.raises(MailboxError, match="cannot be used"):
            by_imap(ssl.create_default_context())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"password": "feil"}, "refused our user name"),
        ({"mailbox": "Other"}, "open the mailbox"),
        ({"port": 1}, "used"),
    ],
)
def test_a_mailbox_that_cannot_be_read_is_said_without_the_password(
    post: Post, server: MailServer, change: dict[str, Any], says: str
) -> None:
    port = server.imap_port
    target = replace(Mailbox(None, "127.0.0.1", port, False, USER, PASSWORD), **change)
    with pytest.raises(MailboxError, match=says) as error:
        Imap(target, 5)
    assert "feil" not in str(error.value)
    result = job(JobContext(post.sessions, replace(post.settings, bounce_url=target)), NOW)
    assert list(result) == ["error"]


def test_without_a_mailbox_the_job_does_nothing(post: Post) -> None:
    assert job(JobContext(post.sessions, post.settings), NOW) == {}


def test_the_server_refuses_puts_off_and_is_slow_as_told(smtp_post: Post, server: MailServer) -> None:
    for name in ("refuse", "defer"):
        said = httpx.post(f"{server.url}/_control/faults", json={"kind": name, "recipient": f"{name}@example.no"})
        assert said.status_code == 200
    assert httpx.post(f"{server.url}/_control/faults", json={"kind": "refuse", "code": 250}).status_code == 400
    assert httpx.post(f"{server.url}/_control/faults", content=b"[").status_code == 400
    for name in ("refuse", "defer", "kari"):
        smtp_post.tell(smtp_post.world.agreement(email=f"{name}@example.no"), "welcome")
    assert smtp_post.run() == {"planned": 3, "failed": 1, "later": 1, "sent": 1, "dropped": 0}
    assert httpx.get(f"{server.url}/_control/mails").json()["kept"] == 1
