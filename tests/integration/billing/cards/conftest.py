"""A card agreement with passages, against the stand-in gateway."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import pytest
from sqlalchemy import select

from accounts.agreements.models import Agreement
from accounts.customers.models import Customer
from billing.cards.charge import charge_one, waiting
from billing.cards.due import decide
from billing.cards.gateway import CardGateway
from billing.cards.models import Attempt, Card, CardCustomer, Charge
from billing.cards.stripe.gateway import StripeGateway
from billing.ledger.book import Account, Entry, book
from billing.passages.balances import lock
from billing.passages.models import PASSAGE_IDS, Balance, Passage
from billing.passages.partitions import ensure
from config.clock import business_date
from config.database import SessionFactory
from config.settings import Settings, load
from simulator.gateway import GatewayServer

MONDAY = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
SELLER = {
    "name": "Brikke Eksempel AS",
    "org_no": "999999980",
    "address": "Eksempelveien 1, 0150 Oslo",
    "phone": "+47 21 00 00 00",
    "email": "support@brikke.example",
    "account": "15030012345",
}


@dataclass
class Driver:
    """Someone who pays by card; ``drive`` books an unbilled passage the way ingest does."""

    sessions: SessionFactory
    agreement_id: int
    provider_customer: str
    seller: dict[str, str] = field(default_factory=lambda: dict(SELLER))

    def drive(self, ore: int, at: dt.datetime) -> int:
        """Book one passage and decide what is due, in one transaction. Returns how many charges became due."""
        with self.sessions() as session:
            ensure(session, at)
            lock(session, [self.agreement_id])
            number = session.scalars(PASSAGE_IDS.next_value().select()).one()
            session.add(
                Passage(
                    id=number,
                    booked_at=at,
                    agreement_id=self.agreement_id,
                    charger_id=1,
                    source_id=f"s{number}",
                    batch_id=1,
                    passed_at=at,
                    passed_offset=60,
                    station="S1",
                    project="P1",
                    service="toll",
                    country="NO",
                    plate="EL12345",
                    list_ore=ore,
                    amount_ore=ore,
                    vat_bp=0,
                    flags=0,
                    external=False,
                    owed=True,
                )
            )
            balance = session.get_one(Balance, self.agreement_id)
            balance.unbilled_ore += ore
            balance.unbilled_count += 1
            balance.open_since = balance.open_since or at
            session.flush()
            debit, credit = Account("unbilled"), Account("payable", 1)
            if ore < 0:
                debit, credit = credit, debit
            entry = Entry(debit, credit, abs(ore), "passages" if ore > 0 else "reversed", number)
            book(session, [entry], booked_on=business_date(at), now=at)
            due = decide(session, [self.agreement_id], now=at)
            session.commit()
            return due

    def charge(self, gateway: CardGateway, now: dt.datetime) -> list[str]:
        """Charge what is due, as the job does."""
        with self.sessions() as session:
            ids = waiting(session, now=now)
        return [charge_one(self.sessions, gateway, one, seller=self.seller, now=now) for one in ids]

    def charges(self) -> list[Charge]:
        """Return the charges, oldest first."""
        with self.sessions() as session:
            return list(session.scalars(select(Charge).order_by(Charge.id)))

    def attempts(self) -> list[Attempt]:
        """Return the attempts, oldest first."""
        with self.sessions() as session:
            return list(session.scalars(select(Attempt).order_by(Attempt.id)))

    def balance(self) -> Balance:
        """Return the balance row."""
        with self.sessions() as session:
            return session.get_one(Balance, self.agreement_id)


@pytest.fixture
def gateway(stand_in: GatewayServer) -> CardGateway:
    """Our client of it, impatient."""
    return StripeGateway(api_key="sk_test_x", api_base=stand_in.url, timeout_seconds=0.5)


def card_settings(folder: object, stand_in: GatewayServer, **more: str) -> Settings:
    """Settings with the stand-in as the card gateway."""
    said = {"STRIPE_API_KEY": "sk_test_x", "STRIPE_API_BASE": stand_in.url, "STRIPE_WEBHOOK_SECRETS": "whsec_x"}
    return load({"BRIKKE_VAR": f"{folder}/var", **said, **more})


def make_driver(sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway, card: str) -> Driver:
    """Make a customer with an agreement that pays by a test card."""
    with sessions() as session:
        customer = Customer(
            kind="private", name="Kari", email="kari@example.no", street="V 1", postal_code="0150", city="Oslo",
            created_at=MONDAY,
        )  # fmt: skip
        session.add(customer)
        session.flush()
        agreement = Agreement(customer_id=customer.id, payment_method="card", opened_at=MONDAY)
        session.add(agreement)
        session.flush()
        number = agreement.id
        session.commit()
    provider = gateway.create_customer(ref=str(number), email=None, idempotency_key=f"c{number}")
    method = stand_in.add_card(provider, card)
    with sessions() as session:
        session.add(CardCustomer(agreement_id=number, provider_customer=provider, created_at=MONDAY))
        session.add(
            Card(
                agreement_id=number,
                payment_method=method,
                brand="visa",
                last4="4242",
                exp_month=12,
                exp_year=2034,
                funding="debit",
                country="NO",
                segment="commercial" if card == "commercial" else "consumer",
                segment_source="provider",
                is_default=True,
                registered_at=MONDAY,
            )
        )
        session.commit()
    return Driver(sessions, number, provider)


@pytest.fixture
def driver(sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway) -> Driver:
    """A driver with a consumer card that works."""
    return make_driver(sessions, stand_in, gateway, "consumer")
