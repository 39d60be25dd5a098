"""An invoice's way into a digital mailbox: chosen, carried, lost on its way, and by another way where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from billing.delivery.bills import Pages
from billing.delivery.carry import carry
from billing.delivery.channels import Mail
from billing.delivery.choose import Means, choose_all
from billing.delivery.digipost.channel import Digipost
from billing.delivery.digipost.wire import Wire
from billing.delivery.eboks.channel import Eboks, Line
from billing.delivery.plan import follow
from billing.delivery.port import Calls, LooksUp
from billing.delivery.record import take_left_behind
from billing.delivery.ways import LIST
from config.clock import now_utc
from config.sealed import Sealing
from simulator.digipost.server import DigipostServer
from simulator.digipost.signatures import new_key
from simulator.eboks.server import EboksServer
from tests.integration.billing.delivery.conftest import NOW, Post

ID, KEY = "15108695088", new_key()


class Office:
    """A world whose customers may have a mailbox: the core, a channel and its stand-in."""

    def __init__(self, post: Post, channel: Calls, server: Any, timeout: Any) -> None:
        self.post, self.channel, self.server, self.hasty = post, channel, server, timeout
        self.sealing = Sealing([b"1" * 32])

    def invoice(self) -> int:
        """An invoice of somebody who chose the mailbox; return the document."""
        agreement = self.post.world.agreement()
        self.post.session.commit()
        self.run(
            "UPDATE customers SET channel = :channel, national_id = :sealed "
            "WHERE id = (SELECT customer_id FROM agreements WHERE id = :id)",
            channel=self.channel.name,
            sealed=self.sealing.seal(ID),
            id=agreement,
        )
        return self.post.invoice(agreement)

    def run(self, sql: str, **params: Any) -> None:
        with self.post.sessions.begin() as session:
            session.execute(text(sql), params)

    def look(self, *, hasty: bool = False) -> None:
        """A look of the job; what waits for another time has waited."""
        self.run(
            "UPDATE deliveries SET next_at = now(), called_at = now() - interval '1 day' WHERE state <> 'delivered'"
        )
        self.run("UPDATE channel_choices SET next_at = now() WHERE next_at IS NOT NULL")
        with self.post.sessions.begin() as session:
            follow(session, now=NOW)
            take_left_behind(session, real=now_utc())
        look_ups: dict[str, LooksUp] = {self.channel.name: self.channel, "email": Mail()}
        choose_all(self.post.sessions, Means(look_ups, LIST, self.sealing))
        pages = Pages(lambda document, form, details: b"%PDF-1.7", self.sealing)
        carry(self.post.sessions, self.hasty if hasty else self.channel, pages, "NO:TEST")

    def states(self) -> list[tuple[str, str]]:
        return [(row.channel, row.state) for row in self.post.rows()]


@pytest.fixture(params=["digipost", "eboks"])
def office(request: pytest.FixtureRequest, post: Post) -> Iterator[Office]:
    if request.param == "digipost":
        with DigipostServer({"1000": KEY.public_key()}, key=KEY) as digipost:
            digipost.add_mailbox("kari#1", national_id=ID)
            made = [Digipost(Wire(digipost.url, "1000", KEY, seconds=at), "Brikke") for at in (5.0, 0.5)]
            made[1].look_up([], NOW.date())
            yield Office(post, made[0], digipost, made[1])
    else:
        with EboksServer("key") as eboks:
            eboks.add_mailbox("kari#1", national_id=ID)
            line = [Eboks(Line(eboks.url, "key", seconds=at), "Brikke") for at in (5.0, 0.5)]
            yield Office(post, line[0], eboks, line[1])


def test_an_invoice_lies_in_the_mailbox_once(office: Office) -> None:
    office.invoice()
    for _ in range(3):
        office.look()
    [row] = office.post.rows()
    assert (row.channel, row.state, row.recipient) == (office.channel.name, "delivered", "kari#1")
    assert row.cost_ore == 450
    assert list(office.server.messages) == [row.key]
    everything = repr(row)
    assert ID not in everything


@pytest.mark.parametrize("when", ["before", "after"])
def test_no_answer_is_asked_for_and_the_mailbox_holds_it_once(office: Office, when: str) -> None:
    office.invoice()
    office.server.fault("timeout", on="message", when=when, hold_seconds=2)
    office.look(hasty=True)
    assert len(office.server.messages) == (1 if when == "after" else 0)
    for _ in range(3):
        office.look()
    assert office.states() == [(office.channel.name, "delivered")]
    assert len(office.server.messages) == 1


@pytest.mark.parametrize("fault", ["error", "garbage", "rate_limit"])
def test_a_look_up_without_an_answer_waits_and_goes_no_other_way(office: Office, fault: str) -> None:
    office.invoice()
    call = "identification" if office.channel.name == "digipost" else "recipients"
    office.server.fault(fault, on=call, times=None)
    office.look()
    assert office.states() == []
    office.server.faults.clear()
    office.look()
    assert office.states() == [(office.channel.name, "delivered")]


def test_who_has_no_mailbox_gets_it_another_way(office: Office) -> None:
    office.server.mailboxes.clear()
    office.server.persons.append({"national_id": ID})
    office.invoice()
    office.look()
    assert [channel for channel, _ in office.states()] == ["email"]
    assert office.server.messages == {}


def test_a_mailbox_that_closes_meanwhile_is_followed_by_another_way(
    office: Office, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    office.invoice()
    before = office.channel.hand_over

    def closing(parcels: Any) -> Any:
        office.server.mailboxes.clear()
        return before(parcels)

    monkeypatch.setattr(office.channel, "hand_over", closing)
    office.look()
    assert office.states() == [(office.channel.name, "failed")]
    office.look()
    assert [channel for channel, _ in office.states()] == [office.channel.name, "email"]
