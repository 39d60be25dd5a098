"""An invoice is credited whole and its claim presented anew: documents, money, books."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from billing.claims.credit import held
from billing.collection.overdue import find_reach, step
from billing.invoices.issue import issue
from billing.invoices.reissue import Reissued, job, reissue, reissue_by_rulebook
from billing.invoices.run import begin, carry_out
from billing.invoices.view import view_of
from billing.passages.credit import credit
from config import receivers
from config.clock import move_clock
from config.database import SessionFactory
from config.jobs import JobContext
from config.problems import Conflict, Invalid, NotFound
from config.settings import Settings
from tests.integration.billing.beside import Beside
from tests.integration.billing.books import DAY, DUE, ISSUED, OURS, SELLER, Books, Invoice, noon

ON = ISSUED + dt.timedelta(days=3, hours=9)
TODAY = ON.date()


def credited(books: Books, invoice: Invoice, ore: int, now: dt.datetime = ON) -> None:
    """Credit the invoice's passage of this sum."""
    passage = books.one(
        "SELECT id FROM passages WHERE claim_id = :c AND amount_ore = :ore AND reverses_id IS NULL",
        c=invoice.claim,
        ore=ore,
    )
    credit(books.session, invoice.agreement, passage, reason="wrong class", actor="agent:kari", now=now)


def anew(books: Books, number: int, now: dt.datetime = ON) -> Reissued:
    return reissue(books.session, number, reason="asked for", seller=SELLER, now=now, actor="agent:kari")


def documents(books: Books, claim: int) -> list[tuple[str, int, int, int | None]]:
    """Kind, version, øre, and what it credits of a claim's documents, in order."""
    rows = books.session.execute(
        text("SELECT kind, version, total_ore, credits_id FROM documents WHERE claim_id = :c ORDER BY number"),
        {"c": claim},
    )
    return [tuple(row) for row in rows]


def claim_of(books: Books, claim: int) -> tuple[int, int, int]:
    """Amount, settled, version."""
    row = books.session.execute(
        text("SELECT amount_ore, settled_ore, version FROM claims WHERE id = :c"), {"c": claim}
    ).one()
    return tuple(row)


@pytest.fixture
def invoice(books: Books) -> Invoice:
    """An invoice of 50 and 30 kroner."""
    return books.invoice(books.agreement(), 5_000, 3_000)


def test_an_unpaid_invoice_is_credited_and_the_rest_invoiced(books: Books, invoice: Invoice) -> None:
    credited(books, invoice, 3_000)
    done = anew(books, invoice.number)
    assert (done.credited, done.credited_ore, done.total_ore, done.already) == (invoice.number, -8_000, 5_000, False)
    assert done.credit_note == invoice.number + 1
    assert done.invoice == invoice.number + 2
    assert documents(books, invoice.claim) == [
        ("invoice", 1, 8_000, None),
        ("credit_note", 1, -8_000, invoice.document),
        ("invoice", 2, 5_000, None),
    ]
    assert claim_of(books, invoice.claim) == (5_000, 0, 2)
    assert books.value("SELECT unbilled_ore FROM balances WHERE agreement_id = :a", a=invoice.agreement) == 0
    assert books.told(invoice.agreement)[-2:] == ["credit_note", "reissued"]
    books.prove(ON)


def test_the_new_due_date_is_never_earlier_and_leaves_the_term(books: Books) -> None:
    late = books.invoice(books.agreement(), 5_000, due=DUE + 60 * DAY)
    soon = books.invoice(books.agreement(), 5_000, due=DUE)
    for one in (late, soon):
        anew(books, one.number)
    due = "SELECT due_on FROM claims WHERE id = :c"
    assert books.value(due, c=late.claim) == DUE + 60 * DAY
    assert books.value(due, c=soon.claim) == TODAY + 14 * DAY
    books.prove(ON)


def test_a_second_request_is_a_result(books: Books, invoice: Invoice) -> None:
    credited(books, invoice, 3_000)
    first = anew(books, invoice.number)
    again = anew(books, invoice.number, ON + dt.timedelta(hours=1))
    assert again == replace(first, already=True)
    assert len(documents(books, invoice.claim)) == 3
    books.prove(ON)


