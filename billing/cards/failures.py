"""One of many that fails keeps nobody else waiting, and is not forgotten either."""

from __future__ import annotations

import structlog

log = structlog.get_logger()


class SomeFailed(Exception):
    """Some of what a job had to do could not be done; all the rest is. The cause is the first error."""


class Failures:
    """What went wrong so far, logged as it comes. ``what`` names one of them in the log (``charge``)."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._found: list[tuple[int, BaseException]] = []

    def add(self, number: int, error: BaseException) -> None:
        """Note that the one with this id failed."""
        log.error(f"card_{self._what}_failed", **{self._what: number}, exc_info=error)
        self._found.append((number, error))

    def tell(self, looked_at: int) -> None:
        """Raise SomeFailed if anything did, so that the job's occurrence is tried again."""
        if self._found:
            number, error = self._found[0]
            first = f"{self._what} {number}: {type(error).__name__}: {error}"
            raise SomeFailed(f"{len(self._found)} of {looked_at} failed, first {first}") from error
