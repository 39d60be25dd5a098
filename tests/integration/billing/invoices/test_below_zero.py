"""What comes to less than nothing, or to nothing: a credit note, credit, and never an invoice."""

from __future__ import annotations

import datetime as dt

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from accounts.agreements.close import close, close_reached
from billing.claims.make_credit import make_credit
from billing.collection.overdue import find_reach, step
from billing.invoices.below_zero import credit_now
from billing.invoices.run import begin, carry_out
from billing.invoices.view import view_of
from billing.passages.credit import credit
from config.clock import move_clock
from config.database import SessionFactory
from config.jobs import JobContext
from config.settings import Settings
from tests.integration.billing.beside import Beside
from tests.integration.billing.books import DAY, DUE, ISSUED, OURS, SELLER, Books, Invoice, body, noon
from tests.integration.conftest import Bearer

ON = ISSUED + dt.timedelta(days=3)
MARCH = dt.datetime(2026, 3, 1, 2, tzinfo=dt.UTC)
LATER = DUE + 60 * DAY


def take_back(books: Books, invoice: Invoice, now: dt.datetime = ON) -> None:
    """Credit every passage of an invoice."""
    ids = books.session.scalars(text("SELECT id FROM passages WHERE claim_id = :c"), {"c": invoice.claim}).all()
    for one in ids:
        credit(books.session, invoice.agreement, one, reason="not theirs", actor="agent:kari", now=now)


def run(books: Books, sessions: SessionFactory, settings: Settings, at: dt.datetime = MARCH) -> dict[str, int | str]:
    """The monthly run of a day, its clock standing."""
    move_clock(books.session, at, running=False)
    with sessions.begin() as session:
        books.session.commit()
        made = begin(session, at.date(), now=at, actor="test")
    return carry_out(JobContext(sessions, settings, "invoices"), made.id)


def notes(books: Books, agreement: int) -> list[tuple[int, int | None, str | None]]:
    """Øre, credited document and KID of an agreement's credit notes."""
    rows = books.session.execute(
        text(
            "SELECT total_ore, credits_id, kid FROM documents WHERE agreement_id = :a AND kind = 'credit_note' "
            "ORDER BY number"
        ),
        {"a": agreement},
    )
    return [tuple(row) for row in rows]


def test_a_run_credits_what_is_below_zero_and_pays_what_is_open(
    books: Books, sessions: SessionFactory, settings: Settings
) -> None:
    agreement = books.agreement()
    paid = books.invoice(agreement, 9_000, due=LATER)
    books.pay(paid.kid, 9_000, DUE - 5 * DAY)
    open_ = books.invoice(agreement, 2_500, run="second", due=LATER + DAY)
    take_back(books, paid)
    books.passages(agreement, 500, booked=ON)
    result = run(books, sessions, settings)
    assert (result["created"], result["credited"], result["sum_ore"]) == (0, 1, 0)
    assert notes(books, agreement) == [(-8_500, None, None)]
    assert (books.open_ore(open_), books.credit(agreement)) == (0, 6_000)
    assert books.told(agreement)[-1] == "credit"
    books.prove(MARCH)
    again = run(books, sessions, settings)
    assert (again["created"], again["credited"]) == (0, 0)
    assert len(notes(books, agreement)) == 1
    books.prove(MARCH)


def test_the_rest_is_used_on_the_next_invoice(books: Books, sessions: SessionFactory, settings: Settings) -> None:
    agreement = books.agreement()
    paid = books.invoice(agreement, 9_000, due=LATER)
    books.pay(paid.kid, 9_000, DUE - 5 * DAY)
    take_back(books, paid)
    run(books, sessions, settings)
    april = MARCH + dt.timedelta(days=31, hours=-1)
    books.passages(agreement, 20_000, booked=MARCH + DAY)
    assert run(books, sessions, settings, april)["created"] == 1
    used = "SELECT credit_used_ore FROM documents WHERE agreement_id = :a ORDER BY number DESC LIMIT 1"
    assert books.one(used, a=agreement) == 9_000
    assert books.credit(agreement) == 0
    books.prove(april)


