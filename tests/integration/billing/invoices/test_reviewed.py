"""A receipt that is raised becomes an invoice; what is disputed is not credited away; large payouts in small parts."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import text

from billing.claims.make import make
from billing.claims.settle import Settlement, settle
from billing.invoices.below_zero import credit_below_zero
from billing.invoices.receipt import issue_receipt
from billing.invoices.write import Presented
from billing.passages import held
from billing.passages.models import Passage
from billing.payments import payouts
from config.rates import whole
from tests.integration.billing.books import DAY, ISSUED, SELLER, Books
from tests.integration.billing.invoices.adjusted import adjust
from tests.integration.billing.invoices.test_reissue import ON, anew, credited


def test_a_receipt_that_is_raised_is_an_invoice_of_what_is_open(books: Books) -> None:
    agreement = books.agreement()
    (passage,) = books.passages(agreement, 30_000)
    (made,) = make(books.session, [agreement], "card", "charge:1", "", ISSUED, 0, ISSUED)
    settle(books.session, [Settlement(made.claim_id, "card", 1, 30_000, ISSUED.date())], ISSUED.date(), ISSUED, "cards")
    paid = {"brand": "visa", "last4": "4242", "on": "2026-02-01"}
    document = issue_receipt(books.session, made.claim_id, paid_by=paid, seller=SELLER, now=ISSUED)
    adjust(books, agreement, passage, 30_000, 90_000, ON)
    anew(books, books.one("SELECT number FROM documents WHERE id = :id", id=document))
    row = books.session.execute(
        text("SELECT total_ore, paid_ore, due_on, kid, paid_by FROM documents ORDER BY id DESC LIMIT 1")
    ).one()
    assert (row.total_ore, row.paid_ore, row.paid_by) == (90_000, 30_000, None)
    assert row.kid is not None
    assert row.due_on == books.value("SELECT due_on FROM claims")
    assert row.due_on > ON.date()


def test_what_is_disputed_is_not_credited_away(books: Books) -> None:
    agreement = books.agreement()
    credited(books, books.invoice(agreement, 10_000), 10_000)
    (passage,) = books.passages(agreement, 8_000, booked=ON)
    assert held.hold(books.session, books.session.get_one(Passage, (passage, ON)), ON)
    at = ON + DAY
    presented = Presented(SELLER, at.date(), None, None, None, at)
    done = credit_below_zero(books.session, [agreement], run="r", cutoff=at, minimum_ore=1, presented=presented)
    assert done.sum_ore == -10_000
    assert books.value("SELECT claim_id FROM passages WHERE id = :p", p=passage) is None
    assert books.one("SELECT unbilled_ore FROM balances WHERE agreement_id = :a", a=agreement) == 8_000


def test_a_large_payout_in_small_parts_takes_a_second_person(books: Books) -> None:
    agreement = books.agreement()
    books.session.execute(
        text(
            "INSERT INTO credit_entries (agreement_id, amount_ore, code, ref, value_date, at) "
            "VALUES (:a, 100000000, 'overpaid', 999, '2026-02-01', :at)"
        ),
        {"a": agreement, "at": ON},
    )
    limit = whole("payout_second_approver_ore", ON.date())

    def ask(ore: int, at: dt.datetime = ON) -> str:
        return payouts.request(
            books.session, agreement, amount_ore=ore, account="86011117947", reason="x", actor="agent:kari", now=at
        ).state

    assert [ask(limit), ask(1), ask(limit)] == ["approved", "requested", "requested"]
    assert ask(limit, ON + 31 * DAY) == "approved"
