"""Every story that `make demo` tells; the books are proven after them, and agree with the gateway's.

Six at a time share a world and its days: most of what a story costs is the days that go by.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from simulator import report
from simulator.stage import Stage
from simulator.stories import ALL
from simulator.tale import Director, Story
from tests.scenarios.conftest import FIRST

TOGETHER = [ALL[first::3] for first in range(3)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "stories", TOGETHER, ids=lambda stories: "+".join(one.name.replace(" ", "-") for one in stories)
)
def test_stories(stage: Stage, stories: Sequence[Story]) -> None:
    """The stories hold, and nothing they did put the books out of balance."""
    director = Director(stage)
    director.cast(stories, FIRST)
    tales = director.play()
    assert len(tales) == len(stories)
    assert {tale.name: tale.failure for tale in tales if tale.failure is not None} == {}
    proven = stage.last_words()
    assert proven["ok"], proven["first_difference"]
    assert report.gather(stage, proven, threads=1).differences() == []
