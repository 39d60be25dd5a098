"""A worker that charges one card and is killed (-9) at a named point. Run as a process by test_kill_card_worker."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import sys

from sqlalchemy.orm import Session

from billing.cards import charge, outcome
from billing.cards.gateway import CardGateway, ChargeRequest, Outcome
from billing.cards.stripe_gateway import StripeGateway
from config.database import make_engine, session_factory

POINTS = ("before_commit", "before_call", "after_call", "before_record_commit", "after_record")


def die() -> None:
    """End at once, as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Charge what is due with a gateway and sessions that die where they are told to."""
    point, database_url, gateway_url, seller, now = sys.argv[1:6]
    gateway: CardGateway = StripeGateway(api_key="sk_test_x", api_base=gateway_url, timeout_seconds=5)
    real_charge = gateway.charge

    def charging(request: ChargeRequest) -> Outcome:
        if point == "before_call":
            die()
        result = real_charge(request)
        if point == "after_call":
            die()
        return result

    gateway.charge = charging  # type: ignore[method-assign]
    real_prepare, real_apply = charge.prepare, outcome.apply

    def preparing(session: Session, charge_id: int, **more: object) -> object:
        ready = real_prepare(session, charge_id, **more)  # type: ignore[arg-type]
        if point == "before_commit":
            die()
        return ready

    def applying(session: Session, attempt_id: int, result: Outcome, **more: object) -> str:
        word = real_apply(session, attempt_id, result, **more)  # type: ignore[arg-type]
        if point == "before_record_commit":
            die()
        return word

    charge.prepare = preparing  # type: ignore[assignment]
    outcome.apply = applying
    sessions = session_factory(make_engine(database_url))
    at = dt.datetime.fromisoformat(now)
    with sessions() as session:
        [waiting] = charge.waiting(session, now=at)
    charge.charge_one(sessions, gateway, waiting, seller=json.loads(seller), now=at)
    if point == "after_record":
        die()


if __name__ == "__main__":
    main()
