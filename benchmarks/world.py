"""A world for benchmarks, filled by SQL: customers, agreements, vehicles with tags, a charger with stations."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from billing.passages.partitions import ensure
from config.clock import now_utc

CHARGER = "FJELL"
STATIONS = 40
PROJECTS = 4
FIRST_DAY = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)

_FILL = (
    "INSERT INTO chargers (code, name, kind) VALUES ('FJELL', 'Fjellbompenger', 'toll')",
    "INSERT INTO stations (charger_id, code, name, project) SELECT 1, 'S' || n, 'Stasjon ' || n, 'P' || n % :projects "
    "FROM generate_series(1, :stations) AS n",
    "INSERT INTO customers (kind, name, email, street, postal_code, city, created_at) SELECT 'private', 'Kunde ' || n, "
    "'k' || n || '@example.org', 'Veien ' || n, '0150', 'Oslo', :day FROM generate_series(1, 100) AS n",
    "INSERT INTO agreements (customer_id, payment_method, opened_at) SELECT 1 + n % 100, "
    "CASE WHEN n % 2 = 0 THEN 'card' ELSE 'invoice' END, :day FROM generate_series(1, :agreements) AS n",
    "INSERT INTO registrations (agreement_id, country, plate, valid_from, created_at) SELECT 1 + n % :agreements, "
    "'NO', 'EV' || 100000 + n, :day, :day FROM generate_series(1, :vehicles) AS n",
    "INSERT INTO tags (agreement_id, printed_number, pan, obu_id, issued_at) SELECT 1 + n % :agreements, "
    "'T' || 100000 + n, 9578010000000000000 + n, upper(to_hex(4000000 + n)), :day "
    "FROM generate_series(1, :vehicles) AS n",
    "INSERT INTO tag_mounts (tag_id, pan, country, plate, valid_from) SELECT n, 9578010000000000000 + n, 'NO', "
    "'EV' || 100000 + n, :day FROM generate_series(1, :vehicles) AS n",
)

_EXCLUSIONS = (
    "SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE contype = 'x' AND conrelid IN ('registrations'::regclass, 'tag_mounts'::regclass)"
)


def fill(engine: Engine, *, vehicles: int, agreements: int, exclusions: bool = True) -> None:
    """Fill an empty database: half the agreements pay by card, every vehicle has its tag mounted. Without
    ``exclusions`` those constraints are left off: for some million vehicles they take half an hour to make."""
    figures = {
        "vehicles": vehicles,
        "agreements": agreements,
        "stations": STATIONS,
        "projects": PROJECTS,
        "day": FIRST_DAY,
    }
    with Session(engine) as session, session.begin():
        # Exclusion constraints are dropped and made again: filling through them takes minutes.
        excluded = session.execute(text(_EXCLUSIONS)).all()
        for table, name, _ in excluded:
            session.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT {name}"))
        for statement in _FILL:
            session.execute(text(statement), figures)
        for table, name, definition in excluded if exclusions else ():
            session.execute(text(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}"))
        ensure(session, now_utc())
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
        connection.execute(text("CHECKPOINT"))


def records(
    count: int, *, vehicles: int, seed: int = 1, first: int = 1, days: tuple[float, float] = (10, 0)
) -> Iterator[dict[str, object]]:
    """Yield records between so many days ago and so many, in order of time: nine of ten by tag, the others by plate.

    Drawn with one seed, so that every run books the same.
    """
    chance = random.Random(seed)
    since, until = (now_utc().replace(microsecond=0) - dt.timedelta(days=ago) for ago in days)
    step = (until - since) / count
    for n in range(count):
        vehicle = chance.randint(1, vehicles)
        price = chance.choice((1700, 2300, 3100, 4600))
        record: dict[str, object] = {
            "id": f"FJ-{first + n:010d}",
            "passed_at": (since + step * n).isoformat(),
            "station": f"S{chance.randint(1, STATIONS)}",
            "service": "toll",
            "list_price": price,
            "amount": price * 8 // 10,
            "vat_rate": 0,
            "vehicle_class": "1",
            "flags": ["tag_discount"],
        }
        if chance.random() < 0.9:
            record["pan"] = str(9578010000000000000 + vehicle)
        if "pan" not in record or chance.random() < 0.5:
            record |= {"country": "NO", "plate": f"EV{100000 + vehicle}"}
        yield record


def write_file(
    path: Path, count: int, *, vehicles: int, seed: int = 1, first: int = 1, days: tuple[float, float] = (10, 0)
) -> Path:
    """Write such records as JSON Lines."""
    encoder = msgspec.json.Encoder()
    with path.open("wb") as out:
        for record in records(count, vehicles=vehicles, seed=seed, first=first, days=days):
            out.write(encoder.encode(record) + b"\n")
    return path
