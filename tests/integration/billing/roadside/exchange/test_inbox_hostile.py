"""What a folder may hold or do that nobody meant: refused with a reason or passed over, never tried for ever."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from accounts.chargers.models import ListVersion
from billing.roadside.exchange import inbox
from billing.roadside.exchange.models import Incoming
from billing.roadside.exchange.world import Look
from tests.integration.billing.passages.conftest import LATER, START
from tests.integration.billing.roadside.exchange.conftest import Party, lines
from tests.integration.billing.roadside.exchange.test_inbox import ack


def acknowledgement(**said: object) -> bytes:
    return json.dumps({"acknowledge": "tags", "version": 1, "accepted": False, "reason": "cut off"} | said).encode()


@pytest.mark.parametrize(
    "content",
    [
        acknowledgement(version=10**30),
        acknowledgement(version=99_999_999_999),
        acknowledgement(version=0),
        acknowledgement(version=True),
        acknowledgement(acknowledge="tags\0"),
        acknowledgement(acknowledge="cars"),
        acknowledgement(reason="cut\0off"),
        acknowledgement(reason="x" * 501),
        acknowledgement(**{"more\0": 1}),
    ],
)
def test_an_acknowledgement_that_no_row_can_hold_is_refused(party: Party, content: bytes) -> None:
    party.put("ack.json", content)
    party.put("b.jsonl", lines("B"))
    assert party.look() == {"refused": 1, "booked": 1, "sent": 2}
    told = json.loads(party.out("ack.refused.json"))
    assert (told["refused"], bool(told["reason"])) == (True, True)
    assert party.names("in") == []
    assert party.ask("SELECT state, attempts FROM incoming_files WHERE name = 'ack.json'") == [("done", 0)]


@pytest.mark.parametrize("version", ["99999999999", "2147483648", "1" + "0" * 30, "0", "-1"])
def test_an_ack_of_a_version_that_cannot_be_is_refused(party: Party, version: str) -> None:
    party.put("ack.xml", ack("FJELL").replace(b"<listVersion>1<", f"<listVersion>{version}<".encode()))
    assert party.look() == {"refused": 1, "sent": 1}
    assert b"listVersion must be a whole number" in party.out("ack.refused.xml")


def test_a_long_reason_in_an_ack_is_shortened(party: Party) -> None:
    with party.sessions.begin() as session:
        session.add(
            ListVersion(
                charger_id=party.road.toll.id, list_type="tags", version=1, kind="full", from_change=1,
                through_change=0, format="jsonl", name="x", row_count=0, size=0, sha256=b"", made_at=START,
                state="sent", sent_at=START, next_at=LATER,
            )
        )  # fmt: skip
    said = b"<result>rejected</result><reason>" + b"cut \n off " * 90 + b"</reason>"
    party.put("ack.xml", ack("FJELL").replace(b"<result>accepted</result>", said))
    assert party.look() == {"noted": 1}
    assert party.ask("SELECT state, error FROM list_versions") == [("rejected", ("cut off " * 90)[:500].strip())]


class TestGone:
    """A file that somebody takes away while we look costs no other one anything."""

    def test_before_it_was_looked_at(self, party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
        def listing(folder: Path, settle: float) -> list[Path]:
            found = sorted(folder.iterdir()) if folder.name == "in" else []
            if found:
                found[0].unlink()
            return found

        party.put("a.jsonl", lines("A"))
        party.put("b.jsonl", lines("B"))
        monkeypatch.setattr(inbox, "whole_files", listing)
        assert party.look() == {"booked": 1, "sent": 1}
        assert party.ask("SELECT name FROM incoming_files") == [("b.jsonl",)]

    @pytest.mark.parametrize("step", ["_take", "_move"])
    def test_before_it_was_opened_or_moved(self, party: Party, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
        usual = getattr(inbox, step)

        def gone(look: Look, path: Path, row: Incoming) -> object:
            if path.name.endswith("_a.jsonl"):
                path.unlink()
            return usual(look, path, row)

        first, second = party.put("a.jsonl", lines("A")), party.put("b.jsonl", lines("B"))
        monkeypatch.setattr(inbox, step, gone)
        taken = 1 + (step == "_move")
        assert party.look() == {"booked": taken, "sent": taken}
        assert not first.exists() and not second.exists()  # noqa: PT018 - either is enough
        assert party.names(".taking") == []
        assert party.look() == {}
        outcome = {"_take": "gone", "_move": "booked"}[step]
        rows = party.ask("SELECT name, state, outcome, attempts FROM incoming_files ORDER BY name")
        assert rows == [("a.jsonl", "done", outcome, 0), ("b.jsonl", "done", "booked", 0)]
