"""The steps of a charge by name, so that a test can stop a worker between any two of them.

Nothing happens at them in production: ``hook`` is None. ``POINTS`` is in the order in which a charge that succeeds
passes them; tests/faults walks all of them with kill -9, and proves that none is missing.
"""

from __future__ import annotations

from collections.abc import Callable

POINTS = (
    "picked",  # this worker has it and nobody else has
    "locked",  # the balance is locked
    "claimed",  # the sum is fixed
    "attempted",  # the attempt is written, and not yet committed
    "prepared",  # it is committed as unknown
    "turn",  # the shared pace lets it go
    "called",  # the provider has answered
    "collected",  # the answer is about to be recorded
    "applying",  # everything it touches is locked
    "marked",  # attempt and charge say that it succeeded
    "fee",  # the provider's fee is booked
    "settled",  # the claim is paid
    "receipt",  # the receipt has its number
    "released",  # the balance is free for the next charge; not yet committed
    "recorded",  # all of it is committed
)

hook: Callable[[str], None] | None = None
"""What tests have called at each point."""


def passed(point: str) -> None:
    """Say that a point is reached. Raises ValueError for one that is not in the list."""
    if point not in POINTS:
        raise ValueError(f"{point} is no point of a charge")
    if hook is not None:
        hook(point)
