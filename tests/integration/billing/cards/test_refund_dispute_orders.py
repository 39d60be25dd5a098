"""Refunds and disputes of one payment in every order of a few steps, against the stand-in: what both sides have agrees.

Each order is an agreement of its own in one world: after each the stand-in's books are card clearing, and nothing is
borne by us but what the customer has had twice. The audit reads the whole world at the end of a table.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from sqlalchemy import text

from billing.cards import refund, refund_call, webhook
from billing.cards.charge import charge_one
from billing.cards.gateway import CardGateway, Event
from billing.cards.models import Attempt, Charge, Dispute, Refund
from billing.cards.stripe.gateway import StripeGateway
from config.clock import now_utc
from config.database import SessionFactory
from config.problems import Conflict
from simulator.gateway import GatewayServer
from tests.integration.billing.books import SELLER, Books
from tests.integration.billing.cards.payer import KARI, NOW, CardPayer

EVENTS = itertools.count(1)
REFUND, KEPT = 5_000, 20_000


def orders(*threads: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Every order of all steps in which each thread's own keep theirs."""
    names = [number for number, thread in enumerate(threads) for _ in thread]
    for picked in sorted(set(itertools.permutations(names))):
        rest = [iter(thread) for thread in threads]
        yield tuple(next(rest[number]) for number in picked)


@dataclass
class World:
    """One payment of NOK 250 of an agreement, a passage of NOK 50 among what it paid, and what happens to it."""

    books: Books
    sessions: SessionFactory
    gateway: CardGateway
    stand_in: GatewayServer
    payer: CardPayer = field(init=False)
    charge: Charge = field(init=False)
    payment: str = ""
    asked: int = 0
    dispute: str = ""

    def __post_init__(self) -> None:
        session = self.books.session
        self.payer = CardPayer(self.books)
        customer = self.gateway.create_customer(
            ref=str(self.payer.agreement), email=None, idempotency_key=f"c{self.payer.agreement}"
        )
        method = self.stand_in.add_card(customer)
        a = {"a": self.payer.agreement, "customer": customer, "method": method}
        session.execute(text("UPDATE cards SET payment_method = :method WHERE agreement_id = :a"), a)
        session.execute(text("UPDATE card_customers SET provider_customer = :customer WHERE agreement_id = :a"), a)
        self.charge = self.payer.charge(KEPT, REFUND)
        session.commit()
        assert charge_one(self.sessions, self.gateway, self.charge.id, seller=SELLER, now=NOW) == "succeeded"
        self.payment = str(session.query(Attempt.provider_ref).filter_by(charge_id=self.charge.id).scalar())
        session.commit()

    def tell(self, kind: str, number: str, what: str) -> str:
        """Bring an event about an object of the gateway's."""
        thing = dict(self.stand_in.world.store.get(what, number) or {})
        event = Event(f"evt_{next(EVENTS)}", kind, now_utc(), number, what, thing, thing.get("metadata") or {})
        return webhook.receive(self.sessions, self.gateway, event, seller=SELLER, now=NOW)

    def ask(self) -> None:
        """The passage is given back."""
        with self.sessions() as session:
            try:
                made = refund.give_back(
                    session, self.charge.id, [self.payer.passages[1]], reason="x", seller=SELLER, actor=KARI, now=NOW
                ).refund
            except Conflict:
                return
            self.asked = made.id if made else 0
            session.commit()

    def call(self) -> None:
        """The job calls for the refund, where there is one."""
        if self.asked:
            refund_call.refund_one(self.sessions, self.gateway, self.asked, now=NOW)

    def call_unheard(self) -> None:
        """The same, and its answer is lost."""
        if self.asked:
            self.stand_in.fault("error", on="refund", when="after", stored=False)
            self.call()
            self.stand_in.world.faults.clear()

    def call_lost(self) -> None:
        """The same, and the request itself is lost."""
        if self.asked:
            self.stand_in.fault("error", on="refund", when="before", stored=False)
            self.call()
            self.stand_in.world.faults.clear()

    def sweep(self) -> None:
        """Unknown refunds are asked about."""
        if self.asked:
            refund_call.sweep_one(self.sessions, self.gateway, self.asked, now=NOW)

    def fail(self) -> None:
        """A refund that was made fails at the card's bank."""
        with self.sessions() as session:
            row = session.get(Refund, self.asked) if self.asked else None
            ref = row.provider_ref if row is not None and row.state == "succeeded" else None
        if ref is not None:
            self.stand_in.end_refund(ref, "fail")
            assert self.tell("refund.failed", ref, "refund") == "failed"

    def open(self, ore: int | None = None, *, inquiry: bool = False) -> None:
        """The bank disputes what is left of the payment, or so much of it; or asks."""
        self.dispute = self.stand_in.open_dispute(self.payment, ore, inquiry=inquiry)
        assert self.tell("charge.dispute.created", self.dispute, "dispute") == "opened"

    def end(self, how: str) -> None:
        """The bank decides."""
        self.stand_in.end_dispute(self.dispute, how)
        self.tell("charge.dispute.closed", self.dispute, "dispute")

    def rest(self) -> None:
        """Time goes by until everything is known."""
        for _ in range(4):
            with self.sessions.begin() as session:
                session.execute(
                    text("UPDATE card_refunds SET called_at = called_at - interval '2 hours', "
                         "sent_at = sent_at - interval '2 hours' WHERE state = 'unknown'")
                )  # fmt: skip
            self.sweep()
            self.call()

    def check(self, order: object) -> None:
        """What both sides have agrees, all is known, and nothing is borne but what was given twice."""
        session = self.books.session
        session.expire_all()
        refunds = session.query(Refund).filter_by(agreement_id=self.payer.agreement).all()
        disputes = session.query(Dispute).filter_by(agreement_id=self.payer.agreement).all()
        assert {one.state for one in refunds} <= {"succeeded", "failed", "cancelled"}, order
        assert {one.state for one in disputes} <= {"won", "lost"}, order
        assert self.stand_in.books()["net_ore"] == self.payer.account("card_clearing"), order
        assert self.payer.account("disputes") == self.payer.account("refunds") == 0, order
        given = sum(one.amount_ore for one in refunds if one.state == "succeeded")
        assert sum(one.written_off_ore for one in disputes) <= given, order
        session.commit()


