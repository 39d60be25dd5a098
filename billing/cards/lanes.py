"""Many calls side by side, prepared and recorded some fifty a transaction meanwhile.

Most of a charge is waiting for the provider. Threads do that; the job's own thread keeps them in work and takes in what
has come, so that neither the database nor the provider waits for the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from billing.cards.failures import Failures
from billing.cards.gateway import Outcome
from billing.cards.pace import Resting

BATCH = 50
FIRST = 8
"""The first ones are few, so that calls begin at once."""
GATHER_SECONDS = 0.4
"""What has come is recorded when there are fifty or nothing else is under way, or after so long."""

T = TypeVar("T")
Answer = tuple[T, Outcome | None]


class Lanes(Generic[T]):
    """``fill(n)`` gives the next items, at most so many (none: there are no more; Resting: none for now), ``call`` asks
    about one, ``record`` takes in what has come of some; ``number`` names one in the log. What fails is noted in
    ``failures``; the rest goes on."""

    def __init__(
        self,
        *,
        lanes: int,
        fill: Callable[[int], Sequence[T]],
        call: Callable[[T], Outcome | None],
        record: Callable[[Sequence[Answer[T]]], None],
        number: Callable[[T], int],
        failures: Failures,
    ) -> None:
        self._lanes, self._fill, self._call, self._record = lanes, fill, call, record
        self._number, self._failures = number, failures
        self._done: SimpleQueue[tuple[T, Outcome | BaseException | None]] = SimpleQueue()
        self._resting = False

    def run(self) -> bool:
        """Go on until there are no more; False when it ended because the provider is left alone for now."""
        under_way, more, first = 0, True, True
        threads = ThreadPoolExecutor(self._lanes, thread_name_prefix="card")
        try:
            while True:
                # Enough for all threads while this one is busy with a transaction or two.
                while more and not self._resting and under_way <= self._lanes + BATCH:
                    try:
                        items = self._fill(FIRST if first else BATCH)
                    except Resting:
                        self._resting = True
                        break
                    more, first = bool(items), False
                    for item in items:
                        threads.submit(self._one, item)
                    under_way += len(items)
                if not under_way:
                    return not self._resting
                under_way -= self._take_in(under_way)
        finally:
            threads.shutdown(cancel_futures=True)

    def _one(self, item: T) -> None:
        try:
            self._done.put((item, self._call(item)))
        except BaseException as error:  # handed to the job's own thread
            self._done.put((item, error))

    def _take_in(self, under_way: int) -> int:
        """Wait for answers of those under way and record them; return how many items ended."""
        ended = [self._done.get()]
        until = time.monotonic() + GATHER_SECONDS
        while len(ended) < min(BATCH, under_way) and (left := until - time.monotonic()) > 0:
            try:
                ended.append(self._done.get(timeout=left))
            except Empty:
                break
        answers: list[Answer[T]] = []
        for item, result in ended:
            if isinstance(result, Resting):
                self._resting = True
            elif isinstance(result, BaseException):
                self._failures.add(self._number(item), result)
            else:
                answers.append((item, result))
        if answers:
            self._record_all(answers)
        return len(ended)

    def _record_all(self, answers: Sequence[Answer[T]]) -> None:
        """Record answers in one transaction; if one spoils it, each in its own."""
        try:
            self._record(answers)
        except Exception:
            for answer in answers:
                try:
                    self._record([answer])
                except Exception as error:
                    self._failures.add(self._number(answer[0]), error)
