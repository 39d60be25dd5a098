"""Everything that locks balances, at once: a hundred mixed runs end without a deadlock, and the books agree."""

from __future__ import annotations

import datetime as dt
import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import msgspec
import pytest
from psycopg import errors
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger
from accounts.vehicles.register import register
from accounts.vehicles.remove import remove
from billing.audit.audit import audit
from billing.cards.due import week_over
from billing.claims.make import make
from billing.invoices.issue import issue
from billing.passages.batches import open_batch
from billing.passages.credit import credit
from billing.passages.incoming import Item, limits_at, prepare
from billing.passages.ingest import StillChanging
from billing.passages.move import move
from billing.passages.rules import Cancel, Sent
from billing.roadside.chunk import book
from billing.roadside.waiting import decide_waiting
from config.clock import business_date, move_clock
from config.database import SessionFactory
from config.problems import Conflict
from tests.integration.billing.passages.conftest import HOUR, NOW, PASSED, UNOPENED, Road

RUNS, AT_ONCE, AGREEMENTS, EACH = 100, 5, 24, 16
MOST_TRIES = 8
STATIONS = ("S1", "S2")
SELLER = {"name": "Brikke AS", "org_no": "999999999", "account": "15030012345"}


@dataclass
class World:
    """What the runs share: who has which vehicle, the records sent so far, and what had to be tried again."""

    sessions: SessionFactory
    charger: Charger
    agreements: list[int]
    plates: list[str]
    sent: list[Sent] = field(default_factory=list)
    retries: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)

    def again_and_again(self, kind: str, act: Callable[[Session], object]) -> None:
        """Run an act in a transaction, anew where it says that it must be, or where the database shot it."""
        for _ in range(MOST_TRIES):
            try:
                with self.sessions.begin() as session:
                    act(session)
            except StillChanging:
                self.retries["still_changing"] += 1
            except OperationalError as error:
                if not isinstance(error.orig, errors.DeadlockDetected | errors.SerializationFailure):
                    raise
                self.retries[type(error.orig).__name__] += 1
            else:
                self.done[kind] += 1
                return
        raise AssertionError(f"{kind} was tried {MOST_TRIES} times")


def record(number: int, plate: str, **more: object) -> Sent:
    """A record of the world's charger."""
    fields = {
        "id": f"R{number}", "passed_at": PASSED + dt.timedelta(seconds=number), "station": STATIONS[number % 2],
        "service": "toll", "list_price": 3100, "amount": 2480, "vat_rate": 0, "country": "NO", "plate": plate,
    }  # fmt: skip
    return msgspec.convert(fields | more, Sent)


def book_all(world: World, records: list[Sent | Cancel], now: dt.datetime) -> Callable[[Session], object]:
    """A batch of its own of these records."""

    def act(session: Session) -> None:
        batch = open_batch(session, world.charger, name="many.jsonl", form="jsonl", sha256=b"", now=now)
        items = [Item(n, b"{}", one) for n, one in enumerate(records, 1)]
        book(session, batch, prepare(1, items, limits_at(now)), now=now)

    return act


