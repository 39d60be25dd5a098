"""What is done next about a payment, by table and by property."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.payments.vipps.client import VIPPS_STATES, Seen
from billing.payments.vipps.models import STATES
from billing.payments.vipps.rules import Step, next_step, refundable


def seen(state: str, authorized: int = 0, captured: int = 0, cancelled: int = 0) -> Seen:
    return Seen("brikke-1-x", state, 1_000, authorized, captured, cancelled, 0)


@pytest.mark.parametrize(
    ("state", "told", "open_ore", "step"),
    [
        ("unknown", seen("CREATED"), 1_000, Step("wait", "created")),
        ("created", seen("CREATED"), 400, Step("wait", "created")),
        ("created", seen("CREATED"), 0, Step("cancel", "cancelling")),
        ("cancelling", seen("CREATED"), 1_000, Step("cancel", "cancelling")),
        ("nothing", seen("CREATED"), 1_000, Step("cancel", "cancelling")),
        ("created", seen("AUTHORIZED", 1_000), 1_000, Step("capture", "capturing", 1_000)),
        ("unknown", seen("AUTHORIZED", 1_000), 1_500, Step("capture", "capturing", 1_000)),
        ("created", seen("AUTHORIZED", 1_000), 300, Step("capture", "capturing", 300)),
        ("created", seen("AUTHORIZED", 1_000), 0, Step("cancel", "cancelling")),
        ("capturing", seen("AUTHORIZED", 1_000), 1_000, Step("wait", "capturing")),
        ("capturing", seen("AUTHORIZED", 1_000), 0, Step("wait", "capturing")),
        ("capturing", seen("AUTHORIZED", 1_000, 300), 0, Step("cancel", "cancelling")),
        ("capturing", seen("AUTHORIZED", 1_000, 1_000), 0, Step("end", "captured")),
        ("cancelling", seen("AUTHORIZED", 1_000, 300, 700), 0, Step("end", "captured")),
        ("cancelling", seen("AUTHORIZED", 1_000, 0, 1_000), 0, Step("end", "cancelled")),
        ("expired", seen("AUTHORIZED", 1_000), 1_000, Step("cancel", "cancelling")),
        ("created", seen("ABORTED"), 1_000, Step("end", "aborted")),
        ("created", seen("EXPIRED"), 1_000, Step("end", "expired")),
        ("cancelling", seen("TERMINATED"), 1_000, Step("end", "cancelled")),
        ("cancelling", seen("TERMINATED", 1_000, 300, 700), 0, Step("end", "captured")),
    ],
)
def test_what_is_next(state: str, told: Seen, open_ore: int, step: Step) -> None:
    assert next_step(state, told, open_ore) == step


def test_a_page_that_they_leave_is_given_up_and_what_is_refused_released() -> None:
    assert next_step("created", seen("CREATED"), 1_000, leave=True) == Step("cancel", "cancelling")
    assert next_step("created", seen("AUTHORIZED", 1_000), 1_000, leave=True).do == "capture"
    assert next_step("capturing", seen("AUTHORIZED", 1_000), 1_000, refused=True) == Step("cancel", "cancelling")


@given(
    st.sampled_from(STATES), st.sampled_from(VIPPS_STATES), st.integers(0, 5_000), st.integers(0, 5_000),
    st.integers(0, 5_000), st.integers(0, 5_000), st.booleans(), st.booleans(),
)  # fmt: skip
def test_never_more_is_captured_than_is_open_or_reserved(
    state: str, told: str, authorized: int, captured: int, cancelled: int, open_ore: int, leave: bool, refused: bool
) -> None:
    one = seen(told, authorized, captured, cancelled)
    step = next_step(state, one, open_ore, leave=leave, refused=refused)
    assert step.state in STATES
    if step.do == "capture":
        assert 0 < step.ore <= min(open_ore, authorized - captured - cancelled)
        assert (told, captured, state in ("unknown", "created")) == ("AUTHORIZED", 0, True)
    if step.do == "end":
        assert (step.state == "captured") == (captured > 0)


def test_a_year_and_no_longer() -> None:
    then = dt.datetime(2026, 2, 10, 12, tzinfo=dt.UTC)
    assert refundable(then, then + dt.timedelta(days=365))
    assert not refundable(then, then + dt.timedelta(days=365, seconds=1))
    assert not refundable(None, then)
