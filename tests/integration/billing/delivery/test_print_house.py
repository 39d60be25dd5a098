"""Letters to a print house and what it confirms: by folder and by SFTP, with all that can go wrong in between."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.delivery.paper import jobs, settle, write
from billing.delivery.paper.places import Folder
from billing.delivery.paper.write import prepare, write_all, write_batch
from billing.invoices import render
from billing.invoices.pdf.processes import RenderError
from config.clock import move_clock, now_utc
from config.jobs import JobContext
from config.targets import exchange
from simulator.printhouse import PrintHouse
from simulator.printhouse.control import Control
from tests.integration.billing.delivery.conftest import NOW, Post
from tests.integration.billing.roadside.exchange.sftp_server import PASSWORD, USER, Charger

DAYS = dt.timedelta(days=1)


@pytest.fixture(autouse=True)
def followed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The messages for which the next way was asked."""
    found: list[int] = []

    def fall_back(session: Session, message_id: int, *, now: dt.datetime, real: dt.datetime) -> None:
        found.append(message_id)

    monkeypatch.setattr(write, "fall_back", fall_back)
    monkeypatch.setattr(settle, "fall_back", fall_back)
    return found


class Print:
    """Letters that wait, the jobs, and the print house."""

    def __init__(self, post: Post, folder: Path) -> None:
        self.post, self.folder = post, folder
        self.house = PrintHouse(folder, today=lambda: dt.date(2026, 2, 3))
        post.settings = replace(post.settings, print_target=exchange(f"folder:{folder}"), exchange_settle_seconds=0)

    def letter(self, **customer: str) -> int:
        """Issue an invoice that goes on paper; return its delivery."""
        self.post.invoice(self.post.world.agreement())
        for column, value in customer.items():
            self.post.execute(
                f"UPDATE customers SET {column} = :value WHERE id = (SELECT max(id) FROM customers)", value=value
            )
        query = (
            "INSERT INTO deliveries (message_id, agreement_id, channel, next_at, queued_at) SELECT id, agreement_id, "
        )
        query += "'paper', :real, :now FROM messages WHERE planned_at IS NULL"
        self.post.execute(query, real=now_utc(), now=NOW)
        self.post.execute("UPDATE messages SET planned_at = :now WHERE planned_at IS NULL", now=NOW)
        return int(self.rows()[-1].id)

    def rows(self) -> list[Any]:
        return self.post.rows()

    def states(self) -> list[str]:
        return [row.state for row in self.rows()]

    def write(self) -> dict[str, int | str]:
        return write_all(self.post.sessions, self.post.renderer)

    def exchange(self) -> dict[str, int | str]:
        return jobs.job_exchange(JobContext(self.post.sessions, self.post.settings), NOW)

    def round(self) -> dict[str, int | str]:
        """Put what waits, have it printed, read what is confirmed."""
        put = self.exchange()
        self.house.look()
        return {**put, **self.exchange()}

    def files(self) -> list[Any]:
        with self.post.sessions() as session:
            return list(session.execute(text("SELECT * FROM delivery_files ORDER BY id")).all())

    def out(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "out").iterdir())


@pytest.fixture
def paper(post: Post, tmp_path: Path) -> Print:
    return Print(post, tmp_path / "print")


def test_letters_go_in_a_batch_and_come_back_as_posted(paper: Print) -> None:
    ids = [paper.letter(), paper.letter(city="Stockholm", postal_code="111 22", country="SE")]
    assert paper.write() == {"batches": 1, "letters": 2}
    [file] = paper.files()
    assert (file.name, file.state, file.transactions, file.number) == ("brikke-print-0000001.zip", "made", 2, 1)
    assert [(row.state, row.file_id, row.file_line, row.cost_ore) for row in paper.rows()] == [
        ("sent", file.id, 1, 1850),
        ("sent", file.id, 2, 1850),
    ]
    assert paper.rows()[0].recipient == "Kari Nordmann, Fjøsveien 215 B, 5073 BERGEN"
    assert paper.round() == {"put": 1, "read": 1, "posted": 2, "rejected": 0}
    assert paper.states() == ["delivered", "delivered"]
    row = paper.rows()[1]
    assert (row.id, row.delivered_at, row.proof["posted_on"], row.proof["sheet"]) == (ids[1], NOW, "2026-02-03", 2)
    assert [one["lines"][-1] for one in paper.house.books()["brikke-print-0000001"]] == ["5073 BERGEN", "SWEDEN"]
    assert [file.state for file in paper.files()] == ["accepted", "read"]
    assert paper.out() == []
    assert paper.write() == {"batches": 0, "letters": 0}
    assert paper.exchange() == {}


