"""A file that is replaced, written over or added to while it is taken: nothing of either is lost, or booked unseen."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from billing.roadside import files, receive
from billing.roadside.exchange import inbox
from billing.roadside.exchange.world import TAKING
from billing.roadside.ingest_file import ingest_file
from config.problems import Conflict
from tests.integration.billing.roadside.exchange.conftest import OLD, Party, lines, write

BOOKED = "SELECT source_id FROM records ORDER BY 1"


def once(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, first: Callable[[], object]) -> None:
    """Do something the first time a function is called, before what it does."""
    real = getattr(owner, name)
    calls: list[int] = []

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            first()
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, wrapped)


def stored(party: Party) -> dict[str, bytes]:
    """What is kept of each batch that is done, as it was received."""
    done = party.ask("SELECT id FROM batches WHERE state = 'done'")
    kept = (files.spooled(party.sessions, number).read() for (number,) in done)
    return {content.decode(): content for content in kept}


@pytest.mark.parametrize(
    ("owner", "step"),
    [(inbox, "_make_ours"), (inbox, "_take"), (inbox, "held"), (receive, "_book_all"), (inbox, "_move")],
)
def test_replaced(party: Party, monkeypatch: pytest.MonkeyPatch, owner: Any, step: str) -> None:
    """The charger renames the next file over the last one's name, whatever we are at with that."""
    path = party.put("passages.jsonl", lines("A"))

    def replace() -> None:
        write(party.folder / "in" / "next.part", lines("B", "C"), OLD + 60).rename(path)

    with monkeypatch.context() as patch:
        once(patch, owner, step, replace)
        party.look()
    party.look()
    assert party.look() == {}
    # Before we made it ours it is the charger's own: what it put in its place is what it sent.
    expected = [("B",), ("C",)] if step == "_make_ours" else [("A",), ("B",), ("C",)]
    assert party.ask(BOOKED) == expected
    assert (party.names("in"), party.names(TAKING)) == ([], [])
    assert len(party.names("done")) == (1 if step == "_make_ours" else 2)
    assert party.ask("SELECT DISTINCT state FROM incoming_files") == [("done",)]


@pytest.mark.parametrize(("owner", "step"), [(inbox, "held"), (inbox, "receive"), (receive, "_book"), (inbox, "_move")])
def test_written_over_by_who_has_it_open(party: Party, monkeypatch: pytest.MonkeyPatch, owner: Any, step: str) -> None:
    """A program that had opened the file before it was ours begins anew in it, in place."""
    before, after = lines(*(f"A{n:03}" for n in range(300))), lines(*(f"B{n:03}" for n in range(200)))
    path = party.put("passages.jsonl", before)
    with path.open("r+b") as out, monkeypatch.context() as patch:

        def over() -> None:
            out.truncate(0)
            out.write(after)
            out.flush()
            os.utime(out.fileno(), (OLD + 60, OLD + 60))

        once(patch, owner, step, over)
        party.look()
    party.look()
    assert party.look() == {}
    expected = [("B", 200)] if step == "held" else [("A", 300), ("B", 200)]
    assert party.ask("SELECT left(source_id, 1), count(*) FROM records GROUP BY 1 ORDER BY 1") == expected
    assert set(stored(party).values()) == ({after} if step == "held" else {before, after})
    assert (party.names("in"), party.names(TAKING), party.names("done")) == ([], [], ["passages.jsonl"])
    assert (party.folder / "done" / "passages.jsonl").read_bytes() == after
    party.road.check_books()


def test_written_to_while_it_is_read_it_waits(party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    path = party.put("a.jsonl", lines("A"))
    with path.open("ab") as out, monkeypatch.context() as patch:

        def more(_: BinaryIO) -> tuple[int, int]:
            out.write(lines("B"))
            out.flush()
            return real(_)

        real = files._looks
        patch.setattr(files, "_looks", more)
        assert party.look() == {"wait": 1}
    assert party.ask("SELECT count(*) FROM batches") == [(0,)]
    assert party.look() == {"booked": 1, "sent": 1}
    assert party.ask(BOOKED) == [("A",), ("B",)]


def test_a_file_that_grows_is_not_ingested_by_hand(
    party: Party, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.jsonl", lines("A"))
    looks = iter([(1, 1), (2, 2)])
    monkeypatch.setattr(files, "_looks", lambda _: next(looks))
    with pytest.raises(Conflict, match="still being written"):
        ingest_file(party.sessions, path, "FJELL")
    assert party.ask("SELECT count(*) FROM batches") == [(0,)]


def test_it_is_found_where_it_was_when_we_died(party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> object:
        raise Killed

    path = party.put("a:b.jsonl", lines("A"))
    with monkeypatch.context() as patch:
        patch.setattr(inbox, "_take", die)
        with pytest.raises(Killed):
            party.look()
    assert (party.names("in"), len(party.names(TAKING))) == ([], 1)
    write(path, lines("B"), OLD + 1)  # the next one under its name
    assert party.look() == {"booked": 2, "sent": 2}
    assert party.ask("SELECT name, state, done FROM batches ORDER BY id") == [("a:b.jsonl", "done", 1)] * 2
    assert party.ask(BOOKED) == [("A",), ("B",)]
    assert (party.names("in"), party.names(TAKING)) == ([], [])


def test_any_name_is_taken(party: Party) -> None:
    names = ["a:1.jsonl", "b\\2.jsonl", "c\n3.jsonl", os.fsdecode(b"\xe6.jsonl"), "x" * 240 + ".jsonl", "z.jsonl"]
    for number, name in enumerate(names):
        party.put(name, lines(f"N{number}"))
    for _ in range(3):
        assert party.look(exchange_max_files=2)["booked"] == 2
    assert party.look() == {}
    assert len(party.ask(BOOKED)) == len(names)
    assert {"a_1.jsonl", "b_2.jsonl", "c_3.jsonl", "_.jsonl", "z.jsonl"} < set(party.names("done"))
    assert {"a_1.answers.jsonl", "c_3.answers.jsonl", "_.answers.jsonl"} < set(party.names("out"))
    assert ("a:1.jsonl",) in party.ask("SELECT name FROM incoming_files")


def test_files_that_fail_keep_no_others_out(party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    real = receive.receive

    def sick(*args: Any, **kwargs: Any) -> Any:
        if kwargs["origin"].name.startswith("a"):
            raise RuntimeError("no disk")
        return real(*args, **kwargs)

    monkeypatch.setattr(inbox, "receive", sick)
    for name in ("a1.jsonl", "a2.jsonl", "b1.jsonl", "b2.jsonl"):
        party.put(name, lines(name))
    assert party.look(exchange_max_files=2) == {"failed": 2}
    assert party.look(exchange_max_files=2) == {"booked": 2, "sent": 2}


def test_answers_in_iso_12855_to_a_sender_that_has_no_name_there(party: Party) -> None:
    party.keep(kind="folder", answer_form="iso12855")
    party.put("a.jsonl", b'{"file":{"number":1,"sender":"HUB SOR"}}\n' + lines("A"))
    assert party.look() == {"booked": 1, "sent": 1}
    assert b"<providerIdentifier>FJELL</providerIdentifier></recipient>" in party.out("a.answers.xml")
