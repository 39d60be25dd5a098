"""A card that has paid in whole books, against a gateway that says what it is told; and the ledger at each step."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import text

from billing.cards import dispute, outcome, refund, refund_call
from billing.cards.charge import prepare
from billing.cards.due import decide
from billing.cards.gateway import DisputeDetails, Outcome, Succeeded
from billing.cards.models import Attempt, Card, CardCustomer, Charge, Dispute, Refund
from billing.passages.balances import lock
from config.clock import now_utc
from tests.integration.billing.books import SELLER, Books, noon

CHARGED = dt.date(2026, 2, 2)
NOW = noon(CHARGED)
KARI, OLA, LEAD = "agent:kari", "agent:ola", "lead:eva"


@dataclass
class CardPayer:
    """An agreement that pays by card; no provider is asked, outcomes are told."""

    books: Books
    segment: str = "consumer"
    agreement: int = 0
    passages: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        session = self.books.session
        self.agreement = self.books.agreement()
        session.execute(text("UPDATE agreements SET payment_method = 'card' WHERE id = :a"), {"a": self.agreement})
        session.add(
            Card(
                agreement_id=self.agreement, payment_method=f"pm_{self.agreement}", brand="visa", last4="4242",
                exp_month=12, exp_year=2034, funding="debit", country="NO", segment=self.segment,
                segment_source="provider", is_default=True, registered_at=NOW,
            )
        )  # fmt: skip
        session.add(
            CardCustomer(agreement_id=self.agreement, provider_customer=f"cus_{self.agreement}", created_at=NOW)
        )
        session.flush()

    def charge(self, *ores: int, now: dt.datetime = NOW) -> Charge:
        """Drive until a charge is due, and claim it."""
        session = self.books.session
        self.passages = self.books.passages(self.agreement, *ores)
        lock(session, [self.agreement])
        assert decide(session, [self.agreement], now=now) == 1
        charge = session.query(Charge).where(Charge.agreement_id == self.agreement).order_by(Charge.id.desc()).first()
        assert charge is not None
        return charge

    def attempt(self, charge: Charge, now: dt.datetime = NOW) -> Attempt:
        """Begin an attempt."""
        ready = prepare_one(self.books, charge.id, now)
        return self.books.session.get_one(Attempt, ready)

    def paid(self, *ores: int, now: dt.datetime = NOW) -> Charge:
        """Drive, and have the card pay."""
        charge = self.charge(*ores, now=now)
        self.pay(self.attempt(charge, now), now)
        return charge

    def pay(self, attempt: Attempt, now: dt.datetime = NOW) -> None:
        """Tell that an attempt has paid."""
        told = Succeeded(f"pi_{attempt.id}", attempt.amount_ore, now_utc())
        assert outcome.apply(self.books.session, attempt.id, told, seller=SELLER, now=now) == "succeeded"

    def ask_back(self, charge: Charge, which: int | None = None) -> Refund:
        """Have Kari credit one of the passages (else all of them) and ask for its refund, which is due then."""
        some = None if which is None else [self.passages[which]]
        row = refund.give_back(
            self.books.session, charge.id, some, reason="x", seller=SELLER, actor=KARI, now=NOW
        ).refund
        assert row is not None
        return row

    def call(self, row: Refund, now: dt.datetime = NOW) -> None:
        """Commit that a refund is called for."""
        assert refund_call.prepare(self.books.session, row.id, now=now, real=now_utc()) is not None

    def tell(self, row: Refund, result: Outcome, now: dt.datetime = NOW) -> str:
        """Tell what became of a refund."""
        return refund_call.apply(self.books.session, row.id, result, now=now)

    def give(self, row: Refund, now: dt.datetime = NOW) -> None:
        """Have a refund called for and made."""
        self.call(row, now)
        assert self.tell(row, Succeeded(f"re_{row.id}", row.amount_ore, now_utc()), now) == "succeeded"

    def dispute(
        self, charge: Charge, status: Literal["open", "won", "lost"], withdrawn: int = 0, returned: int = 0, *,
        amount: int = 0, ref: str = "dp_1", now: dt.datetime = NOW, attempt: Attempt | None = None,
    ) -> str:  # fmt: skip
        """Tell how a dispute of a charge's payment stands."""
        session = self.books.session
        one = attempt or session.query(Attempt).filter_by(charge_id=charge.id, state="succeeded").first()
        assert one is not None
        told = DisputeDetails(
            ref=ref, payment=one.provider_ref or f"pi_{one.id}", amount_ore=amount or withdrawn or one.amount_ore,
            status=status, reason="fraudulent", withdrawn_ore=withdrawn, returned_ore=returned,
            evidence_due_at=now + dt.timedelta(days=14), charge=str(charge.id), attempt=str(one.id),
            customer=f"cus_{self.agreement}",
        )  # fmt: skip
        return dispute.apply(session, dispute.Look(told), seller=SELLER, now=now)

    def the_dispute(self, ref: str = "dp_1") -> Dispute:
        """The dispute's row, as it is in the database."""
        row = self.books.session.query(Dispute).filter_by(provider_ref=ref).one()
        self.books.session.refresh(row)
        return row

    def account(self, kind: str) -> int:
        """An account's balance, debit positive, øre."""
        return self.books.one(
            "SELECT coalesce(sum(CASE WHEN debit = :kind THEN amount_ore ELSE 0 END "
            "- CASE WHEN credit = :kind THEN amount_ore ELSE 0 END), 0) FROM transfers",
            kind=kind,
        )

    def claim(self, charge: Charge) -> tuple[int, int, int]:
        """A charge's claim: amount, fee, settled (øre)."""
        row = self.books.session.execute(
            text("SELECT amount_ore, fee_ore, settled_ore FROM claims WHERE id = :id"), {"id": charge.claim_id}
        ).one()
        return row.amount_ore, row.fee_ore, row.settled_ore


def prepare_one(books: Books, charge_id: int, now: dt.datetime) -> int:
    """Write a charge's next attempt; return its id."""
    ready = prepare(books.session, charge_id, seller=SELLER, now=now, real=now_utc())
    assert ready is not None
    return ready.attempt_id