def test_what_cannot_be_posted_is_failed_and_what_is_paid_dropped(paper: Print, followed: list[int]) -> None:
    bad, paid, good = paper.letter(street=" "), paper.letter(), paper.letter()
    paper.post.execute(
        "UPDATE claims SET settled_ore = amount_ore WHERE agreement_id = (SELECT agreement_id FROM deliveries "
        "WHERE id = :id)",
        id=paid,
    )
    assert paper.write() == {"batches": 1, "letters": 1}
    assert {row.id: (row.state, row.error) for row in paper.rows()} == {
        bad: ("failed", "bad_address: no_street"),
        paid: ("dropped", "the invoice is paid"),
        good: ("sent", None),
    }
    assert followed == [paper.rows()[0].message_id]


def test_batches_are_limited_by_count_and_bytes_and_take_each_letter_once(paper: Print) -> None:
    for _ in range(5):
        paper.letter()
    made = []
    for most, most_bytes in ((2, 10**9), (5, 1), (5, 10**9)):
        pages = prepare(paper.post.sessions, paper.post.renderer, most, most_bytes)
        with paper.post.sessions.begin() as session:
            file = write_batch(session, pages, now=NOW, real=now_utc())
            made.append(file.transactions if file else 0)
        with paper.post.sessions.begin() as session:  # the same again: they are taken
            assert write_batch(session, pages, now=NOW, real=now_utc()) is None
    assert made == [2, 1, 2]
    assert [file.number for file in paper.files()] == [1, 2, 3]
    assert paper.states() == ["sent"] * 5


def test_a_letter_that_is_taken_by_another_is_passed_by(paper: Print) -> None:
    paper.letter()
    pages = prepare(paper.post.sessions, paper.post.renderer)
    with paper.post.sessions() as one, paper.post.sessions() as two:
        two.execute(text("SET LOCAL lock_timeout = '2s'"))
        assert write_batch(one, pages, now=NOW, real=now_utc()) is not None
        assert write_batch(two, pages, now=NOW, real=now_utc()) is None
        one.rollback()
        assert write_batch(two, pages, now=NOW, real=now_utc()) is not None


