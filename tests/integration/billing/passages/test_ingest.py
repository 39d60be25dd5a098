"""Booking chunks: answers, duplicates, conflicts, books, two at once."""

from __future__ import annotations

import datetime as dt
import random
import threading
from typing import Any

import pytest
from sqlalchemy import text

from accounts.vehicles.models import Registration
from billing.passages import ingest
from billing.passages.batches import Receiving, open_batch
from billing.passages.incoming import Item, limits_at, prepare
from billing.passages.ingest import Booked, StillChanging, book_chunk
from billing.passages.match import match
from billing.passages.rules import Fault, Sent
from config.database import SessionFactory
from tests.integration.billing.passages.conftest import HOUR, NOW, PASSED, Road


def car(road: Road, number: int = 1, **more: Any) -> int:
    """An agreement with the vehicle EV1000<number>."""
    agreement = road.agreement(**more)
    road.vehicle(agreement, f"EV1000{number}")
    return agreement


def test_a_passage_is_unbilled_and_owed(road: Road) -> None:
    first, second = car(road, 1), car(road, 2)
    answers = road.send(
        [
            road.record("A", plate="EV10001", amount=100),
            road.record("B", plate="EV10002", amount=200, station="S2"),
            road.record("C", plate="EV10001", amount=0),
        ]
    )
    assert [(one.position, one.id, one.code) for one in answers] == [
        (1, "A", "accepted"), (2, "B", "accepted"), (3, "C", "accepted"),
    ]  # fmt: skip
    assert road.ask("SELECT agreement_id, unbilled_ore, unbilled_count, open_since FROM balances ORDER BY 1") == [
        (first, 100, 2, NOW), (second, 200, 1, NOW),
    ]  # fmt: skip
    assert road.ask(
        "SELECT debit, credit, credit_owner, amount_ore, code, part FROM transfers ORDER BY amount_ore"
    ) == [
        ("unbilled", "payable", road.toll.id, 100, "passages", f"1/{road.toll.id}/BERGEN"),
        ("unbilled", "payable", road.toll.id, 200, "passages", f"1/{road.toll.id}/VEST"),
    ]
    assert road.ask("SELECT done, counts, sums FROM batches") == [(3, {"accepted": 3}, {"accepted": 300})]
    assert road.ask(
        "SELECT count(*) FROM records AS r JOIN passages AS p ON p.id = r.passage_id AND p.source_id = r.source_id"
    ) == [(3,)]
    road.check_books()


def test_a_resent_batch_is_a_success_that_names_the_first(road: Road) -> None:
    car(road)
    records = [road.record("A", plate="EV10001"), road.record("B", plate="EV10009"), road.record("C", plate="EV10001")]
    road.send(records, name="first.jsonl")
    (batch,) = road.ask("SELECT id FROM batches")[0]
    answers = road.send(records[::-1], name="again.jsonl")
    assert [one.code for one in answers] == ["duplicate"] * 3
    assert answers[0].detail == f"first in batch {batch} (first.jsonl), line 3"
    assert road.ask("SELECT count(*) FROM passages") == [(2,)]
    assert road.ask("SELECT count(*) FROM batch_faults") == [(0,)]
    road.check_books()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"passed_at": PASSED + dt.timedelta(seconds=1)}, "conflict"),
        ({"amount": 2481}, "conflict"),
        ({"plate": "EV10002"}, "conflict"),
        ({"passed_at": PASSED.astimezone(dt.timezone(HOUR))}, "duplicate"),
        ({"plate": "ev 10001"}, "duplicate"),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_same_id_is_a_duplicate_or_a_conflict(road: Road, change: dict[str, Any], code: str, together: bool) -> None:
    car(road)
    first = road.record("A", plate="EV10001")
    second = road.record("A", **({"plate": "EV10001"} | change))
    if together:
        answers = road.send([first, second])
    else:
        answers = [road.one(first), road.one(second)]
    assert [one.code for one in answers] == ["accepted", code]
    assert "line 1" in str(answers[1].detail)
    assert road.ask("SELECT count(*) FROM passages") == [(1,)]
    assert len(road.ask("SELECT FROM batch_faults WHERE code = 'conflict'")) == (code == "conflict")
    road.check_books()


