"""Whatever fails, is lost, comes twice or late, in whatever order: each sum is paid once, and all books agree.

Two drivers, one with a business card, through some weeks with the stand-in gateway: passages and corrections, weeks,
declines, answers lost before and after their effect, requests that are under way for most of an hour, payments that a
bank has not made up its mind about, a provider that is down, processes killed around the call, webhooks repeated, out
of order and about what cannot be read just then, look-ups after the keys are forgotten; other cards, other ways to pay;
refunds of passages and of credit, and disputes in all their ways.

A failure is printed as a program: ``first_week(ores=[a, b])`` and the numbers that days were drawn from, ``busy_days(
number=n)``. The same again: ``BRIKKE_REPLAY="a b: n m …" pytest …/test_machine.py``.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from random import Random
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.audit.audit import audit
from billing.cards import charge, dispute_sweep, due, refund, refund_call, register, sweep, webhook
from billing.cards.failures import SomeFailed
from billing.cards.gateway import CardGateway, GatewayUnavailable
from billing.cards.methods import choose_method
from billing.cards.models import CardSetup
from billing.cards.stripe import events as stripe_events
from billing.cards.stripe.gateway import StripeGateway
from config.clock import business_date, move_clock, now_utc
from config.database import make_engine, session_factory
from config.jobs import JobContext
from config.problems import Conflict
from config.settings import load
from simulator.gateway import GatewayServer
from simulator.gateway.errors import ApiError
from simulator.gateway.faults import STATES
from tests.conftest import database
from tests.integration.billing.cards.conftest import MONDAY, SELLER, make_driver
from tests.integration.billing.cards.shaky import FAULTS, KILLED, MINUTE, Killed, Shaky

DAY = dt.timedelta(days=1)
WEEK_DAYS = 7
NOT_HERE = {
    "transfers_batches", "batches_passages", "passages_have_records", "passages_charger_id", "passages_batch_id",
    "transfers_reversals", "standings_history", "publications_standings",
}  # fmt: skip
"""Rules about what this world has not: chargers and their records, what corrections correct, openings."""


REFUND_FAULTS = ("answer lost", "request lost", "failed after", "failed before", "too fast")
READ_FAULTS = ("answer lost", "failed before", "too fast")

Pick = Callable[[Sequence[Any]], Any]
"""Choose one of these."""


ACTIONS: dict[str, dict[str, Sequence[Any]]] = {
    "another_week": {
        "who": (0, 1),
        "fault": [None, *FAULTS],
        "kill": [None, None, *KILLED],
    },
    "drive": {
        "who": (0, 1),
        "ore": (1, 3_333, 9_000, 15_000, 20_000, 20_001, 45_000, -12_000),
    },
    "wait": {"hours": [1, 14, 24, 24 * 3, 24 * 7, 24 * 8]},
    "charge": {
        "fault": [None, None, None, *FAULTS],
        "kill": [None, None, None, *KILLED],
    },
    "sweep": {"fault": [None, None, "answer lost", "failed before"], "kill": [None, None, "slow"]},
    "a_day_passes_at_the_provider": {},
    "minutes_go_by": {"minutes": (10, 50, 22 * 60 + 55), "lost": (True, False)},
    "what_is_under_way_arrives": {},
    "a_bank_makes_up_its_mind": {"how": ("succeed", "fail")},
    "a_long_outage": {"who": (0, 1), "minutes": (10, 50, 70)},
    "hear": {"which": ("one", "twice", "new", "newest first"), "fault": [None, None, *READ_FAULTS]},
    "another_card": {"who": (0, 1), "card": ["consumer", "commercial"]},
    "pay_otherwise": {
        "who": (0, 1),
        "method": ["invoice", "card"],
        "instead": (True, False),
    },
    "give_back": {"which": ["all", "one", "credit", "some"]},
    "decide_on_refunds": {"approve": (True, False)},
    "money_goes_back": {"which": ["all", "one", "credit"], "fails": (True, False)},
    "refund": {"fault": [None, None, *REFUND_FAULTS], "kill": [None, None, *KILLED]},
    "a_refund_fails_after_all": {},
    "a_bank_disputes": {"inquiry": (True, False), "part": (True, False)},
    "a_bank_decides": {"how": ["escalate", "win", "lose", "reverse", "close", "update"]},
}
"""What may happen next, each as likely, with what is chosen for it."""


WITH_PICK = {
    "hear", "give_back", "money_goes_back", "a_refund_fails_after_all", "a_bank_disputes", "a_bank_decides",
    "a_bank_makes_up_its_mind",
}  # fmt: skip


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
        for module in (charge, sweep, refund_call, dispute_sweep):
            self.patch.setattr(module, "gateway_of", lambda _settings: self.shaky)
        self.sessions = session_factory(engine)
        self.drivers = [make_driver(self.sessions, self.gateway, made, card) for card in ("consumer", "commercial")]
        said = {"STRIPE_API_KEY": "sk_test_x", "STRIPE_API_BASE": self.gateway.url, "STRIPE_WEBHOOK_SECRETS": "whsec_x"}
        # One after the other: which of two has a fault would else be chance, and not the same again.
        self.ctx = JobContext(self.sessions, load(said | {"CARD_CONCURRENCY": "1"}))
        self.now, self.steps = MONDAY, 0
        self.heard: set[str] = set()
        self._clock()

    def _clock(self) -> None:
        with self.sessions.begin() as session:
            move_clock(session, self.now, running=False)

    def _ask(self, sql: str) -> list[Any]:
        with self.sessions() as session:
            return list(session.execute(text(sql)))

    @initialize(ores=st.lists(st.sampled_from([18_000, 20_000, 33_333]), min_size=2, max_size=2))
    def first_week(self, ores: list[int]) -> None:
        """So that there is something to argue about whatever comes."""
        for who, ore in enumerate(ores):
            self.drive(who=who, ore=ore)
            self.drive(who=who, ore=2_500)
        self.charge(fault=None, kill=None)

    def another_week(self, who: int, fault: str | None, kill: str | None) -> None:
        self.wait(hours=24 * 8)
        self.drive(who=who, ore=21_050)
        self.charge(fault=fault, kill=kill)

    def drive(self, who: int, ore: int) -> None:
        self.drivers[who].drive(ore, self.now)

    def wait(self, hours: int) -> None:
        self.now += dt.timedelta(hours=hours)
        self._clock()
        due.job_week_over(self.ctx, self.now)

    def charge(self, fault: str | None, kill: str | None) -> None:
        if fault is not None:
            self.gateway.fault(**FAULTS[fault])
        self.shaky.kill = kill
        with suppress(Killed, SomeFailed):
            charge.job(self.ctx, self.now)
        self.shaky.kill = None
        self.gateway.world.faults.clear()

    def sweep(self, fault: str | None, kill: str | None = None) -> None:
        if fault is not None:
            self.gateway.fault(**FAULTS[fault])
        self.shaky.kill = kill
        with suppress(SomeFailed):
            sweep.sweep(self.ctx, asked_before=now_utc() + DAY)
        self.shaky.kill = None
        self.gateway.world.faults.clear()

    def a_day_passes_at_the_provider(self) -> None:
        """It forgets its keys, and we know that it may have."""
        self.minutes_go_by(minutes=25 * 60, lost=False)
        self.gateway.forget_keys()

    def minutes_go_by(self, minutes: int, lost: bool) -> None:
        """Real time: what we have sent is older then."""
        self.shaky.arrive(minutes * MINUTE, lost=lost)
        earlier = ", ".join(f"{name} = {name} - :by" for name in ("called_at", "asked_at", "sent_at"))
        with self.sessions.begin() as session:
            for table in ("attempts", "card_refunds"):
                session.execute(text(f"UPDATE {table} SET {earlier} WHERE state = 'unknown'"), {"by": minutes * MINUTE})

    def a_long_outage(self, who: int, minutes: int) -> None:
        """The key is sent for the last time when the provider just gets up."""
        self.wait(hours=24 * 8)
        self.drive(who=who, ore=21_050)
        self.charge(fault=None, kill="slow")
        self.minutes_go_by(minutes=22 * 60 + 55, lost=True)
        self.sweep(fault=None, kill="slow")
        self.minutes_go_by(minutes=minutes, lost=False)
        self.sweep(fault=None)
        self.charge(fault=None, kill=None)

    def what_is_under_way_arrives(self) -> None:
        self.shaky.arrive()

    def a_bank_makes_up_its_mind(self, pick: Pick, how: str) -> None:
        intents = self.gateway.world.store.everything("payment_intent")
        waiting = [one["id"] for one in intents if one["status"] in STATES]
        if waiting:
            self.gateway.end_charge(pick(waiting), how)

    def hear(self, pick: Pick, which: str, fault: str | None) -> None:
        """Events come: all new ones, or any one, perhaps again. What could not be read comes again."""
        events = self._events()
        told = [one for one in events if one["id"] not in self.heard]
        if which in ("one", "twice"):
            told = [pick(events)] * (1 if which == "one" else 2) if events else []
        if fault is not None:
            self.gateway.fault(**FAULTS[fault], on="read", times=3)
        for event in told[::-1] if which == "newest first" else told:
            with suppress(GatewayUnavailable):
                self._hear(event)
                self.heard.add(event["id"])
        self.gateway.world.faults.clear()

    def _events(self) -> list[dict[str, Any]]:
        return [one for one in self.gateway.world.store.everything("event") if one["type"] in webhook.EFFECTS]

    def _hear(self, event: dict[str, Any]) -> None:
        said = stripe_events.read(json.dumps(event))
        webhook.receive(self.sessions, cast(CardGateway, self.shaky), said, seller=SELLER, now=self.now)

    def another_card(self, who: int, card: str) -> None:
        driver = self.drivers[who]
        method = self.gateway.add_card(driver.provider_customer, card)
        details = self.shaky.gateway.card(method)
        assert details is not None
        with self.sessions.begin() as session:
            setup = CardSetup(agreement_id=driver.agreement_id, declared_commercial=False, started_at=self.now)
            session.add(setup)
            session.flush()
            register.adopt(session, setup, details, now=self.now)

    def pay_otherwise(self, who: int, method: str, instead: bool) -> None:
        self._try(
            lambda session: choose_method(
                session, self.drivers[who].agreement_id, method, version=None, seller=SELLER, now=self.now,
                instead=instead,
            )
        )  # fmt: skip

    def _try(self, act: Callable[[Session], object]) -> None:
        """Do what may be refused, in a transaction."""
        with suppress(Conflict), self.sessions.begin() as session:
            act(session)

    def _paid(self, pick: Pick) -> int | None:
        paid = self._ask("SELECT charge_id FROM attempts WHERE state = 'succeeded' ORDER BY 1")
        return int(pick(paid)[0]) if paid else None

    def give_back(self, pick: Pick, which: str) -> None:
        charge_id = self._paid(pick)
        if charge_id is None:
            return
        about: dict[str, Any] = {"reason": "as agreed", "actor": "agent:kari", "now": self.now}
        if which in ("credit", "some"):
            ore = None if which == "credit" else pick((1, 100, 2_500, 10_000, 30_000))
            self._try(lambda session: refund.request(session, charge_id, amount_ore=ore, **about))
            return
        passages = self._ask(
            f"SELECT p.id, p.amount_ore FROM passages AS p JOIN charges AS c ON c.claim_id = p.claim_id "
            f"WHERE c.id = {charge_id} "
            "AND p.reverses_id IS NULL ORDER BY 1"
        )
        mine = [number for number, ore in passages if ore > 0]  # one below zero stands for a correction
        every = mine if len(mine) < len(passages) else None
        some = every if which == "all" or not mine else [pick(mine)]
        self._try(lambda session: refund.give_back(session, charge_id, some, seller=SELLER, **about))

    def decide_on_refunds(self, approve: bool) -> None:
        for (waits,) in self._ask("SELECT id FROM card_refunds WHERE state = 'requested'"):
            act = refund.approve if approve else refund.cancel
            with suppress(Conflict), self.sessions.begin() as session:
                act(session, waits, actor="lead:ola", now=self.now)

    def refund(self, fault: str | None, kill: str | None) -> None:
        if fault is not None:
            self.gateway.fault(**FAULTS[fault], on="refund")
        self.shaky.kill = kill
        for job in (refund_call.job, refund_call.job_sweep):
            with suppress(Killed, SomeFailed):
                job(self.ctx, self.now)
        self.shaky.kill = None
        self.gateway.world.faults.clear()

    def money_goes_back(self, pick: Pick, which: str, fails: bool) -> None:
        self.give_back(pick, which)
        self.decide_on_refunds(approve=True)
        self.refund(fault=None, kill=None)
        if fails:
            self.a_refund_fails_after_all(pick)

    def a_refund_fails_after_all(self, pick: Pick) -> None:
        made = [one for one in self.gateway.books()["refunds"] if one["status"] == "succeeded"]
        if made:
            self.gateway.end_refund(pick(made)["id"], "fail")

    def a_bank_disputes(self, pick: Pick, inquiry: bool, part: bool) -> None:
        books = self.gateway.books()
        known = {one["payment"] for one in books["disputes"]}
        payments = [one for one in books["payments"] if one["id"] not in known and one["refunded_ore"] == 0]
        if payments:
            payment = pick(payments)
            self.gateway.open_dispute(payment["id"], payment["amount_ore"] // 2 if part else None, inquiry=inquiry)

    def a_bank_decides(self, pick: Pick, how: str) -> None:
        disputes = self.gateway.books()["disputes"]
        if disputes:
            with suppress(ApiError):
                self.gateway.end_dispute(pick(disputes)["id"], how)

    @rule(number=st.integers(0, 2**63))
    def busy_days(self, number: int) -> None:
        """Five things, chosen evenly by a number: what hypothesis draws by itself keeps to a few kinds."""
        self.steps += 1
        chance = Random(f"{number} {self.steps}")  # small numbers come often: not the same five each time
        for _ in range(5):
            self._act(chance.choice(sorted(ACTIONS)), chance.choice)

    def _act(self, action: str, pick: Pick) -> None:
        self.now += dt.timedelta(seconds=1)  # the books say which came first
        self._clock()
        chosen = {name: pick(choices) for name, choices in ACTIONS[action].items()}
        if replayed is None:
            note(f"{action} {chosen}")
        getattr(self, action)(**chosen, **({"pick": pick} if action in WITH_PICK else {}))

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
        self.shaky.arrive()
        while self._ask(
            "SELECT FROM attempts WHERE state = 'unknown' UNION ALL "
            "SELECT FROM card_refunds WHERE state IN ('approved', 'unknown') LIMIT 1"
        ):
            self.a_bank_makes_up_its_mind(lambda choices: choices[0], "succeed")
            self.a_day_passes_at_the_provider()
            self.sweep(None)
            self.refund(None, None)
        for event in self._events():
            self._hear(event)
        dispute_sweep.job(self.ctx, self.now)
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


replayed = os.environ.get("BRIKKE_REPLAY")


def replay(machine: Machine, what: str) -> None:
    """Do again what a failure was printed of: ``18000 20000: 4711 17``."""
    ores, _, numbers = what.partition(":")
    try:
        machine.first_week([int(ore) for ore in ores.split()])
        for number in numbers.split():
            machine.busy_days(int(number))
            machine.a_charge_is_paid_once()
            machine.no_charge_under_the_threshold_or_within_the_week()
    finally:
        machine.teardown()


@pytest.mark.slow
def test_each_sum_is_paid_once_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    class Patched(Machine):
        patch = monkeypatch

    if replayed is not None:
        replay(Patched(), replayed)
        return
    run_state_machine_as_test(
        Patched,
        settings=settings(
            max_examples=5,
            stateful_step_count=8,
            deadline=None,
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
        ),
    )
