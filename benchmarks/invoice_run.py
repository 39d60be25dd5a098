"""The monthly run: 20,000 agreements with ten passages each, and the same run again."""

from __future__ import annotations

import datetime as dt
import json

import psycopg
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from benchmarks.floor import invoices as floor
from benchmarks.frame import Place, Result, peak_mb, timed
from billing.invoices.candidates import CHUNK
from billing.invoices.run import job
from billing.invoices.seller import seller_of
from billing.passages.partitions import ensure
from config.clock import now_utc
from config.database import session_factory
from config.jobs import JobContext
from config.settings import Settings, load

AGREEMENTS, EACH = 20_000, 10
UNIT = "invoices/s"

_FILL = (
    "INSERT INTO chargers (code, name, kind) VALUES ('FJELL', 'Fjellbompenger', 'toll')",
    "INSERT INTO customers (kind, name, email, street, postal_code, city, created_at) SELECT 'private', 'Kunde ' || n, "
    "'k' || n || '@example.org', 'Veien ' || n, '0150', 'Oslo', :now FROM generate_series(1, :agreements) AS n",
    "INSERT INTO agreements (customer_id, opened_at) SELECT n, :now FROM generate_series(1, :agreements) AS n",
    # As they arrive: an agreement's passages lie far apart. Two vehicles each, every fifth passage a ferry.
    "INSERT INTO passages (id, booked_at, agreement_id, charger_id, source_id, batch_id, passed_at, passed_offset, "
    "station, project, service, country, plate, vehicle_class, list_ore, amount_ore, vat_bp, flags, external, owed) "
    "SELECT nextval('passage_ids'), :now, 1 + (n * 7919) % CAST(:agreements AS integer), 1, 'F' || n, 1, "
    ":now - make_interval(secs => n), 60, 'S1', 'P1', CASE WHEN n % 5 = 0 THEN 'ferry' ELSE 'toll' END, 'NO', "
    "'EV' || (100000 + (n * 7919) % CAST(:agreements AS integer) * 2 + n / CAST(:agreements AS integer) % 2), '1', "
    "3100 + n % 900, 2480 + n % 900, CASE WHEN n % 5 = 0 THEN 1200 ELSE 0 END, 64, false, true "
    "FROM generate_series(1, CAST(:agreements AS integer) * :each) AS n",
    "INSERT INTO balances (agreement_id, unbilled_ore, unbilled_count, open_since) "
    "SELECT agreement_id, sum(amount_ore), count(*), min(booked_at) FROM passages GROUP BY agreement_id",
)


def _fill(engine: Engine, now: dt.datetime) -> None:
    with Session(engine) as session, session.begin():
        ensure(session, now)
        for statement in _FILL:
            session.execute(text(statement), {"agreements": AGREEMENTS, "each": EACH, "now": now})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
        connection.execute(text("CHECKPOINT"))


def _documents(engine: Engine) -> int:
    with engine.connect() as connection:
        claimed = connection.execute(text("SELECT count(*) FROM passages WHERE claim_id IS NOT NULL")).scalar_one()
        assert claimed == AGREEMENTS * EACH, claimed
        assert connection.execute(text("SELECT count(*) FROM messages")).scalar_one() == AGREEMENTS
        return int(connection.execute(text("SELECT count(*) FROM documents")).scalar_one())


def _floor(place: Place, settings: Settings, now: dt.datetime) -> float:
    with place.database("floor") as engine:
        _fill(engine, now)
        url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        seller = json.dumps(seller_of(settings))
        with psycopg.connect(url) as connection, timed() as seconds:
            floor.invoice(connection, agreements=AGREEMENTS, chunk=CHUNK, seller=seller, now=now)
        assert _documents(engine) == AGREEMENTS
        return AGREEMENTS / seconds()


def invoice_run(place: Place) -> list[Result]:
    """Claims, documents, numbers, ledger, deliveries queued; no PDF. Then the run for the same date again."""
    settings = load({"BRIKKE_VAR": str(place.folder)}, place.folder / ".env")
    now = now_utc()
    with place.database("invoices") as engine:
        _fill(engine, now)
        ctx = JobContext(session_factory(engine), settings, "invoices")
        at = now + dt.timedelta(seconds=1)
        with timed() as seconds:
            first = job(ctx, at)
        assert (first["created"], first["failed"]) == (AGREEMENTS, 0), first
        assert _documents(engine) == AGREEMENTS
        rate, peak = AGREEMENTS / seconds(), peak_mb()
        with timed() as seconds:
            again = job(ctx, at)
        assert (again["created"], again["already_done"]) == (0, AGREEMENTS), again
        rerun = 1 / seconds()
    least = _floor(place, settings, now)
    return [
        Result("invoice_run", rate, UNIT, least, rate / least, peak, "floor: the same rows by plain SQL"),
        Result("invoice_rerun", rerun, "runs/s", None, None, None, "0 created, all already done"),
    ]


BENCHES = {"invoice_run": invoice_run}
ALSO = {"invoice_rerun": "invoice_run"}
