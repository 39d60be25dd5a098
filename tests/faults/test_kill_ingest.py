"""kill -9 at fifty moments of a file's ingest, begun anew each time: the answers and the books are one clean run's."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from billing.audit.audit import audit
from config.clock import move_clock
from config.database import make_engine
from tests.conftest import database
from tests.faults.killed import everything, run_worker
from tests.integration.billing.passages.conftest import NOW, UNOPENED, Road, road
from tests.integration.billing.roadside.test_receive import record

__all__ = ["road"]

KILLS, CHUNK, RECORDS = 50, 20, 4_000
EVERYTHING = {
    "records": "SELECT source_id, position, hash, passed_at, amount_ore, code, flags, detail, passage_id IS NULL, body "
    "FROM records ORDER BY source_id",
    "passages": "SELECT source_id, agreement_id, amount_ore, list_ore, flags, owed, external, project, plate, "
    "reverses_id IS NULL, claim_id FROM passages ORDER BY source_id, amount_ore",
    "corrections": "SELECT source_id, original_id, state, version FROM corrections ORDER BY source_id",
    "reversals": "SELECT cause, reason, actor FROM reversals ORDER BY reason",
    "balances": "SELECT agreement_id, unbilled_ore, unbilled_count FROM balances ORDER BY agreement_id",
    "transfers": "SELECT debit, credit, code, amount_ore, split_part(part, '/', 1) FROM transfers ORDER BY 3, 4, 5, 1",
    "batches": "SELECT name, state, done, counts, sums, sha256, bytes FROM batches ORDER BY id",
    "faults": "SELECT position, code, detail, source_id FROM batch_faults ORDER BY position",
}


def batch_file(path: Path) -> Path:
    """Two vehicles of ours and a stranger's, broken records, repeats, conflicts, corrections before and after."""
    dice = random.Random(17)
    lines: list[str] = []
    for number in range(RECORDS):
        one: dict[str, Any] = record(f"R{number}", plate=dice.choice(["EV10001", "EV10001", "EV10002", "EV99999"]))
        what = dice.random()
        if what < 0.02:
            one["amount"] = -1
        elif what < 0.04:
            one["id"] = f"R{dice.randrange(RECORDS)}"
        elif what < 0.09:
            one |= {"action": "adjust", "original": f"R{dice.randrange(RECORDS)}", "version": dice.randrange(1, 5)}
        elif what < 0.14:
            one = {"id": f"R{number}", "action": "cancel", "original": f"R{dice.randrange(RECORDS)}", "version": 3}
        lines.append(json.dumps(one) if what < 0.99 else "rubbish")
    path.write_text("\n".join(lines) + "\n")
    return path


def ingest(scratch: str, url: str, path: Path, answers: Path, delays: list[float]) -> int:
    """Kill an ingest after each of the delays, then let one end; return how many were killed."""
    about = [scratch, url, str(path), str(answers), str(CHUNK), *map(str, delays)]
    return run_worker("ingest_worker", *about, timeout=300)


@pytest.mark.slow
def test_fifty_times_killed(road: Road, database_url: str, engine: Engine, tmp_path: Path) -> None:
    for plate in ("EV10001", "EV10002"):
        road.vehicle(road.agreement(payment_method="card"), plate)
    move_clock(road.session, NOW, running=False)
    road.session.commit()
    road.session.close()
    engine.dispose()
    path = batch_file(tmp_path / "in.jsonl")
    dice = random.Random()
    world = database_url.rsplit("/", 1)[1]
    with database(like=world) as clean_url, database(like=world) as first, database(like=world) as second:
        assert ingest(first, clean_url, path, tmp_path / "clean", []) == 0
        delays = [dice.uniform(0, 0.2) for _ in range(KILLS)]
        killed = ingest(second, database_url, path, tmp_path / "killed", delays)
        assert killed == KILLS
        assert (tmp_path / "killed").read_bytes() == (tmp_path / "clean").read_bytes()
        clean = make_engine(clean_url)
        wanted, found = everything(clean, EVERYTHING), everything(engine, EVERYTHING)
        clean.dispose()
    for name, rows in wanted.items():
        assert found[name] == rows, name
    assert len(wanted["records"]) > RECORDS * 0.9
    with road.session as session:
        wrong = [check.detail for check in audit(session).checks if not check.ok and check.name not in UNOPENED]
    assert wrong == []
