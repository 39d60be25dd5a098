"""Any order, any repetition, any chunks: the same net sum per passage, agreement and charger.

With what a charger may have agreed on odd records, and with lanes. Of several reads of one passing one is booked, in
whatever order they, and what corrects them, came: which, is said by what arrived first. So what is expected is said by
the records alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.chargers.oddities import keep_oddities
from accounts.vehicles.classes import keep_class
from billing.passages.rules import Cancel
from config.clock import business_date
from config.rates import whole
from tests.integration.billing.passages.conftest import HOUR, NOW, PASSED, Road
from tests.integration.billing.passages.test_corrections import agrees, sums
from tests.integration.billing.passages.test_doubles import settle, settled

DAY = dt.timedelta(days=1)
SECOND = dt.timedelta(seconds=1)
OURS, OTHER, NOBODYS = "EV10001", "EV10002", "EV99999"
OLDEST = NOW - dt.timedelta(days=whole("passage_max_age_days", business_date(NOW)))
WHEN = {"too_old": OLDEST - DAY, "nearly": OLDEST + DAY}
"""Too old when it comes; not yet then, but when it is decided anew."""


@dataclass(frozen=True)
class Said:
    """One message: what it says, and nothing of what becomes of it."""

    name: str
    plate: str
    amount: int
    odd: str  # an oddity, nearly, or nothing
    second: int  # of its minute, in the lane
    lane: str | None = None
    original: str | None = None
    version: int = 0
    cancels: bool = False
    issued: dt.datetime | None = None

    def record(self, road: Road, tag: str) -> Any:
        if self.cancels:
            return Cancel(
                id=self.name,
                action="cancel",
                original=str(self.original),
                version=self.version or None,
                issued_at=self.issued,
            )
        fields: dict[str, Any] = {"plate": self.plate, "amount": self.amount, "lane": self.lane}
        fields["passed_at"] = WHEN.get(self.odd, PASSED) + self.second * SECOND
        if self.odd == "wrong_class":
            fields["vehicle_class"] = "2"
        elif self.odd == "unknown_station":
            fields["station"] = "S9"
        elif self.odd == "tag_plate_mismatch":
            fields |= {"pan": tag, "country": "NO"}
        if self.original is not None:
            fields |= {"action": "adjust", "original": self.original, "version": self.version or None}
            fields["issued_at"] = self.issued
        return road.record(self.name, **fields)

    @property
    def vehicle(self) -> str:
        return OURS if self.odd == "tag_plate_mismatch" else self.plate

    def stays_out(self, agreed: Mapping[str, bool]) -> bool:
        """It cannot be booked for anybody: what it corrects stays as it was."""
        return not self.cancels and self.odd in ("too_old", "unknown_station") and not agreed[self.odd]

    def booked(self, agreed: Mapping[str, bool]) -> bool:
        if self.cancels or self.stays_out(agreed) or self.vehicle == NOBODYS:
            return False
        mismatch = self.odd == "tag_plate_mismatch" and self.plate != OURS and not agreed["tag_plate_mismatch"]
        wrong = self.odd == "wrong_class" and self.vehicle == OURS and not agreed["wrong_class"]
        return not mismatch and not wrong

    def rank(self) -> tuple[int, float, str]:
        return self.version, self.issued.timestamp() if self.issued else 0, self.name


def in_force(said: Sequence[Said], agreed: Mapping[str, bool]) -> dict[str, Said]:
    """Of each original what counts, in plain Python."""
    by_name = {one.name: one for one in said}

    def root(one: Said) -> str:
        return one.name if one.original is None else root(by_name[one.original])

    last: dict[str, Said] = {}
    for one in said:
        if one.original is not None and not one.stays_out(agreed):
            last[root(one)] = max(last.get(root(one), one), one, key=Said.rank)
    return {
        one.name: replace(found, lane=found.lane or one.lane)
        for one in said
        if one.original is None
        for found in [last.get(one.name, one)]
    }


def passing(one: Said) -> tuple[Any, ...]:
    """What reads of one passing have in common; all seconds are near each other."""
    return one.vehicle, one.lane, one.odd == "unknown_station", one.odd in WHEN and one.odd


def holds(found: Mapping[str, int], counts: Mapping[str, Said], agreed: Mapping[str, bool]) -> None:
    """What is booked is what counts: all of it, but of one passing one read, where doubles are refused."""
    passings: dict[Any, list[str]] = {}
    for original, one in counts.items():
        if not one.booked(agreed):
            assert original not in found
        else:
            alone = one.lane is None or agreed["double_read"]
            passings.setdefault(original if alone else passing(one), []).append(original)
    for originals in passings.values():
        (booked,) = [original for original in originals if original in found]
        assert found[booked] == counts[booked].amount


def lane_said(said: Sequence[Said], original: str, odd: str, lane: str | None, *, several: bool) -> str | None:
    """A correction names no lane only where all that could be meant is one: ``several`` are not, and it is known."""
    if lane is not None:
        return lane if several else "1"
    by_name = {one.name: one for one in said}
    root = by_name[original]
    while root.original is not None:
        root = by_name[root.original]
    same_station = (root.odd == "unknown_station") == (odd == "unknown_station")
    return None if root.lane is not None and same_station else "1"


ODD = st.sampled_from(
    ["", "", "", "", "", "", "wrong_class", "tag_plate_mismatch", "unknown_station", "too_old", "nearly"]
)
ORIGINALS = st.lists(
    st.tuples(
        st.sampled_from([OURS, OURS, OTHER, NOBODYS]), ODD, st.sampled_from([None, "1", "1"]), st.integers(0, 10)
    ),
    min_size=3,
    max_size=5,
)
WORDS = st.lists(
    st.tuples(
        st.booleans(), st.integers(0, 3), st.integers(0, 3), st.sampled_from([OURS, OTHER, NOBODYS]), ODD,
        st.sampled_from(["1", "1", "2", None, None]), st.integers(0, 10),
    ),
    min_size=2,
    max_size=6,
)  # fmt: skip
"""Whether it cancels; which of the first originals or corrections it is of; version, or by when it was issued; what it
says, and in which lane, if it says."""
ACCEPTED = ("wrong_class", "tag_plate_mismatch", "unknown_station", "too_old", "double_read")
AGREED = st.fixed_dictionaries(dict.fromkeys(ACCEPTED, st.booleans()))


def ends_the_same(
    road: Road, said: Sequence[Said], order: Sequence[Said], cuts: Sequence[int], agreed: Mapping[str, bool]
) -> None:
    """Send it in chunks that end there, do what the jobs do, and hold it against what counts."""
    with road.session.begin_nested() as example:
        holders = {}
        for plate in (OURS, OTHER):
            holders[plate] = road.agreement()
            road.vehicle(holders[plate], plate, since=OLDEST - 2 * DAY)
        tag = road.tag(holders[OURS], 1, OURS)
        keep_class(road.session, "NO", OURS, "1", actor="agent:x", now=NOW)
        keep_oddities(road.session, road.toll, agreed)
        for first, last in zip([0, *cuts], [*cuts, len(order)], strict=True):
            if first < last:
                road.send([one.record(road, tag) for one in order[first:last]])
                settle(road, NOW + 30 * DAY + HOUR)
        for _ in said:  # one of a correction that had waited is looked at the next time
            settle(road, NOW + 30 * DAY + HOUR)
        assert road.ask("SELECT count(*) FROM corrections WHERE state = 'waiting'") == [(0,)]
        counts = in_force(said, agreed)
        found = dict(
            road.ask(
                "SELECT coalesce(k.original_id, p.source_id), sum(p.amount_ore) FROM passages AS p "
                "LEFT JOIN corrections AS k ON k.charger_id = p.charger_id AND k.source_id = p.source_id "
                "GROUP BY 1 HAVING sum(p.amount_ore) <> 0"
            )
        )
        holds(found, counts, agreed)
        settled(road)
        by_vehicle = dict.fromkeys(holders, 0)
        for name, ore in found.items():
            by_vehicle[counts[name].vehicle] += ore
        assert sums(road) == {holders[plate]: ore for plate, ore in by_vehicle.items() if ore}
        assert road.ask("SELECT coalesce(sum(amount_ore), 0) FROM passages WHERE owed") == [(sum(found.values()),)]
        agrees(road)
        example.rollback()
    road.session.expire_all()


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), originals=ORIGINALS, words=WORDS, agreed=AGREED)
def test_any_order_and_repetition_ends_the_same(
    road: Road, data: st.DataObject, originals: list[Any], words: list[Any], agreed: dict[str, bool]
) -> None:
    said = [
        Said(f"O{number}", plate, 2**number, odd, second, lane)
        for number, (plate, odd, lane, second) in enumerate(originals)
    ]
    for number, (cancels, of, version, plate, odd, lane, second) in enumerate(words):
        original = said[of if of < 2 else len(originals) + (of - 2) % number if number else 0].name
        issued = PASSED + second * HOUR if version == 0 else None
        lane = lane_said(said, original, odd, lane, several=all(word[5] for word in words))
        ore = 2 ** (number + 6)
        said.append(Said(f"C{number}", plate, ore, odd, second, lane, original, version, cancels, issued))
    order = data.draw(st.permutations([*said, *data.draw(st.lists(st.sampled_from(said), max_size=4))]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=4)))
    ends_the_same(road, said, order, cuts, agreed)


LATER_WORDS = st.lists(
    st.tuples(st.booleans(), st.sampled_from(["K", "D", "E"]), st.integers(1, 3), st.sampled_from(["1", None])),
    max_size=2,
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), words=LATER_WORDS)
def test_doubles_of_what_was_taken_back_and_adjusted_after_all(
    road: Road, data: st.DataObject, words: list[tuple[bool, str, int, str | None]]
) -> None:
    """The narrow place: reads of one passing, of which one is cancelled, and adjusted by who names no lane."""
    said = [Said(name, OURS, 2**number, "", 3 * number, "1") for number, name in enumerate("KDE")]
    said += [
        Said("C1", OURS, 0, "", 0, None, "K", 1, cancels=True),
        Said("X2", OURS, 2**6, "", 0, None, "K", 2),
    ]
    for number, (cancels, of, version, lane) in enumerate(words):
        said.append(Said(f"Y{number}", OURS, 2 ** (number + 7), "", number, lane, of, version, cancels=cancels))
    order = data.draw(st.permutations(said))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(order) - 1), min_size=len(order) // 2)))
    ends_the_same(road, said, order, cuts, dict.fromkeys(ACCEPTED, False))
