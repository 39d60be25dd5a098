"""kill -9 at many moments of a mass correction and of its undoing, begun anew each time: the books of one clean run."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from billing.audit.audit import audit
from billing.passages.mass.models import MassCorrection
from billing.passages.mass.preview import Asked, confirm, preview, undo
from config.clock import move_clock
from config.database import make_engine
from tests.conftest import database
from tests.faults.killed import everything, run_worker
from tests.integration.billing.passages.conftest import HOUR, NOW, PASSED, UNOPENED, Road, road

__all__ = ["road"]

KILLS, CHUNK, AGREEMENTS, EACH = 10, 10, 40, 40
EVERYTHING = {
    "corrections": "SELECT undoes_id, state, done, done_ore, skipped, chunks, last_passage_id FROM mass_corrections "
    "ORDER BY id",
    "listed": "SELECT mass_id, passage_id, outcome FROM mass_passages ORDER BY 1, 2",
    "passages": "SELECT source_id, agreement_id, amount_ore, owed, reverses_id IS NULL, claim_id FROM passages "
    "ORDER BY 1, 3, 5, 4",
    "reversals": "SELECT passage_id, cause, reason, actor, replaced_by IS NULL FROM reversals ORDER BY 1",
    "balances": "SELECT agreement_id, unbilled_ore, unbilled_count FROM balances ORDER BY 1",
    "transfers": "SELECT debit, debit_owner, credit, credit_owner, code, amount_ore, part FROM transfers "
    "ORDER BY code, part, 1, 6",
    "messages": "SELECT agreement_id, template, subject, data FROM messages ORDER BY 2, 3",
}


def work(clean: str, url: str, delays: list[float]) -> int:
    """Carry out what is confirmed, undisturbed in one database, killed again and again in the other."""
    return run_worker("mass_worker", clean, url, str(CHUNK), *map(str, delays), timeout=120)


@pytest.mark.slow
def test_killed_again_and_again(road: Road, database_url: str, engine: Engine) -> None:
    for number in range(AGREEMENTS):
        agreement = road.agreement(payment_method="card")
        road.vehicle(agreement, f"EV{10000 + number}")
        if number % 4 == 3:  # one customer with two agreements is told once
            road.session.execute(
                text("UPDATE agreements SET customer_id = (SELECT customer_id FROM agreements WHERE id = :other) "
                     "WHERE id = :id"), {"other": agreement - 1, "id": agreement},
            )  # fmt: skip
        road.send(
            [road.record(f"{number}-{each}", plate=f"EV{10000 + number}", amount=each + 1) for each in range(EACH)]
        )
    asked = Asked("FJELL", ["S1"], PASSED - HOUR, PASSED + HOUR, "charger", "the antenna read twice")
    row = preview(road.session, asked, actor="lead:lise", now=NOW)
    confirm(road.session, row.id, row.digest, actor="lead:lise", now=NOW)
    move_clock(road.session, NOW + HOUR, running=False)
    number = row.id
    road.session.commit()
    road.session.close()
    engine.dispose()
    dice = random.Random()
    with database(like=database_url.rsplit("/", 1)[1]) as clean_url:
        clean = make_engine(clean_url)
        for step in ("done", "undone"):
            if step == "undone":
                for each in (clean, engine):
                    with Session(each) as session, session.begin():
                        undo(session, number, reason="it had read right", actor="lead:lise", now=NOW + HOUR)
            assert work(clean_url, database_url, [dice.uniform(0, 0.06) for _ in range(KILLS)]) == KILLS + 1
            wanted, found = everything(clean, EVERYTHING), everything(engine, EVERYTHING)
            for name, rows in wanted.items():
                assert found[name] == rows, (step, name)
        clean.dispose()
    assert len(wanted["messages"]) == 2 * AGREEMENTS * 3 // 4
    with road.session as session:
        assert [one.done for one in session.query(MassCorrection)] == [AGREEMENTS * EACH] * 2
        wrong = [check.detail for check in audit(session).checks if not check.ok and check.name not in UNOPENED]
    assert wrong == []
