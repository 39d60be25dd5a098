"""Documents behind links: signed, for a limited time, opened by a person; followed by another way when nobody does."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from billing.delivery import links, mailbox, tokens
from billing.delivery.links import find_unopened, give_up_unopened
from config.clock import move_clock, now_utc
from config.jobs import JobContext
from tests.applications import application
from tests.integration.billing.delivery.conftest import NOW, Post

DAYS = dt.timedelta(days=1)


@pytest.fixture
def linked(post: Post, tmp_path: Path) -> Post:
    """Documents go behind links that live thirty days."""
    key = "k" * 40
    post.settings = replace(post.settings, mail_documents="link", mail_link_days=30, secret_key=key, var=tmp_path)
    return post


@pytest.fixture
def browser(linked: Post, engine: Engine) -> FlaskClient:
    return application(linked.settings, engine).test_client()


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The messages for which the next way was asked."""
    found: list[int] = []

    def fall_back(session: Session, message_id: int, *, now: dt.datetime, real: dt.datetime) -> None:
        found.append(message_id)

    monkeypatch.setattr(links, "fall_back", fall_back)
    return found


def the_link(post: Post) -> str:
    [head, *_] = mailbox.listed(post.folder, 10)
    mail = mailbox.opened(post.folder, head.name)
    assert mail.attachments == ()
    [found] = re.findall(r"^http://127\.0\.0\.1:8000(/d/\S+)$", mail.plain, re.MULTILINE)
    assert f'href="http://127.0.0.1:8000{found}"' in mail.html
    return str(found)


def press(browser: FlaskClient, path: str) -> Any:
    page = browser.get(path)
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token is not None
    return browser.post(path, data={"csrf_token": token[1]})


def one(post: Post) -> Any:
    [row] = [row for row in post.rows() if row.channel == "email"]
    return row


def test_the_mail_has_a_link_instead_of_the_pdf_and_the_link_opens_it(linked: Post, browser: FlaskClient) -> None:
    linked.invoice(linked.world.agreement())
    assert linked.run() == {"planned": 1, "sent": 1, "dropped": 0}
    assert one(linked).cost_ore == 5
    path = the_link(linked)
    answer = press(browser, path)
    assert (answer.status_code, answer.content_type, answer.data[:5]) == (200, "application/pdf", b"%PDF-")
    row = one(linked)
    assert (row.state, row.opened_at, row.delivered_at) == ("delivered", NOW, NOW)
    with linked.sessions() as session:
        move_clock(session, NOW + DAYS, running=False)
        session.commit()
    assert press(browser, path).status_code == 200
    assert one(linked).opened_at == NOW  # the first time counts


def test_who_only_fetches_the_address_has_not_opened_it(linked: Post, browser: FlaskClient) -> None:
    linked.invoice(linked.world.agreement())
    linked.run()
    path = the_link(linked)
    assert browser.head(path).status_code == 200
    for _ in range(2):
        page = browser.get(path, headers={"Purpose": "prefetch"})
        assert page.status_code == 200
        assert b"%PDF" not in page.data
    assert browser.post(path).status_code == 403  # a form without the page's token
    assert (one(linked).state, one(linked).opened_at) == ("sent", None)
    assert page.headers["Cache-Control"] == "no-store"
    assert "noindex" in page.headers["X-Robots-Tag"]
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert "Kari" not in page.text
    assert "kari@" not in path


def test_a_link_whose_time_is_over_says_where_the_document_is(linked: Post, browser: FlaskClient) -> None:
    linked.invoice(linked.world.agreement())
    linked.run()
    long_ago = tokens.sign(linked.settings, links.PURPOSE, one(linked).id, 30, real=now_utc() - 31 * DAYS)
    page = browser.get(f"/d/{long_ago}")
    assert page.status_code == 410
    assert "Min side" in page.text
    live = browser.get(the_link(linked))
    token = re.search(r'name="csrf_token" value="([^"]+)"', live.text)
    assert token is not None
    answer = browser.post(f"/d/{long_ago}", data={"csrf_token": token[1]})
    assert (answer.status_code, answer.data[:5] == b"%PDF-") == (410, False)
    assert one(linked).opened_at is None


@pytest.mark.parametrize("purpose", ["efaktura", "mail"])
def test_what_is_no_link_of_ours_opens_nothing(linked: Post, browser: FlaskClient, purpose: str) -> None:
    """Not a token for another purpose, nor one that names a delivery that had no link."""
    linked.tell(linked.world.agreement(), "welcome")
    linked.run()
    token = tokens.sign(linked.settings, purpose, one(linked).id, 30, real=now_utc())
    assert browser.get(f"/d/{token}").status_code == 404
    assert browser.get("/d/x").status_code == 404


