"""Every story that `make demo` tells, each alone; the books are proven after it, and agree with the gateway's."""

from __future__ import annotations

import datetime as dt

import pytest

from simulator import report
from simulator.crowd import bank_days
from simulator.stage import Stage
from simulator.stories import ALL
from simulator.tale import Director, Story
from tests.scenarios.conftest import FIRST


@pytest.mark.parametrize("story", ALL, ids=lambda story: story.name.replace(" ", "-"))
def test_story(stage: Stage, story: Story) -> None:
    """The story holds, and nothing it did put the books out of balance."""
    director = Director(stage)
    director.cast([story], FIRST)
    director.beside("the bank", bank_days(stage, FIRST, FIRST + dt.timedelta(days=120)))
    for tale in director.play():
        assert tale.failure is None, tale.failure
    proven = stage.last_words()
    assert proven["ok"], proven["first_difference"]
    assert report.gather(stage, proven, threads=1).differences() == []
