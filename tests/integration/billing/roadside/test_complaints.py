"""Disputes of customers: made once, sent to the charger, answered, corrected; and who may do what."""

from __future__ import annotations

import io
import json
import threading
from dataclasses import dataclass
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from billing.cards.due import decide
from billing.claims.make import make
from billing.passages.credit import credit
from billing.passages.models import Passage
from billing.passages.rules import Cancel
from billing.roadside.complaints import answer, queries
from billing.roadside.complaints.make import dispute
from billing.roadside.complaints.models import Complaint
from billing.roadside.complaints.send import job
from billing.roadside.exchange.models import Exchange
from billing.roadside.exchange.outgoing import producer
from billing.roadside.formats import iso12855
from billing.roadside.formats.iso12855.complaints import Response, Responses
from billing.roadside.formats.iso12855.names import Header, Provider
from config.clock import move_clock
from config.database import SessionFactory
from config.jobs import JobContext
from config.problems import Conflict, Invalid, NotFound
from config.settings import Settings
from tests.integration.billing.passages.conftest import HOUR, NOW, Road, at_once, road
from tests.integration.conftest import Bearer

__all__ = ["road"]
DAY = 24 * HOUR
ME = "customer:7"


@dataclass
class World:
    """An agreement with a passage of FJELL's (record A-1)."""

    road: Road
    agreement: int
    number: int
    customer: int
    passage: int

    @property
    def session(self) -> Session:
        return self.road.session

    def dispute(self, kind: str = "not_there", said: str = "Bilen sto hjemme") -> Complaint:
        made, _ = dispute(self.session, self.agreement, self.passage, kind, said, actor=ME, now=NOW)
        return made

    def answer(self, one: Complaint, outcome: str = "upheld", said: str = "Feil skilt", **more: Any) -> Complaint:
        charger = more.pop("charger", self.road.toll)
        return answer.answer(self.session, charger, one.id, outcome, said, actor="charger:FJELL", now=NOW, **more)

    def cancel(self, name: str = "K-1", original: str = "A-1", version: int = 1, *, at: Any = NOW + HOUR) -> None:
        """The charger takes a record back."""
        from billing.passages.batches import open_batch
        from billing.passages.incoming import Item, limits_at, prepare
        from billing.passages.ingest import book_chunk

        sent = Cancel(id=name, action="cancel", original=original, version=version)
        batch = open_batch(self.session, self.road.toll, name=name, form="jsonl", sha256=name.encode(), now=at)
        book_chunk(self.session, batch, prepare(1, [Item(1, b"{}", sent)], limits_at(at)), now=at)

    def told(self) -> list[str]:
        return [row[0] for row in self.road.ask("SELECT template FROM messages ORDER BY id")]


@pytest.fixture
def world(road: Road) -> World:
    agreement = road.agreement()
    road.vehicle(agreement)
    assert road.one(road.record(plate="EV10001")).code == "accepted"
    ((number, customer),) = road.ask("SELECT number, customer_id FROM agreements")
    ((passage,),) = road.ask("SELECT id FROM passages")
    move_clock(road.session, NOW, running=False)
    road.session.commit()
    return World(road, agreement, number, customer, passage)


