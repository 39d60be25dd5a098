"""Payment orders: two persons, one file, one payment."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from billing.payments.pain001 import Transfer, build
from billing.roadside.settlement import outbox
from billing.roadside.settlement.agree import agree
from billing.roadside.settlement.order import order, paid, rejected, release, withdraw
from billing.roadside.settlement.outbox import file_name
from config.clock import move_clock
from config.database import SessionFactory
from config.jobs import JobContext
from config.outbox import put
from config.problems import Conflict, Forbidden, Invalid, NotFound
from config.settings import Settings
from tests.integration.billing.beside import Beside
from tests.integration.billing.settlement.conftest import ACCOUNT, OVER, US, World

TODAY = dt.date(2026, 4, 1)
AFTER_EASTER = dt.date(2026, 4, 7)
"""The first bank day after 1 April 2026: Maundy Thursday is the day after."""
DAY = dt.timedelta(days=1)


@pytest.fixture
def settled(world: World) -> World:
    world.drive("A", 100_000)
    world.settle()
    return world


def test_an_order_is_of_an_agreed_settlement_to_the_chargers_account(settled: World) -> None:
    row = settled.settle()
    with pytest.raises(Conflict, match="must be agreed first"):
        order(settled.session, row.id, actor="accountant:kari", now=OVER)
    agree(settled.session, row.id, note=None, actor="accountant:kari", now=OVER)
    with pytest.raises(Conflict, match="no bank account"):
        order(settled.session, row.id, actor="accountant:kari", now=OVER)
    settled.account()
    made = order(settled.session, row.id, actor="accountant:kari", now=OVER)
    assert (made.amount_ore, made.account, made.execute_on) == (98_250, ACCOUNT, AFTER_EASTER)
    assert (made.state, made.end_to_end_id, row.state) == ("waiting", f"S{row.id}-1", "ordered")
    assert order(settled.session, row.id, actor="accountant:per", now=OVER).id == made.id


@pytest.mark.parametrize("day", [TODAY - DAY, TODAY + DAY, dt.date(2026, 4, 11)])
def test_only_on_bank_days_to_come(settled: World, day: dt.date) -> None:
    row = settled.settle()
    settled.account()
    agree(settled.session, row.id, note=None, actor="accountant:kari", now=OVER)
    with pytest.raises(Invalid):
        order(settled.session, row.id, actor="accountant:kari", now=OVER, execute_on=day)
    assert order(settled.session, row.id, actor="a:k", now=OVER, execute_on=TODAY).execute_on == TODAY


@pytest.mark.parametrize("who", ["accountant:kari", "lead:kari"])
def test_who_made_it_does_not_release_it(settled: World, who: str) -> None:
    """Nor in another role."""
    made = settled.ordered(settled.settle())
    with pytest.raises(Forbidden):
        release(settled.session, made.id, debtor=US, actor=who, now=OVER)
    assert made.state == "waiting"
    with pytest.raises(IntegrityError, match="two_persons"):
        settled.session.execute(
            text("UPDATE charger_orders SET state = 'released', released_by = made_by, released_at = made_at, "
                 "content = '', sha256 = ''")
        )  # fmt: skip


def test_released_once_with_bytes_that_stay(settled: World) -> None:
    made = settled.released(settled.settle())
    assert (made.state, made.released_by) == ("released", "lead:ola")
    first = made.content
    assert first is not None
    assert made.sha256 == hashlib.sha256(first).digest()
    transfer = Transfer(made.end_to_end_id, "Fjellbompenger", ACCOUNT, 98_250, made.text)
    assert first == build(f"BRIKKE-{made.end_to_end_id}", US, [transfer], made_at=OVER, execute_on=AFTER_EASTER)
    again = release(settled.session, made.id, debtor=US, actor="lead:other", now=OVER + DAY)
    assert (again.content, again.released_by, again.released_at) == (first, "lead:ola", OVER)


def test_a_day_that_passed_becomes_the_next_bank_day(settled: World) -> None:
    made = settled.ordered(settled.settle())
    released = release(settled.session, made.id, debtor=US, actor="lead:ola", now=OVER + 9 * DAY)
    assert released.execute_on == dt.date(2026, 4, 10)


def test_an_account_changed_meanwhile_stops_it(settled: World) -> None:
    row = settled.settle()
    made = settled.ordered(row)
    settled.account("15030054331")
    with pytest.raises(Conflict, match="changed since"):
        release(settled.session, made.id, debtor=US, actor="lead:ola", now=OVER)
    assert withdraw(settled.session, made.id, why="account", actor="lead:ola", now=OVER).state == "withdrawn"
    assert row.state == "agreed"
    second = order(settled.session, row.id, actor="accountant:kari", now=OVER)
    assert (second.account, second.end_to_end_id) == ("15030054331", f"S{row.id}-2")
    with pytest.raises(Conflict, match="withdrawn"):
        release(settled.session, made.id, debtor=US, actor="lead:ola", now=OVER)


def test_the_outbox_gets_each_order_once(settled: World, sessions: SessionFactory, settings: Settings) -> None:
    made = settled.released(settled.settle())
    move_clock(settled.session, OVER, running=False)
    settled.session.commit()
    context = JobContext(sessions, settings)
    assert outbox.job(context, OVER) == {"written": 1}
    (file,) = settings.bank_outbox.iterdir()
    assert (file.name, file.read_bytes()) == (file_name(made.end_to_end_id), made.content)
    settled.session.refresh(made)
    assert (made.state, made.written_at) == ("written", OVER)
    settled.session.commit()
    file.unlink()  # the bank's transfer has fetched it
    assert outbox.job(context, OVER) == {"written": 0}
    assert list(settings.bank_outbox.iterdir()) == []


def test_a_crash_before_it_was_noted_writes_no_second_file(
    settled: World, sessions: SessionFactory, settings: Settings
) -> None:
    made = settled.released(settled.settle())
    settled.session.commit()
    assert made.content is not None
    assert put(settings.bank_outbox, file_name(made.end_to_end_id), made.content)
    assert outbox.job(JobContext(sessions, settings), OVER) == {"written": 1}
    assert len(list(settings.bank_outbox.iterdir())) == 1


def test_what_ended_between_pick_and_put_stays_here(
    settled: World, sessions: SessionFactory, settings: Settings, engine: Engine
) -> None:
    """The outbox has picked it and waits; what holds it ends it and orders anew: only the new one goes out."""
    row = settled.settle()
    made = settled.released(row)
    settled.session.commit()
    settled.session.execute(text("SELECT FROM charger_orders WHERE id = :o FOR UPDATE"), {"o": made.id})
    beside = Beside(engine, lambda: outbox.job(JobContext(sessions, settings), OVER))
    assert beside.waited
    made.state, made.ended_at, made.ended_by, made.why, row.state = "rejected", OVER, "accountant:kari", "x", "agreed"
    settled.session.flush()
    second = order(settled.session, row.id, actor="accountant:kari", now=OVER)
    release(settled.session, second.id, debtor=US, actor="lead:ola", now=OVER)
    settled.session.commit()
    assert beside.result() == {"written": 0}
    assert outbox.job(JobContext(sessions, settings), OVER) == {"written": 1}
    assert [file.name for file in settings.bank_outbox.iterdir()] == [file_name(second.end_to_end_id)]


def test_it_does_not_end_while_it_is_put(
    settled: World, sessions: SessionFactory, settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused while the file is on its way out: that waits until it is noted that the bank has it."""
    made = settled.released(settled.settle())
    settled.session.commit()
    asked: list[Beside[str]] = []

    def refuse() -> str:
        with sessions.begin() as session:
            return rejected(session, made.id, why="AC04", actor="accountant:kari", now=OVER).state

    def put_slowly(folder: Path, name: str, content: bytes) -> bool:
        asked.append(Beside(engine, refuse))
        assert asked[0].waited
        return put(folder, name, content)

    monkeypatch.setattr(outbox, "put", put_slowly)
    assert outbox.job(JobContext(sessions, settings), OVER) == {"written": 1}
    assert asked[0].result() == "rejected"
    settled.session.refresh(made)
    assert made.written_at is not None


