"""Journeys with an additional agreement: it goes before the tag agreement, where it can take them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from billing.passages.incoming import Answer
from tests.integration.billing.passages.conftest import HOUR, PASSED, Road
from tests.integration.billing.passages.test_matching import holder, said

SECOND = dt.timedelta(seconds=1)
BEFORE, AFTER = PASSED - HOUR, PASSED + HOUR


class TestAdditional:
    """A ferry operator's additional agreement wins over the tag agreement."""

    def ferry_record(self, road: Road, name: str = "A-1", **more: object) -> Answer:
        fields: dict[str, object] = {"station": "K1", "service": "ferry", "plate": "EV10001", **more}
        return road.one(road.record(name, **fields), charger=road.ferry)

    def test_external_is_shown_and_never_billed(self, road: Road) -> None:
        agreement = road.agreement()
        road.vehicle(agreement)
        road.vehicle(agreement, scope="FJORD", settlement="external", external_ref="77")
        assert self.ferry_record(road).code == "other_agreement"
        assert holder(road) == (agreement, True)
        assert road.ask("SELECT count(*) FROM transfers") == [(0,)]
        assert road.ask("SELECT count(*) FROM balances WHERE unbilled_count > 0") == [(0,)]
        road.check_books()

    def test_own_settles_there(self, road: Road) -> None:
        agreement = road.agreement()
        own = road.agreement(kind="ferry", operator="FJORD", parent_id=agreement)
        road.vehicle(agreement)
        road.vehicle(own, scope="FJORD")
        assert self.ferry_record(road).code == "accepted"
        assert holder(road) == (own, False)
        road.check_books()

    def test_by_the_tag_it_needs_no_plate(self, road: Road) -> None:
        agreement = road.agreement()
        own = road.agreement(kind="ferry", operator="FJORD", parent_id=agreement)
        tag = road.tag(agreement, 1, None)
        road.vehicle(own, None, pan=tag, scope="FJORD")
        assert said(self.ferry_record(road, pan=tag, plate=None)) == ("accepted", (), None)
        assert holder(road) == (own, False)

    def test_of_the_mounted_vehicle(self, road: Road) -> None:
        agreement = road.agreement()
        own = road.agreement(kind="ferry", operator="FJORD", parent_id=agreement)
        road.vehicle(own, scope="FJORD")
        tag = road.tag(agreement, 1, "EV10001")
        assert self.ferry_record(road, pan=tag, plate=None).code == "accepted"
        assert holder(road) == (own, False)

    @pytest.mark.parametrize("on_tag_agreement", [True, False])
    @pytest.mark.parametrize(("settlement", "code"), [("own", "accepted"), ("external", "other_agreement")])
    def test_of_the_plate_when_the_tags_vehicle_is_on_no_agreement(
        self, road: Road, on_tag_agreement: bool, settlement: str, code: str
    ) -> None:
        agreement, stranger = road.agreement(), road.agreement()
        more: dict[str, Any] = {"external_ref": "77"} if settlement == "external" else {}
        own = agreement if more else road.agreement(kind="ferry", operator="FJORD", parent_id=agreement)
        if on_tag_agreement:
            road.vehicle(agreement)
        road.vehicle(own, scope="FJORD", settlement=settlement, **more)
        tag = road.tag(stranger, 1, "EV90009")
        answer = self.ferry_record(road, pan=tag)
        assert (answer.code, "by_plate" in answer.flags) == (code, True)
        assert holder(road) == (own, settlement == "external")
        assert road.ask("SELECT plate FROM passages") == [("EV10001",)]
        road.check_books()

    def test_of_the_plate_yields_to_the_vehicle_the_tag_is_in(self, road: Road) -> None:
        agreement, other = road.agreement(), road.agreement()
        own = road.agreement(kind="ferry", operator="FJORD", parent_id=other)
        tag = road.tag(agreement, 1, "EV90009")
        road.vehicle(agreement, "EV90009")
        road.vehicle(own, scope="FJORD")
        assert self.ferry_record(road, pan=tag).code == "accepted"
        assert holder(road) == (agreement, False)

    def test_another_operators_does_not_count(self, road: Road) -> None:
        agreement = road.agreement()
        road.vehicle(agreement)
        road.vehicle(agreement, scope="ANDRE", settlement="external", external_ref="77")
        assert self.ferry_record(road).code == "accepted"
        assert holder(road) == (agreement, False)

    @pytest.mark.parametrize("until", [PASSED, BEFORE])
    def test_ended_it_leaves_the_tag_agreement(self, road: Road, until: dt.datetime) -> None:
        agreement = road.agreement()
        road.vehicle(agreement)
        road.vehicle(agreement, scope="FJORD", settlement="external", external_ref="77", until=until)
        assert self.ferry_record(road).code == "accepted"
        assert holder(road) == (agreement, False)

    @pytest.mark.parametrize("by_tag", [True, False])
    def test_blocked_it_leaves_the_journey_to_the_tag_agreement_which_says_so(self, road: Road, by_tag: bool) -> None:
        agreement = road.agreement()
        own = road.agreement(kind="ferry", operator="FJORD", parent_id=agreement)
        road.vehicle(agreement)
        tag = road.tag(agreement, 1, "EV10001")
        on: dict[str, Any] = {"plate": None, "pan": tag} if by_tag else {}
        road.vehicle(own, **on, scope="FJORD")
        road.published(own, "blocked", BEFORE)
        answer = self.ferry_record(road, pan=tag if by_tag else None)
        flags = (*(() if by_tag else ("by_plate",)), "additional_unavailable")
        assert said(answer) == ("accepted", flags, None)
        assert holder(road) == (agreement, False)
        road.check_books()

    def test_with_the_tag_agreement_blocked_too_nobody_takes_it(self, road: Road) -> None:
        agreement = road.agreement()
        own = road.agreement(kind="ferry", operator="FJORD", parent_id=agreement)
        road.vehicle(agreement)
        road.vehicle(own, scope="FJORD")
        road.published(own, "ended", BEFORE)
        road.published(agreement, "blocked", BEFORE + SECOND)
        assert said(self.ferry_record(road)) == ("not_valid", (), "blocked, published 2026-03-01T11:00Z")

    def test_blocked_and_on_no_tag_agreement_it_is_refused(self, road: Road) -> None:
        own = road.agreement(kind="ferry", operator="FJORD", parent_id=road.agreement())
        road.vehicle(own, scope="FJORD")
        road.published(own, "blocked", BEFORE)
        assert said(self.ferry_record(road)) == ("not_valid", (), "blocked, published 2026-03-01T11:00Z")

    def test_one_that_did_not_cover_it_is_said(self, road: Road) -> None:
        agreement = road.agreement()
        own = road.agreement(kind="ferry", operator="FJORD", parent_id=agreement)
        for plate in ("EV10001", "EV10002", "EV10003"):
            road.vehicle(agreement, plate)
        road.vehicle(own, scope="FJORD", until=PASSED)  # ended for this vehicle
        road.vehicle(own, "EV10002", scope="FJORD", since=AFTER)  # not begun
        assert said(self.ferry_record(road)) == ("accepted", ("by_plate", "additional_unavailable"), None)
        assert "additional_unavailable" in self.ferry_record(road, "A-2", plate="EV10002").flags
        assert self.ferry_record(road, "A-3", plate="EV10003").flags == ("by_plate",)  # it covered nothing then
        road.vehicle(own, "EV10004", scope="FJORD")
        assert "additional_unavailable" in self.ferry_record(road, "A-4", plate="EV10003").flags
        assert {row[0] for row in road.ask("SELECT agreement_id FROM passages")} == {agreement}

    def test_somebody_elses_says_nothing(self, road: Road) -> None:
        agreement, before = road.agreement(), road.agreement()
        road.vehicle(agreement)
        road.vehicle(before, scope="FJORD", settlement="external", external_ref="77", until=BEFORE)
        assert self.ferry_record(road).flags == ("by_plate",)
