"""A charger's server, a real one on loopback: pulled and pushed, and everything that it can do wrong."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from billing.roadside.exchange.transport import outbox_of
from tests.integration.billing.roadside.exchange.conftest import OLD, Party, by_sftp, lines, secret, write
from tests.integration.billing.roadside.exchange.sftp_server import Charger


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def stands(party: Party) -> tuple[Any, ...]:
    """Attempts, whether another waits, and why, of reaching the server."""
    ((attempts, waits, error),) = party.ask("SELECT attempts, next_at IS NOT NULL, error FROM exchanges")
    return attempts, waits, error


def test_there_and_back(remote: Party, server: Charger) -> None:
    write(server.inbox / "a.jsonl", lines("A", "B"))
    assert remote.look() == {"fetched": 1, "booked": 1, "sent": 1}
    assert files(server.inbox) == []
    assert files(server.outbox) == ["a.answers.jsonl"]
    answered = [json.loads(line)["code"] for line in (server.outbox / "a.answers.jsonl").read_bytes().splitlines()]
    assert answered == ["accepted", "accepted"]
    assert (remote.names("in"), remote.names("done")) == ([], ["a.jsonl"])
    assert remote.ask("SELECT way, state, done FROM batches") == [("sftp", "done", 2)]
    assert remote.ask("SELECT way, state, outcome FROM incoming_files") == [("sftp", "done", "booked")]
    assert remote.ask("SELECT reached_at IS NOT NULL FROM exchanges") == [(True,)]
    assert remote.look() == {}
    remote.road.check_books()


def test_with_a_password_and_a_folder_for_what_is_done(remote: Party, server: Charger) -> None:
    remote.keep(**by_sftp(server, key_file=None, password_file="fjell.password", remote_done="done"))
    write(server.inbox / "a.jsonl", lines("A"))
    write(server.root / "done" / "a.jsonl", b"of last year")
    assert remote.look() == {"fetched": 1, "booked": 1, "sent": 1}
    assert len(files(server.root / "done")) == 2
    assert (server.root / "done" / "a.jsonl").read_bytes() == b"of last year"


def test_it_is_removed_there_only_when_it_is_stored_here(
    remote: Party, server: Charger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sick(*_: object, **__: object) -> None:
        raise RuntimeError("no database")

    write(server.inbox / "a.jsonl", lines("A"))
    monkeypatch.setattr("billing.roadside.exchange.inbox.receive", sick)
    assert remote.look() == {"fetched": 1, "failed": 1}
    assert files(server.inbox) == ["a.jsonl"]
    monkeypatch.undo()
    remote.again()
    assert remote.look() == {"booked": 1, "sent": 1}  # it lies here already
    assert files(server.inbox) == []


def test_unfinished_names_are_not_touched(remote: Party, server: Charger) -> None:
    for name in ("a.jsonl.part", "b.tmp", ".c.jsonl"):
        write(server.inbox / name, lines("A"))
    (server.inbox / "folder.jsonl").mkdir()
    (server.inbox / "link.jsonl").symlink_to(server.inbox / "b.tmp")
    (server.inbox / "empty.jsonl").touch()
    assert remote.look() == {}
    assert remote.names("in") == []


def test_names_that_mean_something_elsewhere_are_names_here(remote: Party, server: Charger) -> None:
    write(server.inbox / "passages-2026-03-02T08:00.jsonl", lines("A"))
    write(server.inbox / "d\\e.jsonl", lines("B"))
    assert remote.look() == {"fetched": 2, "booked": 2, "sent": 2}
    assert files(server.inbox) == []
    assert files(server.outbox) == ["d_e.answers.jsonl", "passages-2026-03-02T08_00.answers.jsonl"]
    assert remote.names("done") == ["d_e.jsonl", "passages-2026-03-02T08_00.jsonl"]
    assert remote.ask("SELECT name FROM batches ORDER BY id") == [("d\\e.jsonl",), ("passages-2026-03-02T08:00.jsonl",)]
    assert remote.look() == {}


def test_names_that_cannot_be_are_refused_once_and_shown(remote: Party, server: Charger) -> None:
    """They stay on the server, and keep nothing else out."""
    for name in ("a\n.jsonl", os.fsdecode(b"\xe6.jsonl"), "x" * 230 + ".jsonl"):
        write(server.inbox / name, lines("A"))
    write(server.inbox / "z.jsonl", lines("Z"))
    assert remote.look(exchange_max_files=1) == {"refused": 3, "alarms": 3, "fetched": 1, "booked": 1, "sent": 1}
    assert remote.look() == {"sent": 3}
    assert remote.look() == {}
    assert len(files(server.inbox)) == 3
    rows = remote.ask("SELECT name, state, outcome, error FROM incoming_files WHERE state = 'left' ORDER BY name")
    assert [row[:3] for row in rows] == [
        ("_.jsonl", "left", "refused"), ("a_.jsonl", "left", "refused"), ("x" * 194 + ".jsonl", "left", "refused"),
    ]  # fmt: skip
    assert "a\\n.jsonl" in rows[1][3]
    assert "cannot be printed" in json.loads((server.outbox / "a_.refused.json").read_bytes())["reason"]


class TestNotReached:
    """The server is not reached: nothing is lost, it is tried again later, and it alarms in time."""

    def refused(self, party: Party, why: str, **changed: Any) -> None:
        assert party.look(**changed) == {"failed": 1}
        attempts, waits, error = stands(party)
        assert (attempts, waits) == (1, True)
        assert why in error
        assert party.look() == {}  # left alone until its next attempt

    def test_connection_refused(self, remote: Party, server: Charger) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        remote.keep(**by_sftp(server, port=port))
        self.refused(remote, "refused")

    def test_another_host_key(self, remote: Party, server: Charger) -> None:
        other = asyncssh.generate_private_key("ssh-ed25519").get_fingerprint("sha256")
        remote.keep(**by_sftp(server, host_key=other))
        write(server.inbox / "a.jsonl", lines("A"))
        self.refused(remote, f"the host key is {server.fingerprint}")
        assert server.calls == {}

    def test_not_let_in(self, remote: Party, server: Charger) -> None:
        stranger = asyncssh.generate_private_key("ssh-ed25519")
        secret(remote.settings, "fjell.key", stranger.export_private_key())
        self.refused(remote, "not let in as brikke")

    def test_a_wrong_password(self, remote: Party, server: Charger) -> None:
        secret(remote.settings, "fjell.password", b"wrong")
        remote.keep(**by_sftp(server, key_file=None, password_file="fjell.password"))
        self.refused(remote, "not let in as brikke")
        assert "wrong" not in str(stands(remote))

    def test_keys_that_cannot_be_used(self, remote: Party, server: Charger) -> None:
        secret(remote.settings, "fjell.key", server.let_in.export_private_key(), mode=0o644)
        self.refused(remote, "can be read by others")
        secret(remote.settings, "fjell.key", b"no key")
        remote.again()
        assert remote.look() == {"failed": 1}
        assert "our key cannot be read" in stands(remote)[2]
        (remote.settings.roadside_keys / "fjell.key").unlink()
        remote.again()
        assert remote.look() == {"failed": 1}
        assert "there is no fjell.key" in stands(remote)[2]

    def test_a_server_that_does_not_answer(self, remote: Party, server: Charger) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            remote.keep(**by_sftp(server, port=silent.getsockname()[1]))
            self.refused(remote, "connect", exchange_timeout_seconds=0.2)

    def test_no_such_folder(self, remote: Party, server: Charger) -> None:
        remote.keep(**by_sftp(server, remote_in="elsewhere"))
        self.refused(remote, "list elsewhere: No such file")

    def test_it_alarms_after_so_many_and_recovers(self, remote: Party, server: Charger) -> None:
        remote.keep(**by_sftp(server, username="nobody"))
        for attempt in (1, 2, 3):
            done = remote.look(exchange_alarm_after=3)
            assert done == {"failed": 1} | ({"alarms": 1} if attempt == 3 else {})
            remote.again()
        remote.keep(**by_sftp(server))
        write(server.inbox / "a.jsonl", lines("A"))
        assert remote.look() == {"fetched": 1, "booked": 1, "sent": 1}
        assert stands(remote) == (0, False, None)

    def test_what_lies_here_is_taken_all_the_same(self, remote: Party, server: Charger) -> None:
        remote.keep(**by_sftp(server, username="nobody"))
        remote.put("b.jsonl", lines("B"))
        assert remote.look() == {"failed": 1, "booked": 1}
        assert remote.ask("SELECT state FROM outgoing_files") == [("waiting",)]
        remote.keep(**by_sftp(server))
        assert remote.look() == {"sent": 1}
        assert files(server.outbox) == ["b.answers.jsonl"]


class TestInTheMiddle:
    """Something breaks while a file is on its way."""

    def test_the_connection_while_fetching(self, remote: Party, server: Charger) -> None:
        write(server.inbox / "a.jsonl", lines(*[f"R{n}" for n in range(3000)]))
        server.faults.drop_read_after = 100_000
        assert remote.look() == {"failed": 2}  # the file, and the server
        assert remote.names("in") == [".a.jsonl.part"]
        assert remote.ask("SELECT count(*) FROM batches") == [(0,)]
        server.faults.drop_read_after = None
        remote.again()
        assert remote.look() == {"fetched": 1, "booked": 1, "sent": 1}
        assert remote.names("in") == []
        assert remote.ask("SELECT done FROM batches") == [(3000,)]

    def test_the_connection_while_sending(self, remote: Party, server: Charger) -> None:
        write(server.inbox / "a.jsonl", lines(*[f"R{n}" for n in range(3000)]))
        server.faults.drop_write_after = 50_000
        assert remote.look() == {"fetched": 1, "booked": 1, "failed": 2}
        assert files(server.outbox) == ["a.answers.jsonl.part"]
        server.faults.drop_write_after = None
        remote.again()
        assert remote.look() == {"sent": 1}
        assert files(server.outbox) == ["a.answers.jsonl"]
        assert len((server.outbox / "a.answers.jsonl").read_bytes().splitlines()) == 3000
        assert files(server.inbox) == []

    def test_a_slow_server(self, remote: Party, server: Charger) -> None:
        write(server.inbox / "a.jsonl", lines("A"))
        server.faults.slow = True
        assert remote.look(exchange_timeout_seconds=0.3) == {"failed": 2}
        ((error,),) = remote.ask("SELECT error FROM incoming_files")
        assert "no answer in time" in error
        server.faults.slow = False
        remote.again()
        assert remote.look() == {"fetched": 1, "booked": 1, "sent": 1}

    def test_it_gives_fewer_bytes_than_it_lists(self, remote: Party, server: Charger) -> None:
        write(server.inbox / "a.jsonl", lines(*[f"R{n}" for n in range(300)]))
        server.faults.drop_read_after = 1
        assert remote.look() == {"failed": 2}
        assert remote.ask("SELECT count(*) FROM batches") == [(0,)]

    def test_it_changes_while_it_is_fetched(
        self, remote: Party, server: Charger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from config.sftp import Sftp

        write(server.inbox / "a.jsonl", lines("A"))
        fetch = Sftp.fetch

        def meanwhile(self: Sftp, *args: Any) -> None:
            fetch(self, *args)
            write(server.inbox / "a.jsonl", lines("B"), OLD + 5)

        monkeypatch.setattr(Sftp, "fetch", meanwhile)
        assert remote.look() == {"failed": 1}
        assert remote.names("in") == []
        monkeypatch.undo()
        assert remote.look() == {"fetched": 1, "booked": 1, "sent": 1}
        assert remote.ask("SELECT source_id FROM records") == [("B",)]

    def test_a_full_disk_there(self, remote: Party, server: Charger) -> None:
        write(server.inbox / "a.jsonl", lines("A"))
        server.faults.disk_full = True
        assert remote.look() == {"fetched": 1, "booked": 1, "failed": 1}
        ((state, error),) = remote.ask("SELECT state, error FROM outgoing_files")
        assert (state, "No space left" in error) == ("waiting", True)
        assert files(server.outbox) == []  # not even half a file
        assert files(server.inbox) == []  # what is stored is cleared away all the same
        server.faults.disk_full = False
        remote.again()
        assert remote.look() == {"sent": 1}

    def test_a_rename_that_is_refused(self, remote: Party, server: Charger) -> None:
        write(server.inbox / "a.jsonl", lines("A"))
        server.faults.refuse_rename = True
        for attempt in (1, 2):
            done = remote.look(exchange_alarm_after=2)
            assert (done["failed"], done.get("alarms", 0)) == (1, int(attempt == 2))
            remote.again()
        assert remote.ask("SELECT state, attempts FROM outgoing_files") == [("failed", 2)]
        server.faults.refuse_rename = False
        assert remote.look() == {"sent": 1}  # it alarmed, and was tried still
        assert remote.ask("SELECT state, attempts, error FROM outgoing_files") == [("sent", 0, None)]

    def test_a_server_that_does_not_let_us_remove(self, remote: Party, server: Charger) -> None:
        write(server.inbox / "a.jsonl", lines("A"))
        server.faults.refuse_remove = True
        assert remote.look() == {"fetched": 1, "booked": 1, "sent": 1, "failed": 1}
        remote.again()
        assert remote.look() == {"failed": 1}  # it is not fetched again
        server.faults.refuse_remove = False
        remote.again()
        assert remote.look() == {}
        assert files(server.inbox) == []
        assert remote.ask("SELECT count(*) FROM batches") == [(1,)]


def test_what_is_sent_again_goes_over_what_was_sent(remote: Party, server: Charger) -> None:
    for no_extension in (False, True):
        server.faults.no_posix_rename = no_extension
        write(server.inbox / "a.jsonl", lines("A"), OLD + no_extension)
        first = remote.look()
        assert first["sent"] == 1
        assert files(server.outbox) == ["a.answers.jsonl"]
    assert remote.ask("SELECT sends FROM outgoing_files") == [(2,)]


def test_the_same_name_twice(remote: Party, server: Charger) -> None:
    write(server.inbox / "a.jsonl", lines("A"))
    remote.look()
    write(server.inbox / "a.jsonl", lines("B"), OLD + 60)
    assert remote.look() == {"fetched": 1, "booked": 1, "sent": 1}
    assert len(files(server.outbox)) == 2
    assert remote.names("done") == ["a-2.jsonl", "a.jsonl"]


def test_a_file_of_the_same_name_here(remote: Party, server: Charger) -> None:
    """It is taken first; the server's one comes after it."""
    remote.put("a.jsonl", lines("A"))
    write(server.inbox / "a.jsonl", lines("B"), OLD + 60)
    assert remote.look() == {"failed": 1, "booked": 1, "sent": 1}
    remote.again()
    assert remote.look() == {"fetched": 1, "booked": 1, "sent": 1}
    assert remote.ask("SELECT way FROM batches ORDER BY id") == [("inbox",), ("sftp",)]