def test_the_new_one_can_be_credited_in_its_turn(books: Books, invoice: Invoice) -> None:
    credited(books, invoice, 3_000)
    first = anew(books, invoice.number)
    credited(books, invoice, 5_000, ON + dt.timedelta(hours=1))
    assert first.invoice is not None
    second = anew(books, first.invoice, ON + dt.timedelta(hours=2))
    assert (second.invoice, second.total_ore) == (None, 0)
    assert [kind for kind, *_ in documents(books, invoice.claim)] == ["invoice", "credit_note"] * 2
    assert claim_of(books, invoice.claim) == (0, 0, 3)
    books.prove(ON + dt.timedelta(hours=2))


@pytest.mark.parametrize("paid", [2_000, 5_000, 6_500, 8_000])
def test_what_was_paid_stays_and_what_was_too_much_is_credit(books: Books, invoice: Invoice, paid: int) -> None:
    books.pay(invoice.kid, paid, TODAY - 2 * DAY)
    credited(books, invoice, 3_000)
    done = anew(books, invoice.number)
    kept = min(paid, 5_000)
    assert claim_of(books, invoice.claim) == (5_000, kept, 2)
    assert books.credit(invoice.agreement) == paid - kept
    row = books.session.execute(
        text("SELECT id, paid_ore, credit_used_ore FROM documents WHERE number = :n"), {"n": done.invoice}
    ).one()
    assert (row.paid_ore, row.credit_used_ore) == (kept, 0)
    assert view_of(books.session, row.id).payable_ore == 5_000 - kept
    books.prove(ON)


def test_money_let_go_of_keeps_its_day_and_the_latest_goes_first(books: Books, invoice: Invoice) -> None:
    books.pay(invoice.kid, 5_000, TODAY - 2 * DAY)
    books.pay(invoice.kid, 3_000, TODAY - DAY, read_on=TODAY)
    credited(books, invoice, 5_000)
    anew(books, invoice.number)
    rows = books.session.execute(text("SELECT value_date, amount_ore FROM credit_entries ORDER BY value_date"))
    assert [tuple(row) for row in rows] == [(TODAY - 2 * DAY, 2_000), (TODAY - DAY, 3_000)]
    books.prove(ON)


def test_what_was_written_off_is_not_given_away(books: Books, invoice: Invoice) -> None:
    books.pay(invoice.kid, 7_800, DUE - DAY)
    after = DUE + 4 * DAY
    step(books.session, find_reach(books.session, [OURS], after), 0, after, noon(after))
    assert books.open_ore(invoice) == 0
    credited(books, invoice, 3_000, noon(after))
    anew(books, invoice.number, noon(after))
    assert books.credit(invoice.agreement) == 2_800
    assert claim_of(books, invoice.claim) == (5_000, 5_000, 2)
    books.prove(noon(after))


def test_the_old_kid_pays_what_came_in_its_place(books: Books, invoice: Invoice) -> None:
    credited(books, invoice, 3_000)
    anew(books, invoice.number)
    result = books.pay(invoice.kid, 8_000, TODAY + DAY)
    assert (result.matched, result.credit_ore) == (1, 3_000)
    assert claim_of(books, invoice.claim) == (5_000, 5_000, 2)
    books.prove(noon(TODAY + 2 * DAY))


def test_a_payment_taken_back_after_it_was_let_go_of(books: Books, invoice: Invoice) -> None:
    from simulator.bank import BankPayment

    books.pay(invoice.kid, 8_000, TODAY - 2 * DAY)
    credited(books, invoice, 3_000)
    anew(books, invoice.number)
    books.receive(books.file(BankPayment(invoice.kid, 8_000, TODAY + DAY, type=18)), TODAY + 2 * DAY)
    assert claim_of(books, invoice.claim) == (5_000, 0, 2)
    assert books.credit(invoice.agreement) == 0
    books.prove(noon(TODAY + 2 * DAY))


def test_nothing_left_makes_no_new_invoice(books: Books, invoice: Invoice) -> None:
    books.pay(invoice.kid, 8_000, TODAY - 2 * DAY)
    credited(books, invoice, 3_000)
    credited(books, invoice, 5_000)
    done = anew(books, invoice.number)
    assert (done.invoice, done.total_ore) == (None, 0)
    assert claim_of(books, invoice.claim) == (0, 0, 2)
    assert books.credit(invoice.agreement) == 8_000
    books.prove(ON)


