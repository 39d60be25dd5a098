"""From an e-mail that does not reach its reader to a letter that is posted: bounced, refused, or left unopened."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from billing.delivery import links
from billing.delivery.again import send_again
from billing.delivery.bounces.boxes import Maildir
from billing.delivery.bounces.read import read_box
from billing.delivery.channels import channels_of
from billing.delivery.job import choose
from billing.delivery.paper import jobs
from billing.delivery.paper.write import write_all
from config.clock import move_clock, now_utc
from config.jobs import JobContext
from config.targets import exchange
from simulator.mailserver import MailServer
from simulator.printhouse import PrintHouse
from tests.integration.billing.delivery.conftest import NOW, Post

DAYS = dt.timedelta(days=1)


class Way:
    """E-mail through a server that fails as told, then a print house."""

    def __init__(self, post: Post, server: MailServer, folder: Path) -> None:
        self.post, self.server = post, server
        self.house = PrintHouse(folder / "print")
        settings = post.with_mail(f"smtp://127.0.0.1:{server.port}")
        place = exchange(f"folder:{folder / 'print'}")
        post.settings = replace(settings, print_target=place, exchange_settle_seconds=0, var=folder)

    def mail(self) -> None:
        self.choose()
        self.post.run()
        read_box(self.post.sessions, Maildir(self.server.maildir))

    def choose(self) -> None:
        choose(self.post.sessions, self.post.settings, channels_of(self.post.settings))

    def paper(self) -> None:
        self.choose()
        write_all(self.post.sessions, self.post.renderer)
        for _ in range(2):
            jobs.job_exchange(JobContext(self.post.sessions, self.post.settings), NOW)
            self.house.look()
        jobs.job_exchange(JobContext(self.post.sessions, self.post.settings), NOW)

    def went(self) -> list[tuple[str, str, bool]]:
        return [(row.channel, row.state, row.presents) for row in self.post.rows()]


@pytest.fixture
def way(post: Post, tmp_path: Path) -> Iterator[Way]:
    with MailServer(tmp_path / "returned") as server:
        yield Way(post, server, tmp_path)


@pytest.mark.parametrize("fault", ["bounce", "refuse"])
def test_what_mail_cannot_reach_is_posted_once(way: Way, fault: str) -> None:
    way.server.fault(fault)
    document = way.post.invoice(way.post.world.agreement())
    for _ in range(2):
        way.mail()
        way.paper()
    assert way.went() == [("email", "failed", True), ("paper", "delivered", True)]
    assert [len(letters) for letters in way.house.books().values()] == [1]
    with way.post.sessions() as session:
        choices = session.execute(text("SELECT channel, cause FROM channel_choices ORDER BY ordinal")).all()
        late = session.execute(
            text("SELECT count(*) FROM due_extensions WHERE document_id = :id"), {"id": document}
        ).scalar_one()
    assert [tuple(row) for row in choices] == [("email", "first"), ("paper", "fallback")]
    assert late <= 1  # extended at most once, and not at each look


def test_a_link_that_nobody_opens_becomes_a_letter_and_still_works(way: Way) -> None:
    way.post.settings = replace(way.post.settings, mail_documents="link", mail_unopened=True)
    way.post.invoice(way.post.world.agreement())
    way.mail()
    with way.post.sessions.begin() as session:
        move_clock(session, NOW + 4 * DAYS, running=False)
    links.job_unopened(JobContext(way.post.sessions, way.post.settings), NOW)
    way.paper()
    assert way.went() == [("email", "failed", True), ("paper", "delivered", True)]
    [row, _] = way.post.rows()
    with way.post.sessions.begin() as session:
        links.opened(session, row.id, now=NOW + 5 * DAYS)
    assert way.went() == [("email", "failed", True), ("paper", "delivered", True)]
    assert way.post.rows()[0].opened_at == NOW + 5 * DAYS


def test_what_is_no_document_is_not_printed(way: Way) -> None:
    way.server.fault("bounce")
    way.post.tell(way.post.world.agreement(), "welcome")
    way.mail()
    way.paper()
    assert way.went() == [("email", "failed", False)]
    assert way.house.books() == {}


def test_where_no_letter_can_be_sent_either_support_sees_it(way: Way) -> None:
    way.server.fault("bounce")
    way.post.invoice(way.post.world.agreement())
    way.post.execute("UPDATE customers SET street = ''")
    for _ in range(2):
        way.mail()
        way.paper()
    assert way.went() == [("email", "failed", True)]
    assert way.house.books() == {}
    with way.post.sessions() as session:
        last = session.execute(text("SELECT considered FROM channel_choices ORDER BY id DESC LIMIT 1")).scalar_one()
    assert {"channel": "paper", "verdict": "no", "why": "bad_address"} in last


def test_support_sends_a_copy_by_mail_while_the_letter_presents(way: Way) -> None:
    way.server.fault("bounce")
    agreement = way.post.world.agreement()
    way.post.invoice(agreement)
    way.mail()
    way.paper()
    email = way.post.rows()[0].id
    with way.post.sessions.begin() as session:
        assert send_again(session, agreement, email, now=NOW, real=now_utc())
    way.mail()
    assert way.went() == [("email", "sent", False), ("paper", "delivered", True)]


def test_what_support_sent_again_and_fails_again_is_followed_again(way: Way) -> None:
    way.server.fault("refuse", times=2)
    agreement = way.post.world.agreement()
    way.post.invoice(agreement)
    way.post.execute("UPDATE customers SET street = ''")
    way.mail()
    way.choose()
    email = way.post.rows()[0].id
    with way.post.sessions.begin() as session:
        assert send_again(session, agreement, email, now=NOW, real=now_utc())
    way.post.execute("UPDATE customers SET street = 'Gata 1'")
    way.mail()
    way.paper()
    assert way.went() == [("email", "failed", True), ("paper", "delivered", True)]