def corrections(dice: random.Random, of: list[Sent], number: int) -> list[Sent | Cancel]:
    """Cancel some records, adjust others, and some twice; also records that only the next run sends."""
    made: list[Sent | Cancel] = []
    for place, one in enumerate(dice.sample(of, min(len(of), EACH // 2))):
        name, version = f"C{number}-{place}", dice.randrange(1, 9)
        if place % 2:
            made.append(msgspec.convert(
                {"id": name, "action": "cancel", "original": one.id, "version": version}, Cancel))  # fmt: skip
        else:
            fields = {"id": name, "action": "adjust", "original": one.id, "version": version, "amount": 1000 + version}
            made.append(record(number, dice.choice([str(one.plate), "EV10001"]), **fields, passed_at=one.passed_at))
    return made


def claim(world: World, dice: random.Random, run: int, now: dt.datetime) -> Callable[[Session], object]:
    """Claims with their invoices, of agreements in whatever order."""
    some = dice.sample(world.agreements, 8)

    def act(session: Session) -> None:
        made = make(session, some, "invoice", f"run:{run}", "", now, 5000, now)
        day = business_date(now)
        ids = [one.claim_id for one in made]
        issue(session, ids, seller=SELLER, issued_on=day, due_on=day + dt.timedelta(days=14), now=now)

    return act


def pass_on(world: World, dice: random.Random, now: dt.datetime) -> Callable[[Session], object]:
    """A vehicle turns out to have been sold an hour before; its buyer has it on an agreement of theirs."""
    plate, ends_at = dice.choice(world.plates), PASSED + dice.randrange(RUNS) * dt.timedelta(seconds=EACH)
    buyer = dice.choice(world.agreements)

    def act(session: Session) -> None:
        query = "SELECT id, agreement_id FROM registrations WHERE plate = :plate AND valid_to IS NULL"
        held = session.execute(text(query), {"plate": plate}).one_or_none()
        if held is None:
            return
        try:
            remove(session, held.agreement_id, held.id, ends_at=ends_at, reason="sold", now=now, actor="agent:test")
            register(session, buyer, "NO", plate, valid_from=ends_at, reason="sold", now=now, actor="agent:test")
        except Conflict:
            session.rollback()  # somebody else was faster

    return act


def move_one(session: Session, now: dt.datetime) -> int | None:
    """Work through a removal that nobody else is at."""
    query = "SELECT id FROM removals WHERE moved_at IS NULL ORDER BY random() LIMIT 1"
    removal = session.scalar(text(query))
    return None if removal is None else move(session, removal, now=now) or 0


def credit_one(session: Session, now: dt.datetime) -> None:
    """Credit a passage that is nobody's counter-row."""
    query = "SELECT id, agreement_id FROM passages WHERE reverses_id IS NULL ORDER BY random() LIMIT 1"
    one = session.execute(text(query)).one_or_none()
    if one is not None:
        try:
            credit(session, one.agreement_id, one.id, reason="test", actor="agent:test", now=now)
        except Conflict:
            session.rollback()  # moved or taken back already


def apply_waiting(world: World, session: Session, now: dt.datetime) -> None:
    """Corrections whose original has come."""
    query = (
        "SELECT k.source_id FROM corrections AS k JOIN records AS r ON r.charger_id = k.charger_id "
        "AND r.source_id = k.original_id WHERE k.state = 'waiting' ORDER BY random() LIMIT 50"
    )
    waiting = list(session.scalars(text(query)))
    if waiting:
        decide_waiting(session, world.charger, waiting, now)


def one_run(world: World, pool: ThreadPoolExecutor, run: int) -> None:
    """Transactions that begin at one moment: three batches that overlap, and verbs that take what these book."""
    dice, now = random.Random(run), NOW + run * dt.timedelta(minutes=1)
    fresh = [record(run * EACH + n, dice.choice(world.plates)) for n in range(EACH)]
    coming = [record((run + 1) * EACH + n, dice.choice(world.plates)) for n in range(EACH)]
    mixed: list[Sent | Cancel] = [*fresh, *corrections(dice, world.sent[-200:] or fresh, 2 * run)]
    dice.shuffle(mixed)
    turned = list(reversed(mixed[: len(mixed) // 2])) + corrections(dice, [*fresh, *coming], 2 * run + 1)
    resent: list[Sent | Cancel] = [*fresh[::-1], *world.sent[-EACH:]]
    others: list[tuple[str, Callable[[Session], object]]] = [
        ("claim", claim(world, dice, run, now)),
        ("pass_on", pass_on(world, dice, now)),
        ("move", lambda session: move_one(session, now)),
        ("credit", lambda session: credit_one(session, now)),
        ("due", lambda session: week_over(session, now=now)),
        ("waiting", lambda session: apply_waiting(world, session, now)),
    ]
    acts = [(f"batch_{n}", book_all(world, some, now)) for n, some in enumerate((mixed, turned, resent))]
    acts += [others[0], *dice.sample(others[1:], AT_ONCE - len(acts) - 1)]
    start = threading.Barrier(len(acts))

    def go(kind: str, act: Callable[[Session], object]) -> None:
        start.wait(10)
        world.again_and_again(kind, act)

    for one in [pool.submit(go, *act) for act in acts]:
        one.result()
    world.sent += fresh


@pytest.mark.slow
def test_a_hundred_mixed_runs(road: Road, sessions: SessionFactory) -> None:
    plates = [f"EV1{n:04}" for n in range(AGREEMENTS)]
    agreements = [road.agreement(payment_method="card" if n % 3 == 0 else "invoice") for n in range(AGREEMENTS)]
    for agreement, plate in zip(agreements, plates, strict=True):
        road.vehicle(agreement, plate)
    move_clock(road.session, NOW + RUNS * HOUR, running=False)
    road.session.commit()
    world = World(sessions, road.toll, agreements, plates)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for run in range(RUNS):
            one_run(world, pool, run)
    later = NOW + (RUNS + 1) * HOUR
    with sessions.begin() as session:
        while move_one(session, later) is not None:
            pass
    assert sum(world.done.values()) == RUNS * AT_ONCE
    assert {"DeadlockDetected", "SerializationFailure"}.isdisjoint(world.retries), world.retries
    assert world.retries["still_changing"] < 3 * RUNS, world.retries  # batches that hold the same new corrections
    with sessions() as session:
        session.execute(text("SELECT pg_stat_force_next_flush()"))
        session.commit()
        session.execute(text("SELECT pg_stat_clear_snapshot()"))
        deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert session.scalar(text(deadlocks)) == 0
    kinds = "SELECT cause, count(*) FROM reversals GROUP BY 1"
    assert set(dict(road.ask(kinds))) >= {"moved", "credited", "cancelled", "adjusted"}
    assert road.ask("SELECT count(*) FROM claims")[0][0] > RUNS // 2
    road.session.commit()
    road.check_books()
    road.session.commit()
    with sessions() as session:
        wrong = [check.detail for check in audit(session).checks if not check.ok and check.name not in UNOPENED]
    assert wrong == []  # but that the agreements of this world were never opened
