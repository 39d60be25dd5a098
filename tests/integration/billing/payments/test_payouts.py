"""Payouts: asked for, approved by a second person, ordered once a day, and what the bank says."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from lxml import etree
from sqlalchemy import Engine, text

from billing.claims.credit import take_back
from billing.claims.make import make
from billing.payments import payout_orders, payouts
from billing.payments.pain001 import NAMESPACE, Debtor
from billing.payments.payout_models import Payout, PayoutOrder
from config import receivers
from config.clock import move_clock
from config.database import SessionFactory
from config.jobs import JobContext
from config.outbox import put
from config.problems import Conflict, Forbidden, Invalid, NotFound
from config.settings import Settings
from tests.integration.billing.beside import Beside
from tests.integration.billing.books import DAY, DUE, OURS, Books, body, noon
from tests.integration.conftest import Bearer

ON = noon(DUE)
"""A Monday."""
THEIRS = "15030054323"
US = Debtor("Brikke Eksempel AS", OURS, "999999980")


def in_credit(books: Books, ore: int) -> int:
    """An agreement with so much in credit; returns its id."""
    invoice = books.invoice(books.agreement(), 5_000, due=DUE + 60 * DAY)
    books.pay(invoice.kid, 5_000 + ore, DUE - 3 * DAY)
    assert books.credit(invoice.agreement) == ore
    return invoice.agreement


def ask(books: Books, agreement: int, ore: int | None = None, *, actor: str = "agent:kari") -> Payout:
    return payouts.request(
        books.session, agreement, amount_ore=ore, account=THEIRS, reason="left us", actor=actor, now=ON
    )


def out(books: Books) -> None:
    """The orders' files lie in the bank's outbox."""
    books.session.execute(text("UPDATE payout_orders SET written_at = made_at"))


def state(books: Books, payout: int) -> str:
    return str(books.value("SELECT state FROM payouts WHERE id = :p", p=payout))


def test_all_the_way_to_paid(books: Books) -> None:
    agreement = in_credit(books, 3_000)
    row = ask(books, agreement)
    assert (row.state, row.amount_ore, books.credit(agreement)) == ("approved", 3_000, 0)
    books.prove(ON)
    made = payout_orders.order(books.session, debtor=US, now=ON)
    assert made is not None
    assert (made.transfers, made.sum_ore, made.execute_on) == (1, 3_000, DUE + DAY)
    assert state(books, row.id) == "ordered"
    books.prove(ON)
    out(books)
    payouts.paid(books.session, row.id, reference="B1", actor="accountant:eva", now=ON)
    payouts.paid(books.session, row.id, reference="B1", actor="accountant:eva", now=ON)
    with pytest.raises(Conflict):
        payouts.paid(books.session, row.id, reference="B2", actor="accountant:eva", now=ON)
    assert (state(books, row.id), books.credit(agreement)) == ("paid", 0)
    assert books.told(agreement)[-1] == "payout_paid"
    books.prove(ON)


def test_what_the_bank_refuses_is_in_credit_again(books: Books) -> None:
    agreement = in_credit(books, 3_000)
    row = ask(books, agreement, 2_000)
    with pytest.raises(Conflict):
        payouts.rejected(books.session, row.id, why="closed", actor="accountant:eva", now=ON)
    payout_orders.order(books.session, debtor=US, now=ON)
    with pytest.raises(Conflict, match="outbox"):  # the file would go out all the same, and pay it
        payouts.rejected(books.session, row.id, why="AC04", actor="accountant:eva", now=ON)
    assert (state(books, row.id), books.credit(agreement)) == ("ordered", 1_000)
    out(books)
    for _ in range(2):
        payouts.rejected(books.session, row.id, why="AC04", actor="accountant:eva", now=ON)
    assert (state(books, row.id), books.credit(agreement)) == ("rejected", 3_000)
    assert books.told(agreement)[-1] == "payout_rejected"
    with pytest.raises(Conflict):
        payouts.paid(books.session, row.id, reference="B1", actor="accountant:eva", now=ON)
    books.prove(ON)


def test_what_the_bank_was_not_given_it_has_not_paid(books: Books) -> None:
    agreement = in_credit(books, 3_000)
    row = ask(books, agreement)
    payout_orders.order(books.session, debtor=US, now=ON)
    with pytest.raises(Conflict, match="outbox") as problem:
        payouts.paid(books.session, row.id, reference="B1", actor="accountant:eva", now=ON)
    assert problem.value.type == "/problems/not-written"
    assert state(books, row.id) == "ordered"
    assert "payout_paid" not in books.told(agreement)
    out(books)
    assert payouts.paid(books.session, row.id, reference="B1", actor="accountant:eva", now=ON).state == "paid"
    books.prove(ON)


def test_it_can_be_stopped_until_the_bank_has_it(books: Books) -> None:
    agreement = in_credit(books, 3_000)
    first, second = ask(books, agreement, 1_000), ask(books, agreement, 2_000)
    for _ in range(2):
        payouts.cancel(books.session, first.id, actor="agent:kari", now=ON)
    assert (state(books, first.id), books.credit(agreement)) == ("cancelled", 1_000)
    payout_orders.order(books.session, debtor=US, now=ON)
    with pytest.raises(Conflict):
        payouts.cancel(books.session, second.id, actor="agent:kari", now=ON)
    with pytest.raises(NotFound):
        payouts.cancel(books.session, 4711, actor="agent:kari", now=ON)
    books.prove(ON)


@pytest.mark.parametrize(("ore", "waits"), [(500_000, False), (500_001, True)])
def test_above_the_figure_a_second_person_approves(books: Books, ore: int, waits: bool) -> None:
    agreement = in_credit(books, ore)
    row = ask(books, agreement, actor="lead:kari")
    assert (row.state == "requested") is waits
    if not waits:
        return
    assert payout_orders.order(books.session, debtor=US, now=ON) is None
    with pytest.raises(Forbidden):
        payouts.approve(books.session, row.id, actor="agent:kari", now=ON)  # another role, the same person
    payouts.approve(books.session, row.id, actor="lead:ola", now=ON)
    payouts.approve(books.session, row.id, actor="lead:ola", now=ON)
    assert (row.state, row.approved_by) == ("approved", "lead:ola")
    books.prove(ON)


def test_never_more_than_there_is(books: Books) -> None:
    agreement = in_credit(books, 3_000)
    for ore in (3_001, 0, -1):
        with pytest.raises((Conflict, Invalid)):
            ask(books, agreement, ore)
    ask(books, agreement)
    with pytest.raises(Conflict) as problem:
        ask(books, agreement)
    assert problem.value.extra == {"credit_ore": 0}
    books.prove(ON)


@pytest.mark.parametrize("account", ["1503005432", "15030054324", "150300543230", "abc", "1234567"])
def test_an_account_that_cannot_be_is_refused(books: Books, account: str) -> None:
    agreement = in_credit(books, 3_000)
    with pytest.raises(Invalid):
        payouts.request(books.session, agreement, amount_ore=None, account=account, reason=None, actor="x:y", now=ON)
    assert books.credit(agreement) == 3_000


def test_what_is_past_due_is_paid_first(books: Books) -> None:
    agreement = in_credit(books, 3_000)
    books.passages(agreement, 1_000)
    make(books.session, [agreement], "invoice", "late", "", ON, 1, ON, DUE - DAY)
    assert ask(books, agreement).amount_ore == 2_000
    assert books.one("SELECT count(*) FROM claims WHERE settled_ore < amount_ore") == 0


def test_who_only_sets_off_is_paid_nothing(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    agreement = in_credit(books, 3_000)
    books.session.execute(text("UPDATE customers SET kind = 'business', org_no = '964338531'"))
    with pytest.raises(Conflict):
        ask(books, agreement)
    monkeypatch.setattr(receivers, "rulebooks", dict)
    assert ask(books, agreement).state == "approved"


def test_money_that_the_bank_takes_back_is_not_found_when_it_was_paid_out(books: Books) -> None:
    from billing.claims.credit import Gain

    agreement = in_credit(books, 3_000)
    ask(books, agreement, 2_500)
    gain = Gain(agreement, 1, 3_000, DUE - 3 * DAY)
    with books.session.begin_nested() as savepoint:
        assert take_back(books.session, gain, 99, DUE, ON) == 500
        savepoint.rollback()


def test_two_at_once_never_get_more_than_there_is(books: Books, sessions: SessionFactory, engine: Engine) -> None:
    agreement = in_credit(books, 3_000)
    books.session.commit()

    def other() -> int:
        with sessions.begin() as session:
            return payouts.request(
                session, agreement, amount_ore=2_000, account=THEIRS, reason="x", actor="agent:ola", now=ON
            ).id

    ask(books, agreement, 2_000)
    beside = Beside(engine, other)
    assert beside.waited
    books.session.commit()
    with pytest.raises(Conflict):
        beside.result()
    assert books.credit(agreement) == 1_000
    books.prove(ON)


def test_two_at_once_to_one_account_take_a_second_person(
    books: Books, sessions: SessionFactory, engine: Engine
) -> None:
    """From two agreements, each at the figure: the second sees what the first has taken, when it has ended."""
    first, second = in_credit(books, 500_000), in_credit(books, 500_000)
    books.session.commit()

    def other() -> str:
        with sessions.begin() as session:
            return payouts.request(
                session, second, amount_ore=None, account=THEIRS, reason="x", actor="agent:kari", now=ON
            ).state

    assert ask(books, first).state == "approved"
    beside = Beside(engine, other)
    assert beside.waited
    books.session.commit()
    assert beside.result() == "requested"
    books.prove(ON)


def test_requests_for_other_accounts_do_not_wait(books: Books, sessions: SessionFactory, engine: Engine) -> None:
    first, second = in_credit(books, 3_000), in_credit(books, 3_000)
    books.session.commit()

    def other() -> str:
        with sessions.begin() as session:
            return payouts.request(
                session, second, amount_ore=None, account="15030054331", reason="x", actor="agent:kari", now=ON
            ).state

    ask(books, first)
    beside = Beside(engine, other)
    assert not beside.waited
    assert beside.result() == "approved"


def test_one_order_a_bank_day_whole_in_the_outbox(books: Books, sessions: SessionFactory, settings: Settings) -> None:
    agreement = in_credit(books, 3_000)
    first, second = ask(books, agreement, 1_000), ask(books, agreement, 1_500)
    move_clock(books.session, ON, running=False)
    books.session.commit()
    ctx = JobContext(sessions, settings, "payout_orders")
    assert payout_orders.job(ctx, ON) == {"ordered": 2, "written": 1}
    (file,) = settings.bank_outbox.iterdir()
    row = books.session.query(PayoutOrder).one()
    assert file.name == row.name == "brikke-payouts-20260216.xml"
    assert file.read_bytes() == row.content
    assert hashlib.sha256(row.content).digest() == row.sha256
    found = etree.fromstring(row.content).iterfind(f".//{{{NAMESPACE}}}EndToEndId")
    assert [one.text for one in found] == [f"P{first.id}", f"P{second.id}"]
    third = ask(books, agreement, 500)
    books.session.commit()
    assert payout_orders.job(ctx, ON) == {"ordered": 0, "written": 0}
    assert state(books, third.id) == "approved"
    move_clock(books.session, ON + DAY, running=False)
    books.session.commit()
    assert payout_orders.job(ctx, ON + DAY) == {"ordered": 1, "written": 1}
    books.prove(ON + DAY)


def test_the_payout_file_names_our_bank(books: Books, sessions: SessionFactory, settings: Settings) -> None:
    ask(books, in_credit(books, 3_000))
    move_clock(books.session, ON, running=False)
    books.session.commit()
    ctx = JobContext(sessions, dataclasses.replace(settings, bank_bic="DNBANOKK"), "payout_orders")
    payout_orders.job(ctx, ON)
    (file,) = settings.bank_outbox.iterdir()
    assert etree.parse(file).findtext(f".//{{{NAMESPACE}}}DbtrAgt//{{{NAMESPACE}}}BIC") == "DNBANOKK"


def test_nothing_is_ordered_when_banks_are_closed(books: Books) -> None:
    ask(books, in_credit(books, 3_000))
    assert payout_orders.order(books.session, debtor=US, now=ON - 2 * DAY) is None


def test_a_crash_before_the_commit_writes_it_once(
    books: Books, sessions: SessionFactory, settings: Settings, tmp_path: Path
) -> None:
    ask(books, in_credit(books, 3_000))
    made = payout_orders.order(books.session, debtor=US, now=ON)
    assert made is not None
    books.session.commit()
    assert put(settings.bank_outbox, made.name, made.content) is True
    ctx = JobContext(sessions, settings, "payout_outbox")
    assert payout_orders.job_outbox(ctx, ON) == {"written": 1}
    assert payout_orders.job_outbox(ctx, ON) == {"written": 0}
    assert [file.name for file in settings.bank_outbox.iterdir()] == [made.name]


def test_two_outboxes_at_once_put_a_file_once(
    books: Books, sessions: SessionFactory, settings: Settings, engine: Engine
) -> None:
    """The second waits for the first, and does not put again what the bank has fetched meanwhile."""
    ask(books, in_credit(books, 3_000))
    assert payout_orders.order(books.session, debtor=US, now=ON) is not None
    books.session.commit()
    ctx = JobContext(sessions, settings, "payout_outbox")
    row = books.session.query(PayoutOrder).with_for_update().one()
    beside = Beside(engine, lambda: payout_orders.job_outbox(ctx, ON))
    assert beside.waited
    row.written_at = ON
    books.session.commit()
    assert beside.result() == {"written": 0}
    assert not settings.bank_outbox.exists() or list(settings.bank_outbox.iterdir()) == []


class TestOverHttp:
    """Who may do what, and that accounts stay with us."""

    @pytest.fixture
    def agreement(self, books: Books) -> int:
        agreement = in_credit(books, 600_000)
        move_clock(books.session, ON, running=False)
        books.session.commit()
        return agreement

    def test_a_customer_asks_a_lead_approves_and_an_accountant_confirms(
        self, books: Books, agreement: int, client: FlaskClient, bearer: Bearer
    ) -> None:
        where = f"/v1/agreements/{books.number(agreement)}/payouts"
        customer = books.one("SELECT customer_id FROM agreements WHERE id = :a", a=agreement)
        own = bearer("customer", customer_id=customer)
        asked = client.post(where, json={"account": "1503.00.54323"}, headers={**own, "Idempotency-Key": "a"})
        assert asked.status_code == 201, asked.text
        assert (body(asked)["state"], body(asked)["account"]) == ("requested", "*******4323")
        number = body(asked)["id"]
        assert body(client.post(where, json={"account": "1503.00.54323"}, headers={**own, "Idempotency-Key": "a"}))
        assert books.one("SELECT count(*) FROM payouts") == 1
        assert THEIRS not in client.get(where, headers=own).text

        def post(role: str, what: str, **json: str) -> tuple[int, str]:
            answer = client.post(
                f"/v1/payouts/{number}/{what}",
                json=json or None,
                headers={**bearer(role), "Idempotency-Key": f"{role}{what}"},
            )
            return answer.status_code, body(answer).get("state", "")

        assert post("agent", "approve")[0] == 403
        assert post("lead", "approve") == (200, "approved")
        assert post("accountant", "paid", reference="B1")[0] == 409
        with books.session.begin_nested():
            payout_orders.order(books.session, debtor=US, now=ON)
            out(books)
        books.session.commit()
        assert post("agent", "paid", reference="B1")[0] == 403
        assert post("accountant", "paid", reference="B2")[1] == "paid"
        listed = body(client.get("/v1/payouts?state=paid", headers=bearer("accountant")))
        assert [one["reference"] for one in listed["items"]] == ["B2"]
        books.prove(ON)

    def test_our_own_people_say_why(self, books: Books, agreement: int, client: FlaskClient, bearer: Bearer) -> None:
        where, asked = f"/v1/agreements/{books.number(agreement)}/payouts", {"account": THEIRS, "amount_ore": 500}
        headers = {**bearer("agent"), "Idempotency-Key": "a"}
        assert client.post(where, json=asked, headers=headers).status_code == 422
        assert client.post(where, json={**asked, "reason": "left us"}, headers=headers).status_code == 201
        assert books.one("SELECT count(*) FROM payouts WHERE reason = 'left us'") == 1

    def test_somebody_elses_does_not_exist(
        self, books: Books, agreement: int, client: FlaskClient, bearer: Bearer
    ) -> None:
        where = f"/v1/agreements/{books.number(agreement)}/payouts"
        headers = {**bearer("customer", customer_id=4711), "Idempotency-Key": "a"}
        assert client.post(where, json={"account": THEIRS}, headers=headers).status_code == 404


def test_dates_are_business_dates(books: Books) -> None:
    """Half past eleven in the evening UTC is tomorrow in Oslo: the order is of that day."""
    ask(books, in_credit(books, 3_000))
    late = dt.datetime.combine(DUE, dt.time(23, 30), dt.UTC)
    made = payout_orders.order(books.session, debtor=US, now=late)
    assert made is not None
    assert (made.for_date, made.execute_on) == (DUE + DAY, DUE + 2 * DAY)