def test_what_is_overdue_is_paid_with_it(books: Books) -> None:
    agreement = books.agreement()
    paid = books.invoice(agreement, 9_000, due=LATER)
    books.pay(paid.kid, 9_000, DUE - 5 * DAY)
    books.invoice(agreement, 3_000, run="second")
    after = DUE + 4 * DAY
    step(books.session, find_reach(books.session, [OURS], after), 0, after, noon(after))
    assert books.standing(agreement) == "blocked"
    take_back(books, paid, noon(after))
    credit_now(books.session, agreement, reason="asked for", seller=SELLER, now=noon(after), actor="agent:kari")
    assert books.standing(agreement) == "awaiting_reopen"
    assert books.credit(agreement) == 6_000
    books.prove(noon(after))


def test_what_cancels_itself_is_taken_without_a_document(
    books: Books, sessions: SessionFactory, settings: Settings
) -> None:
    """Driven and taken back before it was billed: nothing has happened, and it does not stay unbilled for ever."""
    agreement = books.agreement()
    (passage,) = books.passages(agreement, 2_500, booked=ISSUED)
    credit(books.session, agreement, passage, reason="not theirs", actor="agent:kari", now=ON)
    result = run(books, sessions, settings)
    assert (result["created"], result["credited"], result["carried"]) == (0, 0, 0)
    assert notes(books, agreement) == []
    assert books.one("SELECT unbilled_count FROM balances WHERE agreement_id = :a", a=agreement) == 0
    assert books.value("SELECT kind FROM claims WHERE agreement_id = :a", a=agreement) == "credit"
    assert books.told(agreement) == []
    books.prove(MARCH)


def test_what_comes_to_nothing_and_was_charged_before_is_told(
    books: Books, sessions: SessionFactory, settings: Settings
) -> None:
    """A new passage and the correction of an old one, of the same sum: both are shown, on a credit note of nothing."""
    agreement = books.agreement()
    paid = books.invoice(agreement, 2_500, due=LATER)
    take_back(books, paid)
    books.passages(agreement, 2_500, booked=ON)
    run(books, sessions, settings)
    assert notes(books, agreement) == [(0, None, None)]
    assert books.told(agreement)[-1] == "credit_even"
    document = books.one("SELECT max(id) FROM documents WHERE agreement_id = :a", a=agreement)
    shown = view_of(books.session, document)
    assert sorted(row.amount_ore for row in shown.passages) == [-2_500, 2_500]
    assert [row.note for row in shown.passages if row.note] == [f"Korreksjon av 15.01.2026, S1, faktura {paid.number}"]
    books.prove(MARCH)


def test_a_closed_agreement_gets_its_credit_note_and_is_offered_a_payout(
    books: Books, sessions: SessionFactory, settings: Settings
) -> None:
    agreement = books.agreement()
    paid = books.invoice(agreement, 4_000)
    books.pay(paid.kid, 4_000, DUE - 5 * DAY)
    take_back(books, paid)
    close(books.session, agreement, at=ON, now=ISSUED + DAY, actor="test")
    close_reached(books.session, MARCH)
    run(books, sessions, settings)
    assert notes(books, agreement) == [(-4_000, None, None)]
    assert books.told(agreement)[-1] == "credit_closed"
    books.prove(MARCH)


def test_who_pays_by_card_has_it_set_off_against_what_comes(
    books: Books, sessions: SessionFactory, settings: Settings
) -> None:
    """Cards are charged for the sum of what is unbilled, so a negative one waits; on request it is credited."""
    agreement = books.agreement()
    paid = books.invoice(agreement, 4_000, due=LATER)
    books.pay(paid.kid, 4_000, DUE - 5 * DAY)
    books.session.execute(text("UPDATE agreements SET payment_method = 'card' WHERE id = :a"), {"a": agreement})
    take_back(books, paid)
    run(books, sessions, settings)
    assert notes(books, agreement) == []
    assert books.one("SELECT unbilled_ore FROM balances WHERE agreement_id = :a", a=agreement) == -4_000
    credit_now(books.session, agreement, reason="asked for", seller=SELLER, now=MARCH, actor="agent:kari")
    assert notes(books, agreement) == [(-4_000, None, None)]
    books.prove(MARCH)


def test_nothing_below_zero_makes_nothing(books: Books) -> None:
    agreement = books.agreement()
    assert credit_now(books.session, agreement, reason="x", seller=SELLER, now=ON, actor="agent:kari") is None
    books.passages(agreement, 500, booked=ON)
    assert credit_now(books.session, agreement, reason="x", seller=SELLER, now=ON, actor="agent:kari") is None
    assert make_credit(books.session, [], "r", "", ON, 1, ON) == []