def test_a_page_that_cannot_be_made_costs_the_others_nothing(paper: Print, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = paper.letter(), paper.letter()
    document = paper.post.world.session.execute(
        text(
            "SELECT messages.document_id FROM messages JOIN deliveries d ON d.message_id = messages.id WHERE d.id = :id"
        ),
        {"id": bad},
    ).scalar_one()
    real = render.pdf

    def pdf(sessions: Any, document_id: int, **rest: Any) -> bytes:
        if document_id == document:
            raise RenderError("typst is unwell")
        return real(sessions, document_id, **rest)

    monkeypatch.setattr(write, "pdf", pdf)
    assert paper.write() == {"batches": 1, "letters": 1}
    rows = {row.id: row for row in paper.rows()}
    assert rows[good].state == "sent"
    assert (rows[bad].state, rows[bad].attempts) == ("queued", 1)
    assert rows[bad].next_at > now_utc()
    assert "unwell" in rows[bad].error


def test_a_batch_that_arrives_damaged_is_put_again_with_the_same_bytes(paper: Print) -> None:
    paper.letter()
    paper.write()
    paper.house.fault("damage")
    assert paper.round() == {"put": 1, "read": 1, "posted": 0, "rejected": 0}
    [file, _] = paper.files()
    assert (file.state, file.answer) == ("made", "letters/000001.pdf: wrong hash")
    assert paper.states() == ["sent"]
    assert paper.round()["posted"] == 1
    [file, *_] = paper.files()
    assert (file.state, file.puts) == ("accepted", 2)
    assert list(paper.house.books()) == ["brikke-print-0000001"]


def test_a_batch_that_is_refused_again_and_again_is_given_up(paper: Print, followed: list[int]) -> None:
    paper.letter()
    paper.write()
    paper.house.fault("damage", times=None)
    for _ in range(4):
        paper.round()
    [file, *_] = paper.files()
    assert (file.state, file.puts) == ("refused", settle.TRIES)
    [row] = paper.rows()
    assert row.state == "failed"
    assert "wrong hash" in row.error
    assert followed == [row.message_id]


def test_a_rejected_sheet_goes_another_way_and_its_neighbours_are_posted(paper: Print, followed: list[int]) -> None:
    for _ in range(3):
        paper.letter()
    paper.write()
    paper.house.fault("reject", sheet=2, reason="moved, no address left")
    assert paper.round() == {"put": 1, "read": 1, "posted": 2, "rejected": 1}
    assert [(row.state, row.error) for row in paper.rows()] == [
        ("delivered", None),
        ("failed", "moved, no address left"),
        ("delivered", None),
    ]
    assert followed == [paper.rows()[1].message_id]


@pytest.mark.parametrize("kind", ["twice", "apart", "garbage"])
def test_confirmations_that_come_twice_or_in_parts_or_with_rubbish(paper: Print, kind: str) -> None:
    paper.letter()
    paper.write()
    paper.house.fault(kind)
    paper.round()
    paper.round()
    assert paper.states() == ["delivered"]
    assert len(paper.house.books()) == 1
    refused = [file.answer for file in paper.files() if file.state == "refused"]
    assert refused == (["it is not JSON"] if kind == "garbage" else [])
    assert paper.out() == []


def test_a_lost_confirmation_is_missed_and_the_batch_may_be_put_again(paper: Print) -> None:
    paper.letter()
    paper.write()
    paper.house.fault("lose")
    assert paper.round() == {"put": 1}
    with paper.post.sessions.begin() as session:
        move_clock(session, NOW + 5 * DAYS, running=False)
    assert paper.exchange() == {"unconfirmed": 1}
    paper.post.execute("UPDATE delivery_files SET state = 'made'")
    assert paper.round()["posted"] == 1
    assert paper.states() == ["delivered"]
    assert paper.exchange() == {}


def confirm(paper: Print, said: str, name: str = "c.json") -> settle.Settled:
    with paper.post.sessions.begin() as session:
        return settle.settle(session, name, said.encode(), now=NOW, real=now_utc())


def told(state: str = "posted", sheet: int = 1, number: int = 1) -> str:
    one = {"sheet": sheet, "state": state, "posted_on": "2026-02-03", "reason": "moved"}
    return json.dumps({"id": number, "batch": "brikke-print-0000001", "sheets": [one]})


@pytest.mark.parametrize(("first", "stays"), [("posted", "delivered"), ("rejected", "failed")])
def test_the_first_word_about_a_letter_stands(paper: Print, followed: list[int], first: str, stays: str) -> None:
    paper.letter()
    paper.write()
    for number, state in enumerate((first, "posted", "rejected", first), 1):
        confirm(paper, told(state, number=number))
    assert paper.states() == [stays]
    assert len(followed) == (first == "rejected")
    assert confirm(paper, told(first, number=1)).outcome == "already"


def test_a_late_refusal_does_not_undo_what_was_accepted(paper: Print) -> None:
    paper.letter()
    paper.write()
    paper.exchange()
    confirm(paper, '{"batch": "brikke-print-0000001", "state": "accepted"}')
    confirm(
        paper, '{"batch": "brikke-print-0000001", "state": "refused", "sheets": [{"sheet": 1, "state": "rejected"}]}'
    )
    assert paper.files()[0].state == "accepted"
    assert paper.states() == ["sent"]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ('{"batch": "brikke-print-0000009", "state": "accepted"}', "no such batch"),
        (f'{{"batch": "brikke-print-0000001", "state": "accepted", "sha256": "{"0" * 64}"}}', "other bytes"),
    ],
)
def test_what_is_not_about_our_batch_is_kept_and_changes_nothing(paper: Print, said: str, why: str) -> None:
    paper.letter()
    paper.write()
    done = confirm(paper, said)
    assert done.outcome == "refused"
    assert why in (done.why or "")
    assert [file.state for file in paper.files()] == ["made", "refused"]
    assert paper.states() == ["sent"]


def test_sheets_that_the_batch_has_not_are_told(paper: Print) -> None:
    paper.letter()
    paper.write()
    assert confirm(paper, told(sheet=2)).posted == 0
    assert paper.files()[1].answer == "sheets that the batch has not: 2"
    assert paper.states() == ["sent"]


def test_what_support_sent_again_is_not_settled_by_the_first_batch(paper: Print) -> None:
    paper.letter()
    paper.write()
    confirm(paper, told("rejected"))
    paper.post.execute("UPDATE deliveries SET state = 'queued', next_at = :real", real=now_utc())
    paper.write()
    assert paper.states() == ["sent"]
    confirm(paper, told("posted", number=2))
    assert paper.states() == ["sent"]
    confirm(paper, told("posted", number=3).replace("0000001", "0000002"))
    assert paper.states() == ["delivered"]


