"""Choosing a channel and carrying what is chosen, with a partner that answers as it is told to."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from billing.audit.audit import audit
from billing.delivery.bills import Pages
from billing.delivery.carry import carry
from billing.delivery.channels import Mail
from billing.delivery.choose import Means, choose_all
from billing.delivery.plan import follow
from billing.delivery.port import (
    Asked,
    Back,
    Delivered,
    Found,
    Handed,
    Later,
    LooksUp,
    No,
    NoAnswer,
    Outcome,
    Parcel,
    Reader,
    Refused,
    TakenBack,
    TooLate,
    Unheard,
    Unsure,
    Verdict,
    Yes,
)
from billing.delivery.record import take_left_behind
from billing.delivery.ways import LIST
from billing.delivery.withdraw import withdraw
from billing.invoices.reissue import reissue
from config.clock import move_clock, now_utc
from config.sealed import sealing
from tests.integration.billing.delivery.conftest import NOW, Post
from tests.integration.billing.invoices.world import SELLER


@dataclass
class Partner:
    """A channel whose answers are set by the test."""

    name: str = "efaktura"
    batch: int = 2
    verdict: Verdict = field(default_factory=lambda: Yes("100200300"))
    outcome: Callable[[Parcel], Outcome] = lambda parcel: Handed(f"ref-{parcel.delivery_id}", {"id": 7}, 250)
    found: Found = field(default_factory=lambda: Delivered("ref", {"status": "ACCEPTED"}))
    back: Back = field(default_factory=TakenBack)
    looked_up: list[int] = field(default_factory=list)
    handed: list[Parcel] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    def look_up(self, readers: Sequence[Reader], today: dt.date) -> Mapping[int, Verdict]:
        self.looked_up += [reader.agreement_id for reader in readers]
        return {reader.agreement_id: self.verdict for reader in readers}

    def hand_over(self, parcels: Sequence[Parcel]) -> Mapping[int, Outcome]:
        assert len(parcels) <= self.batch
        self.handed += parcels
        return {parcel.delivery_id: self.outcome(parcel) for parcel in parcels}

    def ask(self, asked: Sequence[Asked]) -> Mapping[int, Found]:
        self.asked += asked
        return {one.delivery_id: self.found for one in asked}

    def take_back(self, asked: Sequence[Asked]) -> Mapping[int, Back]:
        return {one.delivery_id: self.back for one in asked}


class Away:
    """A channel that reaches everybody and calls nobody."""

    def __init__(self, name: str) -> None:
        self.name = name

    def look_up(self, readers: Sequence[Reader], today: dt.date) -> Mapping[int, Verdict]:
        return {reader.agreement_id: Yes("there") for reader in readers}


class Ways:
    """Choosing and carrying in a world of its own."""

    def __init__(self, post: Post, tmp_path: Path) -> None:
        self.post, self.partner = post, Partner()
        self.sealing = sealing(post.settings.__class__(**{**post.settings.__dict__, "var": tmp_path}))
        self.look_ups: dict[str, LooksUp] = {"efaktura": self.partner, "email": Mail(), "paper": Away("paper")}

    def chooses(self, agreement: int, channel: str) -> None:
        self.post.session.commit()
        held = "(SELECT customer_id FROM agreements WHERE id = :id)"
        self.run(f"UPDATE customers SET channel = :channel WHERE id = {held}", channel=channel, id=agreement)

    def invoice(self, channel: str = "efaktura") -> int:
        """An invoice of a customer who chose so; return the document."""
        agreement = self.post.world.agreement()
        self.chooses(agreement, channel)
        return self.post.invoice(agreement)

    def choose(self) -> Counter[str]:
        with self.post.sessions.begin() as session:
            follow(session, now=NOW)
        return choose_all(self.post.sessions, Means(self.look_ups, LIST, self.sealing))

    def carry(self) -> Counter[str]:
        pages = Pages(lambda document, form, details: b"%PDF", self.sealing)
        return carry(self.post.sessions, self.partner, pages, "NO:TEST")

    def hurry(self) -> None:
        """What waits for another time has waited."""
        self.run("UPDATE deliveries SET next_at = now()")
        self.run("UPDATE channel_choices SET next_at = now() WHERE next_at IS NOT NULL")

    def run(self, sql: str, **params: Any) -> None:
        with self.post.sessions.begin() as session:
            session.execute(text(sql), params)

    def states(self) -> list[tuple[str, str]]:
        return [(row.channel, row.state) for row in self.post.rows()]

    def due(self, document: int) -> dt.date:
        with self.post.sessions() as session:
            query = "SELECT c.due_on FROM claims AS c JOIN documents AS d ON d.claim_id = c.id WHERE d.id = :id"
            return dt.date.fromisoformat(str(session.execute(text(query), {"id": document}).scalar_one()))

    def considered(self) -> list[tuple[str, str | None, list[tuple[str, str, str]]]]:
        with self.post.sessions() as session:
            rows = session.execute(text("SELECT cause, channel, considered FROM channel_choices ORDER BY id")).all()
        return [
            (row.cause, row.channel, [(one["channel"], one["verdict"], one["why"]) for one in row.considered])
            for row in rows
        ]

    def prove(self) -> None:
        """The claim is due when its document, or what extends it, says (this world has no ledger)."""
        with self.post.sessions() as session:
            [check] = [check for check in audit(session).checks if check.name == "documents_claims"]
            assert check.ok, check.detail


@pytest.fixture
def way(post: Post, tmp_path: Path) -> Ways:
    return Ways(post, tmp_path)


def test_what_was_chosen_comes_first_and_is_carried_to_the_end(way: Ways) -> None:
    document = way.invoice()
    assert way.choose() == {"efaktura": 1}
    assert way.carry() == {"efaktura_sent": 1}
    [parcel] = way.partner.handed
    assert (parcel.address, parcel.form, parcel.bill.document_id) == ("100200300", "transfer", document)
    assert (parcel.bill.open_ore, parcel.bill.due_on, parcel.pdf()) == (31_250, dt.date(2026, 2, 16), b"%PDF")
    way.hurry()
    assert way.carry() == {"efaktura_delivered": 1}
    assert way.partner.asked == [Asked(parcel.delivery_id, parcel.key, f"ref-{parcel.delivery_id}")]
    [row] = way.post.rows()
    assert (row.state, row.presents, row.cost_ore, row.proof) == (
        "delivered",
        True,
        250,
        {"id": 7, "status": "ACCEPTED"},
    )
    assert (row.sent_at, row.delivered_at, row.document_id) == (NOW, NOW, document)
    assert way.considered() == [("first", "efaktura", [("efaktura", "yes", "")])]
    assert (way.choose(), way.carry()) == ({}, {}), "and again makes nothing"
    way.prove()


def test_mail_is_planned_without_a_look_up_and_says_so(way: Ways) -> None:
    way.invoice("email")
    way.post.plan()
    assert (way.states(), way.partner.looked_up) == ([("email", "queued")], [])
    assert [row.presents for row in way.post.rows()] == [True]
    assert way.considered() == [("first", "email", [("email", "yes", "chosen")])]
    assert way.choose() == {}


def test_what_the_way_refuses_goes_by_the_next_in_time(way: Ways) -> None:
    document = way.invoice()
    way.choose()
    way.partner.outcome = lambda parcel: Refused("rejected: unknown account", {"status": "REJECTED"})
    assert way.carry() == {"efaktura_failed": 1}
    assert way.choose() == {"email": 1}
    assert way.states() == [("efaktura", "failed"), ("email", "queued")]
    assert [row.presents for row in way.post.rows()] == [True, True], "only one of them lives"
    assert way.considered()[1] == (
        "fallback", "email",
        [("efaktura", "passed", "tried"), ("avtalegiro", "no", "not_set_up"), ("vipps", "passed", "tried"),
         ("digipost", "no", "not_set_up"), ("eboks", "no", "not_set_up"), ("email", "yes", "")],
    )  # fmt: skip
    assert way.due(document) == dt.date(2026, 2, 16), "issued on the first, and 14 days are left from today: a Sunday"
    assert way.choose() == {}
    way.prove()


def test_a_late_fall_back_extends_the_due_date(way: Ways) -> None:
    document = way.invoice()
    way.choose()
    way.partner.outcome = lambda parcel: Refused("stopped")
    way.carry()
    later = NOW + dt.timedelta(days=10)
    with way.post.sessions.begin() as session:
        move_clock(session, later, running=False)
    assert way.choose() == {"email": 1}
    assert way.due(document) == dt.date(2026, 2, 25)
    with way.post.sessions() as session:
        row = session.execute(text("SELECT document_id, due_on, reason, actor FROM due_extensions")).one()
    assert tuple(row) == (document, dt.date(2026, 2, 25), "fallback", "delivery")
    way.prove()


def test_a_partner_that_is_silent_is_asked_by_our_key_and_nothing_goes_twice(way: Ways) -> None:
    way.invoice()
    way.choose()
    way.partner.outcome = lambda parcel: NoAnswer("timeout")
    assert way.carry() == {"efaktura_unknown": 1}
    way.hurry()
    assert way.carry() == {"efaktura_delivered": 1}
    assert len(way.partner.handed) == 1
    [row] = way.post.rows()
    assert (row.state, row.unanswered, row.partner_ref) == ("delivered", 1, "ref")


def test_what_the_partner_never_had_goes_once_more_with_the_same_key(way: Ways) -> None:
    way.invoice()
    way.choose()
    way.partner.outcome, way.partner.found = lambda parcel: NoAnswer("timeout"), Unheard()
    way.carry()
    way.hurry()
    assert way.carry() == {"efaktura_later": 1}
    way.hurry()
    way.partner.outcome = lambda parcel: Handed("ref")
    assert way.carry() == {"efaktura_sent": 1}
    first, second = way.partner.handed
    assert first.key == second.key
    assert len(way.partner.looked_up) == 2, "it had to wait, so it was looked up again"


def test_one_that_had_to_wait_and_is_reached_no_more_goes_another_way(way: Ways) -> None:
    way.invoice()
    way.choose()
    way.partner.outcome = lambda parcel: Later("503", unreachable=True)
    assert way.carry() == {"efaktura_later": 1, "efaktura_unreachable": 1}
    way.hurry()
    way.partner.verdict = No("no_consent")
    assert way.carry() == {"efaktura_failed": 1}
    assert len(way.partner.handed) == 1
    assert way.choose() == {"email": 1}


def test_a_sender_that_died_leaves_what_is_asked_for(way: Ways) -> None:
    way.invoice()
    way.choose()
    way.partner.outcome = lambda parcel: Handed("never recorded")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("billing.delivery.carry.apply_outcome", lambda *args: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            way.carry()
    assert way.states() == [("efaktura", "sending")]
    with way.post.sessions.begin() as session:
        assert take_left_behind(session, real=now_utc() + dt.timedelta(minutes=11)) == 1
    way.hurry()
    assert way.carry() == {"efaktura_delivered": 1}
    assert len(way.partner.handed) == 1


def test_a_look_up_without_an_answer_is_done_again_and_prints_for_nobody(way: Ways) -> None:
    way.invoice()
    way.partner.verdict = Unsure("timeout")
    way.look_ups.pop("email")
    assert way.choose() == {"waits": 1}
    assert way.choose() == {}, "not before its time"
    way.hurry()
    assert way.choose() == {"waits": 1}
    assert way.states() == []
    way.run("UPDATE channel_choices SET next_at = now() - interval '25 hours'")
    assert way.choose() == {"waits": 1}, "a day later another digital way would do; there is none, and paper is not one"
    assert way.considered()[-1][2][-1] == ("paper", "passed", "after_unsure")
    way.hurry()
    way.partner.verdict = No("no_consent")
    assert way.choose() == {"paper": 1}
    assert [ordinal for ordinal, *_ in way.considered()] == ["first"] * 4


def test_nobody_is_reached(way: Ways) -> None:
    way.invoice()
    way.partner.verdict = No("not_found")
    way.look_ups = {"efaktura": way.partner}
    assert way.choose() == {"nobody": 1}
    assert way.choose() == {}
    assert [channel for _, channel, _ in way.considered()] == [None]


def test_what_is_paid_meanwhile_is_not_presented(way: Ways) -> None:
    document = way.invoice()
    way.choose()
    way.run("UPDATE claims SET settled_ore = amount_ore WHERE id = (SELECT claim_id FROM documents WHERE id = :d)",
            d=document)  # fmt: skip
    assert way.carry() == {"efaktura_dropped": 1}
    assert way.partner.handed == []


@pytest.mark.parametrize(("back", "state"), [(TakenBack(), "ended"), (TooLate("accepted"), "delivered")])
def test_what_is_told_again_takes_the_first_back_before_another_may_present_it(
    way: Ways, back: Back, state: str
) -> None:
    document = way.invoice()
    way.choose()
    way.carry()
    way.hurry()
    way.carry()
    way.post.tell(way.post.rows()[0].agreement_id, "invoice", document)
    assert way.choose() == {"waits": 1}
    assert way.states() == [("efaktura", "ending")]
    way.partner.back = back
    assert way.carry() == {"efaktura_taken_back" if state == "ended" else "efaktura_stands": 1}
    assert way.states() == [("efaktura", state)]
    way.hurry()
    assert way.choose() == ({"efaktura": 1} if state == "ended" else {"stands": 1})
    if state == "delivered":
        assert way.considered()[-1][1:] == (None, [("efaktura", "yes", ""), ("efaktura", "passed", "stands")])
        way.hurry()
        assert way.choose() == {}, "and nobody waits for it"


def test_a_batch_shares_look_ups_and_calls_and_one_costs_the_others_nothing(way: Ways) -> None:
    documents = [way.invoice() for _ in range(5)]
    assert way.choose() == {"efaktura": 5}
    way.partner.outcome = lambda parcel: (
        Refused("3020") if parcel.bill.document_id == documents[2] else Handed(f"ref-{parcel.delivery_id}")
    )
    assert way.carry() == {"efaktura_sent": 4, "efaktura_failed": 1}
    assert sorted(one.bill.document_id for one in way.partner.handed) == sorted(documents)
    assert way.choose() == {"email": 1}


def test_a_channel_that_breaks_is_seen_and_nothing_is_lost(way: Ways, monkeypatch: pytest.MonkeyPatch) -> None:
    way.invoice()
    way.choose()
    monkeypatch.setattr(way.partner, "hand_over", lambda parcels: 1 / 0)
    assert way.carry() == {"efaktura_unknown": 1}
    monkeypatch.undo()
    way.hurry()
    assert way.carry() == {"efaktura_delivered": 1}


def test_a_credit_note_goes_by_what_carries_it(way: Ways) -> None:
    document = way.invoice()
    way.choose()
    way.carry()
    number = way.post.session.execute(text("SELECT number FROM documents WHERE id = :d"), {"d": document}).scalar_one()
    reissue(way.post.session, number, reason="x", seller=SELLER, now=NOW, actor="agent:1")
    way.post.session.commit()
    chosen = way.choose()
    assert chosen["email"] == 1, "the note"
    assert [row.presents for row in way.post.rows() if row.template == "credit_note"] == [False]


@pytest.mark.parametrize("why", ["paid", "credited", "still open", "due", "stands"])
def test_what_is_not_to_be_paid_any_more_is_taken_back(way: Ways, why: str) -> None:
    document = way.invoice()
    way.choose()
    way.carry()
    if why in ("paid", "due", "stands"):
        way.run("UPDATE claims SET settled_ore = amount_ore")
    if why == "credited":
        query = text("SELECT number FROM documents WHERE id = :d")
        number = way.post.session.execute(query, {"d": document}).scalar_one()
        reissue(way.post.session, number, reason="x", seller=SELLER, now=NOW, actor="agent:1")
        way.post.session.commit()
    if why == "due":
        way.run("UPDATE claims SET due_on = '2026-01-31'")
    if why == "stands":
        way.run("UPDATE deliveries SET proof = proof || '{\"stands\": true}'")
    with way.post.sessions.begin() as session:
        assert withdraw(session, now=NOW, real=now_utc()) == (1 if why in ("paid", "credited") else 0)
    if why in ("paid", "credited"):
        assert way.carry() == {"efaktura_taken_back": 1}
        assert way.states()[0] == ("efaktura", "ended")
