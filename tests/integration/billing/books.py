"""A small world whose books are whole, as the rooms leave them: what these tests do on it, the audit can prove.

Times: passages come in January 2026, invoices are issued on 1 February and due on Monday 16 February.
"""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from accounts.agreements.open import open_agreement
from accounts.chargers.models import Charger
from billing.audit.audit import audit
from billing.claims.make import make
from billing.invoices.issue import issue
from billing.ledger.book import Account, Entry, book
from billing.passages.partitions import ensure
from billing.payments.bank import BankResult, receive
from config.clock import move_clock
from simulator.bank import Bank, BankPayment

OURS = "15030012345"
JANUARY = dt.datetime(2026, 1, 15, 11, tzinfo=dt.UTC)
ISSUED = dt.datetime(2026, 2, 1, 2, tzinfo=dt.UTC)
DUE = dt.date(2026, 2, 16)
SELLER = {"name": "Brikke Eksempel AS", "org_no": "999999980", "address": "Veien 1, 0150 Oslo", "account": OURS}
DAY = dt.timedelta(days=1)


def noon(day: dt.date) -> dt.datetime:
    """The instant at noon UTC of a day."""
    return dt.datetime.combine(day, dt.time(12), dt.UTC)


def body(answer: TestResponse) -> Any:
    """The JSON of an answer, which must be there."""
    assert answer.json is not None, answer.text
    return answer.json


@dataclass(frozen=True)
class Invoice:
    """An issued invoice."""

    agreement: int
    claim: int
    document: int
    number: int
    kid: str
    ore: int


