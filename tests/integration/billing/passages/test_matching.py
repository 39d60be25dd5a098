"""Every rule of matching, against Postgres, with its boundaries."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import update

from accounts.chargers.models import ListPeriod
from accounts.vehicles.models import Tag
from billing.passages.incoming import Answer
from tests.integration.billing.passages.conftest import HOUR, NOW, PASSED, START, Road, pan

SECOND = dt.timedelta(seconds=1)
BEFORE, AFTER = PASSED - HOUR, PASSED + HOUR


def holder(road: Road, name: str = "A-1") -> tuple[int, bool] | None:
    """Whose the passage of a record is, and whether it is external."""
    found = road.ask("SELECT agreement_id, external FROM passages WHERE source_id = :name", name=name)
    return (found[0][0], found[0][1]) if found else None


def said(answer: Answer) -> tuple[str, tuple[str, ...], str | None]:
    return answer.code, answer.flags, answer.detail


def test_a_tag_finds_the_vehicle_it_is_mounted_in(road: Road) -> None:
    agreement = road.agreement()
    road.vehicle(agreement)
    tag = road.tag(agreement, 1, "EV10001")
    assert said(road.one(road.record(pan=tag))) == ("accepted", (), None)
    assert holder(road) == (agreement, False)
    assert road.ask("SELECT country, plate, pan FROM passages") == [("NO", "EV10001", tag)]


def test_an_obu_id_is_as_good_as_the_pan(road: Road) -> None:
    agreement = road.agreement()
    road.vehicle(agreement)
    tag = road.tag(agreement, 1, "EV10001", obu="1F")
    assert said(road.one(road.record(obu_id="1f"))) == ("accepted", (), None)
    assert road.ask("SELECT pan FROM passages") == [(tag,)]


def test_a_plate_alone_is_said_to_be_one(road: Road) -> None:
    agreement = road.agreement()
    road.vehicle(agreement)
    assert said(road.one(road.record(plate="ev 10001"))) == ("accepted", ("by_plate",), None)


def test_without_its_tag_a_registered_vehicle_is_the_holders(road: Road) -> None:
    agreement = road.agreement()
    road.vehicle(agreement)
    tag = road.tag(agreement, 1, "EV10001", until=BEFORE)
    assert said(road.one(road.record(pan=tag, plate="EV10001"))) == ("accepted", ("by_plate",), None)


def test_a_plate_of_another_country_is_another_vehicle(road: Road) -> None:
    road.vehicle(road.agreement())
    assert road.one(road.record(plate="EV10001", country="SE")).code == "unknown_vehicle"


def test_tag_of_one_and_plate_of_another_is_the_tags(road: Road) -> None:
    first, second = road.agreement(), road.agreement()
    road.vehicle(first, "EV10001")
    road.vehicle(second, "EV10002")
    tag = road.tag(first, 1, "EV10001")
    assert said(road.one(road.record(pan=tag, plate="EV10002"))) == ("accepted", ("tag_plate_mismatch",), None)
    assert holder(road) == (first, False)
    (body,) = road.ask("SELECT body ->> 'plate' FROM records")
    assert body == ("EV10002",)


def test_a_tag_whose_vehicle_is_nobodys_leaves_it_to_the_plate(road: Road) -> None:
    agreement = road.agreement()
    road.vehicle(agreement, "EV10002")
    tag = road.tag(agreement, 1, "EV10001")
    answer = road.one(road.record(pan=tag, plate="EV10002"))
    assert said(answer) == ("accepted", ("by_plate", "tag_plate_mismatch"), None)
    assert holder(road) == (agreement, False)


@pytest.mark.parametrize(
    ("moved", "plate"), [(PASSED, "EV10002"), (PASSED + SECOND, "EV10001"), (PASSED - SECOND, "EV10002")]
)
def test_a_moved_tag_is_judged_by_the_instant(road: Road, moved: dt.datetime, plate: str) -> None:
    agreement = road.agreement()
    road.vehicle(agreement, "EV10001")
    road.vehicle(agreement, "EV10002")
    road.tag(agreement, 1, "EV10001", until=moved)
    road.mount(road.session.query(Tag).one(), "EV10002", since=moved)
    road.mount(road.session.query(Tag).one(), "EV10001", since=moved, until=moved)  # put in and taken out again
    road.one(road.record(pan=pan(1)))
    assert road.ask("SELECT plate FROM passages") == [(plate,)]


@pytest.mark.parametrize(
    ("since", "until", "code"),
    [
        (PASSED, None, "accepted"),
        (PASSED + SECOND, None, "not_valid"),
        (START, PASSED + SECOND, "accepted"),
        (PASSED - SECOND, PASSED + SECOND, "accepted"),
    ],
)
def test_a_registration_covers_its_beginning(
    road: Road, since: dt.datetime, until: dt.datetime | None, code: str
) -> None:
    road.vehicle(road.agreement(), since=since, until=until)
    answer = road.one(road.record(plate="EV10001"))
    assert answer.code == code
    assert answer.detail == ("not_started" if code == "not_valid" else None)
    assert "after_removal" not in answer.flags


def test_a_registration_does_not_cover_its_end(road: Road) -> None:
    first, second = road.agreement(), road.agreement()
    road.vehicle(first, until=PASSED)
    road.vehicle(second, since=PASSED)
    assert road.one(road.record(plate="EV10001")).code == "accepted"
    assert holder(road) == (second, False)


def test_both_halves_of_the_autumn_night(road: Road) -> None:
    first, second = road.agreement(), road.agreement()
    turn = dt.datetime(2025, 10, 26, 1, tzinfo=dt.UTC)  # 03:00 becomes 02:00
    road.vehicle(first, since=dt.datetime(2025, 1, 1, tzinfo=dt.UTC), until=turn)
    road.vehicle(second, since=turn)
    summer = dt.datetime(2025, 10, 26, 2, 30, tzinfo=dt.timezone(2 * HOUR))
    winter = dt.datetime(2025, 10, 26, 2, 30, tzinfo=dt.timezone(HOUR))
    road.send(
        [road.record("S", plate="EV10001", passed_at=summer), road.record("W", plate="EV10001", passed_at=winter)]
    )
    assert (holder(road, "S"), holder(road, "W")) == ((first, False), (second, False))
    assert road.ask("SELECT source_id, passed_offset FROM passages ORDER BY 1") == [("S", 120), ("W", 60)]


def test_nobodys_vehicle_is_unknown_and_its_record_is_kept(road: Road) -> None:
    assert road.one(road.record(plate="EV10001", pan=pan(9))).code == "unknown_vehicle"
    assert holder(road) is None
    (found,) = road.ask("SELECT body ->> 'plate', body ->> 'pan', passage_id FROM records")
    assert found == ("EV10001", pan(9), None)
    road.check_books()


def test_age_and_station_come_before_the_vehicle(road: Road) -> None:
    road.vehicle(road.agreement(), since=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    oldest = NOW - dt.timedelta(days=1095)
    records = [
        road.record("old", plate="EV10001", passed_at=oldest - SECOND),
        road.record("edge", plate="EV10001", passed_at=oldest),
        road.record("where", plate="EV10001", station="S9"),
    ]
    assert [one.code for one in road.send(records)] == ["too_old", "accepted", "unknown_station"]
    assert holder(road, "where") is None


class TestPublished:
    """Only what this charger had been told when it happened refuses a passage."""

    @pytest.mark.parametrize(
        ("status", "at", "code"),
        [
            ("blocked", PASSED, "not_valid"),
            ("blocked", PASSED + SECOND, "accepted"),
            ("ended", PASSED - HOUR, "not_valid"),
            ("valid", PASSED - HOUR, "accepted"),
        ],
    )
    def test_told_at_once_by_then(self, road: Road, status: str, at: dt.datetime, code: str) -> None:
        agreement = road.agreement()
        road.vehicle(agreement)
        road.published(agreement, status, at)
        answer = road.one(road.record(plate="EV10001"))
        detail = f"{status}, published {at:%Y-%m-%dT%H:%MZ}" if code == "not_valid" else None
        assert (answer.code, answer.detail) == (code, detail)

    def test_the_last_one_counts(self, road: Road) -> None:
        agreement = road.agreement()
        road.vehicle(agreement)
        road.published(agreement, "blocked", BEFORE)
        road.published(agreement, "valid", BEFORE)  # at the same instant: the later row
        assert road.one(road.record(plate="EV10001")).code == "accepted"

    @pytest.mark.parametrize(("since", "code"), [(PASSED, "not_valid"), (PASSED + SECOND, "accepted")])
    def test_a_charger_that_came_later_was_told_then(self, road: Road, since: dt.datetime, code: str) -> None:
        agreement = road.agreement()
        road.vehicle(agreement)
        road.published(agreement, "blocked", BEFORE)
        road.toll.told_from = since
        road.session.flush()
        answer = road.one(road.record(plate="EV10001"))
        assert answer.code == code
        assert answer.detail == (f"blocked, published {since:%Y-%m-%dT%H:%MZ}" if code == "not_valid" else None)

    def test_another_charger_was_told(self, road: Road) -> None:
        agreement = road.agreement(standing="blocked")
        road.vehicle(agreement)
        road.published(agreement, "blocked", BEFORE)
        road.listed(road.toll, None, list_type="plates")
        assert road.one(road.record(plate="EV10001")).code == "accepted"
        ferry = road.record("F", plate="EV10001", station="K1", service="ferry")
        assert road.one(ferry, charger=road.ferry).code == "not_valid"

    def test_a_closed_agreement_still_takes_what_happened_before(self, road: Road) -> None:
        agreement = road.agreement(standing="closed", closed_at=PASSED)
        road.vehicle(agreement, until=PASSED)
        road.published(agreement, "ended", PASSED)
        records = [road.record("B", plate="EV10001", passed_at=PASSED - SECOND), road.record("A", plate="EV10001")]
        answers = road.send(records)
        assert [(one.code, one.detail) for one in answers] == [
            ("accepted", None),
            ("not_valid", "ended, published 2026-03-01T12:00Z"),
        ]


class TestAfterRemoval:
    """Nobody has the vehicle, and this charger had not been told."""

    def test_is_the_last_holders(self, road: Road) -> None:
        first, last = road.agreement(), road.agreement()
        road.vehicle(first, until=PASSED - 3 * HOUR)
        road.vehicle(last, since=PASSED - 3 * HOUR, until=PASSED)
        road.vehicle(first, since=BEFORE + HOUR, until=BEFORE + HOUR)  # never began
        answer = road.one(road.record(plate="EV10001"))
        assert said(answer) == ("accepted", ("by_plate", "after_removal"), None)
        assert holder(road) == (last, False)

    @pytest.mark.parametrize(("told", "code"), [(PASSED, "unknown_vehicle"), (PASSED + SECOND, "accepted")])
    def test_until_told(self, road: Road, told: dt.datetime, code: str) -> None:
        agreement = road.agreement()
        registration = road.vehicle(agreement, until=BEFORE)
        road.published(agreement, "removed", told, registration=registration)
        assert road.one(road.record(plate="EV10001")).code == code

    def test_telling_another_charger_does_not_count(self, road: Road) -> None:
        agreement = road.agreement()
        registration = road.vehicle(agreement, until=BEFORE)
        road.published(agreement, "removed", BEFORE, registration=registration)
        road.listed(road.toll, None, list_type="plates")
        assert road.one(road.record(plate="EV10001")).flags == ("by_plate", "after_removal")

    @pytest.mark.parametrize(("told", "code"), [(PASSED, "unknown_vehicle"), (PASSED + SECOND, "accepted")])
    def test_by_the_list_it_acknowledged(self, road: Road, told: dt.datetime, code: str) -> None:
        agreement = road.agreement()
        registration = road.vehicle(agreement, until=BEFORE)
        road.published(agreement, "removed", BEFORE, registration=registration)
        road.listed(road.toll, told, list_type="plates")
        assert road.one(road.record(plate="EV10001")).code == code

    def test_a_published_block_still_refuses(self, road: Road) -> None:
        agreement = road.agreement()
        road.vehicle(agreement, until=BEFORE)
        road.published(agreement, "blocked", BEFORE)
        answer = road.one(road.record(plate="EV10001"))
        assert said(answer) == ("not_valid", (), "blocked, published 2026-03-01T11:00Z")

    def test_between_two_holders_told_of_the_first(self, road: Road) -> None:
        agreement = road.agreement()
        registration = road.vehicle(agreement, until=BEFORE)
        road.vehicle(road.agreement(), since=AFTER)
        road.published(agreement, "removed", BEFORE, registration=registration)
        assert said(road.one(road.record(plate="EV10001"))) == ("not_valid", (), "not_started")


class TestLists:
    """Who takes lists is judged by what it had acknowledged, and the answer names the list."""

    def blocked(self, road: Road) -> int:
        agreement = road.agreement()
        road.vehicle(agreement)
        road.tag(agreement, 1, "EV10001")
        road.published(agreement, "valid", START)
        road.published(agreement, "blocked", BEFORE)
        return agreement

    @pytest.mark.parametrize(
        ("acknowledged", "minutes", "code"),
        [
            (PASSED, None, "not_valid"),
            (PASSED + SECOND, None, "accepted"),
            (PASSED - HOUR, 60, "not_valid"),
            (PASSED - HOUR + SECOND, 60, "accepted"),
            (None, None, "accepted"),
        ],
    )
    def test_by_the_version_that_holds_it_plus_latency(
        self, road: Road, acknowledged: dt.datetime | None, minutes: int | None, code: str
    ) -> None:
        self.blocked(road)
        road.listed(road.toll, START, acknowledged)
        road.session.execute(update(ListPeriod).values(latency_minutes=minutes))
        answer = road.one(road.record(pan=pan(1)))
        sentence = f"blocked, list 2 acknowledged {acknowledged:%Y-%m-%dT%H:%MZ}" if acknowledged else None
        assert (answer.code, answer.detail) == (code, sentence if code == "not_valid" else None)

    def test_a_later_version_tells_nothing_of_an_earlier_one(self, road: Road) -> None:
        agreement = self.blocked(road)
        road.published(agreement, "valid", BEFORE + SECOND)
        road.listed(road.toll, START, START, None)  # the reopening was never acknowledged
        assert road.one(road.record(pan=pan(1))).code == "not_valid"

    def test_a_full_list_tells_all_before_it(self, road: Road) -> None:
        self.blocked(road)
        road.listed(road.toll, START, None)
        road.listed(road.toll, PASSED, kind="full")
        answer = road.one(road.record(pan=pan(1)))
        assert answer.detail == "blocked, list 3 acknowledged 2026-03-01T12:00Z"
        assert road.one(road.record("A-2", pan=pan(1), passed_at=PASSED - SECOND)).code == "accepted"

    def test_each_list_for_what_was_read(self, road: Road) -> None:
        self.blocked(road)
        road.listed(road.toll, BEFORE, list_type="tags")
        road.listed(road.toll, AFTER, list_type="plates")
        assert road.one(road.record(pan=pan(1))).code == "not_valid"
        assert road.one(road.record("A-2", plate="EV10001")).code == "accepted"
        road.session.execute(update(ListPeriod).values(list_types="tags"))
        assert road.one(road.record("A-3", plate="EV10001")).code == "not_valid"

    def test_what_was_before_it_took_lists_it_was_told_at_once(self, road: Road) -> None:
        self.blocked(road)
        road.listed(road.toll, AFTER, since=BEFORE + SECOND)
        assert road.one(road.record(pan=pan(1))).detail == "blocked, published 2026-03-01T11:00Z"