@pytest.mark.parametrize(("minimum_ore", "made"), [(1, 1), (4_000, 1), (4_001, 0)])
def test_a_figure_says_how_much_is_credited(books: Books, minimum_ore: int, made: int) -> None:
    agreement = books.agreement()
    paid = books.invoice(agreement, 4_000, due=LATER)
    take_back(books, paid)
    assert len(make_credit(books.session, [agreement], "r", "", ON, minimum_ore, ON)) == made
    assert make_credit(books.session, [agreement], "r", "", ON, minimum_ore, ON) == []


def test_two_at_once_credit_once(books: Books, sessions: SessionFactory, engine: Engine) -> None:
    agreement = books.agreement()
    paid = books.invoice(agreement, 4_000, due=LATER)
    take_back(books, paid)
    books.session.commit()

    def other() -> int | None:
        with sessions.begin() as session:
            at = ON + dt.timedelta(seconds=1)
            return credit_now(session, agreement, reason="me too", seller=SELLER, now=at, actor="agent:ola")

    first = credit_now(books.session, agreement, reason="asked for", seller=SELLER, now=ON, actor="agent:kari")
    beside = Beside(engine, other)
    assert beside.waited
    books.session.commit()
    assert first is not None
    assert beside.result() is None
    assert notes(books, agreement) == [(-4_000, None, None)]
    books.prove(ON)


class TestOverHttp:
    """The two ways to ask for it."""

    @pytest.fixture
    def invoice(self, books: Books) -> Invoice:
        invoice = books.invoice(books.agreement(), 5_000, 3_000)
        take_back(books, invoice)
        move_clock(books.session, ON, running=False)
        books.session.commit()
        return invoice

    def test_reissue(self, books: Books, invoice: Invoice, client: FlaskClient, bearer: Bearer) -> None:
        where, asked = f"/v1/invoices/{invoice.number}/reissue", {"reason": "not theirs"}
        assert client.post(where, json=asked, headers=bearer("agent")).status_code == 428
        headers = {**bearer("agent"), "Idempotency-Key": "a"}
        done = client.post(where, json=asked, headers=headers)
        assert done.status_code == 200, done.text
        assert body(done) == {
            "credited": invoice.number,
            "credit_note": invoice.number + 1,
            "credited_ore": -8_000,
            "invoice": None,
            "total_ore": 0,
            "already": False,
        }
        assert body(client.post(where, json=asked, headers=headers)) == body(done)
        other = client.post(where, json=asked, headers={**bearer("lead"), "Idempotency-Key": "b"})
        assert body(other)["already"] is True
        shown = body(client.get(f"/v1/invoices/{invoice.number}", headers=bearer("agent")))
        assert (shown["open_ore"], shown["credited_by"]) == (0, invoice.number + 1)
        note = body(client.get(f"/v1/invoices/{invoice.number + 1}", headers=bearer("agent")))
        assert (note["kind"], note["credits"], note["total_ore"]) == ("credit_note", invoice.number, -8_000)
        trail = "SELECT reason FROM audit_trail WHERE action = 'invoice.reissue'"
        assert list(books.session.scalars(text(trail))) == ["not theirs"]
        books.prove(ON)

    def test_credit_note(self, books: Books, invoice: Invoice, client: FlaskClient, bearer: Bearer) -> None:
        where = f"/v1/agreements/{books.number(invoice.agreement)}/credit-notes"
        headers = {**bearer("agent"), "Idempotency-Key": "a"}
        done = client.post(where, json={"reason": "asked for"}, headers=headers)
        assert body(done) == {"credit_note": invoice.number + 1, "credit_ore": 0}  # it paid the invoice
        books.prove(ON)

    def test_roles(self, books: Books, invoice: Invoice, client: FlaskClient, bearer: Bearer, session: Session) -> None:
        for role in ("accountant", "operator"):
            headers = {**bearer(role), "Idempotency-Key": role}
            where = f"/v1/invoices/{invoice.number}/reissue"
            assert client.post(where, json={"reason": "x"}, headers=headers).status_code == 403
        assert session.scalar(text("SELECT count(*) FROM documents")) == 1
