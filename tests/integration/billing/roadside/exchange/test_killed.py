"""Killed between any two effects and started again: one booking, one answer, the same bytes, nothing left behind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from config.sftp import Sftp
from tests.integration.billing.roadside.exchange.conftest import OLD, Party, lines, write
from tests.integration.billing.roadside.exchange.sftp_server import Charger

MOST = 200


class Killed(BaseException):
    """What ends a process here; nothing catches it."""


@contextmanager
def dies_at(monkeypatch: pytest.MonkeyPatch, step: int) -> Iterator[list[str]]:
    """Die at a step: before or after a commit, a rename here, or anything done on a server."""
    passed: list[str] = []

    def point(name: str) -> None:
        passed.append(name)
        if len(passed) == step:
            raise Killed(name)

    def around(owner: Any, name: str) -> None:
        real: Callable[..., Any] = getattr(owner, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            point(f"before {name}")
            done = real(*args, **kwargs)
            point(f"after {name}")
            return done

        patch.setattr(owner, name, wrapped)

    def before(_: Session) -> None:
        point("before commit")

    def after(_: Session) -> None:
        point("after commit")

    with monkeypatch.context() as patch:
        for owner, name in (
            (os, "rename"), (Path, "rename"), (Path, "replace"), (Path, "unlink"), (Sftp, "fetch"), (Sftp, "put"),
            (Sftp, "remove"), (Sftp, "move"),
        ):  # fmt: skip
            around(owner, name)
        event.listen(Session, "before_commit", before)
        event.listen(Session, "after_commit", after)
        try:
            yield passed
        finally:
            event.remove(Session, "before_commit", before)
            event.remove(Session, "after_commit", after)


def walk(
    party: Party,
    monkeypatch: pytest.MonkeyPatch,
    come: Callable[[str, bytes], object],
    answers: Path,
    content: Callable[[str], bytes],
) -> list[str]:
    """Die at step 1 with a file, at step 2 with another, …, until a look comes to its end; return the steps it has."""
    for step in range(1, MOST):
        name = f"F{step:03}"
        come(f"{name}.jsonl", content(name))
        with dies_at(monkeypatch, step) as passed:
            try:
                party.look()
                died = False
            except Killed:
                died = True
        party.look()
        assert party.look() == {}, f"something was left after dying {passed[-1]} ({step})"
        check(party, answers, name, f"{passed[-1]} ({step})")
        if not died:
            return passed
    raise AssertionError("it has no end")


def check(party: Party, answers: Path, name: str, where: str) -> None:
    found = [path for path in answers.iterdir() if path.name.startswith(name)]
    assert [path.name for path in found] in ([f"{name}.answers.jsonl"], [f"{name}.refused.json"]), where
    expected = f'{{"position":1,"id":"{name}","code":"accepted","flags":["by_plate"]}}\n'.encode()
    if found[0].name.endswith(".answers.jsonl"):
        assert found[0].read_bytes() == expected, where
        assert party.ask(f"SELECT count(*), min(state) FROM batches WHERE name = '{name}.jsonl'") == [(1, "done")], (
            where
        )
        assert party.ask(f"SELECT count(*) FROM passages WHERE source_id = '{name}'") == [(1,)], where
    ((rows, sends),) = party.ask(f"SELECT count(*), sum(sends) FROM outgoing_files WHERE name LIKE '{name}%'")
    assert rows == 1, where
    assert sends == 1, where  # the row counts what it knows of: also who died after the delivery counts once
    assert party.ask(f"SELECT DISTINCT state FROM incoming_files WHERE name = '{name}.jsonl'") == [("done",)], where
    kept = [
        path.name
        for place in ("done", "refused")
        for path in map(Path, party.names(place))
        if path.name.startswith(name)
    ]
    assert len([one for one in kept if one.endswith(".jsonl")]) == 1, where
    assert [one for one in party.names("in") if one.endswith(".jsonl")] == [], where
    assert party.names(".taking") == [], where


@pytest.mark.slow
def test_at_every_step_with_a_folder(party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    passed = walk(party, monkeypatch, party.put, party.folder / "out", lines)
    assert len(passed) > 15
    assert {"before rename", "after replace", "before commit", "after commit"} <= set(passed)
    party.road.check_books()


@pytest.mark.slow
def test_at_every_step_with_a_server(remote: Party, server: Charger, monkeypatch: pytest.MonkeyPatch) -> None:
    def come(name: str, content: bytes) -> None:
        write(server.inbox / name, content, OLD)

    passed = walk(remote, monkeypatch, come, server.outbox, lines)
    assert {"after fetch", "before put", "after put", "before remove", "after remove"} <= set(passed)
    assert list(server.inbox.iterdir()) == []
    remote.road.check_books()


@pytest.mark.slow
def test_at_every_step_of_a_refusal(party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    walk(party, monkeypatch, party.put, party.folder / "out", lambda name: lines(name)[:-20])
    assert party.ask("SELECT count(*) FROM passages") == [(0,)]
