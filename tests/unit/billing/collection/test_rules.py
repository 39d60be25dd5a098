"""When a due date may be judged, by table and property."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.collection.rules import Hole, by_grace, holes, reach, read_until
from config.bankdays import add_bank_days

DAY = dt.timedelta(days=1)
MON, TUE, WED, THU, FRI = (dt.date(2026, 2, 16) + n * DAY for n in range(5))
DATES = st.dates(dt.date(2026, 1, 1), dt.date(2027, 1, 1))


@pytest.mark.parametrize(
    ("today", "read", "judged"),
    [
        (TUE, [MON], True),  # the file with the due date's payments has been read
        (TUE, [MON - DAY], False),  # not yet
        (TUE, [], False),  # no account of ours: the grace alone decides
        (TUE, [None], False),
        (WED, [None], False),
        (THU, [None], True),  # three bank days after
        (MON, [TUE], False),  # due today is not overdue
        (TUE, [MON, None], False),  # every account
        (TUE, [MON, FRI], True),
    ],
)
def test_a_due_date_on_monday(today: dt.date, read: list[dt.date | None], judged: bool) -> None:
    assert (reach(today, read, 3).through >= MON) is judged


def test_easter_is_no_bank_days() -> None:
    wednesday = dt.date(2026, 4, 1)  # before Maundy Thursday; Tuesday after Easter is the next bank day
    assert reach(dt.date(2026, 4, 8), [None], 3).through < wednesday
    assert reach(dt.date(2026, 4, 9), [None], 3).through >= wednesday


@given(DATES, DATES | st.none(), st.integers(0, 5))
def test_nothing_is_judged_before_file_or_grace(today: dt.date, read: dt.date | None, grace: int) -> None:
    found = reach(today, [read], grace)
    assert found.through < today
    through = found.through
    assert (read is not None and through <= read) or add_bank_days(through, grace) <= today
    after = through + DAY
    assert after >= today or (add_bank_days(after, grace) > today and (read is None or after > read))


def test_by_grace() -> None:
    assert by_grace(MON, None)
    assert by_grace(MON, MON - DAY)
    assert not by_grace(MON, MON)


@pytest.mark.parametrize(
    ("read", "missing"),
    [
        ([], []),
        ([(MON, 7)], []),  # what was before the first we know is not known to be missing
        ([(MON, 7), (TUE, 8), (WED, 9)], []),
        ([(MON, 7), (WED, 9)], [(8, 8)]),
        ([(MON, 7), (MON, 7), (WED, 11)], [(8, 10)]),
        ([(MON, 7), (TUE, 9), (WED, 8)], []),  # 8 has the later date
        ([(MON, 7), (WED, 12), (THU, 9)], [(8, 8), (10, 11)]),
        ([(MON, 998), (TUE, 999), (WED, 1), (THU, 2)], []),  # the bank begins anew
        ([(MON, 998), (TUE, 1), (WED, 3)], [(2, 2)]),
        ([(MON, 4), (TUE, 7), (WED, 5), (THU, 8)], [(6, 6)]),  # named once
    ],
)
def test_holes(read: list[tuple[dt.date, int]], missing: list[tuple[int, int]]) -> None:
    assert [(hole.first, hole.last) for hole in holes(read)] == missing


@pytest.mark.parametrize(
    ("today", "found", "until"),
    [
        (WED, [], None),
        (WED, [Hole(8, 8, MON, TUE)], MON),
        (FRI, [Hole(8, 8, MON, TUE)], MON),  # the day the grace of Tuesday ends: judged by it
        (FRI + DAY, [Hole(8, 8, MON, TUE)], None),
        (FRI + DAY, [Hole(8, 8, MON, TUE), Hole(10, 10, WED, THU)], WED),
    ],
)
def test_a_hole_holds_until_the_grace_is_over(today: dt.date, found: list[Hole], until: dt.date | None) -> None:
    assert read_until(today, found, 3) == until


@given(st.lists(st.tuples(DATES, st.integers(1, 40)), max_size=20))
def test_what_has_been_read_is_never_missing(read: list[tuple[dt.date, int]]) -> None:
    read.sort()
    known = {number for _, number in read}
    missing = [number for hole in holes(read) for number in range(hole.first, hole.last + 1)]
    assert not known & set(missing)
    assert len(missing) == len(set(missing))