def test_the_same_id_of_another_charger_is_another_record(road: Road) -> None:
    car(road)
    assert road.one(road.record("A", plate="EV10001")).code == "accepted"
    ferry = road.record("A", plate="EV10001", station="K1", service="ferry")
    assert road.one(ferry, charger=road.ferry).code == "accepted"
    road.check_books()


def test_a_broken_record_costs_its_neighbours_nothing(road: Road) -> None:
    car(road)
    now = NOW
    batch = open_batch(road.session, road.toll, name="f", form="jsonl", sha256=b"", now=now)
    items = [
        Item(1, b"{", Fault("invalid_record", None, "is not JSON")),
        Item(2, b"{..}", road.record("A", plate="EV10001")),
        Item(4, b"nul \0", Fault("invalid_record", "id", "bad \0"), "x\0"),
        Item(5, b"{..}", road.record("B", plate="EV10001", amount=-1)),
    ]
    booked = book_chunk(road.session, batch, prepare(1, items, limits_at(now)), now=now)
    assert [(one.position, one.code, one.field) for one in booked.answers] == [
        (1, "invalid_record", None), (2, "accepted", None), (4, "invalid_record", "id"),
        (5, "invalid_amount", "amount"),
    ]  # fmt: skip
    assert booked.batch.tally.counts == {"invalid_record": 2, "accepted": 1, "invalid_amount": 1}
    assert [row[0] for row in road.ask("SELECT position FROM batch_faults ORDER BY 1")] == [1, 4, 5]
    road.check_books()


def test_a_chunk_of_nothing_but_broken_records(road: Road) -> None:
    answer = road.one(road.record("A", plate=None))
    assert (answer.code, answer.field) == ("invalid_record", "plate")
    road.check_books()


