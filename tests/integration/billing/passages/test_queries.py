"""One list of an agreement's passages, for the API and for the pages."""

from __future__ import annotations

import datetime as dt

import pytest

from billing.passages import queries
from billing.passages.credit import credit
from config.problems import NotFound
from tests.integration.billing.passages.conftest import HOUR, NOW, PASSED, Road


def test_either_way_round_it_is_the_same_list(road: Road) -> None:
    agreement = road.agreement()
    road.vehicle(agreement)
    road.vehicle(agreement, scope="FJORD", settlement="external", external_ref="FK-7")
    offset = dt.timezone(dt.timedelta(hours=1))
    road.send([road.record(f"P{n}", plate="EV10001", passed_at=(PASSED + n * HOUR).astimezone(offset)) for n in (2, 1)])
    road.one(road.record("F", plate="EV10001", station="K1", service="ferry"), charger=road.ferry)
    ((passage,),) = road.ask("SELECT id FROM passages WHERE source_id = 'P1'")
    credit(road.session, agreement, passage, reason="scrapped", actor="a", now=NOW)

    period = queries.Period(agreement)
    oldest = queries.page(road.session, period).items
    assert [(one.station, one.station_name, one.taken_back, one.counter_reason) for one in oldest] == [
        ("K1", "Kaia", None, None), ("S1", "Sør", "credited", None), ("S1", "Sør", None, "scrapped"),
        ("S1", "Sør", None, None),
    ]  # fmt: skip
    assert [(one.external_ref, one.reversed) for one in oldest[:2]] == [("FK-7", False), (None, True)]
    assert oldest[1].passed_at.isoformat() == "2026-03-01T14:00:00+01:00"
    newest, after = [], None
    while True:
        page = queries.page(road.session, period, after=after, limit=3, newest_first=True)
        newest += page.items
        after = page.next
        if after is None:
            break
    assert newest == oldest[::-1]
    assert queries.one(road.session, agreement, passage) == oldest[1]
    with pytest.raises(NotFound):
        queries.one(road.session, agreement + 1, passage)


def test_a_period_of_days_holds_both(road: Road) -> None:
    agreement = road.agreement()
    road.vehicle(agreement)
    moments = [
        dt.datetime(2026, 2, 27, 22, 59, tzinfo=dt.UTC),
        dt.datetime(2026, 2, 27, 23, tzinfo=dt.UTC),
        dt.datetime(2026, 2, 28, 22, 59, tzinfo=dt.UTC),
        dt.datetime(2026, 2, 28, 23, tzinfo=dt.UTC),
    ]
    road.send([road.record(str(n), plate="EV10001", passed_at=at) for n, at in enumerate(moments)])
    day = dt.date(2026, 2, 28)

    def found(first: dt.date | None, last: dt.date | None, plate: str | None = None) -> list[dt.datetime]:
        period = queries.days(agreement, first, last, plate)
        sums = queries.sums(road.session, period)
        assert sums is not None
        assert sums.count == len(queries.page(road.session, period).items)
        return [one.passed_at for one in queries.page(road.session, period).items]

    assert found(day, day) == moments[1:3]
    assert found(day, None, "EV10001") == moments[1:]
    assert found(None, day) == moments[:3]
    assert found(None, None, "EV10002") == []
