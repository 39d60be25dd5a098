"""One wrong thing does not cost the others theirs, and a hub that is down is not asked again and again."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.delivery.efaktura.halves import MAX_SPLITS, in_halves
from billing.delivery.efaktura.soap import HubError, NoReply, NotReached, Turned


class Calls:
    """Calls that are refused as a whole where a wrong one is among them."""

    def __init__(self, wrong: set[int]) -> None:
        self.wrong, self.count = wrong, 0

    def __call__(self, items: Sequence[int]) -> str:
        self.count += 1
        if self.wrong & set(items):
            raise Turned("fault_Client")
        return "done"


@given(st.integers(0, 60), st.sets(st.integers(0, 59), max_size=3), st.integers(1, 60))
@settings(max_examples=200)
def test_every_item_is_answered_once_and_the_right_ones_are_done(count: int, wrong: set[int], most: int) -> None:
    calls = Calls(wrong)
    parts = list(in_halves(range(count), most, calls))
    assert [item for part, _ in parts for item in part] == list(range(count))
    assert all(0 < len(part) <= most for part, _ in parts)
    for part, told in parts:
        assert (told == "done") is wrong.isdisjoint(part)
        assert isinstance(told, str) or len(part) == 1


def test_two_wrong_ones_in_a_thousand_are_found() -> None:
    calls = Calls({3, 770})
    refused = [list(part) for part, told in in_halves(range(1000), 1000, calls) if told != "done"]
    assert refused == [[3], [770]]


def test_where_all_are_wrong_it_gives_in() -> None:
    calls = Calls(set(range(1000)))
    assert all(isinstance(told, Turned) for _, told in in_halves(range(1000), 1000, calls))
    assert calls.count <= 2 * MAX_SPLITS + 1


@pytest.mark.parametrize("error", [NoReply("time_out"), NotReached("no_connection"), Turned("http_401", account=True)])
def test_a_hub_that_is_down_is_called_once(error: HubError) -> None:
    called = []

    def call(items: Sequence[int]) -> str:
        called.append(items)
        raise error

    parts = [(list(part), told) for part, told in in_halves(range(7), 3, call)]
    assert len(called) == 1
    assert [part for part, _ in parts] == [[0, 1, 2], [3, 4, 5], [6]]
    assert parts[0][1] is error
    assert all(isinstance(told, NotReached) and told.why == "not_tried" for _, told in parts[1:])
