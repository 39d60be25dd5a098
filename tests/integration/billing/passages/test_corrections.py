"""Corrections: cancelled, adjusted, superseded, waiting for their original (test_any_order has them in any order)."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest

from billing.audit.codes import RULES as CODES
from billing.audit.corrections import RULES as CORRECTIONS
from billing.audit.matching import RULES as MATCHING
from billing.audit.passages import RULES as PASSAGES
from billing.passages.again import DecidedAgain, decide_again, give_up
from billing.passages.credit import credit
from billing.passages.incoming import Answer
from billing.passages.move import move
from billing.passages.rules import Cancel, Sent
from tests.integration.billing.passages.conftest import HOUR, NOW, PASSED, Road

DAY = dt.timedelta(days=1)


def cancel(name: str, original: str, version: int | None = 1, **more: Any) -> Any:
    return Cancel(id=name, action="cancel", original=original, version=version, **more)


def adjust(road: Road, name: str, original: str, version: int | None = 1, **more: Any) -> Sent:
    return road.record(name, **({"plate": "EV10001"} | more), action="adjust", original=original, version=version)


def new(road: Road, name: str, **more: Any) -> Sent:
    return road.record(name, **({"plate": "EV10001"} | more))


def codes(answers: list[Answer]) -> list[str]:
    return [one.code for one in answers]


def sums(road: Road) -> dict[int, int]:
    """Unbilled by agreement, of those that have any."""
    return dict(road.ask("SELECT agreement_id, unbilled_ore FROM balances WHERE unbilled_ore <> 0"))


def retry(road: Road, now: dt.datetime = NOW) -> DecidedAgain:
    """What the job does for those whose original is here."""
    rows = road.ask(
        "SELECT k.source_id FROM corrections k JOIN records r ON r.charger_id = k.charger_id "
        "AND r.source_id = k.original_id WHERE k.state = 'waiting'"
    )
    return decide_again(
        road.session, road.toll, [name for (name,) in rows], cause="original_came", reason=None, actor="test", now=now
    )


def agrees(road: Road) -> None:
    road.check_books()
    for rule in (*PASSAGES, *CORRECTIONS, *MATCHING, *CODES):
        if not re.search(r"(?<!:):[a-z]", rule.sql):
            assert road.ask(rule.sql) == [], rule.name


@pytest.fixture
def holder(road: Road) -> int:
    made = road.agreement()
    road.vehicle(made)
    return made


def test_cancelled(road: Road, holder: int) -> None:
    assert codes(road.send([new(road, "A"), new(road, "B")])) == ["accepted"] * 2
    assert codes(road.send([cancel("C", "A")], now=NOW + HOUR)) == ["accepted"]
    assert sums(road) == {holder: 2480}
    assert road.ask("SELECT cause, reason, actor FROM reversals") == [("cancelled", "C", "charger")]
    assert road.ask("SELECT debit, credit, amount_ore, part FROM transfers WHERE code = 'reversed'") == [
        ("payable", "unbilled", 2480, "cancelled")
    ]
    agrees(road)


def test_adjusted_to_another_price_and_another_vehicle(road: Road, holder: int) -> None:
    other = road.agreement()
    road.vehicle(other, "EV10002")
    road.send([new(road, "A"), new(road, "B")])
    answers = road.send([adjust(road, "A2", "A", amount=1000), adjust(road, "B2", "B", plate="EV10002")])
    assert codes(answers) == ["accepted"] * 2
    assert sums(road) == {holder: 1000, other: 2480}
    assert road.ask("SELECT count(*), sum(amount_ore) FROM passages WHERE owed") == [(6, 3480)]
    agrees(road)


def test_adjusted_to_nobodys_vehicle_is_only_taken_back(road: Road, holder: int) -> None:
    road.send([new(road, "A")])
    assert codes(road.send([adjust(road, "A2", "A", plate="EV99999")])) == ["unknown_vehicle"]
    assert sums(road) == {}
    agrees(road)


def test_adjusted_where_it_cannot_be_booked_leaves_the_original(road: Road, holder: int) -> None:
    road.send([new(road, "A")])
    assert codes(road.send([adjust(road, "A2", "A", station="nowhere")])) == ["unknown_station"]
    assert sums(road) == {holder: 2480}
    assert road.ask("SELECT state FROM corrections") == [("refused",)]
    agrees(road)


def test_a_refused_original_gets_its_first_passage(road: Road, holder: int) -> None:
    assert codes(road.send([new(road, "A", plate="EV1OOO1")])) == ["unknown_vehicle"]
    assert codes(road.send([adjust(road, "A2", "A")])) == ["accepted"]
    assert sums(road) == {holder: 2480}
    assert road.send([cancel("A3", "A", 3)])[0].detail is None
    assert road.send([cancel("A4", "A", 4)])[0].detail == "nothing to take back"
    assert sums(road) == {}
    agrees(road)


def test_the_highest_wins_and_an_older_one_is_superseded(road: Road, holder: int) -> None:
    road.send([new(road, "A")])
    road.send([adjust(road, "A5", "A", 5, amount=500)])
    late = road.send([cancel("A3", "A", 3), adjust(road, "A4", "A", 4, amount=400)])
    assert [(one.code, one.detail) for one in late] == [("superseded", "by A5, version 5")] * 2
    assert sums(road) == {holder: 500}
    road.send([cancel("A6", "A", 6), adjust(road, "A7", "A", 7, amount=700)])
    assert sums(road) == {holder: 700}
    assert road.ask("SELECT source_id, state FROM corrections ORDER BY 1") == [
        ("A3", "superseded"), ("A4", "superseded"), ("A5", "applied"), ("A6", "superseded"), ("A7", "applied"),
    ]  # fmt: skip
    agrees(road)


def test_the_time_of_issue_decides_where_there_is_no_version(road: Road, holder: int) -> None:
    road.send([new(road, "A")])
    first = dt.datetime(2026, 3, 1, 13, tzinfo=dt.UTC)
    road.send([adjust(road, "A2", "A", None, amount=200, issued_at=first + HOUR)])
    assert codes(road.send([adjust(road, "A1", "A", None, amount=100, issued_at=first)])) == ["superseded"]
    assert sums(road) == {holder: 200}


def test_new_and_its_corrections_in_one_file_in_any_order(road: Road, holder: int) -> None:
    answers = road.send([cancel("B2", "B"), adjust(road, "A2", "A", amount=100), new(road, "A"), new(road, "B")])
    assert codes(answers) == ["accepted"] * 4
    assert sums(road) == {holder: 100}
    agrees(road)


def test_a_correction_waits_for_its_original(road: Road, holder: int) -> None:
    waits = road.send([cancel("A3", "A", 3), adjust(road, "A2", "A", 2, amount=100), cancel("B2", "B")])
    assert codes(waits) == ["deferred_original_missing"] * 3
    assert waits[0].detail == "A has not come yet"
    assert codes(road.send([new(road, "A")])) == ["accepted"]
    done = retry(road, NOW + HOUR)
    assert [(one.source_id, one.was_code, one.code) for one in done.amended] == [
        ("A2", "deferred_original_missing", "superseded"), ("A3", "deferred_original_missing", "accepted"),
    ]  # fmt: skip
    assert sums(road) == {}
    assert done.touched == [holder]
    assert retry(road).amended == []
    assert codes(road.send([new(road, "B")])) == ["accepted"]
    retry(road)
    agrees(road)


def test_an_adjustment_that_waited_is_booked_under_its_own_batch(road: Road, holder: int) -> None:
    road.send([adjust(road, "A2", "A", amount=100)])
    road.send([new(road, "A")])
    retry(road, NOW + HOUR)
    assert sums(road) == {holder: 100}
    assert road.ask("SELECT batch_id, booked_at FROM passages WHERE source_id = 'A2'") == [(1, NOW + HOUR)]
    assert road.ask("SELECT code, passage_id IS NOT NULL FROM records WHERE source_id = 'A2'") == [("accepted", True)]
    agrees(road)


def test_a_correction_that_waits_too_long_is_refused(road: Road, holder: int) -> None:
    road.send([cancel("A2", "A")])
    assert give_up(road.session, NOW + 29 * DAY) == 0
    assert give_up(road.session, NOW + 31 * DAY) == 1
    assert road.ask("SELECT code, detail FROM records") == [("invalid_record", "its original did not come in 30 days")]
    assert give_up(road.session, NOW + 31 * DAY) == 0
    agrees(road)


class TestGivenUp:
    """Corrections that lead to no record are refused after their days; those whose original came are not."""

    def test_one_whose_original_came_is_applied_yet(self, road: Road, holder: int) -> None:
        road.send([adjust(road, "A2", "A", amount=100)])
        road.send([cancel("A3", "A2", 2)])
        road.send([new(road, "A")])  # and nothing has looked at what waits since
        assert give_up(road.session, NOW + 31 * DAY) == 0
        retry(road, NOW + 31 * DAY)
        assert dict(road.ask("SELECT source_id, code FROM records")) == {
            "A": "accepted", "A2": "superseded", "A3": "accepted",
        }  # fmt: skip
        assert sums(road) == {}
        agrees(road)

    def test_one_of_a_correction_that_came_later_waits_for_what_that_one_corrects(
        self, road: Road, holder: int
    ) -> None:
        road.send([cancel("A3", "A2", 2)])
        road.send([adjust(road, "A2", "A", amount=100)], now=NOW + 20 * DAY)
        road.send([new(road, "A")], now=NOW + 20 * DAY)
        assert give_up(road.session, NOW + 31 * DAY) == 0

    @pytest.mark.parametrize("names", [["X", "Y"], ["X", "Y", "Z"]])
    def test_a_circle(self, road: Road, holder: int, names: list[str]) -> None:
        for name, original in zip(names, [*names[1:], names[0]], strict=True):
            assert codes(road.send([cancel(name, original)])) == ["deferred_original_missing"]
        road.send([cancel("W", "X")])  # leads into it
        retry(road)
        assert give_up(road.session, NOW + 29 * DAY) == 0
        assert give_up(road.session, NOW + 31 * DAY) == len(names) + 1
        assert road.ask("SELECT DISTINCT state FROM corrections") == [("refused",)]
        assert road.ask("SELECT DISTINCT code, detail FROM records") == [
            ("invalid_record", "its original did not come in 30 days")
        ]
        agrees(road)

    def test_one_of_a_correction_that_was_given_up(self, road: Road, holder: int) -> None:
        road.send([cancel("A2", "A")])
        road.send([cancel("A3", "A2", 2)], now=NOW + 10 * DAY)
        assert give_up(road.session, NOW + 31 * DAY) == 1
        retry(road, NOW + 31 * DAY)
        assert give_up(road.session, NOW + 39 * DAY) == 0
        assert give_up(road.session, NOW + 41 * DAY) == 1
        agrees(road)


def test_a_correction_of_a_correction_is_of_its_original(road: Road, holder: int) -> None:
    road.send([new(road, "A")])
    road.send([adjust(road, "A2", "A", 2, amount=100)])
    assert codes(road.send([cancel("A3", "A2", 3)])) == ["accepted"]
    assert sums(road) == {}
    assert road.ask("SELECT original_id FROM corrections WHERE source_id = 'A3'") == [("A",)]
    agrees(road)


def test_a_repeat_changes_nothing(road: Road, holder: int) -> None:
    road.send([new(road, "A")])
    both = [cancel("A2", "A", 2), adjust(road, "A3", "A", 3, amount=100)]
    assert codes(road.send(both)) == ["superseded", "accepted"]
    assert codes(road.send(both)) == ["duplicate"] * 2
    other = [cancel("A2", "A", 9), adjust(road, "A3", "A", 8, amount=100)]
    assert codes(road.send(other)) == ["conflict"] * 2
    twice = road.send([cancel("A4", "A", 4), cancel("A4", "A", 4), cancel("A4", "A", 5)])
    assert codes(twice) == ["accepted", "duplicate", "conflict"]
    assert sums(road) == {}
    agrees(road)


def test_what_was_moved_is_taken_back_where_it_is(road: Road, holder: int) -> None:
    registration = road.ask("SELECT id FROM registrations")[0][0]
    road.send([new(road, "A")])
    other = road.agreement()
    removal = road.remove(registration, PASSED - HOUR)
    road.vehicle(other, since=PASSED - HOUR)
    assert move(road.session, removal, now=NOW + HOUR) == 1
    assert sums(road) == {other: 2480}
    road.send([cancel("A2", "A")], now=NOW + 2 * HOUR)
    assert sums(road) == {}
    agrees(road)


def test_what_support_had_credited_is_the_chargers_loss_then(road: Road, holder: int) -> None:
    road.send([new(road, "A")])
    ((passage,),) = road.ask("SELECT passage_id FROM records")
    credit(road.session, holder, passage, reason="scrapped", actor="agent:kari", now=NOW + HOUR)
    assert sums(road) == {}
    road.send([adjust(road, "A2", "A", amount=100)], now=NOW + 2 * HOUR)
    assert sums(road) == {holder: 100}
    assert road.ask("SELECT sum(amount_ore) FROM passages WHERE owed") == [(100,)]
    assert road.ask("SELECT sum(CASE debit WHEN 'write_off' THEN amount_ore ELSE -amount_ore END) FROM transfers "
                    "WHERE 'write_off' IN (debit, credit)") == [(0,)]  # fmt: skip
    agrees(road)
    road.send([cancel("A3", "A", 3)], now=NOW + 3 * HOUR)
    assert sums(road) == {}
    agrees(road)


def test_of_broken_corrections_nothing_is_applied(road: Road, holder: int) -> None:
    road.send([new(road, "A")])
    wrong = road.send(
        [
            cancel("X1", "A", None),
            cancel("X2", "X2"),
            new(road, "X3", original="A"),
            adjust(road, "X4", "A", amount=-1),
            cancel("X5", "A\x01"),
            road.record("X6", plate="EV10001", action="adjust", version=1),
        ]
    )
    assert [(one.code, one.field) for one in wrong] == [
        ("invalid_record", "version"), ("invalid_record", "original"), ("invalid_record", "original"),
        ("invalid_amount", "amount"), ("invalid_record", "original"), ("invalid_record", "original"),
    ]  # fmt: skip
    assert sums(road) == {holder: 2480}
    agrees(road)
