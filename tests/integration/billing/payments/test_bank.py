"""Reading the bank's files: booked whole or refused whole, matched by KID, nothing lost, nothing twice."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.payments.bank import receive
from config.database import SessionFactory
from config.problems import TooLarge
from config.rates import whole
from simulator.bank import BankPayment, Mistake, with_wrong_check
from tests.integration.billing.books import DAY, DUE, OURS, Books, noon

TODAY = dt.date(2026, 2, 10)
NOW = noon(TODAY)
SAMPLE = Path("tests/unit/billing/payments/samples/ocr_giro_transactions.txt").read_bytes()


def whys(books: Books) -> list[str | None]:
    return list(books.session.scalars(text("SELECT why FROM payments WHERE state = 'suspense' ORDER BY id")))


def test_a_payment_settles_its_invoice(books: Books) -> None:
    invoice, other = books.invoice(books.agreement(), 10_000), books.invoice(books.agreement(), 10_000)
    result = books.receive(books.file(BankPayment(invoice.kid, 10_000, TODAY)), TODAY)
    assert (result.state, result.payments, result.matched, result.suspense) == ("booked", 1, 1, 0)
    assert (result.transactions, result.sum_ore, result.matched_ore) == (1, 10_000, 10_000)
    assert books.open_ore(invoice) == 0
    assert books.open_ore(other) == 10_000
    books.prove(NOW)


def test_several_payments_on_one_invoice_settle_in_order(books: Books) -> None:
    invoice = books.invoice(books.agreement(), 10_000)
    result = books.receive(books.file(*(BankPayment(invoice.kid, ore, TODAY) for ore in (4_000, 5_000, 3_000))), TODAY)
    parts = books.session.scalars(text("SELECT amount_ore FROM allocations ORDER BY id")).all()
    assert parts == [4_000, 5_000, 1_000]
    assert (result.credit_ore, books.credit(invoice.agreement)) == (2_000, 2_000)
    books.prove(NOW)


def test_the_same_file_twice_changes_nothing(books: Books) -> None:
    invoice = books.invoice(books.agreement(), 10_000)
    content = books.file(BankPayment(invoice.kid, 4_000, TODAY))
    first = books.receive(content, TODAY)
    again = books.receive(content, TODAY + DAY)
    assert (again.state, again.file_id, again.transactions) == ("already", first.file_id, 1)
    assert books.open_ore(invoice) == 6_000
    books.prove(NOW)


def test_the_same_assignment_in_another_file_is_booked_once(books: Books) -> None:
    invoice = books.invoice(books.agreement(), 10_000)
    content = books.file(BankPayment(invoice.kid, 4_000, TODAY))
    lines = content.splitlines(keepends=True)
    lines[0] = lines[0].replace(b"0000001", b"0000777", 1)  # another transmission, the same assignment
    books.receive(content, TODAY)
    result = books.receive(b"".join(lines), TODAY)
    assert (result.state, result.payments, result.repeated) == ("booked", 0, 1)
    assert books.open_ore(invoice) == 6_000
    books.prove(NOW)


def test_a_known_transaction_with_another_sum_refuses_the_file(books: Books) -> None:
    invoice = books.invoice(books.agreement(), 10_000)
    books.receive(books.file(BankPayment(invoice.kid, 4_000, TODAY)), TODAY)
    books.bank.next_assignment["001008566"] = 1
    result = books.receive(books.file(BankPayment(invoice.kid, 5_000, TODAY)), TODAY)
    assert (result.state, result.line) == ("refused", 3)
    assert "4000" in str(result.error)
    assert books.open_ore(invoice) == 6_000
    books.prove(NOW)


@pytest.mark.parametrize("again", [10_000, 9_000])
def test_the_same_assignment_twice_in_one_file_refuses_it(books: Books, again: int) -> None:
    """Its sums hold, so its money would count twice and be booked once."""
    invoice = books.invoice(books.agreement(), 20_000)
    lines = books.file(BankPayment(invoice.kid, 10_000, TODAY)).decode("latin-1").splitlines()
    books.bank.next_assignment["001008566"] = 1
    second = books.file(BankPayment(invoice.kid, again, TODAY)).decode("latin-1").splitlines()
    end = f"NY000089{2:08}{2 * len(lines) - 2:08}{10_000 + again:017}{lines[-1][41:47]}".ljust(80, "0")
    content = "\r\n".join([*lines[:-1], *second[1:-1], end, ""]).encode("latin-1")
    result = books.receive(content, TODAY)
    assert (result.state, result.line) == ("refused", 3 + len(lines) - 2)
    assert "twice" in str(result.error)
    assert books.one("SELECT count(*) FROM payments") + books.one("SELECT count(*) FROM bank_assignments") == 0
    assert books.open_ore(invoice) == 20_000
    books.prove(NOW)


def test_a_date_far_ahead_refuses_the_file_and_is_not_taken_for_coverage(books: Books) -> None:
    """Else one wrong year would say that every file until then has been read."""
    ahead = whole("bank_max_days_ahead", TODAY)
    invoice = books.invoice(books.agreement(), 10_000)
    late = books.file(BankPayment(invoice.kid, 1_000, TODAY), BankPayment(invoice.kid, 2_000, dt.date(2030, 12, 31)))
    result = books.receive(late, TODAY)
    assert (result.state, result.line) == ("refused", 5)
    assert "2030-12-31" in str(result.error)
    assert books.one("SELECT count(*) FROM payments") + books.one("SELECT count(*) FROM bank_assignments") == 0
    made_late = books.file(BankPayment(invoice.kid, 1_000, TODAY + ahead * DAY))  # made the day after
    assert (books.receive(made_late, TODAY).state, books.receive(made_late, TODAY).line) == ("refused", 5)
    edge = books.file(BankPayment(invoice.kid, 1_000, TODAY + (ahead - 1) * DAY))
    assert books.receive(edge, TODAY).state == "booked"
    # What was refused is booked when its day is near enough.
    assert books.receive(made_late, TODAY + DAY).state == "booked"
    books.prove(NOW)


def test_an_unreadable_payment_dated_far_ahead_refuses_the_file_too(books: Books) -> None:
    invoice = books.invoice(books.agreement(), 10_000)
    content = books.file(BankPayment(invoice.kid, 1_000, TODAY), BankPayment(invoice.kid, 2_000, dt.date(2030, 12, 31)))
    lines = content.splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if i > 3 and line[6:8] == b"31")
    lines[at] = lines[at][:41] + b"999999" + lines[at][47:]  # the payer's bank's date
    result = books.receive(b"".join(lines), TODAY)
    assert (result.state, result.line) == ("refused", at + 1)
    assert "2030-12-31" in str(result.error)


@pytest.mark.parametrize("mistake", [Mistake.WRONG_TOTAL, Mistake.WRONG_COUNT, Mistake.TRUNCATED])
def test_a_wrong_file_is_refused_whole_and_kept_with_why(books: Books, mistake: Mistake) -> None:
    invoice = books.invoice(books.agreement(), 10_000)
    content = books.bank.file(
        [BankPayment(invoice.kid, 4_000, TODAY)],
        account=OURS,
        agreement_id="001008566",
        recipient="00010200",
        made_on=TODAY,
        mistake=mistake,
    )
    result = books.receive(content, TODAY)
    assert result.state == "refused"
    assert result.line is not None
    kept = books.session.execute(text("SELECT state, error, error_line, content FROM bank_files")).one()
    assert (kept.state, kept.error, kept.error_line) == ("refused", result.error, result.line)
    assert bytes(kept.content) == content
    assert books.one("SELECT count(*) FROM payments") + books.one("SELECT count(*) FROM bank_assignments") == 0
    assert books.open_ore(invoice) == 10_000
    assert books.receive(content, TODAY).state == "refused"  # tried again, still wrong


def test_one_digit_of_a_sum_changed_refuses_the_sample(books: Books) -> None:
    good = books.receive(SAMPLE, TODAY)
    assert good.state == "booked"
    assert good.payments == good.transactions == good.suspense + good.matched
    assert books.one("SELECT sum(amount_ore) FROM payments") == good.sum_ore
    books.prove(NOW)
    lines = SAMPLE.splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if line.startswith(b"NY090088"))
    digit = lines[at][40:41]
    lines[at] = lines[at][:40] + (b"1" if digit != b"1" else b"2") + lines[at][41:]
    bad = books.receive(b"".join(lines), TODAY)
    assert (bad.state, bad.line) == ("refused", at + 1)


def test_what_nobody_can_place_waits_and_says_why(books: Books) -> None:
    invoice = books.invoice(books.agreement(), 10_000)
    unknown = "200000011000000015"
    result = books.receive(
        books.file(
            BankPayment("", 100, TODAY),
            BankPayment("0" * 25, 200, TODAY),
            BankPayment(with_wrong_check(invoice.kid), 300, TODAY),
            BankPayment(unknown, 400, TODAY),
        ),
        TODAY,
    )
    assert whys(books)[:3] == ["no_kid", "no_kid", "bad_kid"]
    assert (result.suspense, result.suspense_ore, result.matched) == (4, 1_000, 0)
    books.prove(NOW)


def test_a_kid_filled_with_zeros_is_still_ours(books: Books) -> None:
    invoice = books.invoice(books.agreement(), 10_000)
    books.pay(invoice.kid.rjust(25, "0"), 10_000, TODAY)
    assert books.open_ore(invoice) == 0


def test_money_on_an_account_that_is_not_ours_is_kept_and_said(books: Books) -> None:
    invoice = books.invoice(books.agreement(), 10_000)
    result = books.receive(books.file(BankPayment(invoice.kid, 10_000, TODAY), account="99991042764"), TODAY)
    assert (result.matched, result.suspense) == (0, 1)
    assert "99991042764" in result.notes[0]
    assert whys(books) == ["foreign_account"]
    assert books.open_ore(invoice) == 10_000
    books.prove(NOW)


def test_a_payment_that_cannot_be_read_waits_with_its_records(books: Books) -> None:
    invoice = books.invoice(books.agreement(), 10_000)
    content = books.file(BankPayment(invoice.kid, 10_000, TODAY), BankPayment("12X4", 700, TODAY))
    result = books.receive(content, TODAY)
    assert (result.matched, result.suspense, result.suspense_ore, result.transactions) == (1, 1, 700, 2)
    assert whys(books) == ["unreadable"]
    assert "12X4" in str(books.value("SELECT text FROM payments WHERE why = 'unreadable'"))
    books.prove(NOW)


@pytest.mark.parametrize("kind", [10, 18])
def test_the_bank_takes_a_payment_back(books: Books, kind: int) -> None:
    invoice = books.invoice(books.agreement(), 10_000)
    books.pay(invoice.kid, 12_000, TODAY)
    back = BankPayment(invoice.kid, 12_000 if kind == 18 else -12_000, TODAY + DAY, type=kind)
    # Beside another payment: an end record has no place for a net sum below zero.
    result = books.receive(books.file(back, BankPayment("", 50_000, TODAY + DAY)), TODAY + DAY)
    assert result.taken_back == 1
    assert (books.open_ore(invoice), books.credit(invoice.agreement)) == (10_000, 0)
    assert books.value("SELECT state FROM payments WHERE amount_ore < 0") == "settled"
    books.prove(NOW + DAY)


def test_credit_that_was_spent_is_missing_in_suspense(books: Books) -> None:
    agreement = books.agreement()
    invoice = books.invoice(agreement, 10_000)
    books.pay(invoice.kid, 12_000, TODAY)
    books.invoice(agreement, 1_500, run="next", due=DUE + 30 * DAY)
    books.receive(
        books.file(BankPayment(invoice.kid, 12_000, TODAY + DAY, type=18), BankPayment("", 5, TODAY + DAY)), TODAY + DAY
    )
    assert (books.open_ore(invoice), books.credit(agreement)) == (10_000, 0)
    assert whys(books)[0] == "credit_spent"
    books.prove(NOW + DAY)


def test_a_reversal_of_nothing_we_know_waits(books: Books) -> None:
    invoice = books.invoice(books.agreement(), 10_000)
    books.pay(invoice.kid, 10_000, TODAY)
    result = books.receive(
        books.file(BankPayment(invoice.kid, 9_000, TODAY + DAY, type=18), BankPayment("", 9_500, TODAY + DAY)),
        TODAY + DAY,
    )
    assert (result.taken_back, result.suspense_ore) == (0, 500)
    assert whys(books)[0] == "reversal_unmatched"
    assert books.open_ore(invoice) == 0
    books.prove(NOW + DAY)


def test_a_reversal_of_what_was_in_suspense_cancels_it(books: Books) -> None:
    unknown = "200000011000000015"
    books.pay(unknown, 700, TODAY)
    books.receive(
        books.file(BankPayment(unknown, 700, TODAY + DAY, type=18), BankPayment("", 800, TODAY + DAY)), TODAY + DAY
    )
    states = books.session.scalars(text("SELECT state FROM payments ORDER BY id")).all()
    assert states == ["reversed", "reversed", "suspense"]
    books.prove(NOW + DAY)


def test_a_payment_is_taken_back_once(books: Books) -> None:
    invoice = books.invoice(books.agreement(), 10_000)
    books.pay(invoice.kid, 10_000, TODAY)
    back = BankPayment(invoice.kid, 10_000, TODAY + DAY, type=18)
    result = books.receive(books.file(back, back, BankPayment("", 30_000, TODAY + DAY)), TODAY + DAY)
    assert result.taken_back == 1
    assert whys(books)[0] == "reversal_unmatched"
    assert books.open_ore(invoice) == 10_000
    books.prove(NOW + DAY)


def test_coverage_is_noted_by_account(books: Books) -> None:
    books.pay("", 100, TODAY)
    row = books.session.execute(text("SELECT account, last_date, sum_ore FROM bank_assignments")).one()
    assert tuple(row) == (OURS, TODAY, 100)


def test_an_empty_assignment_without_a_date_of_its_own_is_noted_by_its_transmission(books: Books) -> None:
    """Else its number would look like that of a file that has not come."""
    empty = books.bank.file([], account=OURS, agreement_id="001008566", recipient="00010200", made_on=TODAY)
    lines = empty.splitlines(keepends=True)
    assert lines[2].startswith(b"NY090088")
    lines[2] = lines[2][:41] + b"0" * 39 + b"\r\n"
    assert books.receive(b"".join(lines), TODAY + DAY).state == "booked"
    row = books.session.execute(text("SELECT number, last_date FROM bank_assignments")).one()
    assert tuple(row) == ("1", TODAY)


def test_too_large_a_file_is_not_read(session: Session) -> None:
    with pytest.raises(TooLarge):
        receive(session, "big", b"x" * 101, NOW, accounts=[OURS], max_bytes=100)


def test_an_import_that_dies_leaves_nothing(books: Books, sessions: SessionFactory) -> None:
    invoice = books.invoice(books.agreement(), 10_000)
    content = books.file(BankPayment(invoice.kid, 10_000, TODAY))
    books.session.commit()
    with sessions() as dying:
        receive(dying, "f", content, NOW, accounts=[OURS], max_bytes=10**6)
        dying.rollback()
    assert books.one("SELECT count(*) FROM bank_files") == 0
    assert books.receive(content, TODAY).state == "booked"
    books.prove(NOW)
