"""Two years of passages by SQL, for measuring on: fast because tables are indexed when they are filled.

What is filled holds together: records with their keys, passages in the partitions of their months, claims of all that
is older than a day with their sums, balances of the rest: so little that no card's threshold is reached, as charges
cost the same whatever the table holds. Vehicles drive alike but those of the fleet (agreement 1), which drive half as
much. Nothing is unlogged.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psycopg
from psycopg import sql

from billing.passages.partitions import name
from config.clock import now_utc

MONTHS = 24
FLEET = 1
UNBILLED = dt.timedelta(days=1)
_AT_ONCE = 2


@dataclass(frozen=True)
class Sizes:
    """How much there is: passages in all, agreements and vehicles, and how many of these are the fleet's."""

    passages: int
    agreements: int
    vehicles: int
    fleet: int


@dataclass(frozen=True)
class _Month:
    number: int
    begins: dt.datetime
    ends: dt.datetime
    until: dt.datetime
    """Where its passages end: not in the future."""
    first: int
    count: int


_BEFORE = """
    ALTER TABLE records DROP CONSTRAINT pk_records;
    DROP INDEX ix_records_refused_plate;
    DROP INDEX ix_records_refused_pan;
    INSERT INTO batches (charger_id, name, format, sha256, received_at, finished_at, state)
    VALUES (1, 'history', 'jsonl', '', now(), now(), 'done')
"""
_AFTER = """
    ALTER TABLE records ADD CONSTRAINT pk_records PRIMARY KEY (charger_id, source_id);
    CREATE INDEX ix_records_refused_plate ON records ((body ->> 'plate'), passed_at)
        WHERE code IN ('unknown_vehicle', 'not_valid');
    CREATE INDEX ix_records_refused_pan ON records ((body ->> 'pan'), passed_at)
        WHERE code IN ('unknown_vehicle', 'not_valid');
    INSERT INTO balances (agreement_id, unbilled_ore, unbilled_count, open_since)
    SELECT a.id, coalesce(p.ore, 0), coalesce(p.number, 0), p.oldest
    FROM agreements AS a
    LEFT JOIN (
        SELECT agreement_id, sum(amount_ore) AS ore, count(*) AS number, min(booked_at) AS oldest
        FROM passages WHERE claim_id IS NULL GROUP BY agreement_id
    ) AS p ON p.agreement_id = a.id;
    SELECT setval('passage_ids', (SELECT max(id) + 1 FROM passages));
    SELECT setval(pg_get_serial_sequence('claims', 'id'), (SELECT max(id) + 1 FROM claims))
"""
_MAKE = "CREATE TABLE {table} (LIKE passages INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
_PASSAGES = """
    INSERT INTO {table} (id, booked_at, agreement_id, registration_id, charger_id, source_id, batch_id, passed_at,
        passed_offset, station, project, service, country, plate, pan, vehicle_class, list_ore, amount_ore, vat_bp,
        flags, external, owed, claim_id)
    SELECT d.n, d.at, d.agreement, d.v, 1, 'FJ-' || lpad(d.n::text, 10, '0'), 1,
        d.at - make_interval(secs => d.h / 64 %% 172800), 60, 'S' || d.h / 32 %% 40 + 1,
        'P' || (d.h / 32 %% 40 + 1) %% 4,
        'toll', 'NO', 'EV' || 100000 + d.v, (9578010000000000000 + d.v)::text, '1', 3100, 2480, 0, 64, false, true,
        CASE WHEN d.at < %(unbilled)s THEN %(number)s::bigint * %(agreements)s + d.agreement END
    FROM (
        SELECT c.*, CASE WHEN c.v <= %(fleet)s THEN 1 ELSE 1 + c.v %% %(agreements)s END AS agreement
        FROM (
            SELECT b.*, CASE WHEN b.drawn <= %(fleet)s AND b.h / 16 %% 2 = 0
                THEN %(fleet)s + 1 + b.h / 128 %% (%(vehicles)s - %(fleet)s) ELSE b.drawn END AS v
            FROM (
                SELECT a.n, %(begins)s + (%(until)s - %(begins)s) * ((a.n - %(first)s)::float8 / %(count)s) AS at, a.h,
                    1 + a.h / 4096 %% %(vehicles)s AS drawn
                FROM (
                    SELECT n, hashint8extended(n, 7) & 4611686018427387903 AS h
                    FROM generate_series(%(first)s::bigint, %(first)s::bigint + %(count)s - 1) AS n
                ) AS a
            ) AS b
        ) AS c
    ) AS d
"""
_RECORDS = """
    INSERT INTO records (charger_id, source_id, batch_id, position, hash, passed_at, amount_ore, code, flags,
        passage_id)
    SELECT 1, source_id, 1, id, int8send(id) || int8send(registration_id), passed_at, amount_ore, 'accepted', flags, id
    FROM {table}
"""
_CLAIMS = """
    INSERT INTO claims (id, agreement_id, kind, run, cutoff_at, passages_ore, passages_count, settled_ore, due_on,
        made_at)
    SELECT claim_id, min(agreement_id), 'invoice', 'history:' || %(number)s, %(until)s, sum(amount_ore), count(*),
        sum(amount_ore), %(until)s::date + 14, %(until)s
    FROM {table} WHERE claim_id IS NOT NULL GROUP BY claim_id
"""
_KEY = "ALTER TABLE {table} ADD PRIMARY KEY (id, booked_at)"
_INDEX = "CREATE INDEX ON {table} (agreement_id, passed_at, id)"
_ATTACH = "ALTER TABLE passages ATTACH PARTITION {table} FOR VALUES FROM ({begins}) TO ({ends})"