def test_below_nothing_the_rest_is_credit_with_a_credit_note(books: Books) -> None:
    """A credit line of an earlier invoice is on this one: without its own passages it is below zero."""
    agreement = books.agreement()
    first = books.invoice(agreement, 4_000)
    credited(books, first, 4_000, ISSUED + DAY)
    books.passages(agreement, 9_000, booked=ISSUED + DAY)
    (claim,) = _claim(books, agreement)
    (document,) = issue(
        books.session, [claim], seller=SELLER, issued_on=ISSUED.date() + 2 * DAY, due_on=DUE, now=ISSUED + 2 * DAY
    )
    number = books.one("SELECT number FROM documents WHERE id = :d", d=document)
    second = Invoice(agreement, claim, document, number, "", 5_000)
    credited(books, second, 9_000)
    done = anew(books, number)
    assert done.total_ore == -4_000
    assert documents(books, claim)[-1] == ("credit_note", 2, -4_000, None)
    assert claim_of(books, claim) == (-4_000, 0, 2)
    # It has paid the first invoice at once, which is what there was to pay.
    assert (books.open_ore(first), books.credit(agreement)) == (0, 0)
    books.prove(ON)


def _claim(books: Books, agreement: int) -> list[int]:
    from billing.claims.make import make

    at = ISSUED + 2 * DAY
    return [one.claim_id for one in make(books.session, [agreement], "invoice", "second", "", at, 0, at)]


def test_a_correction_that_waits_names_the_passage_and_its_invoice(books: Books, invoice: Invoice) -> None:
    credited(books, invoice, 3_000)
    done = anew(books, invoice.number)
    ids = {
        number: books.one("SELECT id FROM documents WHERE number = :n", n=number)
        for number in (invoice.number, done.credit_note, done.invoice or 0)
    }
    old, note, new = (view_of(books.session, ids[number]) for number in ids)
    assert [row.amount_ore for row in old.passages] == [5_000, 3_000]
    assert [row.amount_ore for row in note.passages] == [-5_000, -3_000]
    assert [(row.amount_ore, row.note) for row in new.passages] == [
        (5_000, ""),
        (3_000, ""),
        (-3_000, f"Korreksjon av 15.01.2026, S1, faktura {invoice.number}"),
    ]
    assert [(r.relation, r.number) for r in note.references] == [("credits", invoice.number)]
    assert [(r.relation, r.number) for r in new.references] == [("replaces", invoice.number)]
    assert (note.payable_ore, note.kid, note.due_on) == (0, None, None)
    assert note.buyer == old.buyer


def test_the_credit_note_has_the_vat_of_the_invoice(books: Books) -> None:
    agreement = books.agreement()
    passages = books.passages(agreement, 1_005, 333, 777)
    books.session.execute(
        text("UPDATE passages SET vat_bp = 1200, service = 'ferry' WHERE id = ANY(:ids)"), {"ids": passages[1:]}
    )
    invoice = books.invoice(agreement, 101)
    credited(books, invoice, 333)
    anew(books, invoice.number)
    sums = books.session.execute(
        text(
            "SELECT l.vat_bp, d.version, d.credits_id IS NULL AS presents, sum(l.net_ore) AS net, "
            "sum(l.vat_ore) AS vat "
            "FROM document_lines AS l JOIN documents AS d ON d.id = l.document_id GROUP BY 1, 2, 3"
        )
    )
    found = {(row.vat_bp, row.version, row.presents): (row.net, row.vat) for row in sums}
    for rate in (0, 1_200):
        net, vat = found[rate, 1, True]
        assert found[rate, 1, False] == (-net, -vat)
    assert found[1_200, 2, True] == (694, 83)  # of 777
    books.prove(ON)


def test_a_reissued_invoice_opens_nobody_by_itself(books: Books, invoice: Invoice) -> None:
    after = DUE + 4 * DAY
    step(books.session, find_reach(books.session, [OURS], after), 0, after, noon(after))
    assert books.standing(invoice.agreement) == "blocked"
    credited(books, invoice, 3_000, noon(after))
    anew(books, invoice.number, noon(after))
    assert books.standing(invoice.agreement) == "awaiting_reopen"
    assert books.told(invoice.agreement)[-1] == "nothing_due_call_us"
    books.prove(noon(after))


