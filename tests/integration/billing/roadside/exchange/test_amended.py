"""What was decided anew is told, once, with the same bytes each time, naming what had been answered first."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from sqlalchemy import insert

from billing.passages.models import Amendment
from billing.roadside.exchange.models import Outgoing
from billing.roadside.exchange.outgoing import resend
from billing.roadside.waiting import job_corrections
from config.jobs import JobContext
from tests.integration.billing.passages.conftest import NOW
from tests.integration.billing.roadside.exchange.conftest import Party, lines


def amend(party: Party, source: str, was: str, code: str, **more: Any) -> None:
    """A record of batch 1 is decided anew."""
    row: dict[str, Any] = {
        "charger_id": party.road.toll.id, "source_id": source, "batch_id": 1, "position": 1, "was_code": was,
        "was_detail": None, "code": code, "flags": 0, "detail": None, "amount_ore": 100, "cause": "contested",
        "reason": "r", "actor": "agent:1", "at": NOW,
    }  # fmt: skip
    with party.sessions.begin() as session:
        session.execute(insert(Amendment), [row | more])


def told(party: Party) -> dict[str, list[dict[str, Any]]]:
    """The amended answers that lie in the outbox, by file."""
    return {
        name: [json.loads(line) for line in party.out(name).splitlines()]
        for name in party.names("out")
        if name.startswith("amended")
    }


def test_a_correction_that_had_waited(party: Party) -> None:
    cancel = {"id": "C", "action": "cancel", "original": "A", "version": 1}
    party.put("a.jsonl", json.dumps(cancel).encode() + b"\n")
    party.look()
    assert json.loads(party.out("a.answers.jsonl"))["code"] == "deferred_original_missing"
    party.put("b.jsonl", lines("A"))
    party.look()
    job_corrections(JobContext(party.sessions, party.settings), NOW)
    party.look()
    ((answer,),) = told(party).values()
    assert answer["amends"] == {"batch": 1, "position": 1, "file": "a.jsonl"}
    assert (answer["id"], answer["was"], answer["code"]) == ("C", "deferred_original_missing", "accepted")
    assert party.look() == {}
    assert json.loads(party.out("a.answers.jsonl"))["code"] == "deferred_original_missing"  # as it was answered


def test_one_file_a_look_and_each_in_one_file(party: Party) -> None:
    party.put("a.jsonl", lines("A", "B"))
    party.look()
    amend(party, "A", "unknown_vehicle", "accepted", flags=1)
    amend(party, "B", "not_valid", "accepted", position=2)
    assert party.look() == {"amended": 2, "sent": 1}
    amend(party, "A", "accepted", "other_agreement")
    assert party.look() == {"amended": 1, "sent": 1}
    first, second = told(party).values()
    assert [(one["id"], one["was"], one["code"]) for one in first] == [
        ("A", "unknown_vehicle", "accepted"), ("B", "not_valid", "accepted"),
    ]  # fmt: skip
    # It names what was answered first, also the second time.
    assert [(one["id"], one["was"], one["code"]) for one in second] == [("A", "unknown_vehicle", "other_agreement")]


def test_sent_again_it_has_the_same_bytes(party: Party) -> None:
    party.put("a.jsonl", lines("A"))
    party.look()
    amend(party, "A", "unknown_vehicle", "accepted")
    party.look()
    ((name, first),) = [(name, party.out(name)) for name in told(party)]
    amend(party, "A", "accepted", "other_agreement")  # what is decided later is not in it
    (party.folder / "out" / name).unlink()
    with party.sessions.begin() as session:
        row = session.query(Outgoing).filter_by(name=name).one()
        resend(session, row.id, now=NOW)
    party.look()
    assert party.out(name) == first


def test_one_that_becomes_visible_late_is_told(party: Party) -> None:
    party.put("a.jsonl", lines("A"))
    party.look()
    amend(party, "B", "not_valid", "accepted", id=5)
    party.look()
    amend(party, "A", "not_valid", "accepted", id=3)
    assert party.look() == {"amended": 1, "sent": 1}
    assert len(told(party)) == 2


def test_as_csv(party: Party) -> None:
    party.keep(kind="folder", answer_form="csv")
    party.put("a.jsonl", lines("A"))
    party.look()
    amend(party, "A", "unknown_vehicle", "accepted", detail="seen")
    party.look()
    (name,) = [name for name in party.names("out") if name.startswith("amended")]
    (row,) = csv.DictReader(io.StringIO(party.out(name).decode()))
    assert (row["amends_batch"], row["amends_position"], row["was"], row["code"], row["detail"]) == (
        "1", "1", "unknown_vehicle", "accepted", "seen",
    )  # fmt: skip


def test_as_an_ack_for_each_batch(party: Party) -> None:
    party.keep(kind="folder", answer_form="iso12855")
    party.put("a.jsonl", lines("A"))
    party.put("b.jsonl", lines("B"))
    party.look()
    amend(party, "A", "unknown_vehicle", "accepted")
    amend(party, "B", "unknown_vehicle", "accepted", batch_id=2)
    assert party.look() == {"amended": 2, "sent": 2}
    found = [party.out(name).decode() for name in party.names("out") if name.startswith("amended")]
    assert ["<amends>1</amends>" in found[0], "<amends>2</amends>" in found[1]] == [True, True]
    assert "<claimId>A</claimId><status>accepted</status>" in found[0]


@pytest.mark.parametrize("form", ["jsonl", "csv", "iso12855"])
def test_of_other_chargers_nothing(party: Party, form: str) -> None:
    party.keep(kind="folder", answer_form=form)
    amend(party, "X", "not_valid", "accepted", charger_id=party.road.ferry.id)
    assert party.look() == {}
