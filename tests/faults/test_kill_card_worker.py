"""kill -9 of a worker between any two steps of a charge: one payment, and the books know it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from billing.cards import sweep
from billing.cards.gateway import CardGateway
from config.database import SessionFactory
from simulator.gateway import GatewayServer
from tests.faults.card_worker import POINTS
from tests.integration.billing.cards.conftest import MONDAY, Driver, driver, gateway, stand_in

__all__ = ["driver", "gateway", "stand_in"]

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("point", POINTS)
def test_one_charge_whenever_it_is_killed(
    point: str,
    database_url: str,
    driver: Driver,
    gateway: CardGateway,
    stand_in: GatewayServer,
    sessions: SessionFactory,
) -> None:
    driver.drive(20_000, MONDAY)
    worker = subprocess.run(
        [
            sys.executable, "-m", "tests.faults.card_worker",
            point, database_url, stand_in.url, json.dumps(driver.seller), MONDAY.isoformat(),
        ],
        cwd=ROOT,
        timeout=60,
        check=False,
        capture_output=True,
    )  # fmt: skip
    assert worker.returncode == -signal.SIGKILL, worker.stderr.decode()
    driver.charge(gateway, MONDAY)
    for attempt in driver.attempts():
        sweep.sweep_one(sessions, gateway, attempt.id, seller=driver.seller, now=MONDAY)
    driver.charge(gateway, MONDAY)
    assert [charge.state for charge in driver.charges()] == ["succeeded"]
    assert stand_in.books()["sum_ore"] == 20_000
    assert stand_in.books()["count"] == 1
    with sessions() as session:
        booked = session.execute(text("SELECT sum(amount_ore) FROM transfers WHERE code = 'card_payment'")).scalar_one()
        documents = session.execute(text("SELECT count(*) FROM documents")).scalar_one()
    assert (booked, documents) == (20_000, 1)