@pytest.mark.slow
def test_more_files_than_one_look_takes(remote: Party, server: Charger) -> None:
    for number in range(30):
        write(server.inbox / f"{number:03}.jsonl", lines(f"R{number}"))
    assert remote.look(exchange_max_files=20) == {"fetched": 20, "booked": 20, "sent": 20}
    assert remote.look(exchange_max_files=20) == {"fetched": 10, "booked": 10, "sent": 10}
    assert (files(server.inbox), len(files(server.outbox))) == ([], 30)
    assert remote.ask("SELECT count(*) FROM passages") == [(30,)]


def test_one_that_is_too_large_is_left_and_said_so(remote: Party, server: Charger) -> None:
    write(server.inbox / "a.jsonl", lines("A"))
    assert remote.look(max_passage_file_bytes=10) == {"refused": 1, "sent": 1}
    assert files(server.outbox) == ["a.refused.json"]
    assert files(server.inbox) == ["a.jsonl"]
    assert remote.look(max_passage_file_bytes=10) == {}
    assert remote.ask("SELECT state FROM incoming_files") == [("left",)]


def test_lists_go_to_the_server_too(remote: Party, server: Charger) -> None:
    outbox = outbox_of(remote.sessions, remote.settings, "FJELL")
    outbox.deliver("list.jsonl.gz", [b"a", b"b"])
    assert (server.outbox / "list.jsonl.gz").read_bytes() == b"ab"
    server.faults.disk_full = True
    with pytest.raises(OSError, match="No space"):
        outbox.deliver("list.jsonl.gz", [b"a"])
    remote.keep(kind="folder")
    folder = outbox_of(remote.sessions, dataclasses.replace(remote.settings), "FJELL")
    folder.deliver("x", [b"c"])
    assert remote.out("x") == b"c"