class Books:
    """The world; every method leaves the books whole."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.bank = Bank()
        self._sources = itertools.count(1)
        for month in (JANUARY, ISSUED):
            ensure(session, month)
        charger = Charger(code="FJELL", name="Fjellvegen AS", kind="toll")
        session.add(charger)
        session.flush()
        self.charger = charger.id
        self.batch = self.one(
            "INSERT INTO batches (charger_id, name, format, sha256, received_at, finished_at, state) "
            "VALUES (:c, 'test', 'jsonl', '\\x00', :at, :at, 'done') RETURNING id",
            c=self.charger,
            at=JANUARY,
        )

    def one(self, query: str, **params: object) -> int:
        """Run SQL that returns one value."""
        return int(self.session.execute(text(query), params).scalar_one())

    def value(self, query: str, **params: object) -> object:
        """Run SQL and return its one value, None where there is no row."""
        return self.session.execute(text(query), params).scalar_one_or_none()

    def agreement(self) -> int:
        """A customer with an open agreement; returns its id."""
        customer = self.one(
            "INSERT INTO customers (kind, name, email, street, postal_code, city, created_at) VALUES "
            "('private', 'Kari Nordmann', 'kari@example.no', 'Veien 1', '5073', 'Bergen', :at) RETURNING id",
            at=JANUARY,
        )
        return open_agreement(self.session, customer, now=JANUARY, actor="test").id

    def number(self, agreement: int) -> int:
        """The agreement's number."""
        return self.one("SELECT number FROM agreements WHERE id = :id", id=agreement)

    def passages(self, agreement: int, *ores: int, booked: dt.datetime = JANUARY) -> list[int]:
        """Passages with their records, balance and transfer, as an ingest leaves them."""
        made = []
        for ore in ores:
            number = next(self._sources)
            source = f"t{number}"
            params = {"a": agreement, "c": self.charger, "b": self.batch, "s": source, "ore": ore, "at": booked}
            passage = self.one(
                "INSERT INTO passages (id, booked_at, agreement_id, charger_id, source_id, batch_id, passed_at, "
                "passed_offset, station, project, service, country, plate, vehicle_class, list_ore, amount_ore, "
                "vat_bp, flags, external, owed) "
                "VALUES (nextval('passage_ids'), :at, :a, :c, :s, :b, :at, 60, 'S1', 'P1', "
                "'toll', 'NO', 'EK12345', '1', :ore, :ore, 0, 0, false, true) RETURNING id",
                **params,
            )
            self.session.execute(
                text(
                    "INSERT INTO records (charger_id, source_id, batch_id, position, hash, passed_at, amount_ore, "
                    "code, passage_id) VALUES (:c, :s, :b, :p, '\\x00', :at, :ore, 'accepted', :p)"
                ),
                {**params, "p": passage},
            )
            self.session.execute(
                text(
                    "INSERT INTO balances AS b (agreement_id, unbilled_ore, unbilled_count, open_since) "
                    "VALUES (:a, :ore, 1, :at) ON CONFLICT (agreement_id) DO UPDATE SET "
                    "unbilled_ore = b.unbilled_ore + :ore, unbilled_count = b.unbilled_count + 1, "
                    "open_since = least(b.open_since, :at)"
                ),
                params,
            )
            self.count("accepted", ore)
            part = f"{number}/{self.charger}/P1"
            entry = Entry(Account("unbilled"), Account("payable", self.charger), ore, "passages", self.batch, part)
            book(self.session, [entry], booked_on=booked.date(), now=booked)
            made.append(passage)
        return made

    def count(self, code: str, ore: int, number: int = 1) -> None:
        """Records with an answer of the batch, as an ingest counts them."""
        self.session.execute(
            text(
                "UPDATE batches AS b SET done = b.done + w.n, "
                "counts = b.counts || jsonb_build_object(w.code, coalesce((b.counts->>w.code)::bigint, 0) + w.n), "
                "sums = b.sums || jsonb_build_object(w.code, coalesce((b.sums->>w.code)::bigint, 0) + w.ore) "
                "FROM (SELECT CAST(:n AS int) AS n, CAST(:code AS text) AS code, CAST(:ore AS bigint) AS ore) AS w "
                "WHERE b.id = :b"
            ),
            {"n": number, "code": code, "ore": ore, "b": self.batch},
        )

    def invoice(self, agreement: int, *ores: int, due: dt.date = DUE, run: str = "invoices:2026-02-01") -> Invoice:
        """An invoice on passages of these sums."""
        self.passages(agreement, *ores)
        (claim,) = make(self.session, [agreement], "invoice", run, "", ISSUED, 0, ISSUED)
        (document,) = issue(
            self.session, [claim.claim_id], seller=SELLER, issued_on=ISSUED.date(), due_on=due, run_id=None, now=ISSUED
        )
        row = self.session.execute(text("SELECT number, kid FROM documents WHERE id = :id"), {"id": document}).one()
        return Invoice(agreement, claim.claim_id, document, row.number, row.kid, claim.amount_ore)

    def file(self, *payments: BankPayment, account: str = OURS) -> bytes:
        """A file of the bank's, made the day after its last payment."""
        return self.bank.file(
            payments,
            account=account,
            agreement_id="001008566",
            recipient="00010200",
            made_on=max(p.date for p in payments) + DAY,
        )

    def receive(self, content: bytes, on: dt.date) -> BankResult:
        """Our reading of a file."""
        return receive(self.session, "test.ocr", content, noon(on), accounts=[OURS], max_bytes=50_000_000)

    def pay(self, kid: str, ore: int, value_date: dt.date, *, read_on: dt.date | None = None) -> BankResult:
        """A payment of its own in a file of its own, read the day after."""
        return self.receive(self.file(BankPayment(kid, ore, value_date)), read_on or value_date + DAY)

    def open_ore(self, invoice: Invoice) -> int:
        """What is open of an invoice."""
        return self.one("SELECT amount_ore - settled_ore FROM claims WHERE id = :id", id=invoice.claim)

    def credit(self, agreement: int) -> int:
        """What we owe the holder."""
        return self.one(
            "SELECT coalesce(sum(amount_ore), 0) FROM credit_entries WHERE agreement_id = :id", id=agreement
        )

    def standing(self, agreement: int) -> str:
        """The agreement's standing."""
        return str(self.value("SELECT standing FROM agreements WHERE id = :id", id=agreement))

    def told(self, agreement: int, *, waiting: bool = False) -> list[str]:
        """The templates of the messages to the holder, in order; ``waiting``: only those nobody has taken."""
        query = "SELECT template FROM messages WHERE agreement_id = :id"
        return list(
            self.session.scalars(
                text(query + (" AND planned_at IS NULL" if waiting else "") + " ORDER BY id"), {"id": agreement}
            )
        )

    def prove(self, now: dt.datetime) -> None:
        """Assert that the audit finds nothing, at a business time."""
        move_clock(self.session, now, running=False)
        report = audit(self.session)
        assert report.first_difference is None, [c for c in report.checks if not c.ok]