def test_what_was_put_and_not_noted_is_put_again_and_printed_once(paper: Print) -> None:
    paper.letter()
    paper.write()
    paper.exchange()
    first = (paper.folder / "in" / "brikke-print-0000001.zip").read_bytes()
    paper.house.look()
    paper.post.execute("UPDATE delivery_files SET state = 'made', put_at = NULL")  # as if we had died before the commit
    paper.exchange()
    assert (paper.folder / "in" / "brikke-print-0000001.zip").read_bytes() == first
    paper.round()
    assert paper.states() == ["delivered"]
    assert len(paper.house.books()) == 1


def test_a_confirmation_that_is_still_being_written_waits(paper: Print) -> None:
    place = Folder(paper.folder, 5)
    path = paper.folder / "out" / "c.json"
    path.write_text("{")
    (paper.folder / "out" / "d.json.part").write_text("{")
    assert place.waiting() == []
    os.utime(path, (1, 1))
    [file] = place.waiting()
    path.write_text("{}")  # it has become another one since it was listed
    place.clear(file, refused=True)
    assert path.exists()


def test_a_folder_that_cannot_be_used_is_said_and_nothing_is_lost(paper: Print) -> None:
    paper.letter()
    paper.write()
    (paper.folder / "in").rmdir()
    (paper.folder / "in").write_text("in the way")
    assert "error" in paper.exchange()
    (paper.folder / "in").unlink()
    assert paper.exchange() == {"put": 1}


def test_without_a_print_house_nothing_is_done(paper: Print) -> None:
    paper.letter()
    paper.post.settings = replace(paper.post.settings, print_target=None)
    ctx = JobContext(paper.post.sessions, paper.post.settings)
    assert jobs.job_exchange(ctx, NOW) == {}
    assert jobs.job_batches(ctx, NOW) == {}


def test_the_stand_in_is_told_over_http_what_shall_go_wrong(paper: Print) -> None:
    with Control(paper.house) as control:
        told = httpx.post(f"{control.url}/_control/faults", json={"kind": "reject", "sheet": 1, "times": None})
        assert told.status_code == 200
        assert httpx.post(f"{control.url}/_control/faults", json={"kind": "fire"}).status_code == 400
        paper.letter()
        paper.write()
        paper.exchange()
        assert httpx.post(f"{control.url}/_control/look").json() == {"batches": 1}
        assert list(httpx.get(f"{control.url}/_control/books").json()["printed"]) == ["brikke-print-0000001"]
    paper.exchange()
    assert paper.states() == ["failed"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Charger]:
    """An SFTP server whose folder is the print house's."""
    one = Charger(tmp_path / "print")
    one.start()
    yield one
    one.stop()


@pytest.fixture
def far(paper: Print, server: Charger) -> Print:
    """The same, by SFTP with a password."""
    target = exchange(f"sftp://{USER}:{PASSWORD}@127.0.0.1:{server.port}/")
    paper.post.settings = replace(paper.post.settings, print_target=target, print_host_key=server.fingerprint)
    return paper


def test_by_sftp_letters_go_and_confirmations_come(far: Print, server: Charger, tmp_path: Path) -> None:
    far.letter()
    far.write()
    assert far.round() == {"put": 1, "read": 1, "posted": 1, "rejected": 0}
    assert far.states() == ["delivered"]
    assert far.out() == []
    key = tmp_path / "key"
    server.let_in.write_private_key(str(key))
    key.chmod(0o644)
    (far.folder / "out" / "x.json").write_text("{")
    far.post.settings = replace(
        far.post.settings, print_target=exchange(f"sftp://{USER}@127.0.0.1:{server.port}/"), print_key_file=str(key)
    )
    assert far.exchange() == {"error": "PRINT_KEY_FILE can be read by others; make it 0600"}
    key.chmod(0o600)
    assert far.exchange() == {"refused": 1, "posted": 0, "rejected": 0}
    assert far.out() == ["x.json.refused"]
    assert far.exchange() == {}


def test_by_sftp_a_server_that_is_another_is_not_talked_to(far: Print) -> None:
    far.letter()
    far.write()
    far.post.settings = replace(far.post.settings, print_host_key="SHA256:" + "A" * 43)
    assert "host key" in str(far.exchange()["error"])
    assert [file.state for file in far.files()] == ["made"]


def test_by_sftp_a_connection_that_breaks_leaves_no_half_batch(far: Print, server: Charger) -> None:
    far.letter()
    far.write()
    server.faults.drop_write_after = 1_000
    assert "error" in far.exchange()
    assert list((far.folder / "in").glob("*.zip")) == []
    server.faults.drop_write_after = None
    assert far.round()["posted"] == 1
