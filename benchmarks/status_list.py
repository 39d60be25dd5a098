"""A full status list of three million tags: its rows read, judged, written, packed and kept."""

from __future__ import annotations

import psycopg
from sqlalchemy import text

from accounts.chargers.models import Charger, ListPeriod
from benchmarks import world
from benchmarks.frame import Place, Result, peak_mb, timed
from billing.roadside.lists.jobs import cut_one, release_all
from config.clock import now_utc
from config.database import session_factory

TAGS, AGREEMENTS = 3_000_000, 1_500_000
MOST_SECONDS, MOST_MB = 120, 500

# Every agreement was opened; one of a hundred is blocked, one of three hundred has ended.
_CHANGES = (
    "INSERT INTO publications (agreement_id, status, reason, made_at, effective_at) "
    "SELECT n, 'valid', 'opened', :day, :day FROM generate_series(1, :agreements) AS n",
    "INSERT INTO publications (agreement_id, status, reason, made_at, effective_at) "
    "SELECT n, CASE WHEN n % 300 = 0 THEN 'ended' ELSE 'blocked' END, 'overdue', :now, :now "
    "FROM generate_series(100, :agreements, 100) AS n",
)
_FLOOR = """
    COPY (
        SELECT t.pan, t.obu_id, m.country, m.plate, t.state, s.status
        FROM tags AS t
        LEFT JOIN tag_mounts AS m ON m.pan = t.pan AND m.valid_to IS NULL
        LEFT JOIN registrations AS r ON r.country = m.country AND r.plate = m.plate AND r.scope = ''
            AND r.valid_to IS NULL
        LEFT JOIN publications AS s ON s.agreement_id = r.agreement_id AND s.status IN ('blocked', 'ended')
        ORDER BY t.pan
    ) TO STDOUT
"""


def status_list(place: Place) -> list[Result]:
    """From the order to the last byte kept; the floor reads the same rows by one COPY and throws them away."""
    with place.database("lists") as engine:
        tags, agreements = place.scaled(TAGS), place.scaled(AGREEMENTS, 300)
        # A list asks for all rows at once: no index of an exclusion constraint serves it.
        world.fill(engine, vehicles=tags, agreements=agreements, exclusions=False)
        sessions = session_factory(engine)
        now = now_utc()
        with sessions.begin() as session:
            for statement in _CHANGES:
                figures = {"day": world.FIRST_DAY, "now": now, "agreements": agreements}
                session.execute(text(statement), {k: v for k, v in figures.items() if f":{k}" in statement})
            charger = session.get_one(Charger, 1)
            charger.lists = "push"
            session.add(ListPeriod(charger_id=1, since=world.FIRST_DAY))
        with timed() as seconds:
            released = release_all(sessions)
        placing = released / seconds()
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
            connection.execute(text("CHECKPOINT"))
        url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url) as raw, timed() as seconds, raw.cursor().copy(_FLOOR) as copy:
            for _ in copy:
                pass
        floor = tags / seconds()
        with timed() as seconds:
            made = cut_one(sessions, 1, "tags", "full")
        took, peak = seconds(), peak_mb()
        assert made is not None
        assert made.rows == tags, made
        assert took < MOST_SECONDS, took
        assert peak < MOST_MB, peak
        rate = tags / took
    note = f"{took:.0f} s, {made.size / 2**20:.0f} MB gzipped; floor: COPY of the same rows to nowhere"
    return [
        Result("status_list", rate, "rows/s", floor, rate / floor, peak, note),
        Result("status_list_changes", placing, "changes/s", None, None, None, "changes given their places"),
    ]


BENCHES = {"status_list": status_list}
LARGE = ("status_list",)
ALSO = {"status_list_changes": "status_list"}
