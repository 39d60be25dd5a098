"""The watched folder."""

from __future__ import annotations

import datetime as dt
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from billing.payments import inbox
from billing.payments.match import take_turn
from config.clock import move_clock
from config.database import SessionFactory
from config.jobs import JobContext
from config.settings import Settings
from simulator.bank import BankPayment
from tests.integration.billing.beside import Beside
from tests.integration.billing.books import Books, noon

TODAY = dt.date(2026, 2, 10)
NOW = noon(TODAY)


@pytest.fixture
def ctx(books: Books, sessions: SessionFactory, settings: Settings) -> JobContext:
    move_clock(books.session, NOW, running=False)
    books.session.commit()
    settings.bank_inbox.mkdir(parents=True)
    return JobContext(sessions, settings)


def names(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_files_are_read_and_moved_aside_with_why(books: Books, ctx: JobContext) -> None:
    invoice = books.invoice(books.agreement(), 10_000)
    books.session.commit()
    folder = ctx.settings.bank_inbox
    (folder / "good.ocr").write_bytes(books.file(BankPayment(invoice.kid, 10_000, TODAY)))
    (folder / "bad.ocr").write_bytes(b"NY000010 nonsense\r\n")
    (folder / "coming.ocr.part").write_bytes(b"NY")
    (folder / ".hidden").write_bytes(b"NY")
    assert inbox.job(ctx, NOW) == {"booked": 1, "already": 0, "refused": 1, "payments": 1}
    assert names(folder) == [".hidden", "coming.ocr.part", "done/good.ocr", "refused/bad.ocr", "refused/bad.ocr.txt"]
    assert (folder / "refused/bad.ocr.txt").read_text().startswith("line 1: a record has 80 characters")
    assert books.open_ore(invoice) == 0
    assert inbox.job(ctx, NOW) == {"booked": 0, "already": 0, "refused": 0, "payments": 0}


def test_dying_between_commit_and_move_is_harmless(
    books: Books, ctx: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoice = books.invoice(books.agreement(), 10_000)
    books.session.commit()
    folder = ctx.settings.bank_inbox
    (folder / "a.ocr").write_bytes(books.file(BankPayment(invoice.kid, 4_000, TODAY)))

    def die(*_: object) -> None:
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(inbox, "_move", die)
        with pytest.raises(OSError, match="killed"):
            inbox.job(ctx, NOW)
    assert inbox.job(ctx, NOW)["already"] == 1
    assert names(folder) == ["done/a.ocr"]
    assert books.open_ore(invoice) == 6_000


def test_a_name_used_before_does_not_overwrite(books: Books, ctx: JobContext) -> None:
    folder = ctx.settings.bank_inbox
    for ore in (100, 200):
        (folder / "OCR").write_bytes(books.file(BankPayment("", ore, TODAY)))
        inbox.job(ctx, NOW)
    assert names(folder) == ["done/OCR", "done/OCR-2"]
    assert books.one("SELECT count(*) FROM payments") == 2


def test_a_file_still_growing_is_left(ctx: JobContext) -> None:
    path = ctx.settings.bank_inbox / "slow.ocr"
    path.write_bytes(b"NY")
    stop = threading.Event()

    def grow() -> None:
        while not stop.is_set():
            with path.open("ab") as file:
                file.write(b"0")
            time.sleep(0.01)

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        assert inbox.whole_files(ctx.settings.bank_inbox) == []
    finally:
        stop.set()
        thread.join()
    assert inbox.whole_files(ctx.settings.bank_inbox) == [path]


def test_a_link_out_of_the_folder_is_not_followed(ctx: JobContext, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("not the bank's")
    (ctx.settings.bank_inbox / "file.ocr").symlink_to(secret)
    assert inbox.whole_files(ctx.settings.bank_inbox, 0) == []


def test_reading_a_file_rings_for_the_overdue_step(books: Books, ctx: JobContext) -> None:
    (ctx.settings.bank_inbox / "a").write_bytes(books.file(BankPayment("", 100, TODAY)))
    inbox.job(ctx, NOW)
    assert books.session.scalars(text("SELECT task_name FROM procrastinate_jobs")).all() == ["overdue"]


def test_a_file_is_booked_at_the_instant_when_its_turn_has_come(
    books: Books, ctx: JobContext, sessions: SessionFactory, engine: Engine
) -> None:
    (ctx.settings.bank_inbox / "a.ocr").write_bytes(books.file(BankPayment("", 10_000, TODAY)))
    with sessions() as first:
        take_turn(first)
        beside = Beside(engine, lambda: inbox.job(ctx, NOW))
        assert beside.waited
        move_clock(first, NOW + dt.timedelta(minutes=5), running=False)
        first.commit()
        assert beside.result()["booked"] == 1
    assert books.value("SELECT received_at FROM bank_files") == NOW + dt.timedelta(minutes=5)