def test_paid_books_what_left_the_bank_once(settled: World) -> None:
    row = settled.settle()
    made = settled.written(row)
    for _ in range(2):
        one = paid(settled.session, made.id, reference="R1", paid_on=TODAY, actor="accountant:kari", now=OVER)
        assert (one.state, one.reference, one.paid_on, row.state) == ("paid", "R1", TODAY, "paid")
    assert settled.payable() == 0
    booked = settled.road.ask("SELECT debit, credit, amount_ore, ref FROM transfers WHERE code = 'charger_payment'")
    assert booked == [("payable", "bank", 98_250, made.id)]
    with pytest.raises(Conflict, match="reference R1"):
        paid(settled.session, made.id, reference="R2", paid_on=TODAY, actor="accountant:kari", now=OVER)
    with pytest.raises(Conflict):
        rejected(settled.session, made.id, why="AC04", actor="accountant:kari", now=OVER)


def test_not_paid_while_the_bank_has_not_been_given_its_file(
    settled: World, sessions: SessionFactory, settings: Settings
) -> None:
    """Noted as paid it would never be put out, and nobody would be paid."""
    row = settled.settle()
    made = settled.released(row)
    with pytest.raises(Conflict, match="outbox") as problem:
        paid(settled.session, made.id, reference="R1", paid_on=TODAY, actor="accountant:kari", now=OVER)
    assert problem.value.type == "/problems/not-written"
    assert (made.state, row.state, settled.payable()) == ("released", "ordered", 98_250)
    settled.session.commit()
    assert outbox.job(JobContext(sessions, settings), OVER) == {"written": 1}
    one = paid(settled.session, made.id, reference="R1", paid_on=TODAY, actor="accountant:kari", now=OVER)
    assert (one.state, settled.payable()) == ("paid", 0)