class TestMaking:
    """A customer disputes a passage."""

    def test_it_says_what_is_wrong_with_which_record(self, world: World) -> None:
        made = world.dispute(said="  Bilen  sto\n på verksted \n")
        assert (made.charger_id, made.source_id, made.kind, made.state, made.text) == (
            world.road.toll.id, "A-1", "not_there", "made", "Bilen sto\npå verksted"
        )  # fmt: skip

    def test_one_open_at_a_time(self, world: World) -> None:
        first, new = dispute(world.session, world.agreement, world.passage, "price", "", actor=ME, now=NOW)
        again, other = dispute(world.session, world.agreement, world.passage, "double", "x", actor=ME, now=NOW)
        assert (new, other, again.id, again.kind) == (True, False, first.id, "price")

    def test_many_at_once_make_one(self, world: World, sessions: SessionFactory) -> None:
        made: list[int] = []
        start = threading.Barrier(6)

        def make() -> None:
            with sessions.begin() as session:
                start.wait(30)
                made.append(dispute(session, world.agreement, world.passage, "price", "", actor=ME, now=NOW)[0].id)

        at_once(*[make] * 6)
        assert len(made) == 6
        assert len(set(made)) == 1

    @pytest.mark.parametrize(
        ("kind", "said", "field"),
        [("boat", "x", "kind"), ("other", " ", "text"), ("price", "x" * 2001, "text"), ("price", "a\x07b", "text")],
    )
    def test_what_is_wrong_is_said_by_field(self, world: World, kind: str, said: str, field: str) -> None:
        with pytest.raises(Invalid) as caught:
            world.dispute(kind, said)
        assert [error["field"] for error in caught.value.errors] == [field]

    def test_what_cannot_be_disputed(self, world: World) -> None:
        with pytest.raises(NotFound):
            dispute(world.session, world.road.agreement(), world.passage, "price", "", actor=ME, now=NOW)
        undone = credit(world.session, world.agreement, world.passage, reason="Feil", actor="agent:a", now=NOW)
        for passage, slug in ((world.passage, "taken-back"), (undone.counter_id, "counter-row")):
            with pytest.raises(Conflict) as caught:
                dispute(world.session, world.agreement, passage, "price", "", actor=ME, now=NOW)
            assert caught.value.type == f"/problems/{slug}"

    def test_a_journey_settled_elsewhere_is_its_operators(self, world: World) -> None:
        world.road.vehicle(world.agreement, scope="FJORD", settlement="external", external_ref="X1")
        ferry = world.road.record("F-1", plate="EV10001", station="K1", service="ferry")
        assert world.road.one(ferry, charger=world.road.ferry).code == "other_agreement"
        passage = world.session.query(Passage.id).filter_by(source_id="F-1").scalar()
        with pytest.raises(Conflict, match="operator"):
            dispute(world.session, world.agreement, passage, "price", "", actor=ME, now=NOW)


class TestHolding:
    """What is disputed and not billed is not billed."""

    def bill(self, world: World, run: str, minimum: int = 1) -> list[tuple[int, int]]:
        at = NOW + HOUR
        made = make(world.session, [world.agreement], "invoice", run, "", at, minimum, at)
        return [(one.amount_ore, one.count) for one in made]

    def test_it_waits_for_the_answer(self, world: World) -> None:
        world.road.one(world.road.record("B-1", plate="EV10001", amount=1000))
        one = world.dispute()
        assert self.bill(world, "r1", minimum=1001) == []
        assert self.bill(world, "r1") == [(1000, 1)]
        world.road.check_books()
        assert self.bill(world, "r2") == []
        world.answer(one, "rejected")
        assert self.bill(world, "r3") == [(2480, 1)]
        world.road.check_books()

    def test_it_waits_for_the_correction_that_was_promised(self, world: World) -> None:
        one = world.answer(world.dispute())
        world.road.one(world.road.record("B-1", plate="EV10001", amount=1000))
        assert self.bill(world, "r1") == [(1000, 1)]
        world.cancel()
        assert answer.link(world.session) == 1
        answer.let_go(world.session, NOW + HOUR)
        assert world.road.ask("SELECT count(*) FROM held_passages") == [(0,)]
        assert world.road.ask("SELECT unbilled_ore, unbilled_count FROM balances") == [(0, 2)]
        world.road.check_books()
        assert one.state == "answered"

    def test_a_correction_frees_it_before_anybody_looks(self, world: World) -> None:
        world.dispute()
        world.road.one(world.road.record("B-1", plate="EV10001", amount=1000))
        world.cancel(at=NOW + HOUR)
        assert self.bill(world, "r1") == [(1000, 3)]
        world.road.check_books()

    def test_a_promise_that_is_not_kept_holds_nothing_for_ever(self, world: World) -> None:
        world.answer(world.dispute(), "adjusted")
        assert answer.let_go(world.session, NOW + 14 * DAY) == 0
        assert answer.let_go(world.session, NOW + 14 * DAY + HOUR) == 1
        assert self.bill(world, "r1") == [(2480, 1)]

    def test_what_is_billed_is_not_held(self, world: World) -> None:
        assert self.bill(world, "r1") == [(2480, 1)]
        world.dispute()
        assert world.road.ask("SELECT count(*) FROM held_passages") == [(0,)]

    def test_a_card_is_due_when_it_is_let_go(self, world: World) -> None:
        world.session.execute(text("UPDATE agreements SET payment_method = 'card'"))
        one = world.dispute()
        world.road.one(world.road.record("B-1", plate="EV10001", amount=19_000))
        decide(world.session, [world.agreement], now=NOW)
        assert world.road.ask("SELECT count(*) FROM charges") == [(0,)]
        world.answer(one, "rejected")
        assert world.road.ask("SELECT state FROM charges") == [("due",)]


