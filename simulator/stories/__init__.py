"""The stories: each tells one thing that must hold, through the public faces only.

`ALL` is played by `make demo` in the middle of three hundred others, and by `tests/scenarios`, each on its own stage.
"""

from simulator.stories import bank, cards, collection, corrections, roadside, vehicles
from simulator.tale import Story

ALL: tuple[Story, ...] = (
    *roadside.STORIES,
    *corrections.STORIES,
    *vehicles.STORIES,
    *cards.STORIES,
    *bank.STORIES,
    *collection.STORIES,
)

__all__ = ["ALL"]
