"""Stories on one clock: in order of time, a broken one alone, one that looks back goes on now."""

from __future__ import annotations

import datetime as dt
from typing import Any, cast

from simulator.stage import Stage
from simulator.tale import Director, Steps, Story, Tale
from simulator.times import at, days

FIRST = dt.date(2026, 1, 1)


class Clock:
    """Of a stage, what the director needs."""

    def __init__(self) -> None:
        self.now = at(FIRST)
        self.moves: list[dt.datetime] = []

    def move(self, to: dt.datetime) -> None:
        """Remember where the clock was moved to."""
        assert to >= self.now
        self.now = to
        self.moves.append(to)


def director() -> tuple[Director, Clock]:
    clock = Clock()
    return Director(cast(Stage, cast(Any, clock))), clock


def every(step: int, seen: list[tuple[str, int]], name: str) -> Steps:
    for day in days(FIRST, FIRST + dt.timedelta(days=6))[::step]:
        yield at(day)
        seen.append((name, day.day))


def test_stories_go_on_in_order_of_time() -> None:
    played, clock = director()
    seen: list[tuple[str, int]] = []
    played.begin(Tale("two"), every(2, seen, "two"))
    played.begin(Tale("three"), every(3, seen, "three"))
    tales = played.play()
    assert [day for _, day in seen] == sorted(day for _, day in seen)
    assert sorted(seen) == [("three", 1), ("three", 4), ("three", 7), ("two", 1), ("two", 3), ("two", 5), ("two", 7)]
    assert clock.moves == sorted(set(clock.moves))
    assert all(tale.ended and tale.failure is None for tale in tales)


def test_a_broken_story_costs_the_others_nothing_and_says_where() -> None:
    played, _ = director()
    seen: list[tuple[str, int]] = []

    def breaks(_stage: Stage, tale: Tale, first: dt.date) -> Steps:
        yield at(first)
        tale.same(1, 2, "one")

    played.cast([Story("breaks", "", breaks)], FIRST)
    played.begin(Tale("goes on"), every(1, seen, "on"))
    broken, fine = played.play()
    assert broken.failure is not None
    assert "one = 2" in broken.failure
    assert "test_director.py" in broken.failure
    assert not broken.ended
    assert fine.ended
    assert len(seen) == 7


def test_an_instant_in_the_past_is_now() -> None:
    played, clock = director()

    def looks_back(_stage: Stage, _tale: Tale, first: dt.date) -> Steps:
        yield at(first + dt.timedelta(days=3))
        yield at(first)

    played.cast([Story("back", "", looks_back)], FIRST)
    (tale,) = played.play()
    assert tale.ended
    assert clock.moves == [at(dt.date(2026, 1, 4)), at(dt.date(2026, 1, 4))]
