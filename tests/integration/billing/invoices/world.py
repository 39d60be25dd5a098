"""A small world for tests of documents and their sending, written by SQL: rooms above and below are not needed."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.passages.partitions import ensure

JANUARY = dt.datetime(2026, 1, 15, 11, 0, tzinfo=dt.UTC)
FEBRUARY = dt.datetime(2026, 2, 1, 2, 0, tzinfo=dt.UTC)
SELLER = {
    "name": "Brikke Eksempel AS",
    "org_no": "999999980",
    "address": "Eksempelveien 1, 0150 Oslo",
    "phone": "+47 21 00 00 00",
    "email": "support@brikke.example",
    "account": "15030012345",
}


class World:
    """Agreements and passages as other rooms would have left them: balances and the ledger included."""

    def __init__(self, session: Session) -> None:
        self.session = session
        for month in (JANUARY, FEBRUARY):
            ensure(session, month)
        self.charger = self._one(
            "INSERT INTO chargers (code, name, kind, org_no, email) "
            "VALUES ('FJELL', 'Fjellvegen AS', 'toll', '999999981', 'kunde@fjell.example') RETURNING id"
        )
        self.session.execute(
            text("INSERT INTO stations (charger_id, code, name, project) VALUES (:c, 'S1', 'Gamle Bro', 'P1')"),
            {"c": self.charger},
        )
        self.batch = self._one(
            "INSERT INTO batches (charger_id, name, format, sha256, received_at, state) "
            "VALUES (:c, 'test', 'jsonl', '\\x00', :at, 'done') RETURNING id",
            c=self.charger,
            at=JANUARY,
        )
        self.made = 0

    def _one(self, query: str, **params: Any) -> int:
        return int(self.session.execute(text(query), params).scalar_one())

    def agreement(
        self,
        *,
        method: str = "invoice",
        standing: str = "open",
        language: str = "nb",
        kind: str = "private",
        email: str = "kari@example.no",
        closed_at: dt.datetime | None = None,
    ) -> int:
        """Make a customer with one agreement and return the agreement's id."""
        customer = self._one(
            "INSERT INTO customers (kind, name, org_no, email, street, postal_code, city, language, created_at) "
            "VALUES (:kind, :name, :org, :email, 'Fjøsveien 215 B', '5073', 'Bergen', :language, :at) RETURNING id",
            kind=kind,
            name="Kari Nordmann" if kind == "private" else "Ås & Sønn AS",
            org=None if kind == "private" else "999999982",
            email=email,
            language=language,
            at=JANUARY,
        )
        return self._one(
            "INSERT INTO agreements (customer_id, payment_method, standing, opened_at, closed_at) "
            "VALUES (:customer, :method, :standing, :at, :closed) RETURNING id",
            customer=customer,
            method=method,
            standing=standing,
            at=JANUARY,
            closed=closed_at,
        )

    def passage(
        self,
        agreement: int,
        ore: int,
        *,
        at: dt.datetime = JANUARY,
        booked: dt.datetime | None = None,
        service: str = "toll",
        vat_bp: int = 0,
        plate: str | None = "EK12345",
        flags: int = 0,
        list_ore: int | None = None,
        claim: int | None = None,
        reverses: int | None = None,
    ) -> int:
        """Book a passage of so many øre; unbilled unless it is given a claim. Returns its id."""
        self.made, booked = self.made + 1, booked or at
        passage = self._one(
            "INSERT INTO passages (id, booked_at, agreement_id, charger_id, source_id, batch_id, reverses_id, "
            "passed_at, passed_offset, station, project, service, country, plate, vehicle_class, list_ore, "
            "amount_ore, vat_bp, flags, external, owed, claim_id) VALUES (nextval('passage_ids'), :booked, :agreement, "
            ":charger, :source, :batch, :reverses, :at, 60, 'S1', 'P1', :service, :country, :plate, '1', :list, :ore, "
            ":vat, :flags, false, true, :claim) RETURNING id",
            booked=booked,
            agreement=agreement,
            charger=self.charger,
            source=f"t{self.made}",
            batch=self.batch,
            reverses=reverses,
            at=at,
            service=service,
            country=None if plate is None else "NO",
            plate=plate,
            list=ore if list_ore is None else list_ore,
            ore=ore,
            vat=vat_bp,
            flags=flags,
            claim=claim,
        )
        if claim is None:
            self.session.execute(
                text(
                    "INSERT INTO balances AS b (agreement_id, unbilled_ore, unbilled_count, open_since) "
                    "VALUES (:agreement, :ore, 1, :booked) ON CONFLICT (agreement_id) DO UPDATE SET "
                    "unbilled_ore = b.unbilled_ore + :ore, unbilled_count = b.unbilled_count + 1, "
                    "open_since = least(b.open_since, :booked)"
                ),
                {"agreement": agreement, "ore": ore, "booked": booked},
            )
        return passage

    def claim(self, agreement: int, ores: list[int], *, kind: str = "invoice", fee_ore: int = 0, **passage: Any) -> int:
        """Make a claim with one passage of each sum, as claims.make leaves it; return its id."""
        self.made += 1
        claim = self._one(
            "INSERT INTO claims (agreement_id, kind, run, cutoff_at, passages_ore, passages_count, fee_ore, made_at) "
            "VALUES (:agreement, :kind, :run, :cutoff, :ore, :count, :fee, :now) RETURNING id",
            agreement=agreement,
            kind=kind,
            run=f"test:{self.made}",
            cutoff=FEBRUARY,
            ore=sum(ores),
            count=len(ores),
            fee=fee_ore,
            now=FEBRUARY,
        )
        for at, ore in enumerate(ores):
            self.passage(agreement, ore, **{"at": JANUARY + dt.timedelta(hours=at), **passage}, claim=claim)
        return claim

    def credit(self, agreement: int, ore: int) -> None:
        """Give an agreement credit, as an overpayment does."""
        self.made += 1
        self.session.execute(
            text(
                "INSERT INTO credit_entries (agreement_id, amount_ore, code, ref, value_date, at) "
                "VALUES (:agreement, :ore, 'overpaid', :ref, CAST(:at AS date), :at)"
            ),
            {"agreement": agreement, "ore": ore, "ref": self.made, "at": JANUARY},
        )