def _months(passages: int) -> list[_Month]:
    now = now_utc()
    begins = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    starts = [(begins + dt.timedelta(days=32)).replace(day=1), begins]
    while len(starts) <= MONTHS:
        starts.append((starts[-1] - dt.timedelta(days=1)).replace(day=1))
    starts.reverse()
    each = passages // MONTHS
    return [_Month(n, starts[n], starts[n + 1], min(starts[n + 1], now), 1 + n * each, each) for n in range(MONTHS)]


def _fill(url: str, month: _Month, sizes: Sizes) -> None:
    table = sql.Identifier(name(month.begins.date()))
    figures = {
        "number": month.number,
        "begins": month.begins,
        "until": month.until,
        "first": month.first,
        "count": month.count,
        "unbilled": now_utc() - UNBILLED,
        "agreements": sizes.agreements,
        "vehicles": sizes.vehicles,
        "fleet": sizes.fleet,
    }
    with psycopg.connect(url, options="-c timezone=UTC -c session_replication_role=replica") as connection:
        cursor = psycopg.ClientCursor(connection)
        cursor.execute(sql.SQL("DROP TABLE IF EXISTS {table}").format(table=table))
        for statement in (_MAKE, _PASSAGES, _RECORDS, _CLAIMS, _KEY, _INDEX):
            cursor.execute(sql.SQL(statement).format(table=table), figures if "%(" in statement else None)


def _run(url: str, statements: Sequence[sql.Composed] | str) -> None:
    with psycopg.connect(url, options="-c timezone=UTC") as connection:
        if isinstance(statements, str):
            psycopg.ClientCursor(connection).execute(statements)
            return
        for statement in statements:
            connection.execute(statement)


def fill(url: str, sizes: Sizes) -> None:
    """Fill a world (``benchmarks.world``, with its fleet) that has no passages yet. Months are filled two at a time."""
    months = _months(sizes.passages)
    _run(url, _BEFORE)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for done in [pool.submit(_fill, url, month, sizes) for month in months]:
            done.result()
    _run(
        url,
        [
            sql.SQL(_ATTACH).format(
                table=sql.Identifier(name(month.begins.date())),
                begins=sql.Literal(f"{month.begins:%Y-%m-%d} UTC"),
                ends=sql.Literal(f"{month.ends:%Y-%m-%d} UTC"),
            )
            for month in months
        ],
    )
    _run(url, _AFTER)
