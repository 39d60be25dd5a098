"""One crossing by ferry can be two records: the fare (with VAT) and a toll (without). Which belong together; pure."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Leg:
    """A record as far as it matters here. ``vehicle`` and ``charger`` are any keys; ``fare``: it is of the ferry's own
    price, not a toll; ``back``: it is a counter-row."""

    at: dt.datetime
    vehicle: Hashable
    charger: Hashable
    station: str
    fare: bool
    back: bool = False


def journeys(legs: Sequence[Leg], within: dt.timedelta) -> dict[int, int]:
    """Return which legs are one crossing: index → number of the journey (from 1), only for those in one.

    A fare and a toll of one vehicle at most so far apart in time, of one charger or at stations of one name. Each is in
    one journey at most; a fare takes the nearest toll that is left. Counter-rows pair among themselves.
    """
    fares: dict[Hashable, list[int]] = defaultdict(list)
    tolls: dict[Hashable, list[int]] = defaultdict(list)
    for index, leg in enumerate(legs):
        (fares if leg.fare else tolls)[leg.vehicle, leg.back].append(index)
    found: dict[int, int] = {}
    number = 0
    for whose, mine in fares.items():
        left = sorted(tolls.get(whose, ()), key=lambda index: legs[index].at)
        times = [legs[index].at for index in left]
        for fare in sorted(mine, key=lambda index: legs[index].at):
            near = _nearest(legs, legs[fare], left, times, within)
            if near is not None:
                number += 1
                found[fare] = found[left.pop(near)] = number
                times.pop(near)
    return found


def _nearest(
    legs: Sequence[Leg], fare: Leg, left: Sequence[int], times: Sequence[dt.datetime], within: dt.timedelta
) -> int | None:
    """Return the position in ``left`` of the toll that is nearest in time, the earlier of two, or None."""
    best: tuple[dt.timedelta, int] | None = None
    for position in range(bisect_left(times, fare.at - within), len(left)):
        toll = legs[left[position]]
        if toll.at > fare.at + within:
            break
        if toll.charger == fare.charger or toll.station == fare.station:
            best = min(best or (dt.timedelta.max, 0), (abs(toll.at - fare.at), position))
    return None if best is None else best[1]