STEPS: dict[str, Callable[[World], None]] = {
    "ask": World.ask,
    "call": World.call,
    "call, unheard": World.call_unheard,
    "call, lost": World.call_lost,
    "sweep": World.sweep,
    "fail": World.fail,
    "open": World.open,
    "open a part": lambda world: world.open(8_000),
    "inquiry": lambda world: world.open(inquiry=True),
    "win": lambda world: world.end("win"),
    "lose": lambda world: world.end("lose"),
    "close": lambda world: world.end("close"),
    "reverse": lambda world: world.end("reverse"),
}
TABLES: dict[str, tuple[tuple[str, ...], ...]] = {
    "a refund and a dispute, lost": (("ask", "call", "fail"), ("open", "lose")),
    "a refund and a dispute, won": (("ask", "call", "fail"), ("open", "win")),
    "a dispute beside an answer that was lost": (("ask", "call, unheard", "sweep"), ("open", "lose")),
    "a dispute beside a request that was lost": (("ask", "call, lost", "sweep"), ("open", "lose")),
    "an inquiry beside an answer that was lost": (("ask", "call, unheard", "sweep"), ("inquiry", "close")),
    "an inquiry beside a request that was lost": (("ask", "call, lost", "sweep"), ("inquiry", "close")),
    "two disputes, both lost": (("ask", "call"), ("open a part", "lose", "open", "lose")),
    "two disputes, the first won": (("ask", "call"), ("open a part", "win", "open", "lose")),
    "one lost that comes back, and another": (("ask", "call"), ("open a part", "lose", "reverse", "open", "lose")),
}


@pytest.fixture
def gateway(stand_in: GatewayServer) -> CardGateway:
    """Our client of it, patient: no step here is about time."""
    return StripeGateway(api_key="sk_test_x", api_base=stand_in.url, timeout_seconds=20)


@pytest.mark.parametrize("table", list(TABLES))
def test_every_order(
    books: Books, sessions: SessionFactory, gateway: CardGateway, stand_in: GatewayServer, table: str
) -> None:
    for order in orders(*TABLES[table]):
        world = World(books, sessions, gateway, stand_in)
        for step in order:
            STEPS[step](world)
        world.rest()
        world.check(order)
    books.prove(NOW)
