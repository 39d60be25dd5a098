"""The way of invoices over HTTP: choosing it, why it was chosen, and sending by another."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from billing.delivery import choosing
from billing.delivery.channels import Channels
from billing.delivery.port import No, Reader, Unsure, Verdict, Yes
from tests.integration.billing.delivery.conftest import NOW, Post
from tests.integration.billing.delivery.test_choose import Ways
from tests.integration.conftest import Bearer


class Asked:
    """A partner that answers as it is told to, and sees whether a transaction is open meanwhile."""

    def __init__(self, post: Post, name: str) -> None:
        self.post, self.name = post, name
        self.verdict: Verdict = Yes("there")
        self.readers: list[Reader] = []
        self.open = 0

    def look_up(self, readers: Sequence[Reader], today: dt.date) -> Mapping[int, Verdict]:
        self.readers += readers
        with self.post.sessions() as session:
            query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
            self.open += session.scalar(text(query)) or 0
        if isinstance(self.verdict, Unsure) and self.verdict.why == "raise":
            raise RuntimeError("a fault of ours")
        return {one.agreement_id: self.verdict for one in readers}


class World:
    """A customer with an agreement, and a Digipost that says what it is told to."""

    def __init__(self, post: Post, client: FlaskClient, bearer: Bearer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.post, self.client, self.bearer = post, client, bearer
        self.agreement = post.world.agreement()
        row = post.session.execute(
            text(
                "SELECT a.number AS agreement, k.id, k.number FROM agreements a JOIN customers k ON k.id = customer_id"
            )
        ).one()
        self.agreement_number, self.customer_id, self.number = row.agreement, row.id, row.number
        post.session.commit()
        self.digipost = Asked(post, "digipost")
        monkeypatch.setattr(choosing, "channels_of", lambda settings: Channels({"digipost": self.digipost}, {}))
        self.path = f"/v1/customers/{self.number}/channel"
        self.own = bearer("customer", customer_id=self.customer_id)

    def put(self, headers: dict[str, str] | None = None, etag: str = '"1"', path: str = "", **body: Any) -> Any:
        return self.client.put(path or self.path, json=body, headers={**(headers or self.own), "If-Match": etag})

    def trail(self, action: str) -> list[Any]:
        self.post.session.rollback()
        query = "SELECT detail FROM audit_trail WHERE action = :a ORDER BY id"
        return list(self.post.session.scalars(text(query), {"a": action}))


@pytest.fixture
def world(post: Post, client: FlaskClient, bearer: Bearer, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(post, client, bearer, monkeypatch)


def test_what_there_is_to_choose_and_choosing_it(world: World) -> None:
    answer = world.client.get(world.path, headers=world.own)
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"1"')
    told = answer.get_json()
    assert (told["channel"], told["mandates"], told["looked_up"]) == ("email", [], None)
    named = {one["channel"]: one for one in told["choices"]}
    assert "ehf" not in named
    assert named["digipost"]["needs"] == "a mailbox at Digipost"
    assert (named["email"]["offered"], named["avtalegiro"]["offered"]) == (True, False)
    answer = world.put(channel="digipost", details_in_copy=False)
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"2"')
    told = answer.get_json()
    assert (told["channel"], told["details_in_copy"]) == ("digipost", False)
    assert told["looked_up"] == {"found": "yes", "why": None, "said": None}
    again = world.put(etag='"2"', channel="digipost")
    assert (again.status_code, again.headers["ETag"], again.get_json()["looked_up"]) == (200, '"2"', None)
    assert [reader.name for reader in world.digipost.readers] == ["Kari Nordmann"], "a repeat is no question"
    assert world.digipost.open == 0, "nothing was open while the partner was asked"
    assert [one["channel"] for one in world.trail("customer.channel")] == ["digipost"]


def test_a_sure_no_is_told_before_it_is_kept(world: World) -> None:
    world.digipost.verdict = No("no_mailbox")
    answer = world.put(channel="digipost")
    problem = answer.get_json()
    assert (answer.status_code, problem["type"], problem["why"]) == (409, "/problems/not-reached", "no_mailbox")
    assert problem["said"] in problem["detail"]
    assert world.client.get(world.path, headers=world.own).get_json()["channel"] == "email"
    answer = world.put(channel="digipost", anyway=True)
    assert (answer.status_code, answer.get_json()["channel"]) == (200, "digipost")
    assert answer.get_json()["looked_up"]["found"] == "no"


@pytest.mark.parametrize("why", ["timeout", "raise"])
def test_no_answer_keeps_nobody_from_choosing(world: World, why: str) -> None:
    world.digipost.verdict = Unsure(why)
    told = world.put(channel="digipost").get_json()
    assert (told["channel"], told["looked_up"]["found"]) == ("digipost", "unsure")


def test_what_is_not_in_use_here_reaches_nobody(world: World) -> None:
    answer = world.put(channel="eboks")
    assert (answer.status_code, answer.get_json()["why"]) == (409, "not_set_up")


def test_what_only_the_bank_can_do(world: World) -> None:
    for headers in (world.own, world.bearer("agent"), world.bearer("lead")):
        answer = world.put(headers, channel="avtalegiro", anyway=True)
        assert (answer.status_code, answer.get_json()["type"]) == (409, "/problems/avtalegiro-at-your-bank")
    with world.post.sessions.begin() as session:
        session.execute(
            text("INSERT INTO mandates (agreement_id, kid, customer_part, structure, notice, since, changed_at) "
                 "VALUES (:a, '1', '1', 'ours', true, :now, :now)"), {"a": world.agreement, "now": NOW},
        )  # fmt: skip
        session.execute(text("UPDATE customers SET channel = 'avtalegiro'"))
    told = world.client.get(world.path, headers=world.own).get_json()
    assert [(one["agreement"], one["notice"]) for one in told["mandates"]] == [(world.agreement_number, True)]
    answer = world.put(channel="digipost")
    assert (answer.status_code, answer.get_json()["type"]) == (409, "/problems/mandate-stands")
    assert world.digipost.readers == [], "nobody is asked for what cannot be chosen"
    answer = world.put(channel="avtalegiro", efaktura_beside=True)
    assert (answer.status_code, answer.get_json()["efaktura_beside"]) == (200, True)


def test_who_may_not_and_what_cannot_be_read(world: World) -> None:
    stranger = world.bearer("customer", customer_id=world.customer_id + 1)
    assert world.client.get(world.path, headers=stranger).status_code == 404
    assert world.put(stranger, channel="paper").status_code == 404
    for role in ("accountant", "operator"):
        assert world.put(world.bearer(role), channel="paper").status_code == 403
    assert world.put(world.bearer("agent"), path="/v1/customers/9999999/channel", channel="paper").status_code == 404
    assert world.client.put(world.path, json={"channel": "paper"}, headers=world.own).status_code == 428
    assert world.put(etag='"7"', channel="paper").status_code == 412
    for garbage in ({}, {"channel": "fax"}, {"channel": None}, {"channel": ["paper"]}, {"channel": "ehf"},
                    {"channel": "paper", "details_in_copy": 7}, {"channel": "paper", "x": 1}):  # fmt: skip
        assert world.put(**garbage).status_code == 422, garbage
    assert world.client.get(world.path, headers=world.own).headers["ETag"] == '"1"'
    assert world.trail("customer.channel") == []


def test_days_to_pay_are_for_support(world: World) -> None:
    path = f"/v1/customers/{world.number}/payment-term"
    assert world.put(path=path, payment_term_days=30).status_code == 403
    agent = world.bearer("agent")
    answer = world.put(agent, path=path, payment_term_days=30)
    assert (answer.status_code, answer.get_json()["payment_term_days"], answer.headers["ETag"]) == (200, 30, '"2"')
    assert world.put(agent, '"2"', path, payment_term_days=30).headers["ETag"] == '"2"'
    for garbage in (0, 13, 61, "30", 30.5, True):
        assert world.put(agent, '"2"', path, payment_term_days=garbage).status_code == 422, garbage
    assert world.put(world.bearer("lead"), '"2"', path, payment_term_days=None).get_json()["payment_term_days"] is None
    assert world.trail("customer.payment_term") == [{"before": None, "days": 30}, {"before": 30, "days": None}]


def _send(world: World, delivery: int, key: str, role: str = "agent", **body: Any) -> Any:
    path = f"/v1/agreements/{world.agreement_number}/deliveries/{delivery}/send-again"
    return world.client.post(path, json=body, headers={**world.bearer(role), "Idempotency-Key": key})


def test_support_sends_by_another_channel_and_sees_why(world: World, tmp_path: Path) -> None:
    way = Ways(world.post, tmp_path)
    way.chooses(world.agreement, "efaktura")
    document = world.post.invoice(world.agreement)
    way.choose()
    way.carry()
    [first] = world.post.rows()
    due = way.due(document)
    assert _send(world, first.id, "a", channel="paper").get_json() == {"id": first.id, "already": False}
    assert _send(world, first.id, "b", channel="paper").get_json()["already"] is True
    world.post.plan()
    way.hurry()
    assert way.choose() == {"waits": 1}
    assert way.states() == [("efaktura", "ending")], "what presents it is taken back first"
    way.hurry()
    way.carry()
    way.hurry()
    assert way.choose() == {"paper": 1}
    assert way.states() == [("efaktura", "ended"), ("paper", "queued")]
    assert [row.presents for row in world.post.rows()] == [True, True]
    assert way.due(document) == due, "what is owed already is given no more time"

    number = world.post.session.scalar(text("SELECT number FROM documents"))
    path = f"/v1/agreements/{world.agreement_number}/invoices/{number}/channel-choices"
    told = world.client.get(path, headers=world.bearer("accountant")).get_json()["items"]
    assert [(one["cause"], one["channel"]) for one in told] == [
        ("first", "efaktura"), ("agent", None), ("agent", None), ("agent", "paper"),
    ]  # fmt: skip
    assert told[1]["considered"] == [
        {"channel": "paper", "verdict": "passed", "why": "agent_chose", "said": "chosen by support for this sending"}
    ]
    assert told[2]["considered"][-1]["why"] == "taken_back_first"
    assert told[3]["considered"] == [{"channel": "paper", "verdict": "yes", "why": "", "said": ""}]
    assert world.client.get(path, headers=world.own).status_code == 403
    assert (
        world.client.get(re.sub(r"invoices/\d+", "invoices/7", path), headers=world.bearer("agent")).status_code == 404
    )
    assert world.trail("delivery.again") == [{"delivery": first.id, "channel": "paper"}]


def test_a_mail_customer_gets_it_by_the_chosen_way_too(world: World, tmp_path: Path) -> None:
    way = Ways(world.post, tmp_path)
    world.post.invoice(world.agreement)
    world.post.run()
    [first] = world.post.rows()
    assert _send(world, first.id, "a", channel="efaktura").status_code == 200
    world.post.plan()
    assert len(world.post.rows()) == 1, "the mail round leaves it to the choice"
    way.hurry()
    way.choose()
    assert way.choose() == {}
    way.hurry()
    assert way.choose() == {"efaktura": 1}
    assert way.states() == [("email", "ended"), ("efaktura", "queued")]


def test_where_the_chosen_way_does_not_reach_the_next_follows(world: World, tmp_path: Path) -> None:
    way = Ways(world.post, tmp_path)
    way.chooses(world.agreement, "efaktura")
    world.post.invoice(world.agreement)
    way.choose()
    way.run("UPDATE deliveries SET state = 'failed', followed_at = NULL")
    way.run("UPDATE messages SET planned_at = NULL")
    [first] = world.post.rows()
    assert _send(world, first.id, "a", channel="digipost").status_code == 200
    assert way.choose() == {"efaktura": 1}, "Digipost is not set up; the customer's own way is next, and only once"
    assert way.states() == [("efaktura", "failed"), ("efaktura", "queued")]


def test_what_cannot_be_sent_that_way(world: World, tmp_path: Path) -> None:
    world.post.invoice(world.agreement)
    world.post.tell(world.agreement, "reopened")
    world.post.run()
    invoice, other = world.post.rows()

    def slug(answer: Any) -> tuple[int, str]:
        return answer.status_code, answer.get_json()["type"].removeprefix("/problems/")

    assert slug(_send(world, invoice.id, "a", channel="avtalegiro")) == (409, "avtalegiro-at-your-bank")
    assert slug(_send(world, invoice.id, "b", channel="ehf")) == (422, "invalid")
    assert slug(_send(world, invoice.id, "c", channel="fax")) == (422, "invalid")
    assert slug(_send(world, other.id, "d", channel="paper")) == (409, "no-document")
    assert _send(world, invoice.id, "e", role="accountant", channel="paper").status_code == 403
    assert slug(_send(world, 99_999, "f", channel="paper")) == (404, "not-found")
    way = Ways(world.post, tmp_path)
    way.run("UPDATE messages SET template = 'credit_note' WHERE id = :id", id=invoice.message_id)
    assert slug(_send(world, invoice.id, "g", channel="efaktura")) == (409, "not-carried")
    way.run("UPDATE deliveries SET state = 'dropped'")
    assert slug(_send(world, invoice.id, "h", channel="paper")) == (409, "no-longer-true")
