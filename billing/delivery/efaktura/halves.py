"""Calls of many things at once, of which one wrong thing must not cost the others theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from billing.delivery.efaktura.soap import HubError, NotReached, Turned

MAX_SPLITS = 24
"""How often what was refused as a whole is sent again in halves: enough to find two wrong ones in a thousand."""

T = TypeVar("T")
Answer = TypeVar("Answer")


def in_halves(
    items: Sequence[T], most: int, call: Callable[[Sequence[T]], Answer]
) -> Iterator[tuple[Sequence[T], Answer | HubError]]:
    """Call with at most ``most`` items a time; yield each part with its answer, or with why it has none.

    A part that the hub refuses as a whole goes again in halves, until the wrong one is alone. Where the hub is not
    reached, does not know us or does not answer, nothing more is tried: what is left was not sent.
    """
    left = [items[start : start + most] for start in range(0, len(items), most)][::-1]
    splits = MAX_SPLITS
    while left:
        part = left.pop()
        try:
            yield part, call(part)
        except Turned as error:
            if not error.account and len(part) > 1 and splits:
                splits -= 1
                middle = len(part) // 2
                left += [part[middle:], part[:middle]]
                continue
            yield part, error
            if error.account:
                break
        except HubError as error:
            yield part, error
            break
    for part in reversed(left):
        yield part, NotReached("not_tried")
