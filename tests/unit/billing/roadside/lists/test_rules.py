"""What a list says of a tag or a vehicle, when one is due, and what a charger had been told by then."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.roadside.lists.near import CONFUSED, one_off
from billing.roadside.lists.rules import REASONS, Change, Held, Latest, full_is_due, judged, said

NOW = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


@pytest.mark.parametrize(
    ("tag", "covered", "standing", "why", "expected"),
    [
        ("active", True, None, None, ("valid", None)),
        ("active", True, "valid", "opened", ("valid", None)),
        ("active", True, "blocked", "overdue", ("blocked", "latePayment")),
        ("active", True, "blocked", "agency", ("blocked", "noPayment")),
        ("active", True, "ended", "closed", ("blocked", "deactivated")),
        ("active", False, None, None, ("blocked", "deactivated")),
        ("stolen", True, "valid", None, ("blocked", "stolen")),
        ("stolen", True, "blocked", "overdue", ("blocked", "stolen")),
        ("lost", True, "valid", None, ("blocked", "deactivated")),
        ("returned", False, None, None, ("blocked", "deactivated")),
        (None, True, None, None, ("valid", None)),
        (None, True, "blocked", "overdue", ("blocked", "latePayment")),
        (None, False, None, None, ("removed", None)),
    ],
)
def test_what_a_list_says(
    tag: str | None, covered: bool, standing: str | None, why: str | None, expected: tuple[str, str | None]
) -> None:
    assert said(tag, covered, standing, why) == expected
    assert expected[1] is None or expected[1] in REASONS


@pytest.mark.parametrize(
    ("latest", "due"),
    [
        (None, True),
        (Latest(5, 9, NOW, None), False),
        (Latest(5, 9, NOW - 7 * DAY, None), True),
        (Latest(5, 9, NOW - 7 * DAY + HOUR, None), False),
        (Latest(5, 9, NOW, "incremental"), True),
        (Latest(5, 9, NOW, "full"), False),
    ],
)
def test_when_a_full_list_is_due(latest: Latest | None, due: bool) -> None:
    assert full_is_due(latest, NOW, 7) is due


STATUSES = st.sampled_from(["valid", "blocked", "ended"])
STEPS = st.lists(
    st.tuples(st.integers(0, 3), st.booleans(), st.one_of(st.none(), st.integers(0, 20))), min_size=1, max_size=8
)


def versions(steps: list[tuple[int, bool, int | None]]) -> list[Held]:
    found, last = [], 0
    for number, (size, full, hour) in enumerate(steps):
        first, last = last + 1, last + size
        found.append(Held(first, last, full or number == 0, None if hour is None else NOW + hour * HOUR))
    return found


@given(steps=STEPS, statuses=st.lists(STATUSES, min_size=24, max_size=24), hour=st.integers(0, 24))
def test_judged_is_the_last_that_was_acknowledged_by_then(
    steps: list[tuple[int, bool, int | None]], statuses: list[str], hour: int
) -> None:
    """Against a charger that keeps its own list, and is given each version at the hour it acknowledges it."""
    held = versions(steps)
    changes = [Change(n, statuses[n - 1]) for n in range(1, held[-1].last + 1)]
    charger: dict[int, str] = {}
    for one in held:
        if one.acknowledged_at is not None and one.acknowledged_at <= NOW + hour * HOUR:
            charger |= {change.position: change.status for change in changes if one.tells(change.position)}
    known = "ended" if "ended" in charger.values() else charger[max(charger)] if charger else None
    found = judged(changes, held, NOW + hour * HOUR, dt.timedelta(0))
    assert (found.status if found else None) == known
    assert judged(changes, held, NOW + hour * HOUR + 2 * HOUR, 2 * HOUR) == found  # latency moves it, no more


@given(steps=STEPS, statuses=st.lists(STATUSES, min_size=24, max_size=24), hour=st.integers(0, 24))
def test_a_charger_never_knows_less_later(
    steps: list[tuple[int, bool, int | None]], statuses: list[str], hour: int
) -> None:
    held = versions(steps)
    changes = [Change(n, statuses[n - 1]) for n in range(1, held[-1].last + 1)]
    before = judged(changes, held, NOW + hour * HOUR, HOUR)
    after = judged(changes, held, NOW + hour * HOUR + HOUR, HOUR)
    assert before is None or (after is not None and (after.position >= before.position or after.status == "ended"))


@pytest.mark.parametrize(
    "read", ["EL12346", "EL1234", "EL123455", "LE12345", "EL1Z345", "FL12345", "ÆL12345", "EL2345", "XEL12345"]
)
def test_one_sign_off(read: str) -> None:
    assert read in one_off("EL12345")


@pytest.mark.parametrize("read", ["EL12345", "EL12366", "", "EL", "AB12345"])
def test_not_one_sign_off(read: str) -> None:
    assert read not in one_off("EL12345")


def test_signs_of_one_look_may_all_be_taken_for_each_other() -> None:
    assert "B080000" in one_off("BO8OOOO")
    assert "0B00000" in one_off("DB0OO00")
    assert len(one_off("EL12345")) < 700
    assert all(len(kind) > 1 for kind in CONFUSED)
