"""A small world for passages: chargers with stations, agreements with vehicles and tags, and a way to send records.

Tests share these builders by the fixture ``road``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from accounts.chargers.models import Charger, ListPeriod, ListVersion, Publication, Station
from accounts.customers.models import Customer
from accounts.vehicles.models import Mount, Registration, Removal, Tag
from billing.audit.passages import RULES as AUDITED
from billing.passages.batches import open_batch
from billing.passages.incoming import Answer, Item, limits_at, prepare
from billing.passages.ingest import book_chunk
from billing.passages.rules import Sent
from billing.roadside.lists.release import highest, release

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
PASSED = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
NOW = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
LATER = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)


def pan(number: int) -> str:
    """A PAN of 19 digits."""
    return f"957801{number:013d}"


UNOPENED = ("standings_history", "publications_standings")
"""Rules of the audit that do not hold in this world, whose agreements nobody opened."""


@dataclass
class Road:
    """Builders on one session; nothing is committed but by ``send`` when asked."""

    session: Session
    toll: Charger
    ferry: Charger
    batches: int = 0

    def agreement(self, **more: Any) -> int:
        customer = Customer(
            kind="private", name="Kari Nordmann", email="kari@example.org", street="Veien 1", postal_code="0150",
            city="Oslo", created_at=START,
        )  # fmt: skip
        self.session.add(customer)
        self.session.flush()
        agreement = Agreement(customer_id=customer.id, opened_at=START, **more)
        self.session.add(agreement)
        self.session.flush()
        return agreement.id

    def vehicle(
        self,
        agreement_id: int,
        plate: str | None = "EV10001",
        *,
        since: dt.datetime = START,
        until: dt.datetime | None = None,
        **more: Any,
    ) -> int:
        fields: dict[str, Any] = {"country": "NO" if plate else None, "plate": plate, "created_at": START, **more}
        row = Registration(agreement_id=agreement_id, valid_from=since, valid_to=until, **fields)
        self.session.add(row)
        self.session.flush()
        return row.id

    def tag(
        self,
        agreement_id: int,
        number: int,
        plate: str | None,
        *,
        until: dt.datetime | None = None,
        obu: str | None = None,
    ) -> str:
        tag = Tag(agreement_id=agreement_id, printed_number=f"T{number}", pan=pan(number), obu_id=obu, issued_at=START)
        self.session.add(tag)
        self.session.flush()
        if plate is not None:
            self.mount(tag, plate, until=until)
        return tag.pan

    def mount(self, tag: Tag, plate: str, *, since: dt.datetime = START, until: dt.datetime | None = None) -> None:
        mount = Mount(tag_id=tag.id, pan=tag.pan, country="NO", plate=plate, valid_from=since, valid_to=until)
        self.session.add(mount)
        self.session.flush()

    def on_a_ferry(self) -> tuple[int, int]:
        """A tag agreement with EV10001 and tag 1, and its additional agreement with FJORD, by the tag; their ids."""
        own = self.agreement()
        self.vehicle(own)
        child = self.agreement(kind="ferry", parent_id=own, operator="FJORD")
        self.vehicle(child, None, pan=self.tag(own, 1, "EV10001"), scope="FJORD")
        return own, child

    def published(
        self, agreement_id: int, status: str, at: dt.datetime, *, registration: int | None = None
    ) -> Publication:
        """A change that counts from an instant, when who takes no lists is told of it."""
        row = Publication(
            agreement_id=agreement_id, registration_id=registration, status=status, made_at=START, effective_at=at
        )
        self.session.add(row)
        self.session.flush()
        return row

    def listed(
        self,
        charger: Charger,
        *acknowledged: dt.datetime | None,
        kind: str = "incremental",
        list_type: str = "tags",
        since: dt.datetime = START,
    ) -> None:
        """Have a charger take lists since an instant; and all changes there are on its next versions, one each (of a
        full list: all on one), each acknowledged at an instant or not at all."""
        if charger.lists == "none":
            charger.lists = "pull"
            self.session.add(ListPeriod(charger_id=charger.id, since=since))
        query = select(func.count()).select_from(ListVersion)
        number = self.session.scalar(query.filter_by(charger_id=charger.id, list_type=list_type)) or 0
        self.session.flush()
        release(self.session, LATER)
        last = highest(self.session)
        through = self.session.scalar(
            select(func.max(ListVersion.through_change)).filter_by(charger_id=charger.id, list_type=list_type)
        ) or 0  # fmt: skip
        for step, at in enumerate(acknowledged, 1):
            first, through = through + 1, last if step == len(acknowledged) else through + 1
            self.session.add(
                ListVersion(
                    charger_id=charger.id, list_type=list_type, version=number + step, kind=kind, from_change=first,
                    through_change=through, format="jsonl", name="x", row_count=0, size=0, sha256=b"", made_at=START,
                    state="acknowledged" if at else "sent", sent_at=START, acknowledged_at=at,
                    next_at=None if at else LATER,
                )
            )  # fmt: skip
        self.session.flush()

    def remove(self, registration_id: int, ends_at: dt.datetime, *, at: dt.datetime = NOW) -> int:
        """End a registration the way the vehicles room does, without telling the chargers."""
        registration = self.session.get_one(Registration, registration_id)
        registration.valid_to = ends_at
        row = Removal(
            registration_id=registration_id, agreement_id=registration.agreement_id, ends_at=ends_at, requested_at=at,
            actor="agent:test", reason="sold",
        )  # fmt: skip
        self.session.add(row)
        self.session.flush()
        return row.id

    def record(self, name: str = "A-1", **changes: Any) -> Sent:
        fields: dict[str, Any] = {
            "id": name, "passed_at": PASSED, "station": "S1", "service": "toll", "list_price": 3100, "amount": 2480,
            "vat_rate": 0,
        }  # fmt: skip
        return Sent(**(fields | changes))

    def send(
        self,
        records: Sequence[Sent],
        *,
        charger: Charger | None = None,
        now: dt.datetime = NOW,
        name: str = "file.jsonl",
    ) -> list[Answer]:
        """Book records as one chunk of a batch of their own; positions are 1, 2, 3 …"""
        self.batches += 1
        batch = open_batch(self.session, charger or self.toll, name=name, form="jsonl", sha256=b"", now=now)
        items = [Item(number, msgspec.json.encode(one), one) for number, one in enumerate(records, 1)]
        return book_chunk(self.session, batch, prepare(1, items, limits_at(now)), now=now).answers

    def one(self, record: Sent, **about: Any) -> Answer:
        """Book one record and return its answer."""
        return self.send([record], **about)[0]

    def ask(self, query: str, **params: Any) -> list[tuple[Any, ...]]:
        """Ask the database."""
        return [tuple(row) for row in self.session.execute(text(query), params)]

    def check_books(self) -> None:
        """Hold balances against passages and against the ledger, and the charger's due against both."""
        wrong = self.ask(
            "SELECT b.agreement_id, b.unbilled_ore, b.unbilled_count, p.ore, p.number, b.open_since, p.oldest "
            "FROM balances AS b FULL JOIN (SELECT agreement_id, sum(amount_ore) AS ore, count(*) AS number, "
            "min(booked_at) AS oldest FROM passages WHERE claim_id IS NULL AND NOT external GROUP BY agreement_id) "
            "AS p USING (agreement_id) WHERE (b.unbilled_ore, b.unbilled_count) IS DISTINCT FROM "
            "(coalesce(p.ore, 0), coalesce(p.number, 0)) OR b.open_since IS DISTINCT FROM p.oldest"
        )
        assert wrong == []
        (unbilled,) = self.ask(
            "SELECT coalesce(sum(CASE WHEN debit = 'unbilled' THEN amount_ore ELSE 0 END) - "
            "sum(CASE WHEN credit = 'unbilled' THEN amount_ore ELSE 0 END), 0) FROM transfers"
        )
        assert unbilled == self.ask("SELECT coalesce(sum(unbilled_ore), 0) FROM balances")[0]
        owed = self.ask(
            "SELECT charger_id, sum(amount_ore) FROM passages WHERE owed GROUP BY 1 HAVING sum(amount_ore) <> 0 "
            "ORDER BY 1"
        )
        payable = self.ask(
            "SELECT owner, sum(ore) FROM (SELECT credit_owner AS owner, amount_ore AS ore FROM transfers "
            "WHERE credit = 'payable' UNION ALL "
            "SELECT debit_owner, -amount_ore FROM transfers WHERE debit = 'payable') AS t "
            "GROUP BY 1 HAVING sum(ore) <> 0 ORDER BY 1"
        )
        assert owed == payable
        for rule in AUDITED:
            if rule.name.startswith("batches_"):
                assert self.ask(rule.sql) == [], rule.name


def at_once(*works: Callable[[], object]) -> None:
    """Have each done by a thread of its own. Raises what one of them raises."""
    with ThreadPoolExecutor(len(works)) as threads:
        for done in [threads.submit(work) for work in works]:
            done.result(60)


@pytest.fixture
def road(session: Session) -> Road:
    """Two chargers, FJELL (toll, stations S1 and S2) and FJORD (ferry, station K1), and builders."""
    rows = [
        {"code": "FJELL", "name": "Fjellbompenger", "kind": "toll"},
        {"code": "FJORD", "name": "Fjordferjer", "kind": "ferry"},
    ]
    toll, ferry = session.scalars(insert(Charger).returning(Charger, sort_by_parameter_order=True), rows).all()
    session.execute(
        insert(Station),
        [
            {"charger_id": toll.id, "code": "S1", "name": "Sør", "project": "BERGEN"},
            {"charger_id": toll.id, "code": "S2", "name": "Nord", "project": "VEST"},
            {"charger_id": ferry.id, "code": "K1", "name": "Kaia", "project": "FJORD"},
        ],
    )
    return Road(session, toll, ferry)
