"""Taking passages into claims, moving them after a removal, crediting them."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import text

from billing.passages.balances import lock
from billing.passages.credit import credit
from billing.passages.move import job as move_job
from billing.passages.move import move
from billing.passages.partitions import job as partitions_job
from billing.passages.take import Taken, take
from config.clock import move_clock
from config.database import SessionFactory
from config.jobs import JobContext
from config.problems import Conflict, Invalid, NotFound
from config.settings import Settings
from tests.integration.billing.passages.conftest import HOUR, NOW, PASSED, Road

LATER = NOW + 24 * HOUR


def car(road: Road, plate: str = "EV10001", **more: object) -> int:
    agreement = road.agreement()
    road.vehicle(agreement, plate)
    return agreement


def claim(road: Road, agreement: int, number: int, cutoff: dt.datetime) -> Taken | None:
    """Take into claim ``number``, and book what a claim books, so that the books can be checked."""
    lock(road.session, [agreement])
    taken = take(road.session, {agreement: number}, cutoff).get(agreement)
    if taken is not None and taken.ore:
        debit, credit_to = ("receivable", "unbilled") if taken.ore > 0 else ("unbilled", "receivable")
        road.session.execute(
            text(
                "INSERT INTO transfers (debit, debit_owner, credit, credit_owner, amount_ore, code, ref, part, "
                "voucher, booked_on, created_at) VALUES "
                "(:debit, 0, :credit, 0, :ore, 'claim', :ref, '', 0, '2026-03-02', now())"
            ),
            {"debit": debit, "credit": credit_to, "ore": abs(taken.ore), "ref": number},
        )
    return taken


class TestTake:
    def test_exactly_what_arrived_by_the_cutoff(self, road: Road) -> None:
        agreement, other = car(road), car(road, "EV10002")
        road.send([road.record("A", plate="EV10001", amount=100), road.record("O", plate="EV10002")])
        road.one(road.record("B", plate="EV10001", amount=30), now=LATER)
        assert claim(road, agreement, 7, NOW) == Taken(100, 1)
        assert road.ask("SELECT source_id, claim_id FROM passages ORDER BY 1") == [("A", 7), ("B", None), ("O", None)]
        assert road.ask("SELECT unbilled_ore, open_since FROM balances WHERE agreement_id = :a", a=agreement) == [
            (30, LATER)
        ]
        road.check_books()
        assert claim(road, agreement, 8, NOW) is None
        assert claim(road, agreement, 9, LATER) == Taken(30, 1)
        assert road.ask("SELECT unbilled_ore, unbilled_count, open_since FROM balances ORDER BY agreement_id") == [
            (0, 0, None), (2480, 1, NOW),
        ]  # fmt: skip
        assert other
        road.check_books()

    def test_across_months(self, road: Road) -> None:
        agreement = car(road)
        for month in (3, 4, 5):
            now = dt.datetime(2026, month, 20, tzinfo=dt.UTC)
            road.one(road.record(f"M{month}", plate="EV10001", amount=month), now=now)
        assert claim(road, agreement, 7, dt.datetime(2026, 4, 30, tzinfo=dt.UTC)) == Taken(7, 2)
        road.check_books()

    def test_never_a_journey_settled_elsewhere(self, road: Road) -> None:
        agreement = car(road)
        road.vehicle(agreement, scope="FJORD", settlement="external", external_ref="1")
        road.one(road.record("F", plate="EV10001", station="K1", service="ferry"), charger=road.ferry)
        assert claim(road, agreement, 7, LATER) is None

    def test_nothing_to_take_from(self, road: Road) -> None:
        assert take(road.session, {}, NOW) == {}
        assert claim(road, car(road), 7, NOW) is None


class TestMove:
    def sold(self, road: Road, *, claimed: bool = False) -> tuple[int, int, int]:
        """A car sold at PASSED to another agreement, whose seller says so after three passages are booked."""
        seller, buyer = road.agreement(), road.agreement()
        registration = road.vehicle(seller)
        moments = (PASSED - HOUR, PASSED, PASSED + HOUR)
        road.send([road.record(f"P{n}", plate="EV10001", amount=10**n, passed_at=at) for n, at in enumerate(moments)])
        if claimed:
            claim(road, seller, 5, NOW)
        removal = road.remove(registration, PASSED)
        road.vehicle(buyer, since=PASSED)
        return seller, buyer, removal

    @pytest.mark.parametrize("claimed", [False, True])
    def test_to_who_had_the_vehicle(self, road: Road, claimed: bool) -> None:
        seller, buyer, removal = self.sold(road, claimed=claimed)
        assert move(road.session, removal, now=LATER) == 2
        rows = road.ask("SELECT agreement_id, amount_ore, claim_id, owed FROM passages ORDER BY id")
        was = 5 if claimed else None
        assert rows[:3] == [(seller, 1, was, True), (seller, 10, was, True), (seller, 100, was, True)]
        assert sorted(rows[3:]) == sorted(
            [(seller, -10, None, True), (seller, -100, None, True), (buyer, 10, None, True), (buyer, 100, None, True)]
        )
        sums = dict(road.ask("SELECT agreement_id, unbilled_ore FROM balances"))
        assert sums == {seller: -110 if claimed else 1, buyer: 110}
        assert road.ask("SELECT cause, count(*) FROM reversals AS v JOIN passages AS p ON p.id = v.counter_id AND "
                        "p.reverses_id = v.passage_id GROUP BY 1") == [("moved", 2)]  # fmt: skip
        assert road.ask("SELECT moved_at FROM removals") == [(LATER,)]
        road.check_books()

    def test_once(self, road: Road) -> None:
        _, _, removal = self.sold(road)
        move(road.session, removal, now=LATER)
        assert move(road.session, removal, now=LATER + HOUR) is None
        road.session.execute(text("UPDATE removals SET moved_at = NULL"))
        road.session.expire_all()
        assert move(road.session, removal, now=LATER + HOUR) == 0
        road.check_books()

    def test_where_nobody_has_it_they_stay(self, road: Road) -> None:
        agreement = road.agreement()
        registration = road.vehicle(agreement)
        road.one(road.record(plate="EV10001"))
        removal = road.remove(registration, PASSED - HOUR)
        assert move(road.session, removal, now=LATER) == 0
        assert road.ask("SELECT agreement_id, unbilled_ore FROM balances") == [(agreement, 2480)]
        road.check_books()

    def test_to_an_agreement_with_a_lower_id(self, road: Road) -> None:
        buyer, seller = road.agreement(), road.agreement()
        registration = road.vehicle(seller)
        road.one(road.record(plate="EV10001"))
        removal = road.remove(registration, PASSED)
        road.vehicle(buyer, since=PASSED)
        assert move(road.session, removal, now=LATER) == 1
        road.check_books()

    def test_of_a_ferry_to_the_tag_agreement_and_to_another_company(self, road: Road) -> None:
        tag_agreement = road.agreement()
        own = road.agreement(kind="ferry", operator="FJORD", parent_id=tag_agreement)
        road.vehicle(tag_agreement)
        registration = road.vehicle(own, scope="FJORD")
        ferry = {"plate": "EV10001", "station": "K1", "service": "ferry"}
        road.one(road.record("A", **ferry, passed_at=PASSED), charger=road.ferry)
        road.one(road.record("B", **ferry, passed_at=PASSED + 2 * HOUR), charger=road.ferry)
        removal = road.remove(registration, PASSED)
        road.vehicle(tag_agreement, scope="FJORD", settlement="external", external_ref="9", since=PASSED + HOUR)
        assert move(road.session, removal, now=LATER) == 2
        found = road.ask(
            "SELECT source_id, agreement_id, external, owed FROM passages WHERE booked_at = :now AND reverses_id "
            "IS NULL ORDER BY 1", now=LATER,
        )  # fmt: skip
        assert found == [("A", tag_agreement, False, True), ("B", tag_agreement, True, False)]
        road.check_books()


class TestCredit:
    @pytest.mark.parametrize("claimed", [False, True])
    def test_frees_the_customer_and_not_us(self, road: Road, claimed: bool) -> None:
        agreement = car(road)
        road.one(road.record(plate="EV10001"))
        if claimed:
            claim(road, agreement, 5, NOW)
        ((passage,),) = road.ask("SELECT id FROM passages")
        made = credit(road.session, agreement, passage, reason="scrapped", actor="agent:kari", now=LATER)
        assert road.ask(
            "SELECT id, amount_ore, list_ore, owed, claim_id FROM passages WHERE reverses_id = :p", p=passage
        ) == [(made.counter_id, -2480, -3100, False, None)]
        assert road.ask("SELECT unbilled_ore, unbilled_count FROM balances") == [(-2480, 1) if claimed else (0, 2)]
        assert road.ask("SELECT debit, amount_ore, ref FROM transfers WHERE code = 'credited'") == [
            ("write_off", 2480, made.counter_id)
        ]
        road.check_books()
        again = credit(road.session, agreement, passage, reason="again", actor="agent:ola", now=LATER)
        assert (again.counter_id, again.reason) == (made.counter_id, "scrapped")
        road.check_books()

    def test_comes_with_the_next_claim(self, road: Road) -> None:
        agreement = car(road)
        road.one(road.record("A", plate="EV10001", amount=100))
        claim(road, agreement, 5, NOW)
        ((passage,),) = road.ask("SELECT id FROM passages")
        credit(road.session, agreement, passage, reason="x", actor="a", now=LATER)
        road.one(road.record("B", plate="EV10001", amount=500), now=LATER)
        assert claim(road, agreement, 6, LATER) == Taken(400, 2)
        road.check_books()

    def test_of_nothing_moves_no_money(self, road: Road) -> None:
        agreement = car(road)
        road.one(road.record(plate="EV10001", amount=0))
        ((passage,),) = road.ask("SELECT id FROM passages")
        credit(road.session, agreement, passage, reason="x", actor="a", now=LATER)
        assert road.ask("SELECT count(*) FROM transfers") == [(0,)]
        road.check_books()

    def test_refusals(self, road: Road) -> None:
        agreement, other = car(road), car(road, "EV10002")
        road.vehicle(agreement, scope="FJORD", settlement="external", external_ref="1")
        road.one(road.record("A", plate="EV10001"))
        road.one(road.record("F", plate="EV10001", station="K1", service="ferry"), charger=road.ferry)
        (passage,), (ferry,) = road.ask("SELECT id FROM passages ORDER BY id")
        with pytest.raises(Invalid):
            credit(road.session, agreement, passage, reason=" ", actor="a", now=LATER)
        with pytest.raises(NotFound):
            credit(road.session, other, passage, reason="x", actor="a", now=LATER)
        with pytest.raises(Conflict, match="operator"):
            credit(road.session, agreement, ferry, reason="x", actor="a", now=LATER)
        made = credit(road.session, agreement, passage, reason="x", actor="a", now=LATER)
        with pytest.raises(Conflict, match="counter-row"):
            credit(road.session, agreement, made.counter_id, reason="x", actor="a", now=LATER)

    def test_not_what_was_moved(self, road: Road) -> None:
        seller, _, removal = TestMove().sold(road)
        move(road.session, removal, now=LATER)
        ((passage,),) = road.ask("SELECT min(passage_id) FROM reversals")
        with pytest.raises(Conflict, match="moved"):
            credit(road.session, seller, passage, reason="x", actor="a", now=LATER)
        road.check_books()


class TestJobs:
    """What the schedule and the doorbells run."""

    def test_every_waiting_removal_is_worked_through(
        self, road: Road, sessions: SessionFactory, settings: Settings
    ) -> None:
        seller, buyer, removal = TestMove().sold(road)
        idle = road.remove(road.vehicle(road.agreement(), "EV10009"), PASSED)
        move_clock(road.session, LATER, running=False)
        road.session.commit()
        assert move_job(JobContext(sessions, settings), NOW) == {"removals": 2, "moved": 2}
        road.session.expire_all()
        assert road.ask("SELECT id FROM removals WHERE moved_at = :now ORDER BY 1", now=LATER) == [(removal,), (idle,)]
        assert move_job(JobContext(sessions, settings), NOW) == {"removals": 0, "moved": 0}
        assert seller != buyer
        road.check_books()

    def test_partitions_are_made_ahead_and_once(self, road: Road, sessions: SessionFactory, settings: Settings) -> None:
        context = JobContext(sessions, settings)
        assert partitions_job(context, dt.datetime(2026, 12, 31, 23, tzinfo=dt.UTC)) == {"made": 2}
        assert partitions_job(context, dt.datetime(2027, 1, 1, tzinfo=dt.UTC)) == {"made": 1}
        assert partitions_job(context, dt.datetime(2027, 1, 31, tzinfo=dt.UTC)) == {"made": 0}
        names = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'passages'::regclass ORDER BY 1"
        assert [row[0] for row in road.ask(names)] == ["passages_2026_12", "passages_2027_01", "passages_2027_02"]
