"""The floor of ingest: COPY to a temporary table, then matched INSERT … ON CONFLICT, all in one transaction.

It writes the rows that the product writes: records, passages, balances, a transfer a project. It takes its
records ready for COPY, matches all of them at once by hash joins, which is the fastest way there is, and knows no
chunks, flags, standing, duplicates, answers, bytes kept as received, or locks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from psycopg import Connection

from billing.passages.incoming import Item, limits_at, prepare
from billing.roadside.formats import FORMATS
from config.clock import now_utc

COLUMNS = (
    "position, source_id, hash, passed_at, passed_offset, station, service, country, plate, pan, obu_id, "
    "vehicle_class, list_ore, amount_ore, vat_bp, flags"
)

_TEMP = """
CREATE TEMP TABLE f (
    position integer, source_id text, hash bytea, passed_at timestamptz, passed_offset smallint, station text,
    service text, country text, plate text, pan text, obu_id text, vehicle_class text, list_ore bigint,
    amount_ore bigint, vat_bp integer, flags integer
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE g (
    position integer, passage_id bigint, agreement_id bigint, registration_id bigint, country text, plate text,
    project text, amount_ore bigint
) ON COMMIT DELETE ROWS
"""

_STEPS: Sequence[str] = (
    # the vehicle of the tag, or the plate; its registration; the station's project
    """
    INSERT INTO g
    SELECT f.position, nextval('passage_ids'), r.agreement_id, r.id, r.country, r.plate, s.project, f.amount_ore
    FROM f
    JOIN stations AS s ON s.charger_id = 1 AND s.code = f.station
    LEFT JOIN tag_mounts AS m ON m.pan = f.pan AND m.valid_from <= f.passed_at
        AND (m.valid_to IS NULL OR m.valid_to > f.passed_at)
    JOIN registrations AS r ON r.country = coalesce(m.country, f.country) AND r.plate = coalesce(m.plate, f.plate)
        AND r.scope = '' AND r.valid_from <= f.passed_at AND (r.valid_to IS NULL OR r.valid_to > f.passed_at)
    """,
    """
    INSERT INTO records (charger_id, source_id, batch_id, position, hash, passed_at, amount_ore, code, flags,
        passage_id)
    SELECT 1, f.source_id, 0, f.position, f.hash, f.passed_at, f.amount_ore, 'accepted', f.flags, g.passage_id
    FROM f JOIN g USING (position)
    ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO passages (id, booked_at, agreement_id, registration_id, charger_id, source_id, batch_id, passed_at,
        passed_offset, station, project, service, country, plate, pan, vehicle_class, list_ore, amount_ore, vat_bp,
        flags, external, owed)
    SELECT g.passage_id, now(), g.agreement_id, g.registration_id, 1, f.source_id, 0, f.passed_at, f.passed_offset,
        f.station, g.project, f.service, g.country, g.plate, f.pan, f.vehicle_class, f.list_ore, f.amount_ore,
        f.vat_bp, f.flags, false, true
    FROM f JOIN g USING (position)
    ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO balances AS b (agreement_id, unbilled_ore, unbilled_count, open_since)
    SELECT g.agreement_id, sum(g.amount_ore), count(*), now() FROM g GROUP BY g.agreement_id
    ON CONFLICT (agreement_id) DO UPDATE SET unbilled_ore = b.unbilled_ore + excluded.unbilled_ore,
        unbilled_count = b.unbilled_count + excluded.unbilled_count
    """,
    """
    INSERT INTO transfers (debit, debit_owner, credit, credit_owner, amount_ore, code, ref, part, voucher, booked_on,
        created_at)
    SELECT 'unbilled', 0, 'payable', 1, sum(g.amount_ore), 'passages', nextval('vouchers'), g.project, 0, current_date,
        now()
    FROM g GROUP BY g.project
    """,
)


_PIECE = 1024 * 1024
_AT_ONCE = 10_000


def make_ready(path: Path, lines: Path, before: int = 0) -> None:
    """Write a JSON Lines file's records as the floor takes them: checked and ready for COPY, which is not timed.

    ``before`` is how many records stand in the files before this one.
    """
    limits = limits_at(now_utc())

    def placed(item: Item) -> Item:
        item.position += before
        return item

    with path.open("rb") as stream, lines.open("wb") as out:
        items = map(placed, FORMATS["jsonl"].parse(stream))
        for some in iter(lambda: list(itertools.islice(items, _AT_ONCE)), []):
            out.write(prepare(1, some, limits).block)


def ready(paths: Iterable[Path]) -> Iterator[bytes]:
    """Yield such files a piece at a time."""
    for path in paths:
        with path.open("rb") as stream:
            while piece := stream.read(_PIECE):
                yield piece


def book(connection: Connection[tuple[object, ...]], blocks: Iterable[bytes]) -> None:
    """Book blocks of COPY lines."""
    with connection.cursor() as cursor:
        cursor.execute(_TEMP)
        with cursor.copy(f"COPY f ({COLUMNS}) FROM STDIN") as copy:
            for block in blocks:
                copy.write(block)
        cursor.execute("ANALYZE f")
        cursor.execute("SET LOCAL enable_nestloop = off")  # through the exclusion constraint's index it takes minutes
        for number, step in enumerate(_STEPS):
            cursor.execute(step)
            if not number:
                cursor.execute("ANALYZE g")
        connection.commit()
