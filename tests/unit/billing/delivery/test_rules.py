"""When to try again, and what is no longer true."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from billing.delivery import rules

TODAY = dt.date(2026, 2, 10)
CLOSES = dt.datetime(2026, 2, 28, 23, 0, 30, tzinfo=dt.UTC)
TRUE: dict[str, Any] = {
    "standing": "open", "open_ore": 100, "due_on": TODAY, "replaced": False, "data": {}, "closed_at": None,
    "today": TODAY,
}  # fmt: skip


def test_waits_grow_and_end() -> None:
    waits = [rules.wait(attempts) for attempts in range(1, rules.ATTEMPTS)]
    assert None not in waits
    assert waits == sorted(waits, key=lambda wait: wait or dt.timedelta())
    assert rules.wait(rules.ATTEMPTS) is None


def test_a_chunk_is_let_go_before_it_counts_as_left_behind() -> None:
    # A mail begun just then: a page of a minute, and eight answers of twenty seconds each.
    assert dt.timedelta(seconds=rules.LEASE_SECONDS + 60 + 8 * 20) < rules.STALE


@pytest.mark.parametrize(
    ("template", "changed", "why"),
    [
        ("reminder", {}, None),
        ("reminder", {"open_ore": 0}, "paid"),
        ("reminder", {"replaced": True}, "replaced"),
        ("reminder", {"due_on": TODAY - dt.timedelta(days=1)}, "due date"),
        ("blocked", {"standing": "blocked"}, None),
        ("blocked", {}, "open"),
        ("blocked", {"standing": "awaiting_reopen"}, "awaiting_reopen"),
        ("paid_call_us", {"standing": "awaiting_reopen"}, None),
        ("paid_call_us", {}, "open"),
        ("paid_call_us", {"standing": "blocked"}, "blocked"),
        ("reopened", {}, None),
        ("reopened", {"standing": "blocked"}, "blocked"),
        ("unblocked", {"standing": "closed"}, "closed"),
        ("invoice", {"open_ore": 0, "standing": "closed", "replaced": True}, None),
        ("receipt", {"open_ore": 0, "standing": "blocked"}, None),
        ("card_failed", {"open_ore": 0}, None),
        ("welcome", {"standing": "blocked"}, None),
        ("closed", {"data": {"from": "2026-03-01T00:00+01:00"}, "closed_at": CLOSES}, None),
        ("closed", {"data": {"from": "2026-03-01T00:00+01:00"}, "closed_at": CLOSES - dt.timedelta(days=9)}, "moved"),
    ],
)
def test_what_is_no_longer_true(template: str, changed: dict[str, Any], why: str | None) -> None:
    found = rules.no_longer_true(template, **(TRUE | changed))
    if why is None:
        assert found is None
    else:
        assert found is not None
        assert why in found