@pytest.mark.parametrize("day", [TODAY - DAY, TODAY + DAY])
def test_not_paid_before_its_release_nor_ahead(settled: World, day: dt.date) -> None:
    made = settled.written(settled.settle())
    with pytest.raises(Invalid):
        paid(settled.session, made.id, reference="R1", paid_on=day, actor="accountant:kari", now=OVER)


def test_what_the_bank_refused_is_ordered_again(settled: World, sessions: SessionFactory, settings: Settings) -> None:
    row = settled.settle()
    made = settled.ordered(row)
    with pytest.raises(Conflict, match="Nobody has released"):
        rejected(settled.session, made.id, why="AC04", actor="accountant:kari", now=OVER)
    with pytest.raises(Conflict, match="Nobody has released"):
        paid(settled.session, made.id, reference="R", paid_on=TODAY, actor="accountant:kari", now=OVER)
    release(settled.session, made.id, debtor=US, actor="lead:ola", now=OVER)
    with pytest.raises(Conflict, match="released"):
        withdraw(settled.session, made.id, why="x", actor="lead:ola", now=OVER)
    with pytest.raises(Conflict, match="outbox"):
        rejected(settled.session, made.id, why="AC04", actor="accountant:kari", now=OVER)
    settled.session.commit()
    assert outbox.job(JobContext(sessions, settings), OVER) == {"written": 1}
    settled.session.refresh(made)
    for _ in range(2):
        assert rejected(settled.session, made.id, why="AC04", actor="accountant:kari", now=OVER).state == "rejected"
    assert row.state == "agreed"
    second = order(settled.session, row.id, actor="accountant:kari", now=OVER)
    assert (second.id != made.id, second.number) == (True, 2)
    assert settled.payable() == 98_250


def test_there_must_be_one(settled: World) -> None:
    with pytest.raises(NotFound):
        release(settled.session, 4711, debtor=dataclasses.replace(US), actor="lead:ola", now=OVER)
    with pytest.raises(NotFound):
        order(settled.session, 4711, actor="lead:ola", now=OVER)