class TestAnswering:
    """What the charger says."""

    def test_the_customer_is_told_and_the_same_again_is_a_result(self, world: World) -> None:
        one = world.dispute()
        assert (world.answer(one, "rejected").state, world.told()) == ("answered", ["dispute_rejected"])
        assert world.answer(one, "rejected").answered_at == NOW
        with pytest.raises(Conflict, match="answered before"):
            world.answer(one, "upheld")
        assert world.told() == ["dispute_rejected"]

    def test_a_promise_must_be_kept_before_the_next(self, world: World) -> None:
        world.answer(world.dispute(), "adjusted")
        with pytest.raises(Conflict, match="correction"):
            world.dispute()

    def test_another_chargers_complaint_does_not_exist(self, world: World) -> None:
        with pytest.raises(NotFound):
            world.answer(world.dispute(), charger=world.road.ferry)

    def test_the_correction_is_linked_when_it_comes(self, world: World) -> None:
        one = world.answer(world.dispute())
        assert one.correction_id is None
        world.cancel("OTHER", "A-2")  # of another record
        assert answer.link(world.session) == 0
        world.cancel()
        assert answer.link(world.session) == 1
        world.session.refresh(one)
        assert world.road.ask("SELECT correction_id, corrected_at FROM complaints") == [("K-1", NOW + HOUR)]
        assert answer.link(world.session) == 0
        world.road.check_books()

    def test_a_correction_that_came_before_the_answer_is_linked_with_it(self, world: World) -> None:
        one = world.dispute()
        world.cancel()
        assert world.answer(one).correction_id == "K-1"

    def test_a_correction_from_before_the_dispute_is_none(self, world: World) -> None:
        one = world.dispute()
        world.cancel(at=NOW - HOUR)
        assert world.answer(one).correction_id is None

    def test_what_was_promised_and_did_not_come_is_listed(self, world: World) -> None:
        world.answer(world.dispute())
        later = NOW + 14 * DAY
        assert queries.count_overdue(world.session, later) == 0
        assert queries.count_overdue(world.session, later + HOUR) == 1
        (shown,) = queries.of_charger(
            world.session, world.road.toll.id, later + HOUR, after=None, limit=9, show="uncorrected"
        ).items
        assert shown.overdue
        assert queries.counts(world.session) == {"FJELL": (0, 1)}


def responses(*said: Response) -> Responses:
    fjell = Provider("NO", "FJELL")
    return Responses(Header(fjell, fjell, fjell, 1, "UserComplaintResponse", len(said), NOW), said)


def test_responses_of_a_file_are_taken_all_or_none(world: World) -> None:
    one = world.dispute()
    world.session.commit()
    wrong = responses(Response(str(one.id), "upheld", ""), Response("4711", "upheld", ""), Response("x", "upheld", ""))
    with pytest.raises(Invalid) as caught, world.session.begin_nested():
        answer.take_responses(world.session, world.road.toll, wrong, NOW)
    assert [error["field"] for error in caught.value.errors] == ["responses.2", "responses.3"]
    assert world.road.ask("SELECT state FROM complaints") == [("made",)]
    assert (
        answer.take_responses(world.session, world.road.toll, responses(Response(str(one.id), "adjusted", "a")), NOW)
        == 1
    )
    assert world.road.ask("SELECT state, outcome, response, answered_by FROM complaints") == [
        ("answered", "adjusted", "a", "charger:FJELL")
    ]


