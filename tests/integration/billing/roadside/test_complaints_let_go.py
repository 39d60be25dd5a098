"""Disputes that are never answered, withdrawn, or made again: none holds its passage back for ever."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from billing.claims.make import make
from billing.roadside.complaints import answer, queries
from billing.roadside.complaints.make import dispute
from billing.roadside.complaints.models import Complaint
from billing.roadside.complaints.send import job
from billing.roadside.complaints.withdraw import withdraw
from billing.roadside.exchange.models import Exchange
from config.clock import move_clock
from config.database import SessionFactory
from config.jobs import JobContext
from config.problems import Conflict, Invalid, NotFound
from config.settings import Settings
from tests.integration.billing.passages.conftest import HOUR, NOW, road
from tests.integration.billing.roadside.test_complaints import DAY, ME, World, world
from tests.integration.conftest import Bearer

__all__ = ["road", "world"]


@pytest.fixture
def ctx(sessions: SessionFactory, settings: Settings) -> JobContext:
    return JobContext(sessions, settings)


def run(world: World, ctx: JobContext, days: int) -> dict[str, int | str]:
    """The job, so many days after the dispute, and an hour."""
    at = NOW + days * DAY + HOUR
    move_clock(world.session, at, running=False)
    world.session.commit()
    done = job(ctx, at)
    world.session.expire_all()
    return done


def held(world: World) -> int:
    return int(world.road.ask("SELECT count(*) FROM held_passages")[0][0])


def again(world: World, said: str) -> Complaint:
    """Somebody of ours disputes it again."""
    return dispute(
        world.session, world.agreement, world.passage, "price", said, actor="agent:kari", now=NOW, again=True
    )[0]


def test_what_is_never_answered_is_named_then_let_go_and_told(world: World, ctx: JobContext) -> None:
    one = world.dispute()
    assert run(world, ctx, 29)["unanswered"] == 0
    assert queries.one(world.session, one.id, NOW + 30 * DAY + HOUR).unanswered
    done = run(world, ctx, 30)
    assert (done["unanswered"], done["given_up"], held(world), world.told()) == (1, 0, 1, [])
    late = NOW + 30 * DAY + HOUR
    (shown,) = queries.of_charger(world.session, None, late, after=None, limit=9, show="unanswered").items
    assert (shown.id, shown.open) == (one.id, True)
    assert run(world, ctx, 59)["given_up"] == 0
    done = run(world, ctx, 60)
    assert (done["unanswered"], done["given_up"], held(world)) == (0, 1, 0)
    assert world.told() == ["dispute_let_go"]
    assert run(world, ctx, 61)["given_up"] == 0
    late = NOW + 61 * DAY
    (shown,) = queries.of_charger(world.session, None, late, after=None, limit=9, show="unanswered").items
    assert (shown.open, shown.let_go_why, shown.unanswered) == (False, "unanswered", True)
    made = make(world.session, [world.agreement], "invoice", "r1", "", late, 1, late)
    assert [claim.amount_ore for claim in made] == [2480]
    world.road.check_books()


def test_an_answer_that_comes_later_counts(world: World, ctx: JobContext) -> None:
    one = world.dispute()
    run(world, ctx, 60)
    answer.answer(world.session, world.road.toll, one.id, "upheld", "", actor="charger:FJELL", now=NOW + 61 * DAY)
    assert held(world) == 0
    assert world.told() == ["dispute_let_go", "dispute_upheld"]
    world.cancel(at=NOW + 62 * DAY)
    assert answer.link(world.session) == 1
    world.session.refresh(one)
    assert (one.state, one.correction_id, one.let_go_why) == ("answered", "K-1", "unanswered")
    world.road.check_books()


def test_withdrawn_it_holds_nothing_and_is_not_sent(world: World, ctx: JobContext) -> None:
    one = world.dispute()
    world.session.add(Exchange(charger_id=world.road.toll.id, kind="folder", form="jsonl"))
    assert withdraw(world.session, world.agreement, one.id, NOW + HOUR)[1]
    assert not withdraw(world.session, world.agreement, one.id, NOW + DAY)[1]
    assert (held(world), one.let_go_at, one.let_go_why) == (0, NOW + HOUR, "withdrawn")
    done = run(world, ctx, 61)
    assert (done["sent"], done["unanswered"], done["given_up"], world.told()) == (0, 0, 0, [])


def test_what_was_answered_is_not_withdrawn(world: World) -> None:
    one = world.answer(world.dispute(), "rejected")
    with pytest.raises(Conflict, match="answered"):
        withdraw(world.session, world.agreement, one.id, NOW)


def test_anothers_dispute_is_not_withdrawn(world: World) -> None:
    one = world.dispute()
    with pytest.raises(NotFound):
        withdraw(world.session, world.road.agreement(), one.id, NOW)
    assert held(world) == 1


@pytest.mark.parametrize("how", ["rejected", "withdrawn", "unanswered"])
def test_once_is_enough_for_the_customer_and_support_says_why(world: World, ctx: JobContext, how: str) -> None:
    one = world.dispute()
    if how == "rejected":
        world.answer(one, "rejected")
    elif how == "withdrawn":
        withdraw(world.session, world.agreement, one.id, NOW)
    else:
        run(world, ctx, 60)
    with pytest.raises(Conflict, match="disputed before"):
        dispute(world.session, world.agreement, world.passage, "price", "x", actor=ME, now=NOW)
    assert held(world) == 0
    with pytest.raises(Invalid):
        again(world, "")
    second = again(world, "Verkstedet har bekreftet")
    assert (second.id != one.id, held(world)) == (True, 1)
    assert again(world, "en gang til").id == second.id
    if how != "rejected":  # the first one's answer frees nothing that the second one holds
        world.answer(one, "rejected")
        assert held(world) == 1
    world.answer(second, "rejected")
    assert held(world) == 0


def test_over_http(client: FlaskClient, bearer: Bearer, world: World) -> None:
    one = world.dispute()
    world.session.commit()
    path = f"/v1/agreements/{world.number}/disputes"

    def post(path: str, role: str, customer: int | None = None, **body: Any) -> Any:
        about = {"customer_id": customer or world.customer} if role == "customer" else {}
        return client.post(path, headers=bearer(role, **about), json=body)

    gone = f"{path}/{one.id}/withdrawal"
    assert post(gone, "customer", 4711).status_code == 404
    assert post(gone, "accountant").status_code == 403
    assert post(f"{path}/4711/withdrawal", "customer").status_code == 404
    done = post(gone, "customer")
    assert (done.status_code, done.json["state"], done.json["let_go_why"]) == (200, "made", "withdrawn")
    assert post(gone, "customer").status_code == 200
    assert post(path, "customer", passage=world.passage, kind="price", text="x").status_code == 409
    assert post(path, "agent", passage=world.passage, kind="price").status_code == 422
    made = post(path, "agent", passage=world.passage, kind="price", text="Feil bil")
    assert made.status_code == 201
    assert post(path, "customer", passage=world.passage, kind="price", text="x").json["id"] == made.json["id"]
    actions = [row[0] for row in world.road.ask("SELECT action FROM audit_trail ORDER BY id")]
    assert actions.count("dispute.withdraw") == 1
