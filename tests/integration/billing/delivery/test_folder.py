"""Deliveries into the mailbox folder: planned once, sent once, dropped when untrue, settled after a kill."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from billing.delivery import desk, mailbox
from billing.delivery.again import send_again
from billing.delivery.mail import message_id
from billing.delivery.plan import plan
from billing.delivery.transports import Folder, UnreachableError
from billing.delivery.waiting import take
from config.clock import now_utc
from config.problems import Conflict, NotFound
from tests.integration.billing.delivery.conftest import NOW, Post


def test_an_invoice_goes_out_once_with_its_pdf(post: Post) -> None:
    agreement = post.world.agreement()
    post.invoice(agreement)
    assert post.run() == {"planned": 1, "sent": 1, "dropped": 0}
    assert post.run() == {}
    [row] = post.rows()
    assert (row.state, row.recipient, row.sent_at, row.attempts) == ("sent", "kari@example.no", NOW, 1)
    [head] = mailbox.listed(post.folder, 10)
    mail = mailbox.opened(post.folder, head.name)
    assert (head.to, head.template) == ("Kari Nordmann <kari@example.no>", "invoice")
    assert head.subject == "Faktura 100000001 forfaller 16. februar 2026"
    assert "312,50" in mail.plain
    assert mail.rfc_message_id == row.rfc_message_id == message_id(row.id, row.queued_at, "x@brikke.example")
    [pdf] = mail.attachments
    assert (pdf.name, pdf.content_type, pdf.content[:5]) == ("faktura-100000001.pdf", "application/pdf", b"%PDF-")
    assert mailbox.of_delivery(post.folder, row.id, row.rfc_message_id) == mail
    assert mailbox.of_delivery(post.folder, row.id, "<another@database>") is None


def test_what_one_is_taking_another_passes_by(post: Post) -> None:
    for _ in range(5):
        post.tell(post.world.agreement(), "welcome")
    post.plan()
    with post.sessions() as one, post.sessions() as two:
        two.execute(text("SET LOCAL lock_timeout = '2s'"))  # waiting would be wrong, and for ever
        first, second = (
            take(session, 3, sender="faktura@brikke.example", account="15030012345", now=NOW, real=now_utc())
            for session in (one, two)
        )
        one.commit()
        two.commit()
    assert [mail.delivery_id for mail in first.taken + second.taken] == [row.id for row in post.rows()]


def test_two_workers_at_once_send_once(post: Post) -> None:
    for _ in range(60):
        post.tell(post.world.agreement(), "welcome")
    post.plan()
    sent: list[int] = []

    class Counting(Folder):
        def send(self, delivery_id: int, recipient: str, mail: bytes) -> None:
            sent.append(delivery_id)
            super().send(delivery_id, recipient, mail)

    barrier = threading.Barrier(3)

    def work() -> None:
        barrier.wait()
        post.run(Counting(post.folder))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(sent) == [row.id for row in post.rows()]
    assert len(sent) == 60
    assert {row.state for row in post.rows()} == {"sent"}


class Killed(BaseException):
    """As kill -9: nothing of ours catches it."""


def test_killed_between_the_call_and_the_record_is_found_in_the_folder(post: Post) -> None:
    class Dying(Folder):
        def send(self, delivery_id: int, recipient: str, mail: bytes) -> None:
            super().send(delivery_id, recipient, mail)
            raise Killed

    post.tell(post.world.agreement(), "welcome")
    post.tell(post.world.agreement(email="ola@example.no"), "welcome")
    with pytest.raises(Killed):
        post.run(Dying(post.folder))
    assert [row.state for row in post.rows()] == ["sending", "sending"]
    before = (post.folder / mailbox.listed(post.folder, 1)[0].name).stat().st_mtime_ns
    assert post.run() == {}, "who has not been silent for long is left alone"
    post.due_now()
    assert post.run() == {"sent": 2, "repeated": 1, "dropped": 0}
    assert [(row.state, row.attempts) for row in post.rows()] == [("sent", 1), ("sent", 2)]
    heads = mailbox.listed(post.folder, 10)
    assert [head.to for head in heads] == ["Kari Nordmann <ola@example.no>", "Kari Nordmann <kari@example.no>"]
    assert (post.folder / heads[1].name).stat().st_mtime_ns == before


def test_a_file_of_another_database_is_not_taken_for_ours(post: Post, tmp_path: Path) -> None:
    post.tell(post.world.agreement(), "welcome")
    post.run()
    [row] = post.rows()
    folder = Folder(post.folder)
    assert folder.found(row.id, row.rfc_message_id) is True
    assert folder.found(row.id, "<1.2@brikke.example>") is False
    assert folder.found(row.id + 1, row.rfc_message_id) is False


def test_what_is_no_longer_true_is_dropped(post: Post) -> None:
    make = post.world.agreement
    paid, open_again, still = make(), make(), make(standing="blocked")
    document = post.invoice(paid)
    post.tell(paid, "reminder", document)
    post.tell(open_again, "blocked")
    post.tell(open_again, "paid_call_us")
    post.tell(still, "reopened")
    post.tell(still, "blocked")  # nothing of it is due
    post.execute("UPDATE claims SET settled_ore = passages_ore")
    post.run()
    assert post.states() == [
        ("invoice", "sent"),
        ("reminder", "dropped"),
        ("blocked", "dropped"),
        ("paid_call_us", "dropped"),
        ("reopened", "dropped"),
        ("blocked", "dropped"),
    ]
    assert post.rows()[1].error == "the invoice is paid"


def test_blocked_says_what_is_due_now(post: Post) -> None:
    agreement = post.world.agreement(language="en")
    post.invoice(agreement)
    post.run()
    post.execute("UPDATE agreements SET standing = 'blocked'")
    post.execute("UPDATE claims SET due_on = '2026-01-20', settled_ore = 10000")
    post.tell(agreement, "blocked")
    post.run()
    mail = mailbox.opened(post.folder, mailbox.listed(post.folder, 1)[0].name)
    kid = post.session.connection().exec_driver_sql("SELECT kid FROM documents").scalar_one()
    assert mail.head.subject == "Agreement 10000001 is closed to traffic"
    assert all(part in mail.plain for part in (str(kid), "1503.00.12345", "NOK\u00a0212.50", "20 January 2026"))
    assert "must contact us" in mail.plain
    assert "://" not in mail.plain + mail.html


def test_one_bad_address_and_one_unknown_template_stop_nobody(post: Post) -> None:
    post.tell(post.world.agreement(email="kari @example.no"), "welcome")
    post.tell(post.world.agreement(email="kari@example.no\r\nBcc: all@example.no"), "welcome")
    post.tell(post.world.agreement(), "birthday")
    post.tell(post.world.agreement(), "invoice")  # without a document
    post.tell(post.world.agreement(), "welcome")
    post.run()
    assert [row.state for row in post.rows()] == ["failed"] * 4 + ["sent"]
    assert post.rows()[2].error == "there are no words for the template 'birthday'"
    assert [head.to for head in mailbox.listed(post.folder, 10)] == ["Kari Nordmann <kari@example.no>"]


def test_given_up_can_be_sent_again_when_the_address_is_mended(post: Post) -> None:
    post.tell(post.world.agreement(email="kari"), "welcome")
    post.run()
    [failed] = post.rows()
    post.execute("UPDATE customers SET email = 'kari@example.no'")
    assert send_again(post.session, failed.agreement_id, failed.id, now=NOW, real=now_utc())
    assert not send_again(post.session, failed.agreement_id, failed.id, now=NOW, real=now_utc())  # waits
    post.session.commit()
    post.run()
    [row] = post.rows()
    assert (row.state, row.recipient, row.rfc_message_id) == ("sent", "kari@example.no", failed.rfc_message_id)


def test_what_was_sent_is_sent_again_as_a_mail_of_its_own_to_the_address_of_now(post: Post) -> None:
    agreement = post.world.agreement(email="old@example.no")
    post.invoice(agreement)
    post.run()
    post.execute("UPDATE customers SET email = 'new@example.no'")
    post.execute("DELETE FROM procrastinate_jobs")
    [first] = post.rows()
    assert send_again(post.session, agreement, first.id, now=NOW, real=now_utc())
    assert not send_again(post.session, agreement, first.id, now=NOW, real=now_utc())
    assert post.session.scalars(text("SELECT task_name FROM procrastinate_jobs")).all() == ["deliveries"]
    post.session.commit()
    post.run()
    before, after = post.rows()
    assert (before.state, before.recipient, before.sent_at) == ("sent", "old@example.no", first.sent_at)
    assert (after.state, after.recipient) == ("sent", "new@example.no")
    assert after.rfc_message_id != before.rfc_message_id
    told = desk.told(post.session, agreement, 9)
    assert [(one.template, one.invoice is None, one.repeatable) for one in told] == [
        ("invoice", False, True), ("invoice", False, False),
    ]  # fmt: skip
    assert send_again(post.session, agreement, after.id, now=NOW, real=now_utc())  # lost as well: yet again


def test_only_what_is_the_agreements_and_still_true_is_sent_again(post: Post) -> None:
    agreement = post.world.agreement()
    post.tell(agreement, "blocked")  # it is open
    post.run()
    [dropped] = post.rows()
    with pytest.raises(Conflict):
        send_again(post.session, agreement, dropped.id, now=NOW, real=now_utc())
    with pytest.raises(NotFound):
        send_again(post.session, agreement + 1, dropped.id, now=NOW, real=now_utc())


def test_telling_rings_once(post: Post) -> None:
    for _ in range(2):
        post.tell(post.world.agreement(), "welcome")
    assert post.session.scalars(text("SELECT task_name FROM procrastinate_jobs")).all() == ["deliveries"]


def test_a_folder_that_cannot_be_written_puts_all_off_though_the_business_clock_stands(post: Post) -> None:
    post.folder.write_text("a file where the folder should be")
    for _ in range(3):
        post.tell(post.world.agreement(), "welcome")
    with pytest.raises(UnreachableError):
        Folder(post.folder).send(1, "kari@example.no", b"")
    assert post.run() == {"planned": 3, "dropped": 0, "unreachable": 1}
    assert [(row.state, row.attempts) for row in post.rows()] == [("queued", 1), ("queued", 0), ("queued", 0)]
    assert all(row.next_at > now_utc() for row in post.rows())
    post.folder.unlink()
    assert post.run() == {}
    post.due_now()
    assert post.run() == {"sent": 3, "dropped": 0}


def test_planning_is_one_per_message_and_channel(post: Post) -> None:
    for _ in range(3):
        post.tell(post.world.agreement(), "welcome")
    assert plan(post.session, now=NOW, real=now_utc()) == 3
    post.execute("UPDATE messages SET planned_at = NULL")
    assert plan(post.session, now=NOW, real=now_utc()) == 3
    post.session.commit()
    assert len(post.rows()) == 3


@pytest.mark.parametrize(
    "name", ["../000000000001.eml", "/etc/passwd", "1.eml", "000000000001.eml\n", "000000000002.eml"]
)
def test_the_mailbox_opens_only_its_own_files(post: Post, name: str) -> None:
    post.tell(post.world.agreement(), "welcome")
    post.run()
    (post.folder / "000000000002.eml").symlink_to("/etc/passwd")
    with pytest.raises(NotFound):
        mailbox.opened(post.folder, name)
    with pytest.raises(NotFound):
        mailbox.attachment(post.folder, "000000000001.eml", 0)


def test_an_empty_mailbox_is_no_error(tmp_path: Path) -> None:
    assert mailbox.listed(tmp_path / "none", 10) == []
