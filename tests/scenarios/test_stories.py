"""Every story that `make demo` tells, each alone; the books are proven after it, and agree with the gateway's."""

from __future__ import annotations

import pytest

from simulator import report
from simulator.stage import Stage
from simulator.stories import ALL
from simulator.tale import Director, Story
from tests.scenarios.conftest import FIRST


@pytest.mark.slow
@pytest.mark.parametrize("story", ALL, ids=lambda story: story.name.replace(" ", "-"))
def test_story(stage: Stage, story: Story) -> None:
    """The story holds, and nothing it did put the books out of balance."""
    director = Director(stage)
    director.cast([story], FIRST)
    for tale in director.play():
        assert tale.failure is None, tale.failure
    proven = stage.last_words()
    assert proven["ok"], proven["first_difference"]
    assert report.gather(stage, proven, threads=1).differences() == []
