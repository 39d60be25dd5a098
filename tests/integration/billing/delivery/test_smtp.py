"""Deliveries through a real SMTP server that accepts, refuses, asks to wait, breaks off, or is not there."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
from collections.abc import Iterator
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from billing.delivery.rules import ATTEMPTS, RETRY
from billing.delivery.transports import LaterError, NoAnswerError, RefusedError, Smtp, UnreachableError
from config.clock import now_utc
from config.values import MailTarget
from tests.integration.billing.delivery.conftest import Post

MAIL = b"Subject: x\r\n\r\n.a line with a dot\r\nthe end\r\n"


class Server:
    """A mail server that answers as it is told, per recipient; what it has accepted is in ``mails``."""

    def __init__(self, **options: Any) -> None:
        self.mails: list[tuple[str, bytes]] = []
        self.rcpt: dict[str, str] = {}
        self.sender = "250 OK"
        self.data = "250 OK"
        self.drop_after_data: list[str] = []
        self.connections = 0
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port, **options)

    async def handle_EHLO(self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]) -> Any:
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        envelope.mail_from = address
        return self.sender

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        envelope.rcpt_tos.append(address)
        return self.rcpt.get(address, "250 OK")

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.data.startswith("250"):
            self.mails.append((envelope.rcpt_tos[0], envelope.original_content))
        if envelope.rcpt_tos[0] in self.drop_after_data:
            server.transport.abort()
        return self.data


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    one.controller.start()
    yield one
    one.controller.stop()


@pytest.fixture
def smtp_post(post: Post, server: Server) -> Post:
    post.settings = post.with_mail(f"smtp://127.0.0.1:{server.port}")
    return post


def smtp(server: Server, **target: Any) -> Smtp:
    return Smtp(
        MailTarget(host="127.0.0.1", port=server.port, **target),
        "faktura@brikke.example",
        5,
        ssl.create_default_context(),
    )


def test_mails_go_over_one_connection_and_arrive_as_written(server: Server) -> None:
    mailer = smtp(server)
    for _ in range(3):
        mailer.send(1, "kari@example.no", MAIL)
    mailer.close()
    assert server.mails == [("kari@example.no", MAIL)] * 3
    assert server.connections == 1


@pytest.mark.parametrize(
    ("where", "answer", "error"),
    [
        ("rcpt", "550 no such user", RefusedError),
        ("rcpt", "450 greylisted", LaterError),
        ("rcpt", "421 going down", LaterError),
        ("data", "554 looks like spam", RefusedError),
        ("data", "451 try again", LaterError),
        ("sender", "550 not your name", UnreachableError),
        ("drop", "", NoAnswerError),
    ],
)
def test_what_an_answer_means(server: Server, where: str, answer: str, error: type[Exception]) -> None:
    mailer = smtp(server)
    if where == "rcpt":
        server.rcpt["kari@example.no"] = answer
    elif where == "drop":
        server.drop_after_data.append("kari@example.no")
    else:
        setattr(server, where, answer)
    with pytest.raises(error, match=answer[:3] or "broke after"):
        mailer.send(1, "kari@example.no", MAIL)
    server.sender = server.data = "250 OK"
    mailer.send(2, "ola@example.no", MAIL)  # the next one is none the worse
    assert server.mails[-1][0] == "ola@example.no"


def test_nobody_there() -> None:
    with pytest.raises(UnreachableError):
        smtp(Server()).send(1, "kari@example.no", MAIL)


def test_a_mail_is_recorded_as_it_went(smtp_post: Post, server: Server) -> None:
    for name in ("good", "refused", "later", "also"):
        smtp_post.tell(smtp_post.world.agreement(email=f"{name}@example.no"), "welcome")
    server.rcpt = {"refused@example.no": "550 no such user", "later@example.no": "450 greylisted"}
    before = now_utc()
    smtp_post.run()
    rows = smtp_post.rows()
    assert [row.state for row in rows] == ["sent", "failed", "queued", "sent"]
    assert "550 no such user" in rows[1].error
    assert "450 greylisted" in rows[2].error
    assert before + RETRY[0] <= rows[2].next_at <= now_utc() + RETRY[0], "real time, though the business clock stands"
    assert [to for to, _ in server.mails] == ["good@example.no", "also@example.no"]
    server.rcpt = {}
    smtp_post.run()
    assert len(server.mails) == 2, "not before its time"
    smtp_post.due_now()
    smtp_post.run()
    assert [row.state for row in smtp_post.rows()] == ["sent", "failed", "sent", "sent"]


def test_it_is_given_up_in_the_end(smtp_post: Post, server: Server) -> None:
    smtp_post.tell(smtp_post.world.agreement(), "welcome")
    server.rcpt = {"kari@example.no": "450 greylisted"}
    smtp_post.run()
    smtp_post.execute("UPDATE deliveries SET attempts = :n", n=ATTEMPTS - 1)
    smtp_post.due_now()
    smtp_post.run()
    [row] = smtp_post.rows()
    assert (row.state, row.attempts) == ("failed", ATTEMPTS)


def test_no_answer_is_repeated_once_with_the_same_message_id(smtp_post: Post, server: Server) -> None:
    smtp_post.tell(smtp_post.world.agreement(), "welcome")
    smtp_post.tell(smtp_post.world.agreement(email="ola@example.no"), "welcome")
    server.drop_after_data = ["kari@example.no", "ola@example.no"]
    smtp_post.run()
    assert [(row.state, row.unanswered) for row in smtp_post.rows()] == [("unknown", 1), ("unknown", 1)]
    assert smtp_post.run() == {}, "not blindly, and not at once"
    server.drop_after_data = ["ola@example.no"]
    smtp_post.due_now()
    smtp_post.run()
    assert [row.state for row in smtp_post.rows()] == ["sent", "unknown"]
    for _ in range(3):
        smtp_post.due_now()
        smtp_post.run()
    rows = smtp_post.rows()
    assert [row.state for row in rows] == ["sent", "failed"]
    assert rows[1].error == "No answer, twice; it may have arrived."
    assert sorted(to for to, _ in server.mails) == ["kari@example.no"] * 2 + ["ola@example.no"] * 2
    ids = [str(BytesParser(policy=default).parsebytes(mail)["Message-ID"]) for _, mail in server.mails]
    assert sorted(ids) == sorted([row.rfc_message_id for row in rows] * 2)


def test_a_server_that_is_away_puts_all_off_and_nothing_is_lost(smtp_post: Post, server: Server) -> None:
    for _ in range(3):
        smtp_post.tell(smtp_post.world.agreement(), "welcome")
    assert smtp_post.run(smtp(Server()))["unreachable"] == 1
    assert [row.state for row in smtp_post.rows()] == ["queued"] * 3
    smtp_post.due_now()
    assert smtp_post.run()["sent"] == 3
    assert len(server.mails) == 3


def certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    start = now_utc() - dt.timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # it is TLS from the first byte
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_encrypted_and_signed_in_or_not_at_all(tmp_path: Path, security: str) -> None:
    cert, key = certificate(tmp_path)
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.load_cert_chain(cert, key)
    seen: list[bytes] = []

    def check(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        seen.append(data.password)
        return AuthResult(success=data.password == b"right", handled=False)

    options: dict[str, Any] = {"authenticator": check, "auth_required": True}
    if security == "starttls":
        options |= {"tls_context": theirs, "require_starttls": True}
    else:
        options |= {"ssl_context": theirs, "auth_require_tls": False}
    server = Server(**options)
    server.controller.start()
    try:
        target = {"security": security, "username": "brikke", "password": "right"}
        with pytest.raises(UnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
            smtp(server, **target).send(1, "kari@example.no", MAIL)
        mailer = smtp(server, **target)
        mailer.context = ssl.create_default_context(cafile=str(cert))
        mailer.send(1, "kari@example.no", MAIL)
        mailer.close()
        assert [to for to, _ in server.mails] == ["kari@example.no"]
        wrong = smtp(server, security=security, username="brikke", password="wrong")
        wrong.context = mailer.context
        with pytest.raises(UnreachableError, match="refused our user name or password") as caught:
            wrong.send(1, "kari@example.no", MAIL)
        assert "wrong" not in str(caught.value)
        assert seen[0] == b"right"
    finally:
        server.controller.stop()


def test_starttls_is_demanded(server: Server) -> None:
    with pytest.raises(UnreachableError, match="STARTTLS"):
        smtp(server, security="starttls").send(1, "kari@example.no", MAIL)
    assert server.mails == []
