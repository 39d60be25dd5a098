"""A charger's month: passages of several projects, one credited, one taken elsewhere; what is owed is known."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from accounts.vehicles.models import Removal
from billing.passages.move import move
from billing.payments.pain001 import Debtor
from billing.roadside.settlement.agree import agree
from billing.roadside.settlement.claim import ChargerClaim, Checked, ClaimLine, check_claim
from billing.roadside.settlement.models import ChargerOrder, Settlement
from billing.roadside.settlement.order import order, release
from billing.roadside.settlement.rules import Period
from billing.roadside.settlement.settle import settle
from tests.integration.billing.passages.conftest import NOW, START, Road, road

__all__ = ["road"]

FEBRUARY = Period(dt.date(2026, 2, 1), dt.date(2026, 2, 28))
MARCH = Period(dt.date(2026, 3, 1), dt.date(2026, 3, 31))
APRIL = Period(dt.date(2026, 4, 1), dt.date(2026, 4, 30))
LATE_MARCH = dt.datetime(2026, 3, 31, 21, 59, 59, tzinfo=dt.UTC)
"""The last second of March in Oslo."""
MIDNIGHT = dt.datetime(2026, 3, 31, 22, tzinfo=dt.UTC)
"""The first instant of April in Oslo."""
OVER = dt.datetime(2026, 4, 1, 5, tzinfo=dt.UTC)
MAY = dt.datetime(2026, 5, 1, 5, tzinfo=dt.UTC)
US = Debtor("Brikke Eksempel AS", "15030012345", "999999980")
ACCOUNT = "15030054323"
PLATE = "EV10001"


@dataclass
class World:
    """Verbs on one session, as different people."""

    road: Road
    agreement: int

    @property
    def session(self) -> Session:
        return self.road.session

    def drive(self, name: str, ore: int = 2480, *, station: str = "S1", at: dt.datetime = NOW) -> None:
        """A passage that is accepted."""
        assert (
            self.road.one(self.road.record(name, plate=PLATE, amount=ore, station=station), now=at).code == "accepted"
        )

    def passage(self, name: str) -> int:
        """The id of a record's passage."""
        return int(self.road.ask("SELECT passage_id FROM records WHERE source_id = :s", s=name)[0][0])

    def move_elsewhere(self, scope: str, *, at: dt.datetime) -> int:
        """What was driven with the charger is settled by another agreement after all: taken back, and only shown."""
        (registration,) = self.road.ask("SELECT id FROM registrations WHERE scope = '' AND plate = :p", p=PLATE)[0]
        self.road.vehicle(self.agreement, PLATE, scope=scope, settlement="external", external_ref="7")
        removal = self.session.execute(
            insert(Removal).returning(Removal.id),
            [{"registration_id": registration, "agreement_id": self.agreement, "ends_at": START, "requested_at": at,
              "actor": "test", "reason": None}],
        ).scalar_one()  # fmt: skip
        return move(self.session, removal, now=at) or 0

    def settle(self, period: Period = MARCH, *, now: dt.datetime = OVER, charger: int | None = None) -> Settlement:
        (made,) = settle(self.session, {charger or self.road.toll.id: period}, now=now, actor="accountant:kari")
        return made

    def ordered(self, row: Settlement, *, now: dt.datetime = OVER) -> ChargerOrder:
        """The order of a settlement, agreed first."""
        self.account()
        agree(self.session, row.id, note=None, actor="accountant:kari", now=now)
        return order(self.session, row.id, actor="accountant:kari", now=now)

    def released(self, row: Settlement, *, now: dt.datetime = OVER) -> ChargerOrder:
        return release(self.session, self.ordered(row, now=now).id, debtor=US, actor="lead:ola", now=now)

    def written(self, row: Settlement, *, now: dt.datetime = OVER) -> ChargerOrder:
        """The order of a settlement, whose file lies in the bank's outbox."""
        made = self.released(row, now=now)
        made.state, made.written_at = "written", now
        self.session.flush()
        return made

    def account(self, account: str | None = ACCOUNT) -> None:
        self.road.toll.bank_account = account
        self.session.flush()

    def claim(
        self,
        lines: Sequence[ClaimLine],
        *,
        number: str = "2026-03",
        period: Period = MARCH,
        now: dt.datetime = OVER,
        total: int | None = None,
    ) -> Checked:
        said = ChargerClaim(number, period.first, period.last, "NOK", iter(lines), b"as sent", total)
        return check_claim(self.session, self.road.toll, said, now, actor="charger:FJELL")

    def payable(self, charger: int | None = None) -> int:
        """What stands on a charger's payable."""
        owner = charger or self.road.toll.id
        return int(
            self.session.scalar(
                text(
                    "SELECT coalesce(sum(CASE WHEN credit = 'payable' AND credit_owner = :c THEN amount_ore ELSE 0 END)"
                    " - sum(CASE WHEN debit = 'payable' AND debit_owner = :c THEN amount_ore ELSE 0 END), 0) "
                    "FROM transfers"
                ),
                {"c": owner},
            )
            or 0
        )


@pytest.fixture
def world(road: Road) -> World:
    """A customer with a car, and nothing driven yet."""
    agreement = road.agreement()
    road.vehicle(agreement, PLATE)
    return World(road, agreement)
