"""Any order, any repetition, any chunks: the same net sum per passage, agreement and charger.

With what a charger may have agreed on odd records, and with lanes. What is a double read depends on what arrived first,
by the rule (see billing/passages/doubles.py): what is expected says it by the order of arrival, everything else by the
records alone. So without doubles, or where they are accepted, the sums are those of any order.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.chargers.oddities import keep_oddities
from accounts.vehicles.classes import keep_class
from config.clock import business_date
from config.rates import whole
from tests.integration.billing.passages.conftest import HOUR, NOW, PASSED, Road
from tests.integration.billing.passages.test_corrections import agrees, cancel, retry, sums

DAY = dt.timedelta(days=1)
SECOND = dt.timedelta(seconds=1)
WITHIN = 10
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

    def record(self, road: Road, tag: str) -> Any:
        if self.cancels:
            return cancel(self.name, str(self.original), self.version)
        fields: dict[str, Any] = {"plate": self.plate, "amount": self.amount, "lane": self.lane}
        fields["passed_at"] = WHEN.get(self.odd, PASSED) + self.second * SECOND
        if self.odd == "wrong_class":
            fields["vehicle_class"] = "2"
        elif self.odd == "unknown_station":
            fields["station"] = "S9"
        elif self.odd == "tag_plate_mismatch":
            fields |= {"pan": tag, "country": "NO"}
        if self.original is not None:
            fields |= {"action": "adjust", "original": self.original, "version": self.version}
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


def expected(arrived: Sequence[Said], agreed: Mapping[str, bool]) -> dict[str, tuple[str, int]]:
    """Vehicle and net sum by original, in plain Python: of each what counts, in the lanes what came first."""
    kept: list[Said] = []
    doubles: set[str] = set()
    for place, one in enumerate(arrived):
        if one.original is not None or one.lane is None or not one.booked(agreed):
            continue
        if one in arrived[:place]:
            continue
        for other in kept:
            words = [w for w in arrived[:place] if w.original == other.name and not w.stays_out(agreed)]
            gone = max(words, key=lambda w: (w.version, w.name)).cancels if words else False
            same = (other.vehicle, other.lane, other.odd == "unknown_station", other.odd in WHEN and other.odd) == (
                one.vehicle, one.lane, one.odd == "unknown_station", one.odd in WHEN and one.odd)  # fmt: skip
            if same and not gone and abs(other.second - one.second) <= WITHIN:
                doubles.add(one.name)
                break
        else:
            kept.append(one)
    net = {}
    for original in {one for one in arrived if one.original is None}:
        words = [w for w in arrived if w.original == original.name and not w.stays_out(agreed)]
        last = max(words, key=lambda w: (w.version, w.name)) if words else original
        refused = last is original and last.name in doubles and not agreed["double_read"]
        net[original.name] = last.vehicle, last.amount if last.booked(agreed) and not refused else 0
    return net


ODD = st.sampled_from(
    ["", "", "", "", "", "", "wrong_class", "tag_plate_mismatch", "unknown_station", "too_old", "nearly"]
)
ORIGINALS = st.lists(
    st.tuples(
        st.sampled_from([OURS, OURS, OTHER, NOBODYS]), ODD, st.sampled_from([None, "1", "1"]), st.integers(0, 30)
    ),
    min_size=3,
    max_size=5,
)
WORDS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 1), st.integers(1, 3), st.sampled_from([OURS, OTHER, NOBODYS]), ODD),
    min_size=2,
    max_size=6,
)
AGREED = st.fixed_dictionaries(
    dict.fromkeys(("wrong_class", "tag_plate_mismatch", "unknown_station", "too_old", "double_read"), st.booleans())
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), originals=ORIGINALS, words=WORDS, agreed=AGREED)
def test_any_order_and_repetition_ends_the_same(
    road: Road, data: st.DataObject, originals: list[Any], words: list[Any], agreed: dict[str, bool]
) -> None:
    said = [
        Said(f"O{number}", plate, 2**number, odd, second, lane)
        for number, (plate, odd, lane, second) in enumerate(originals)
    ]
    said += [
        Said(f"C{number}", plate, 2 ** (number + 6), odd, 0, None, f"O{of}", version, cancels)
        for number, (cancels, of, version, plate, odd) in enumerate(words)
    ]
    order = data.draw(st.permutations([*said, *data.draw(st.lists(st.sampled_from(said), max_size=4))]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=4)))
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
                retry(road, NOW + 30 * DAY + HOUR)
        net = expected(order, agreed)
        found = road.ask(
            "SELECT coalesce(k.original_id, p.source_id), sum(p.amount_ore) FROM passages AS p "
            "LEFT JOIN corrections AS k ON k.charger_id = p.charger_id AND k.source_id = p.source_id "
            "GROUP BY 1 HAVING sum(p.amount_ore) <> 0"
        )
        assert dict(found) == {name: ore for name, (_, ore) in net.items() if ore}
        by_vehicle = {plate: sum(ore for vehicle, ore in net.values() if vehicle == plate) for plate in holders}
        assert sums(road) == {holders[plate]: ore for plate, ore in by_vehicle.items() if ore}
        owed = sum(by_vehicle.values())
        assert road.ask("SELECT coalesce(sum(amount_ore), 0) FROM passages WHERE owed") == [(owed,)]
        agrees(road)
        example.rollback()
    road.session.expire_all()
