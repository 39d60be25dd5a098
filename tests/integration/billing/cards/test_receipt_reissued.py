"""A card's receipt is credited and issued anew: what the card paid too much is credit, with its part of the fee."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import text

from billing.invoices.reissue import Reissued, reissue
from billing.invoices.view import view_of
from billing.passages.credit import credit
from tests.integration.billing.books import SELLER, Books
from tests.integration.billing.cards.test_late_money import NOW, Payer

LATER = NOW + dt.timedelta(hours=2)


def anew(books: Books, number: int, now: dt.datetime) -> Reissued:
    return reissue(books.session, number, reason="wrong class", seller=SELLER, now=now, actor="agent:kari")


def take_back(books: Books, agreement: int, ore: int, now: dt.datetime) -> None:
    passage = books.one(
        "SELECT id FROM passages WHERE agreement_id = :a AND amount_ore = :ore AND reverses_id IS NULL",
        a=agreement,
        ore=ore,
    )
    credit(books.session, agreement, passage, reason="wrong class", actor="agent:kari", now=now)


def test_a_receipt_is_credited_and_the_money_is_the_customers(books: Books) -> None:
    payer = Payer(books, "commercial")
    charge = payer.charge(18_000, 5_000)
    assert payer.paid(payer.attempt(charge)) == "succeeded"
    old = books.one("SELECT number FROM documents WHERE claim_id = :c", c=charge.claim_id)
    take_back(books, payer.agreement, 5_000, LATER)
    done = anew(books, old, LATER)
    fee = 399  # of 2 % of 230 kroner and 50 øre, which is 510 øre: what 180 are of 230
    assert (done.credited_ore, done.total_ore) == (-23_000 - 510, 18_000 + fee)
    assert books.credit(payer.agreement) == 5_000 + 510 - fee
    assert payer.account("card_fees") == -fee
    assert books.told(payer.agreement)[-2:] == ["credit_note", "receipt_reissued"]
    row = books.session.execute(
        text("SELECT id, kid, due_on, paid_by ->> 'last4' AS last4 FROM documents WHERE number = :n"),
        {"n": done.invoice},
    ).one()
    assert (row.kid, row.due_on, row.last4) == (None, None, "4242")
    shown = view_of(books.session, row.id)
    assert (shown.paid_ore, shown.payable_ore, shown.paid) == (18_000 + fee, 0, True)
    books.prove(LATER)


def test_a_charge_that_went_on_an_invoice_is_issued_anew_with_a_kid(books: Books) -> None:
    payer = Payer(books, "commercial")
    charge = payer.charge(18_000, 5_000)
    attempt = payer.attempt(charge)
    payer.nothing(attempt)
    payer.give_up(charge)
    old = books.one("SELECT number FROM documents WHERE claim_id = :c", c=charge.claim_id)
    take_back(books, payer.agreement, 5_000, LATER)
    done = anew(books, old, LATER)
    assert done.total_ore == 18_000
    assert books.value("SELECT kid IS NOT NULL FROM documents WHERE number = :n", n=done.invoice) is True
    books.prove(LATER)
    # The card turns out to have paid the first sum: all of it is the customer's, and pays what is left.
    assert payer.paid(attempt, now=LATER) == "succeeded"
    books.prove(LATER)


def test_without_its_passages_nothing_is_left(books: Books) -> None:
    payer = Payer(books, "commercial")
    charge = payer.charge(20_000)
    assert payer.paid(payer.attempt(charge)) == "succeeded"
    old = books.one("SELECT number FROM documents WHERE claim_id = :c", c=charge.claim_id)
    take_back(books, payer.agreement, 20_000, LATER)
    done = anew(books, old, LATER)
    assert (done.total_ore, done.invoice) == (0, None)
    assert (books.credit(payer.agreement), payer.account("card_fees")) == (20_450, 0)
    books.prove(LATER)


class TestOfTheFirstReleases:
    """They kept the whole fee when a receipt was issued anew."""

    @pytest.fixture
    def old(self, books: Books, monkeypatch: pytest.MonkeyPatch) -> tuple[Payer, int]:
        """A payer whose receipt was issued anew then, and the claim: of 230 kroner 180 are left, the fee was 5.10."""
        payer = Payer(books, "commercial")
        charge = payer.charge(15_000, 5_000, 3_000)
        assert payer.paid(payer.attempt(charge)) == "succeeded"
        assert charge.claim_id is not None
        with monkeypatch.context() as patch:
            patch.setattr("billing.claims.anew.fee_left", lambda first_fee, _first, _left: first_fee)
            take_back(books, payer.agreement, 5_000, LATER)
            done = anew(books, self.number(books, charge.claim_id), LATER)
        assert done.total_ore == 18_000 + 510, "all of the fee"
        return payer, charge.claim_id

    @staticmethod
    def number(books: Books, claim: int) -> int:
        """The number of the document that presents a claim now."""
        return books.one("SELECT max(number) FROM documents WHERE claim_id = :c AND kind = 'invoice'", c=claim)

    @staticmethod
    def begun(books: Books, at: dt.datetime) -> None:
        """Write that a job of that release was due, as the scheduler does."""
        books.session.execute(
            text("INSERT INTO job_occurrences (job, scheduled_for, state) VALUES ('card_disputes', :at, 'done')"),
            {"at": at},
        )

    def test_what_they_wrote_is_no_difference(self, books: Books, old: tuple[Payer, int]) -> None:
        books.prove(LATER)
        self.begun(books, LATER + dt.timedelta(minutes=1))
        books.prove(LATER)

    def test_the_same_written_since_is_one(self, books: Books, old: tuple[Payer, int]) -> None:
        self.begun(books, LATER - dt.timedelta(minutes=1))
        with pytest.raises(AssertionError, match="card_fees_back"):
            books.prove(LATER)

    @pytest.mark.parametrize("began", [True, False])
    def test_the_next_version_gives_back_all_that_is_due(
        self, books: Books, old: tuple[Payer, int], began: bool
    ) -> None:
        payer, claim = old
        since = LATER + dt.timedelta(hours=1)
        if began:
            self.begun(books, since)
        before = books.credit(payer.agreement)
        take_back(books, payer.agreement, 3_000, since)
        done = anew(books, self.number(books, claim), since)
        fee = 333  # what 150 are of 230 kroner, of 510 øre
        assert done.total_ore == 15_000 + fee
        assert books.credit(payer.agreement) - before == 3_000 + 510 - fee
        assert payer.account("card_fees") == -fee
        books.prove(since)

    def test_also_where_nothing_is_left(self, books: Books, old: tuple[Payer, int]) -> None:
        payer, claim = old
        since = LATER + dt.timedelta(hours=1)
        for ore in (3_000, 15_000):
            take_back(books, payer.agreement, ore, since)
        assert anew(books, self.number(books, claim), since).total_ore == 0
        assert (books.credit(payer.agreement), payer.account("card_fees")) == (23_510, 0)
        books.prove(since)