@pytest.mark.parametrize("form", ["iso12855", "jsonl"])
def test_complaints_go_out_as_a_file_once(
    world: World, sessions: SessionFactory, settings: Settings, form: str
) -> None:
    one = world.dispute(kind="price", said="")
    world.session.add(Exchange(charger_id=world.road.toll.id, kind="folder", form=form))
    world.session.commit()
    ctx = JobContext(sessions=sessions, settings=settings)
    assert job(ctx, NOW)["sent"] == 1
    assert job(ctx, NOW)["sent"] == 0
    world.session.refresh(one)
    assert (one.state, one.sent_at) == ("sent", NOW)
    from billing.roadside.exchange.models import Outgoing

    (row,) = world.session.query(Outgoing).all()
    content = b"".join(producer(row.kind)(sessions, row))
    assert content == b"".join(producer(row.kind)(sessions, row))
    if form == "iso12855":
        assert iso12855.read_header(io.BytesIO(content)).kind == "UserComplaint"
        assert b"<claimId>A-1</claimId>" in content
        assert row.name == "complaints-FJELL-1.xml"
    else:
        said = json.loads(content)
        assert (said["complaint"], said["record"], said["kind"]) == (one.id, "A-1", "price")


def test_without_an_exchange_they_wait_to_be_read(world: World, sessions: SessionFactory, settings: Settings) -> None:
    world.dispute()
    world.session.commit()
    assert job(JobContext(sessions=sessions, settings=settings), NOW)["sent"] == 0
    assert world.road.ask("SELECT state FROM complaints") == [("made",)]


class TestHttp:
    """Disputes and complaints over the API."""

    @pytest.fixture
    def ask(self, client: FlaskClient, world: World, bearer: Bearer) -> Any:
        def asked(method: str, path: str, role: str, *, who: int | str | None = None, **body: Any) -> TestResponse:
            about: dict[str, Any] = {}
            if role == "customer":
                about = {"customer_id": who or world.customer}
            elif role == "charger":
                about = {"charger": who or "FJELL"}
            more: dict[str, Any] = {"json": body} if method == "POST" else {}
            return client.open(f"/v1/{path}", method=method, headers=bearer(role, **about), **more)

        return asked

    def test_the_whole_way(self, ask: Any, world: World) -> None:
        path = f"agreements/{world.number}/disputes"
        made = ask("POST", path, "customer", passage=world.passage, kind="wrong_class", text="Personbil")
        assert made.status_code == 201
        number = made.json["id"]
        assert (made.json["state"], made.json["charger"], made.json["passage"]) == ("made", "FJELL", world.passage)
        assert ask("POST", path, "agent", passage=world.passage, kind="price").status_code == 200
        (seen,) = ask("GET", "chargers/FJELL/complaints?show=open", "charger").json["items"]
        assert (seen["id"], seen["record"], seen["kind"]) == (number, "A-1", "wrong_class")
        assert "agreement" not in seen
        assert ask("GET", path, "customer").json["items"][0]["state"] == "sent"
        said = ask("POST", f"chargers/FJELL/complaints/{number}/response", "charger", outcome="rejected", text="Nei")
        assert (said.status_code, said.json["outcome"]) == (200, "rejected")
        assert ask("GET", path, "lead").json["items"][0]["response"] == "Nei"
        actions = world.road.ask("SELECT role, action FROM audit_trail ORDER BY id")
        assert ("customer", "passage.dispute") in actions
        assert ("charger", "complaint.answer") in actions

    def test_others_things_do_not_exist(self, ask: Any, world: World) -> None:
        one = world.dispute()
        world.session.commit()
        path = f"agreements/{world.number}/disputes"
        assert ask("POST", path, "customer", who=4711, passage=world.passage, kind="price").status_code == 404
        assert ask("GET", path, "customer", who=4711).status_code == 404
        assert ask("GET", "chargers/FJELL/complaints", "charger", who="FJORD").status_code == 404
        response = f"complaints/{one.id}/response"
        body = {"outcome": "upheld", "text": ""}
        assert ask("POST", f"chargers/FJELL/{response}", "charger", who="FJORD", **body).status_code == 404
        assert ask("POST", f"chargers/FJORD/{response}", "charger", who="FJORD", **body).status_code == 404
        assert ask("POST", f"chargers/FJELL/{response}", "agent", **body).status_code == 403
        assert ask("POST", path, "accountant", passage=world.passage, kind="price").status_code == 403
        assert world.session.execute(text("SELECT state FROM complaints")).scalar() == "made"

    def test_our_own_peoples_look_sends_nothing(self, ask: Any, world: World) -> None:
        world.dispute()
        world.session.commit()
        assert len(ask("GET", "chargers/FJELL/complaints", "agent").json["items"]) == 1
        assert world.session.execute(text("SELECT state FROM complaints")).scalar() == "made"
