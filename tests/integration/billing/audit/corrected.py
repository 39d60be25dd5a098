"""Files with corrections, for the audit's world: cancelled, adjusted, superseded, and one that had waited."""

from __future__ import annotations

import io
import json
from typing import Any

from sqlalchemy import insert

from accounts.chargers.models import Charger, Station
from accounts.vehicles.register import register
from billing.passages import batches
from billing.passages.again import decide_again
from billing.passages.credit import credit
from billing.passages.incoming import limits_at, prepare
from billing.passages.ingest import book_chunk
from billing.roadside.formats import FORMATS
from tests.integration.billing.books import ISSUED, JANUARY, Books


def corrections(books: Books) -> None:
    """Send two files of another charger; support has credited one passage before it is cancelled."""
    session = books.session
    charger = Charger(code="KYST", name="Kystvegen AS", kind="toll")
    session.add(charger)
    session.flush()
    session.execute(insert(Station), [{"charger_id": charger.id, "code": "K1", "name": "Brua", "project": "K"}])
    agreement = books.agreement()
    register(session, agreement, "NO", "EB55501", valid_from=JANUARY, now=JANUARY, actor="test")
    first = [record(f"K{n}", 1_000 + n) for n in range(4)]
    waits = {"id": "KX", "action": "cancel", "original": "K5", "version": 1}
    _send(books, charger, "first.jsonl", [*first, waits])
    passage = books.one("SELECT passage_id FROM records WHERE source_id = 'K2'")
    credit(session, agreement, passage, reason="scrapped", actor="agent:test", now=ISSUED)
    second = [
        {"id": "KC", "action": "cancel", "original": "K0", "version": 1},
        record("KA", 500) | {"action": "adjust", "original": "K1", "version": 2},
        {"id": "KB", "action": "cancel", "original": "K1", "version": 1},
        {"id": "KD", "action": "cancel", "original": "K2", "version": 1},
        record("K5", 900),
    ]
    _send(books, charger, "second.jsonl", second)
    done = decide_again(session, charger, ["KX"], cause="original_came", reason=None, actor="test", now=ISSUED)
    assert [one.code for one in done.amended] == ["accepted"]


def record(name: str, amount: int) -> dict[str, Any]:
    """A record of the vehicle's."""
    return {
        "id": name, "passed_at": JANUARY.isoformat(), "station": "K1", "service": "toll", "list_price": amount,
        "amount": amount, "vat_rate": 0, "plate": "EB55501",
    }  # fmt: skip


def _send(books: Books, charger: Charger, name: str, records: list[dict[str, Any]]) -> None:
    content = "".join(json.dumps(one) + "\n" for one in records).encode()
    session, form = books.session, FORMATS["jsonl"]
    batch = batches.open_batch(
        session, charger, name=name, form="jsonl", sha256=name.encode(), now=ISSUED, is_file=True, size=len(content)
    )
    batches.keep_bytes(session, batch.batch_id, io.BytesIO(content))
    items = list(form.parse(io.BytesIO(content)))
    booked = book_chunk(session, batch, prepare(1, items, limits_at(ISSUED)), now=ISSUED)
    batches.close_batch(session, booked.batch, now=ISSUED)
