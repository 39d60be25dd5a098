"""Whatever fails, is lost, comes twice or late, in whatever order: each sum is paid once, and all books agree.

Two drivers, one with a business card, through some weeks with the stand-in gateway: passages and corrections, weeks,
declines, answers lost before and after their effect, a provider that is down, processes killed around the call,
webhooks repeated and out of order, look-ups after the keys are forgotten.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from contextlib import ExitStack, suppress
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import text

from billing.audit.audit import audit
from billing.cards import charge, due, stripe_events, sweep, webhook
from billing.cards.failures import SomeFailed
from billing.cards.gateway import CardGateway, ChargeRequest, Outcome
from billing.cards.stripe_gateway import StripeGateway
from config.clock import business_date, move_clock, now_utc
from config.database import make_engine, session_factory
from config.jobs import JobContext
from config.settings import load
from simulator.gateway import GatewayServer
from tests.conftest import database
from tests.integration.billing.cards.conftest import MONDAY, SELLER, make_driver

DAY = dt.timedelta(days=1)
WEEK_DAYS = 7
FAULTS: dict[str, dict[str, Any]] = {
    "declined": {"kind": "decline", "code": "insufficient_funds"},
    "stolen": {"kind": "decline", "code": "stolen_card"},
    "answer lost": {"kind": "timeout", "when": "after", "hold_seconds": 0.6},
    "request lost": {"kind": "timeout", "when": "before", "hold_seconds": 0.6},
    "failed after": {"kind": "error", "status": 500, "when": "after"},
    "failed before": {"kind": "error", "status": 503, "when": "before"},
    "too fast": {"kind": "rate_limit"},
}
KILLED = ("before", "after")
NOT_HERE = frozenset(
    "transfers_batches batches_passages passages_have_records standings_history publications_standings "
    "passages_charger_id passages_batch_id transfers_reversals".split()
)
"""Rules about what this world has not: chargers and records behind passages, what corrections correct, openings."""


class Killed(BaseException):
    """The process is gone."""


class Shaky:
    """The gateway, at whose call the process can be killed."""

    def __init__(self, gateway: CardGateway) -> None:
        self.gateway = gateway
        self.kill: str | None = None

    def charge(self, request: ChargeRequest) -> Outcome:
        kill, self.kill = self.kill, None
        if kill == "before":
            raise Killed
        answer = self.gateway.charge(request)
        if kill == "after":
            raise Killed
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.gateway, name)


class Machine(RuleBasedStateMachine):
    """Each example has a database and a gateway of its own."""

    patch: pytest.MonkeyPatch

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        engine = make_engine(self.stack.enter_context(database()))
        self.stack.callback(engine.dispose)
        self.gateway = self.stack.enter_context(GatewayServer())
        made = StripeGateway(api_key="sk_test_x", api_base=self.gateway.url, timeout_seconds=0.3)
        self.shaky = Shaky(made)
        for module in (charge, sweep):
            self.patch.setattr(module, "gateway_of", lambda _settings: self.shaky)
        self.sessions = session_factory(engine)
        self.drivers = [make_driver(self.sessions, self.gateway, made, card) for card in ("consumer", "commercial")]
        said = {"STRIPE_API_KEY": "sk_test_x", "STRIPE_API_BASE": self.gateway.url, "STRIPE_WEBHOOK_SECRETS": "whsec_x"}
        self.ctx = JobContext(self.sessions, load(said))
        self.now = MONDAY
        self._clock()

    def _clock(self) -> None:
        with self.sessions.begin() as session:
            move_clock(session, self.now, running=False)

    def _ask(self, sql: str) -> list[Any]:
        with self.sessions() as session:
            return list(session.execute(text(sql)))

    @rule(who=st.integers(0, 1), ore=st.one_of(st.integers(1, 9_000), st.integers(15_000, 45_000), st.just(-12_000)))
    def drive(self, who: int, ore: int) -> None:
        self.drivers[who].drive(ore, self.now)

    @rule(hours=st.sampled_from([1, 14, 24, 24 * 3, 24 * 7, 24 * 8]))
    def wait(self, hours: int) -> None:
        self.now += dt.timedelta(hours=hours)
        self._clock()
        due.job_week_over(self.ctx, self.now)

    @rule(fault=st.sampled_from([None, None, None, *FAULTS]), kill=st.sampled_from([None, None, None, *KILLED]))
    def charge(self, fault: str | None, kill: str | None) -> None:
        if fault is not None:
            self.gateway.fault(**FAULTS[fault])
        self.shaky.kill = kill
        with suppress(Killed, SomeFailed):
            charge.job(self.ctx, self.now)
        self.shaky.kill = None
        self.gateway.world.faults.clear()

    @rule(fault=st.sampled_from([None, None, "answer lost", "failed before"]))
    def sweep(self, fault: str | None) -> None:
        if fault is not None:
            self.gateway.fault(**FAULTS[fault])
        with suppress(SomeFailed):
            sweep.sweep(self.ctx, asked_before=now_utc() + DAY)
        self.gateway.world.faults.clear()

    @rule()
    def a_day_passes_at_the_provider(self) -> None:
        """It forgets its keys, and we know that it may have."""
        self.gateway.forget_keys()
        with self.sessions.begin() as session:
            earlier = "called_at = called_at - interval '25 hours'"
            session.execute(text(f"UPDATE attempts SET {earlier} WHERE state = 'unknown'"))

    @rule(data=st.data(), times=st.integers(1, 2))
    def hear(self, data: st.DataObject, times: int) -> None:
        events = [one for one in self.gateway.world.store.everything("event") if one["type"] in webhook.PAYMENTS]
        if events:
            event = data.draw(st.sampled_from(events))
            for _ in range(times):
                self._hear(event)

    def _hear(self, event: dict[str, Any]) -> None:
        said = stripe_events.read(json.dumps(event))
        webhook.receive(self.sessions, cast(CardGateway, self.shaky), said, seller=SELLER, now=self.now)

    @invariant()
    def a_charge_is_paid_once(self) -> None:
        times = Counter(one["metadata"]["charge"] for one in self.gateway.books()["payments"])
        assert [charge for charge, number in times.items() if number > 1] == []

    @invariant()
    def no_charge_under_the_threshold_or_within_the_week(self) -> None:
        ordinary = "c.cause IN ('threshold', 'week_over')"
        assert self._ask(f"SELECT c.id FROM charges AS c WHERE {ordinary} AND c.amount_ore < 20000") == []
        tried = self._ask(
            f"SELECT c.agreement_id, c.id, a.started_at FROM attempts AS a JOIN charges AS c ON c.id = a.charge_id "
            f"WHERE {ordinary}"
        )
        paid = self._ask(
            "SELECT c.agreement_id, c.id, a.ended_at FROM attempts AS a JOIN charges AS c ON c.id = a.charge_id "
            "WHERE a.state = 'succeeded' AND NOT a.credited"
        )
        for agreement, of, started in tried:
            for other, before, ended in paid:
                if agreement == other and of != before and ended <= started:
                    assert (business_date(started) - business_date(ended)).days >= WEEK_DAYS

    def teardown(self) -> None:
        try:
            self.end()
        finally:
            self.stack.close()

    def end(self) -> None:
        """All that is not known yet is found out; then our books are the gateway's."""
        self.gateway.world.faults.clear()
        while self._ask("SELECT FROM attempts WHERE state = 'unknown' LIMIT 1"):
            self.a_day_passes_at_the_provider()
            self.sweep(None)
        for event in self.gateway.world.store.everything("event"):
            if event["type"] in webhook.PAYMENTS:
                self._hear(event)
        self.a_charge_is_paid_once()
        theirs = self.gateway.books()["payments"]
        ours = self._ask("SELECT provider_ref, amount_ore FROM attempts WHERE state = 'succeeded'")
        assert sorted((one["id"], one["amount_ore"]) for one in theirs) == sorted(tuple(row) for row in ours)
        ((clearing,),) = self._ask(
            "SELECT coalesce(sum(CASE WHEN debit = 'card_clearing' THEN amount_ore ELSE -amount_ore END), 0) "
            "FROM transfers WHERE 'card_clearing' IN (debit, credit)"
        )
        assert clearing == self.gateway.books()["net_ore"]
        with self.sessions() as session:
            wrong = [(check.name, check.detail) for check in audit(session).checks if not check.ok]
        assert [one for one in wrong if one[0] not in NOT_HERE] == []


def test_each_sum_is_paid_once_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    class Patched(Machine):
        patch = monkeypatch

    run_state_machine_as_test(
        Patched,
        settings=settings(
            max_examples=12,
            stateful_step_count=25,
            deadline=None,
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
        ),
    )
