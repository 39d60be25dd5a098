"""Unpaid: reminded, blocked, paid, reopened; and what must not happen on the way."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from billing.collection import overdue, remind
from billing.collection.overdue import find_reach, step
from billing.collection.reopen import reopen
from billing.payments.assign import assign
from config.clock import move_clock
from config.database import SessionFactory
from config.jobs import JobContext
from config.problems import Conflict, Invalid, NotFound
from config.settings import Settings
from simulator.bank import BankPayment
from tests.integration.billing.books import DAY, DUE, OURS, Books, Invoice, noon

CONTACT = {"channel": "phone", "note": "Called."}
GRACE_OVER = DUE + 3 * DAY  # Monday plus three bank days


def judge(books: Books, on: dt.date) -> int:
    """The overdue step on a day; how many it blocked."""
    reached = find_reach(books.session, [OURS], on)
    return step(books.session, reached, 0, on, noon(on)).blocked


@pytest.fixture
def invoice(books: Books) -> Invoice:
    """An invoice of 100 kroner, due on a Monday."""
    return books.invoice(books.agreement(), 10_000)


def test_due_today_is_not_overdue_and_nothing_happens_without_the_file(books: Books, invoice: Invoice) -> None:
    books.pay("", 100, DUE, read_on=DUE)  # even with a file of that day
    assert judge(books, DUE) == 0
    assert books.standing(invoice.agreement) == "open"


def test_blocked_when_the_file_that_can_hold_the_due_date_has_been_read(books: Books, invoice: Invoice) -> None:
    books.pay("", 100, DUE - DAY)
    assert judge(books, DUE + DAY) == 0
    books.pay("", 100, DUE)
    assert judge(books, DUE + DAY) == 1
    assert books.standing(invoice.agreement) == "blocked"
    assert books.told(invoice.agreement)[-1] == "blocked"
    data = books.value("SELECT data FROM messages WHERE template = 'blocked'")
    assert data == {
        "due": [{"invoice": invoice.number, "kid": invoice.kid, "open_ore": 10_000, "due_on": DUE.isoformat()}],
        "open_ore": 10_000,
    }
    assert books.value("SELECT status FROM publications ORDER BY id DESC LIMIT 1") == "blocked"
    assert judge(books, DUE + 2 * DAY) == 0  # never twice
    assert books.one("SELECT count(*) FROM blocks") == 1
    books.prove(noon(DUE + 2 * DAY))


def test_a_date_ahead_does_not_say_that_the_account_has_been_read_that_far(books: Books, invoice: Invoice) -> None:
    """The reader lets some days ahead pass; what is paid on the days between cannot have been seen."""
    books.receive(books.file(BankPayment("", 100, DUE + 2 * DAY)), DUE)  # read on the due date
    assert find_reach(books.session, [OURS], DUE + DAY).read == DUE - DAY
    assert judge(books, DUE + DAY) == 0
    assert books.standing(invoice.agreement) == "open"
    books.pay(invoice.kid, 10_000, DUE)  # in time, in the next file
    assert judge(books, GRACE_OVER) == 0
    books.prove(noon(GRACE_OVER))


def test_a_later_file_does_not_stand_in_for_one_that_is_missing(books: Books, invoice: Invoice) -> None:
    books.pay("", 100, DUE - DAY)
    missing = books.file(BankPayment(invoice.kid, 10_000, DUE))
    books.pay("", 100, DUE + DAY)
    reached = find_reach(books.session, [OURS], DUE + 2 * DAY)
    assert (reached.read, reached.missing) == (DUE - DAY, ("001008566: 2",))
    assert judge(books, DUE + 2 * DAY) == 0
    books.receive(missing, DUE + 2 * DAY)
    reached = find_reach(books.session, [OURS], DUE + 2 * DAY)
    assert (reached.read, reached.missing) == (DUE + DAY, ())
    assert judge(books, DUE + 2 * DAY) == 0
    assert books.one("SELECT count(*) FROM blocks") == 0
    books.prove(noon(DUE + 2 * DAY))


def test_a_missing_file_holds_no_longer_than_the_grace(books: Books, invoice: Invoice) -> None:
    books.pay("", 100, DUE - DAY)
    books.file(BankPayment("", 100, DUE))  # lost on the way
    books.pay("", 100, DUE + DAY)
    later = books.invoice(books.agreement(), 5_000, due=DUE + 8 * DAY)
    reached = find_reach(books.session, [OURS], GRACE_OVER)
    outcome = step(books.session, reached, 0, GRACE_OVER, noon(GRACE_OVER))
    assert (outcome.blocked, outcome.by_grace) == (1, 1)
    # What the lost file held is past its grace: files after it are enough for later due dates, and it is still named.
    books.pay("", 100, DUE + 8 * DAY)
    reached = find_reach(books.session, [OURS], DUE + 9 * DAY)
    assert (reached.read, reached.missing) == (DUE + 8 * DAY, ("001008566: 2",))
    assert judge(books, DUE + 9 * DAY) == 1
    assert books.standing(later.agreement) == "blocked"


def test_another_bank_agreement_of_the_account_does_not_hide_a_missing_file(books: Books, invoice: Invoice) -> None:
    books.pay("", 100, DUE - DAY)
    books.file(BankPayment("", 100, DUE))
    books.pay("", 100, DUE + DAY)
    other = books.bank.file(
        [BankPayment("", 100, DUE + DAY)], account=OURS, agreement_id="002", recipient="00010200", made_on=DUE + DAY
    )
    books.receive(other, DUE + 2 * DAY)
    assert find_reach(books.session, [OURS], DUE + 2 * DAY).read == DUE - DAY
    assert judge(books, DUE + 2 * DAY) == 0


def test_the_job_names_what_is_missing(books: Books, invoice: Invoice, ctx: JobContext) -> None:
    books.pay("", 100, DUE - DAY)
    for _ in range(2):
        books.file(BankPayment("", 100, DUE))
    books.pay("", 100, DUE + DAY)
    move_clock(books.session, noon(DUE + 2 * DAY), running=False)
    books.session.commit()
    with capture_logs() as logs:
        result = overdue.job(ctx, noon(DUE + 2 * DAY))
    assert result["bank_files_missing"] == "001008566: 2-3"
    assert (result["blocked"], result["bank_read_through"]) == (0, (DUE - DAY).isoformat())
    warned = [entry for entry in logs if entry["event"] == "overdue.bank_numbers_missing"]
    assert [(entry["log_level"], entry["missing"]) for entry in warned] == [("warning", "001008566: 2-3")]


def test_without_any_file_blocked_when_the_grace_is_over_and_said(books: Books, invoice: Invoice) -> None:
    assert judge(books, GRACE_OVER - DAY) == 0
    reached = find_reach(books.session, [OURS], GRACE_OVER)
    outcome = step(books.session, reached, 0, GRACE_OVER, noon(GRACE_OVER))
    assert (outcome.blocked, outcome.by_grace) == (1, 1)


def test_a_file_of_another_account_does_not_count(books: Books, invoice: Invoice) -> None:
    books.receive(books.file(BankPayment("", 100, DUE), account="99991042764"), DUE + DAY)
    assert judge(books, DUE + DAY) == 0


def test_paid_is_not_blocked_and_a_remainder_is_written_off(books: Books, invoice: Invoice) -> None:
    books.pay(invoice.kid, 9_501, DUE)
    assert judge(books, DUE + DAY) == 0
    assert books.open_ore(invoice) == 0
    assert books.one("SELECT count(*) FROM allocations WHERE source = 'write_off' AND amount_ore = 499") == 1
    books.prove(noon(DUE + DAY))


def test_a_remainder_of_the_figure_blocks(books: Books, invoice: Invoice) -> None:
    books.pay(invoice.kid, 9_500, DUE)
    assert judge(books, DUE + DAY) == 1
    assert books.open_ore(invoice) == 500


def test_credit_is_used_before_anybody_is_blocked(books: Books) -> None:
    agreement = books.agreement()
    first = books.invoice(agreement, 10_000, due=DUE - 3 * DAY)
    second = books.invoice(agreement, 5_000, run="other")
    books.pay(first.kid, 15_000, DUE - 4 * DAY)  # the second is not due yet: credit
    assert books.credit(agreement) == 5_000
    assert judge(books, GRACE_OVER) == 0
    assert (books.open_ore(second), books.credit(agreement)) == (0, 0)
    books.prove(noon(GRACE_OVER))


def test_a_payment_that_was_in_time_reopens_by_itself_and_undoes_the_block(books: Books, invoice: Invoice) -> None:
    assert judge(books, GRACE_OVER) == 1
    assert "blocked" in books.told(invoice.agreement, waiting=True)
    books.pay(invoice.kid, 10_000, DUE, read_on=GRACE_OVER + DAY)
    assert books.standing(invoice.agreement) == "open"
    assert books.value("SELECT ending FROM blocks") == "voided"
    told = books.told(invoice.agreement, waiting=True)
    assert "blocked" not in told
    assert told[-1] == "unblocked"
    assert books.value("SELECT status FROM publications ORDER BY id DESC LIMIT 1") == "valid"
    books.prove(noon(GRACE_OVER + DAY))


def test_in_time_reopens_although_paid_a_second_time_meanwhile(books: Books, invoice: Invoice) -> None:
    """The first payment is read last and becomes credit, all of it: it was in time all the same."""
    judge(books, GRACE_OVER)
    books.pay(invoice.kid, 10_000, DUE + 7 * DAY)
    assert books.standing(invoice.agreement) == "awaiting_reopen"
    books.pay(invoice.kid, 10_000, DUE, read_on=DUE + 9 * DAY)
    assert books.credit(invoice.agreement) == 10_000
    assert books.standing(invoice.agreement) == "open"
    assert books.value("SELECT ending FROM blocks") == "voided"
    assert books.told(invoice.agreement, waiting=True)[-1] == "unblocked"
    assert not {"blocked", "paid_call_us"} & set(books.told(invoice.agreement, waiting=True))
    books.prove(noon(DUE + 9 * DAY))


@pytest.mark.parametrize("on_invoice", [True, False])
def test_in_time_reopens_when_support_places_it_after_a_late_one(
    books: Books, invoice: Invoice, on_invoice: bool
) -> None:
    books.pay("", 10_000, DUE)
    judge(books, GRACE_OVER)
    books.pay(invoice.kid, 10_000, DUE + 7 * DAY)
    assert books.standing(invoice.agreement) == "awaiting_reopen"
    waiting = books.one("SELECT id FROM payments WHERE state = 'suspense'")
    claim = invoice.claim if on_invoice else None
    assign(books.session, waiting, invoice.agreement, claim, noon(DUE + 9 * DAY), "agent:kari")
    assert books.standing(invoice.agreement) == "open"
    assert books.value("SELECT ending FROM blocks") == "voided"
    books.prove(noon(DUE + 9 * DAY))


def test_money_in_time_for_one_of_two_does_not_reopen(books: Books, invoice: Invoice) -> None:
    """Each øre counts once over what the block stands for."""
    second = books.invoice(invoice.agreement, 10_000, run="other")
    judge(books, GRACE_OVER)
    books.pay(invoice.kid, 10_000, DUE + 7 * DAY)
    books.pay(second.kid, 10_000, DUE + 7 * DAY)
    books.pay(invoice.kid, 10_000, DUE, read_on=DUE + 9 * DAY)
    assert books.standing(invoice.agreement) == "awaiting_reopen"
    books.pay(second.kid, 10_000, DUE, read_on=DUE + 10 * DAY)
    assert books.standing(invoice.agreement) == "open"
    books.prove(noon(DUE + 10 * DAY))


def test_money_in_time_in_parts_though_an_invoice_has_used_the_first(books: Books, invoice: Invoice) -> None:
    judge(books, GRACE_OVER)
    books.pay(invoice.kid, 10_000, DUE + 7 * DAY)
    books.pay(invoice.kid, 4_000, DUE, read_on=DUE + 9 * DAY)
    assert books.standing(invoice.agreement) == "awaiting_reopen"
    books.invoice(invoice.agreement, 8_000, run="next", due=DUE + 30 * DAY)
    assert books.credit(invoice.agreement) == 0
    books.pay(invoice.kid, 6_000, DUE, read_on=DUE + 10 * DAY)
    assert books.standing(invoice.agreement) == "open"
    books.prove(noon(DUE + 10 * DAY))


def test_what_the_bank_took_back_was_not_paid_in_time(books: Books, invoice: Invoice) -> None:
    books.pay(invoice.kid, 10_000, DUE)
    back = BankPayment(invoice.kid, 10_000, GRACE_OVER, type=18)
    books.receive(books.file(back, BankPayment("", 10_000, GRACE_OVER)), GRACE_OVER + DAY)
    assert judge(books, GRACE_OVER + DAY) == 1
    books.pay(invoice.kid, 10_000, DUE + 7 * DAY)
    assert books.standing(invoice.agreement) == "awaiting_reopen"
    books.prove(noon(DUE + 8 * DAY))


def test_paid_late_awaits_support_and_support_reopens(books: Books, invoice: Invoice) -> None:
    number = books.number(invoice.agreement)
    judge(books, GRACE_OVER)
    with pytest.raises(Conflict) as caught:
        reopen(books.session, number, CONTACT, noon(GRACE_OVER), "agent:kari")
    assert caught.value.type == "/problems/still-due"
    assert caught.value.extra["due"][0]["invoice"] == invoice.number
    assert caught.value.extra["open_ore"] == 10_000
    books.pay(invoice.kid, 4_000, GRACE_OVER)
    assert books.standing(invoice.agreement) == "blocked"
    books.pay(invoice.kid, 6_000, GRACE_OVER + DAY)
    assert books.standing(invoice.agreement) == "awaiting_reopen"
    assert books.told(invoice.agreement)[-1] == "paid_call_us"
    books.prove(noon(GRACE_OVER + 2 * DAY))
    done = reopen(books.session, number, CONTACT, noon(GRACE_OVER + 2 * DAY), "agent:kari")
    assert (done.standing, done.already) == ("open", False)
    assert books.told(invoice.agreement)[-1] == "reopened"
    assert books.value("SELECT contact->>'channel' FROM blocks") == "phone"
    again = reopen(books.session, number, CONTACT, noon(GRACE_OVER + 2 * DAY), "agent:kari")
    assert again.already
    assert books.told(invoice.agreement).count("reopened") == 1
    assert judge(books, GRACE_OVER + 3 * DAY) == 0
    books.prove(noon(GRACE_OVER + 3 * DAY))


def test_in_time_for_one_invoice_but_not_for_another_awaits_support(books: Books, invoice: Invoice) -> None:
    second = books.invoice(invoice.agreement, 5_000, run="other", due=DUE + DAY)
    judge(books, GRACE_OVER)
    books.pay(second.kid, 5_000, DUE + 4 * DAY)
    books.pay(invoice.kid, 10_000, DUE, read_on=DUE + 6 * DAY)
    assert books.standing(invoice.agreement) == "awaiting_reopen"


def test_in_time_except_what_the_figure_lets_go(books: Books, invoice: Invoice) -> None:
    judge(books, GRACE_OVER)
    books.pay(invoice.kid, 9_700, DUE, read_on=GRACE_OVER)
    assert books.standing(invoice.agreement) == "open"
    judge(books, GRACE_OVER + DAY)
    assert books.open_ore(invoice) == 0
    books.prove(noon(GRACE_OVER + DAY))


def test_what_is_due_next_week_does_not_keep_it_blocked(books: Books, invoice: Invoice) -> None:
    books.invoice(invoice.agreement, 5_000, run="other", due=DUE + 20 * DAY)
    judge(books, GRACE_OVER)
    books.pay(invoice.kid, 10_000, GRACE_OVER)
    assert books.standing(invoice.agreement) == "awaiting_reopen"
    done = reopen(books.session, books.number(invoice.agreement), CONTACT, noon(GRACE_OVER + DAY), "agent:kari")
    assert done.standing == "open"


def test_awaiting_and_newly_overdue_is_blocked_again_and_told(books: Books, invoice: Invoice) -> None:
    second = books.invoice(invoice.agreement, 5_000, run="other", due=DUE + 10 * DAY)
    judge(books, GRACE_OVER)
    books.pay(invoice.kid, 10_000, GRACE_OVER)
    assert judge(books, DUE + 15 * DAY) == 1
    assert books.standing(invoice.agreement) == "blocked"
    assert books.told(invoice.agreement).count("blocked") == 2
    assert books.one("SELECT count(*) FROM blocks") == 1
    books.pay(second.kid, 5_000, DUE + 15 * DAY)
    assert books.standing(invoice.agreement) == "awaiting_reopen"
    assert books.told(invoice.agreement).count("paid_call_us") == 2
    books.prove(noon(DUE + 16 * DAY))


def test_a_payment_taken_back_by_the_bank_is_overdue_again(books: Books, invoice: Invoice) -> None:
    books.pay(invoice.kid, 10_000, DUE)
    assert judge(books, GRACE_OVER) == 0
    back = BankPayment(invoice.kid, 10_000, GRACE_OVER, type=18)
    books.receive(books.file(back, BankPayment("", 10_000, GRACE_OVER)), GRACE_OVER + DAY)
    assert judge(books, GRACE_OVER + DAY) == 1
    books.prove(noon(GRACE_OVER + DAY))


def test_a_closed_agreement_is_not_blocked(books: Books, invoice: Invoice) -> None:
    books.session.execute(text("UPDATE agreements SET closed_at = :at"), {"at": noon(DUE - DAY)})
    assert judge(books, GRACE_OVER) == 0


def test_reopening_what_is_not_blocked_or_not_there(books: Books) -> None:
    number = books.number(books.agreement())
    with pytest.raises(Conflict) as caught:
        reopen(books.session, number, CONTACT, noon(DUE), "agent:kari")
    assert caught.value.type == "/problems/not-blocked"
    with pytest.raises(NotFound):
        reopen(books.session, 99_999_999, CONTACT, noon(DUE), "agent:kari")
    with pytest.raises(Invalid):
        reopen(books.session, number, {"channel": "pigeon", "note": ""}, noon(DUE), "agent:kari")


@pytest.fixture
def ctx(books: Books, sessions: SessionFactory, settings: Settings) -> JobContext:
    return JobContext(sessions, settings)


def test_the_jobs_work_in_chunks_and_are_boring_the_second_time(
    books: Books, ctx: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overdue, "CHUNK", 2)
    monkeypatch.setattr(remind, "CHUNK", 2)
    invoices = [books.invoice(books.agreement(), 10_000) for _ in range(5)]
    books.pay(invoices[2].kid, 10_000, DUE - 4 * DAY)
    at = noon(DUE - 3 * DAY)
    move_clock(books.session, at, running=False)
    books.session.commit()
    assert remind.job(ctx, at) == {"reminded": 4}
    assert remind.job(ctx, at) == {"reminded": 0}
    assert books.told(invoices[0].agreement)[-1] == "reminder"
    assert books.told(invoices[2].agreement)[-1] != "reminder"
    move_clock(books.session, noon(GRACE_OVER), running=False)
    books.session.commit()
    first = overdue.job(ctx, noon(GRACE_OVER))
    assert (first["blocked"], first["blocked_without_bank_file"], first["through"]) == (4, 4, DUE.isoformat())
    assert overdue.job(ctx, noon(GRACE_OVER))["blocked"] == 0
    assert remind.job(ctx, noon(GRACE_OVER)) == {"reminded": 0}
    books.prove(noon(GRACE_OVER))


@pytest.mark.parametrize(("before", "reminded"), [(4, 0), (3, 1), (1, 1), (0, 1), (-1, 0)])
def test_reminded_within_the_days_of_the_figure(books: Books, invoice: Invoice, before: int, reminded: int) -> None:
    on = DUE - before * DAY
    assert remind.step(books.session, 0, on, noon(on)).count == reminded


def test_each_chunk_counts_from_its_own_instant(books: Books, ctx: JobContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that takes minutes does not say that chargers were told when it began."""
    monkeypatch.setattr(overdue, "CHUNK", 1)
    ticks = iter(range(100))
    monkeypatch.setattr(overdue, "business_now", lambda _: noon(GRACE_OVER) + dt.timedelta(minutes=next(ticks)))
    for _ in range(2):
        books.invoice(books.agreement(), 10_000)
    books.session.commit()
    assert overdue.job(ctx, noon(GRACE_OVER))["blocked"] == 2
    first, second = books.session.execute(
        text("SELECT effective_at FROM publications WHERE status = 'blocked' ORDER BY agreement_id")
    ).scalars()
    assert second - first == dt.timedelta(minutes=1)