def test_what_cannot_be_is_refused(books: Books, invoice: Invoice) -> None:
    with pytest.raises(NotFound):
        anew(books, 4711)
    with pytest.raises(Invalid):
        reissue(books.session, invoice.number, reason=" ", seller=SELLER, now=ON, actor="agent:kari")
    note = anew(books, invoice.number).credit_note
    with pytest.raises(Conflict):
        anew(books, note)


def test_two_at_once_credit_once(books: Books, invoice: Invoice, sessions: SessionFactory, engine: Engine) -> None:
    """The second waits for the first: without the balance's lock both would find it not credited."""
    credited(books, invoice, 3_000)
    books.session.commit()

    def other() -> Reissued:
        with sessions.begin() as session:
            return reissue(session, invoice.number, reason="me too", seller=SELLER, now=ON, actor="agent:ola")

    first = anew(books, invoice.number)
    beside = Beside(engine, other)
    assert beside.waited
    books.session.commit()
    assert beside.result() == replace(first, already=True)
    assert len(documents(books, invoice.claim)) == 3
    books.prove(ON)


def test_a_payment_meanwhile_meets_what_is_left(
    books: Books, invoice: Invoice, sessions: SessionFactory, engine: Engine
) -> None:
    from billing.payments.bank import BankResult, receive
    from simulator.bank import BankPayment

    credited(books, invoice, 3_000)
    content = books.file(BankPayment(invoice.kid, 8_000, TODAY - DAY))
    books.session.commit()

    def pay() -> BankResult:
        with sessions.begin() as session:
            return receive(session, "x.ocr", content, ON, accounts=[OURS], max_bytes=50_000_000)

    anew(books, invoice.number)
    beside = Beside(engine, pay)
    assert beside.waited
    books.session.commit()
    assert beside.result().credit_ore == 3_000
    assert claim_of(books, invoice.claim) == (5_000, 5_000, 2)
    books.prove(ON)


class TestRulebook:
    """Receivers that take no credit line."""

    @pytest.fixture
    def strict(self, books: Books, monkeypatch: pytest.MonkeyPatch) -> Invoice:
        """An invoice to an organisation of such a rulebook, with a correction that waits."""
        book = receivers.Rulebook("Kommunen", partial_credit=False)
        monkeypatch.setattr(receivers, "rulebooks", lambda: {"964338531": book})
        invoice = books.invoice(books.agreement(), 5_000, 3_000)
        books.session.execute(text("UPDATE customers SET kind = 'business', org_no = '964338531'"))
        other = books.invoice(books.agreement(), 6_000)
        credited(books, invoice, 3_000)
        credited(books, other, 6_000)
        return invoice

    def test_what_was_corrected_is_issued_anew(self, books: Books, strict: Invoice) -> None:
        ids = list(books.session.scalars(text("SELECT id FROM agreements ORDER BY id")))
        (done,) = reissue_by_rulebook(books.session, ids, ON, seller=SELLER, now=ON)
        assert (done.credited, done.total_ore) == (strict.number, 5_000)
        assert books.value("SELECT actor FROM documents WHERE number = :n", n=done.credit_note) == "rulebook"
        assert reissue_by_rulebook(books.session, ids, ON, seller=SELLER, now=ON) == []
        books.prove(ON)

    def test_daily_and_before_a_run(
        self, books: Books, strict: Invoice, sessions: SessionFactory, settings: Settings
    ) -> None:
        at = dt.datetime(2026, 3, 1, 2, tzinfo=dt.UTC)
        move_clock(books.session, at, running=False)
        books.session.commit()
        ctx = JobContext(sessions, settings, "invoices")
        with sessions.begin() as session:
            run = begin(session, at.date(), now=at, actor="test")
        assert carry_out(ctx, run.id)["credited"] == 1  # the other's, whose correction is below zero
        assert [kind for kind, *_ in documents(books, strict.claim)] == ["invoice", "credit_note", "invoice"]
        assert job(ctx, at) == {"agreements": 0, "reissued": 0}
        books.prove(at)


def test_held_is_what_is_said(session: Session, books: Books, invoice: Invoice) -> None:
    books.pay(invoice.kid, 9_000, TODAY - DAY)
    assert held(session, [invoice.agreement]) == {invoice.agreement: 1_000}
