"""A customer, a provider that fails, and everything that can happen in between, in any order: one payment, no more."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from sqlalchemy import text

from billing.cards import confirm, outcome
from billing.cards.gateway import CardGateway, GatewayUnavailable
from config.problems import Conflict
from simulator.gateway import GatewayServer
from simulator.gateway.errors import ApiError
from tests.integration.billing.cards.conftest import Driver
from tests.integration.billing.cards.test_charging import sum_of
from tests.integration.billing.cards.test_confirm import LATER, Customer

STEPS = 14
WAYS = (
    "press", "press", "pay", "pay", "decline", "back", "leave", "event", "sweep", "sweep", "expire", "over", "fault",
    "fault", "new_card", "charge",
)  # fmt: skip


class Walk:
    """One customer's way; what they may do next is chance."""

    def __init__(self, customer: Customer, seed: int) -> None:
        self.customer, self.chance = customer, random.Random(seed)
        self.done: list[str] = []

    def step(self) -> None:
        """Do one thing."""
        name = self.chance.choice(WAYS)
        self.done.append(name)
        with suppress(GatewayUnavailable, Conflict, ApiError):
            getattr(self, f"_{name}")()

    def _pages(self) -> list[str]:
        return [page["id"] for page in self.customer.objects("checkout.session")]

    def _any_page(self) -> str:
        pages = self._pages()
        if not pages:
            raise Conflict("no page yet")
        return self.chance.choice(pages)

    def _press(self) -> None:
        self.customer.press()

    def _pay(self) -> None:
        self.customer.stand_in.pay_page(self._any_page(), self.chance.choice(["consumer", "commercial"]))

    def _decline(self) -> None:
        self.customer.stand_in.pay_page(self._any_page(), fails=True)

    def _back(self) -> None:
        known = [page for page in self._pages() if self._known(page)]
        if known:
            self.customer.come_back(self.chance.choice(known))

    def _known(self, page: str) -> bool:
        with self.customer.driver.sessions() as session:
            found = session.execute(text("SELECT 1 FROM card_sessions WHERE provider_ref = :p"), {"p": page})
            return found.scalar() is not None

    def _leave(self) -> None:
        driver = self.customer.driver
        confirm.leave(driver.sessions, self.customer.gateway, driver.agreement_id, seller=driver.seller, now=LATER)

    def _event(self) -> None:
        page = self._any_page()
        about = next(one for one in self.customer.objects("checkout.session") if one["id"] == page)
        type_ = "checkout.session.completed" if about["status"] == "complete" else "checkout.session.expired"
        self.customer.told(type_, about, str(len(self.done)))

    def _sweep(self) -> None:
        self.customer.sweep()

    def _expire(self) -> None:
        self.customer.stand_in.end_page(self._any_page())

    def _over(self) -> None:
        self.customer.sql("UPDATE card_sessions SET expires_at = now() - interval '1 second'")

    def _fault(self) -> None:
        self.customer.stand_in.fault(
            "error",
            on=self.chance.choice(["setup", "read", "charge"]),
            when=self.chance.choice(["before", "after"]),
            stored=self.chance.choice([True, False]),
        )

    def _new_card(self) -> None:
        with self.customer.driver.sessions() as session:
            outcome.try_now(session, self.customer.driver.agreement_id, now=LATER)
            session.commit()

    def _charge(self) -> None:
        self.customer.driver.charge(self.customer.gateway, LATER)

    def end(self) -> None:
        """Let the provider be well, and the sweep find out what is not known."""
        self.customer.stand_in.world.faults.clear()
        for _ in range(3):
            self._over()
            self.customer.sweep()
            self._charge()


@pytest.mark.parametrize("seed", range(16))
def test_whatever_happens_the_card_pays_once(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, seed: int
) -> None:
    walk = Walk(Customer(driver, gateway, stand_in), seed)
    for _ in range(STEPS):
        walk.step()
        assert stand_in.books()["count"] <= 1, walk.done
        assert walk.customer.states().count("unknown") <= 1, walk.done
    walk.end()
    paid = stand_in.books()["sum_ore"]
    assert paid in (0, 20_000), walk.done
    assert "unknown" not in walk.customer.states(), walk.done
    assert sum_of(driver.sessions, "card_clearing") == paid, walk.done
    state = walk.customer.charge().state
    assert state == ("succeeded" if paid else "claimed"), walk.done
    assert sum_of(driver.sessions, "receivable") == (0 if paid else 20_000), walk.done