def test_a_vehicle_that_moves_while_its_record_is_matched_goes_to_its_new_holder(
    road: Road, sessions: SessionFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = car(road), road.agreement()
    road.session.commit()
    real = match
    moved: list[int] = []

    def match_then_move(*args: Any) -> None:
        real(*args)
        if not moved:
            with sessions.begin() as other:
                row = other.query(Registration).one()
                row.valid_to = PASSED - HOUR
                other.flush()
                other.add(
                    Registration(
                        agreement_id=new, country="NO", plate="EV10001", valid_from=PASSED - HOUR, created_at=NOW
                    )
                )
            moved.append(1)

    monkeypatch.setattr(ingest, "match", match_then_move)
    assert road.one(road.record(plate="EV10001")).code == "accepted"
    assert road.ask("SELECT agreement_id FROM passages") == [(new,)]
    assert road.ask("SELECT unbilled_count FROM balances WHERE agreement_id = :old", old=old) in ([], [(0,)])
    road.check_books()


def test_a_vehicle_that_never_stands_still_is_given_up(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    car(road)
    monkeypatch.setattr(ingest, "is_stale", lambda _cursor, _charger: True)
    with pytest.raises(StillChanging):
        road.one(road.record(plate="EV10001"))


def test_the_oldest_arrival_is_kept_whoever_commits_first(road: Road) -> None:
    car(road)
    road.one(road.record("A", plate="EV10001"), now=NOW)
    road.one(road.record("B", plate="EV10001"), now=NOW - HOUR)
    assert road.ask("SELECT open_since FROM balances") == [(NOW - HOUR,)]
    road.check_books()


def test_the_new_year_has_its_partition(road: Road) -> None:
    car(road)
    late = dt.datetime(2026, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
    road.one(road.record("A", plate="EV10001", passed_at=late), now=late)
    road.one(road.record("B", plate="EV10001", passed_at=late), now=late + dt.timedelta(seconds=1))
    assert road.ask("SELECT tableoid::regclass::text FROM passages ORDER BY id") == [
        ("passages_2026_12",), ("passages_2027_01",),
    ]  # fmt: skip


def test_two_batches_over_the_same_agreements_in_opposite_order(road: Road, sessions: SessionFactory) -> None:
    chance = random.Random(4)
    for number in range(8):
        car(road, number)
    records = [
        road.record(f"R{n}", plate=f"EV1000{chance.randrange(8)}", amount=chance.randrange(1, 500)) for n in range(300)
    ]
    road.session.commit()
    failures: list[BaseException] = []
    barrier = threading.Barrier(4)

    def work(part: list[Sent]) -> None:
        try:
            with sessions.begin() as session:
                batch = open_batch(session, road.toll, name="t", form="jsonl", sha256=b"", now=NOW)
            for number, start in enumerate(range(0, len(part), 60), 1):
                items = [Item(n, b"", one) for n, one in enumerate(part[start : start + 60], start + 1)]
                barrier.wait()
                with sessions.begin() as session:
                    batch = book_chunk(session, batch, prepare(number, items, limits_at(NOW)), now=NOW).batch
        except BaseException as error:
            failures.append(error)
            barrier.abort()

    # The same records sent four times at once: forwards, backwards and shuffled.
    orders = [records, records[::-1], chance.sample(records, 300), chance.sample(records, 300)]
    threads = [threading.Thread(target=work, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert road.ask("SELECT count(*), sum(amount_ore) FROM passages") == [(300, sum(one.amount for one in records))]
    assert road.ask("SELECT sum((counts ->> 'accepted')::int), sum((counts ->> 'duplicate')::int) FROM batches") == [
        (300, 900)
    ]
    road.check_books()


@pytest.mark.parametrize("seed", range(4))
def test_whatever_comes_the_books_balance(road: Road, seed: int) -> None:
    chance = random.Random(seed)
    for number in range(5):
        agreement = car(road, number)
        if number == 1:
            road.published(agreement, "blocked", PASSED)
        if number == 2:
            road.vehicle(agreement, "EV10002", scope="FJORD", settlement="external", external_ref="1")
    for batch in range(4):
        charger = chance.choice((road.toll, road.ferry))
        stations = ("S1", "S2", "S9") if charger is road.toll else ("K1",)
        records = [
            road.record(
                f"R{chance.randrange(60)}",
                plate=f"EV1000{chance.randrange(7)}",
                amount=chance.choice((-5, 0, 1, 700, 10**9)),
                station=chance.choice(stations),
                passed_at=PASSED + chance.randrange(-3, 3) * HOUR,
            )
            for _ in range(50)
        ]
        answers = road.send(records, charger=charger, now=NOW + batch * HOUR)
        assert len(answers) == len(records)
        road.check_books()
    assert road.ask("SELECT sum(done) FROM batches") == [(200,)]
    counted = "SELECT sum(n::int) FROM batches, jsonb_each_text(counts) AS c (code, n) WHERE code = ANY(:codes)"
    booked = road.ask(counted, codes=["accepted", "other_agreement"])[0][0]
    assert road.ask("SELECT count(*) FROM passages") == [(booked,)]


def test_a_chunk_says_which_agreements_it_touched(road: Road) -> None:
    """A booked chunk says which agreements it touched, ascending and once."""
    first, second = car(road, 1), car(road, 2)
    batch: Receiving = open_batch(road.session, road.toll, name="f", form="jsonl", sha256=b"", now=NOW)
    plates = ("EV10002", "EV10001", "EV10002")
    items = [Item(n, b"", road.record(f"{n}", plate=plate)) for n, plate in enumerate(plates, 1)]
    booked: Booked = book_chunk(road.session, batch, prepare(1, items, limits_at(NOW)), now=NOW)
    assert booked.touched == [first, second]
    assert road.session.execute(text("SELECT count(*) FROM passages")).scalar_one() == 3