def test_what_nobody_opened_for_three_days_goes_another_way(linked: Post, followed: list[int]) -> None:
    linked.invoice(linked.world.agreement())
    linked.run()
    with linked.sessions.begin() as session:
        assert find_unopened(session, NOW + 3 * DAYS - dt.timedelta(seconds=1)) == []
        [found] = find_unopened(session, NOW + 3 * DAYS)
        assert give_up_unopened(session, found, now=NOW + 3 * DAYS, real=now_utc())
    assert (one(linked).state, one(linked).error) == ("failed", "unopened")
    assert followed == [one(linked).message_id]
    with linked.sessions.begin() as session:
        assert find_unopened(session, NOW + 9 * DAYS) == []
        assert not give_up_unopened(session, found, now=NOW + 9 * DAYS, real=now_utc())
    assert followed == [one(linked).message_id]


def _opened(post: Post, document: int) -> None:
    with post.sessions.begin() as session:
        links.opened(session, one(post).id, now=NOW)


def _paid(post: Post, document: int) -> None:
    post.execute("UPDATE claims SET settled_ore = amount_ore WHERE id = (SELECT claim_id FROM documents)")


def _bounced(post: Post, document: int) -> None:
    post.execute("UPDATE deliveries SET state = 'failed'")


@pytest.mark.parametrize("meanwhile", [_opened, _paid, _bounced])
def test_what_was_opened_or_paid_or_failed_stays(linked: Post, meanwhile: Any) -> None:
    document = linked.invoice(linked.world.agreement())
    linked.run()
    meanwhile(linked, document)
    with linked.sessions() as session:
        assert find_unopened(session, NOW + 9 * DAYS) == []


def test_the_attached_and_what_asks_for_no_money_are_never_unopened(post: Post, tmp_path: Path) -> None:
    post.settings = replace(post.settings, var=tmp_path)
    post.invoice(post.world.agreement())
    post.run()
    post.tell(post.world.agreement(), "welcome")
    post.settings = replace(post.settings, mail_documents="link")
    post.run()
    with post.sessions() as session:
        assert find_unopened(session, NOW + 9 * DAYS) == []


def test_opening_settles_a_mail_whose_server_never_answered(linked: Post) -> None:
    linked.invoice(linked.world.agreement())
    linked.run()
    linked.execute("UPDATE deliveries SET state = 'unknown'")
    _opened(linked, 0)
    assert one(linked).state == "delivered"
    assert linked.run() == {}  # not repeated


def test_the_job_follows_what_nobody_opened_only_when_it_is_switched_on(linked: Post, followed: list[int]) -> None:
    linked.invoice(linked.world.agreement())
    linked.run()
    with linked.sessions.begin() as session:
        move_clock(session, NOW + 4 * DAYS, running=False)
    assert links.job_unopened(JobContext(linked.sessions, linked.settings), NOW) == {}
    on = JobContext(linked.sessions, replace(linked.settings, mail_unopened=True))
    assert [links.job_unopened(on, NOW) for _ in range(2)] == [{"unopened": 1}, {"unopened": 0}]
    assert followed == [one(linked).message_id]


def test_what_was_sent_long_ago_is_not_followed_when_it_is_switched_on(linked: Post, followed: list[int]) -> None:
    linked.invoice(linked.world.agreement())
    linked.run()
    with linked.sessions.begin() as session:
        move_clock(session, NOW + 61 * DAYS, running=False)
    on = JobContext(linked.sessions, replace(linked.settings, mail_unopened=True))
    assert links.job_unopened(on, NOW) == {"unopened": 0}
    assert (one(linked).state, followed) == ("sent", [])


@pytest.mark.parametrize("way", ["attached", "link"])
def test_the_copy_has_a_payment_slip_where_it_presents_and_details_where_wanted(
    linked: Post, browser: FlaskClient, way: str
) -> None:
    """Also when the document was issued for AvtaleGiro, and another way presents it now."""
    linked.settings = replace(linked.settings, mail_documents=way)
    document = linked.invoice(linked.world.agreement())
    linked.plan()
    linked.execute("UPDATE documents SET settlement = 'avtalegiro'")
    linked.execute("UPDATE deliveries SET document_id = :id, presents = true", id=document)
    linked.execute("UPDATE customers SET details_in_copy = false")
    linked.run()
    with linked.sessions() as session:
        forms_kept = [row.form for row in session.execute(text("SELECT form FROM renderings"))]
    assert len(forms_kept) == 1
    assert forms_kept[0].startswith("transfer")
    if way == "link":
        answer = press(browser, the_link(linked))
        with linked.sessions() as session:
            kept = session.execute(text("SELECT pdf FROM renderings")).scalars().all()
        assert [bytes(one) for one in kept] == [answer.data]  # the very page, no other was made
