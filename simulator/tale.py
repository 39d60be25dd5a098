"""Stories: what happens to somebody, told step by step on one clock, and checked as it goes.

A story is a generator. It acts, then yields the instant at which it goes on; `Director` moves the clock to the
earliest of all instants asked for and lets those go on whose time has come. So any number of stories share a quarter.
"""

from __future__ import annotations

import datetime as dt
import heapq
import itertools
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.stage import Stage

Steps = Iterator[dt.datetime]
"""The instants (aware) at which a story wants to go on; never earlier than the clock."""


class Broken(AssertionError):
    """What a story expected did not hold."""


@dataclass
class Tale:
    """What a story has said so far, how many things it has checked, and what broke it."""

    name: str
    lines: list[str] = field(default_factory=list)
    checked: int = 0
    ended: bool = False
    failure: str | None = None

    def tell(self, text: str) -> None:
        """Say what has happened, for the report."""
        self.lines.append(text)

    def check(self, holds: bool, expected: str, found: Any = None) -> None:
        """Hold the product to something. Raises Broken."""
        self.checked += 1
        if not holds:
            raise Broken(f"expected: {expected}" + ("" if found is None else f"; found: {found!r}"))

    def same(self, found: Any, expected: Any, what: str) -> None:
        """Hold the product to a value. Raises Broken."""
        self.check(found == expected, f"{what} = {expected!r}", found)


@dataclass(frozen=True)
class Story:
    """A story: its name, one sentence of what it shows, and how it is played from a first date on."""

    name: str
    about: str
    play: Callable[[Stage, Tale, dt.date], Steps]


@dataclass
class Director:
    """Plays stories together on one stage. A broken story ends; the others go on."""

    stage: Stage
    tales: list[Tale] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=itertools.count)
    _waiting: list[tuple[dt.datetime, int, Tale, Steps]] = field(default_factory=list)

    def cast(self, stories: Sequence[Story], first: dt.date) -> None:
        """Begin stories; each acts at once, at the instant the clock stands at."""
        for story in stories:
            tale = Tale(story.name)
            self.begin(tale, story.play(self.stage, tale, first))

    def begin(self, tale: Tale, steps: Steps) -> None:
        """Begin what tells `tale`."""
        self.tales.append(tale)
        self._go_on(tale, steps)

    def play(self) -> list[Tale]:
        """Move the clock from instant to instant until every story has ended; return what they told."""
        while self._waiting:
            instant = self._waiting[0][0]
            self.stage.move(instant)
            ready = []
            while self._waiting and self._waiting[0][0] == instant:
                ready.append(heapq.heappop(self._waiting))
            for _, _, tale, steps in ready:
                self._go_on(tale, steps)
        return self.tales

    def _go_on(self, tale: Tale, steps: Steps) -> None:
        try:
            instant = next(steps)
        except StopIteration:
            tale.ended = True
        except Exception as error:  # whatever ends a story is its failure, and costs the others nothing
            frames = traceback.extract_tb(error.__traceback__)[1:2]
            where = f" ({Path(frames[0].filename).name}, line {frames[0].lineno})" if frames else ""
            kind = "" if isinstance(error, Broken) else f"{type(error).__name__}: "
            tale.failure = f"{kind}{error}{where}"
        else:
            heapq.heappush(self._waiting, (max(instant, self.stage.now), next(self._order), tale, steps))


def kroner(ore: int) -> str:
    """Return øre as an amount people read: NOK 1 234.50."""
    whole, rest = divmod(abs(ore), 100)
    return f"NOK {'-' if ore < 0 else ''}{whole:,}.{rest:02}".replace(",", "\u202f")
