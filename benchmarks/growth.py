"""What a chunk costs, and a page of passages takes, when there are millions of passages already.

Caches cannot be emptied from here: what was filled last is warm, as what came last is on a real server; the older parts
are read from disk where they do not fit into its memory.
"""

from __future__ import annotations

import datetime as dt
import random
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
from flask.testing import FlaskClient
from sqlalchemy import Engine, text

from accounts.access import tokens
from accounts.access.principal import Principal
from accounts.agreements.models import Agreement
from accounts.chargers.queries import charger
from benchmarks import world
from benchmarks.frame import Place, Result, Wanted, peak_mb, scalar, settle, spaced, timed, url_of
from benchmarks.history import FLEET, MONTHS, Sizes, fill
from billing.passages import batches, queries
from billing.passages.batches import Receiving
from billing.passages.incoming import Chunk, Item, limits_at, prepare
from billing.passages.rules import Sent
from billing.roadside.chunk import book
from config import logging
from config.clock import now_utc
from config.database import session_factory
from config.settings import Settings, load
from web.app import create_app

VEHICLES, AGREEMENTS, IN_FLEET = 100_000, 60_000, 5_000
PASSAGES = {"1m": 1_000_000, "5m": 5_000_000, "20m": 20_000_000}
CHUNK, WARM, CHUNKS = 10_000, 2, 11
ASKED = 200
COSTS = Wanted("ratio", 1.3, most=True)
QUICK = Wanted("rate", 100, most=True)


def _sizes(place: Place, passages: int = 0) -> Sizes:
    vehicles, agreements = place.scaled(VEHICLES), place.scaled(AGREEMENTS)
    return Sizes(place.scaled(passages), agreements, vehicles, place.scaled(IN_FLEET))


def _world(place: Place, engine: Engine) -> None:
    """Fill a world whose agreement 1 has a fleet, without partitions: they come with their passages."""
    sizes = _sizes(place)
    world.fill(engine, vehicles=sizes.vehicles, agreements=sizes.agreements)
    with engine.begin() as connection:
        for table in ("registrations", "tags"):
            query = text(f"UPDATE {table} SET agreement_id = {FLEET} WHERE id <= :fleet")
            connection.execute(query, {"fleet": sizes.fleet})


@contextmanager
def _grown(place: Place, like: Engine, passages: int) -> Iterator[tuple[Engine, float]]:
    """Give a world with so many passages, and how many seconds filling it took."""
    with place.database("grown", like=like) as engine:
        with timed() as seconds:
            fill(url_of(engine), _sizes(place, passages))
            settle(engine)
        sums = "SELECT (SELECT sum(passages_ore) FROM claims) + (SELECT sum(unbilled_ore) FROM balances)"
        assert scalar(engine, sums) == scalar(engine, "SELECT sum(amount_ore) FROM passages")
        yield engine, seconds()


def _chunks(place: Place, first: int) -> list[Chunk]:
    """Return chunks of records that nobody has sent yet, ready to be booked."""
    size = place.scaled(CHUNK)
    now = now_utc()
    records = world.records(size * (WARM + CHUNKS), vehicles=place.scaled(VEHICLES), seed=2, first=first)
    items = [Item(n % size + 1, b"", msgspec.convert(record, Sent)) for n, record in enumerate(records)]
    limits = limits_at(now)
    return [prepare(n + 1, items[n * size : (n + 1) * size], limits) for n in range(WARM + CHUNKS)]


class _Booker:
    """Books chunks into a world, timing each."""

    def __init__(self, engine: Engine) -> None:
        self.sessions = session_factory(engine)
        self.now = now_utc()
        with self.sessions.begin() as session:
            self.batch: Receiving = batches.open_batch(
                session, charger(session, world.CHARGER), name="bench", form="jsonl", sha256=b"", now=self.now
            )

    def book(self, chunk: Chunk) -> float:
        """Book a chunk, commit included; return seconds."""
        with timed() as seconds, self.sessions.begin() as session:
            booked = book(session, self.batch, chunk, now=self.now)
        assert {answer.code for answer in booked.answers} == {"accepted"}
        self.batch = booked.batch
        return seconds()


def _costs(place: Place, like: Engine, engine: Engine, passages: int) -> tuple[float, float]:
    """Return the median seconds of a chunk in a full world and in an empty one, booked in turn."""
    chunks = _chunks(place, place.scaled(passages) + 1)
    with place.database("empty", like=like) as empty:
        with empty.begin() as connection:  # every agreement has its balance, as in the full one
            connection.execute(text("INSERT INTO balances (agreement_id) SELECT id FROM agreements"))
        settle(empty)
        bookers = _Booker(engine), _Booker(empty)
        took = [[booker.book(chunk) for booker in bookers] for chunk in chunks][WARM:]
    full, least = (statistics.median(each) for each in zip(*took, strict=True))
    return full, least


def growth(place: Place) -> list[Result]:
    """A chunk of 10,000 into 1, 5 and 20 million passages of 24 months, against one into an empty table; and pages of
    an agreement with 5,000 vehicles and a fortieth of the 20 million."""
    results: list[Result] = []
    size = place.scaled(CHUNK)
    with place.kept("fleets", lambda engine: _world(place, engine)) as like:
        for name, passages in PASSAGES.items():
            with _grown(place, like, passages) as (engine, seconds):
                full, least = _costs(place, like, engine, passages)
                note = (
                    f"{spaced(place.scaled(passages))} passages, filled in {seconds:.0f} s; caches warm; ms a chunk: "
                )
                note += f"{full * 1000:.0f}, in an empty one {least * 1000:.0f}"
                costs = (size / full, "passages/s", size / least, full / least, peak_mb(), note, (COSTS,))
                results.append(Result(f"ingest_growth_{name}", *costs))
                if passages == max(PASSAGES.values()):
                    results += _pages(place, engine)
    return results


def _pages(place: Place, engine: Engine) -> list[Result]:
    """Ask for pages of the fleet's passages: by the verb, over HTTP and on My Page; half of them the newest, half
    anywhere in the two years, and what follows there."""
    settings = load({"BRIKKE_VAR": str(place.folder / "pages"), "LOG_LEVEL": "WARNING"}, place.folder / ".env")
    logging.configure(settings)
    client = create_app(settings, engine).test_client()
    with session_factory(engine)() as session:
        agreement = session.get_one(Agreement, FLEET)
    of_fleet = scalar(engine, f"SELECT count(*) FROM passages WHERE agreement_id = {FLEET}")
    asking = {
        "passages_page_p95_ms": _by_verb(engine),
        "passages_api_p95_ms": _over_http(client, settings, agreement),
        "passages_mypage_p95_ms": _on_my_page(client, agreement),
    }
    results = []
    for name, ask in asking.items():
        chance = random.Random(3)
        days = [chance.choice((0, chance.randrange(30 * MONTHS))) for _ in range(ASKED)]
        for ago in days[:10]:  # a server that has answered before
            ask(ago)
        took = []
        for ago in days:
            with timed() as seconds:
                ask(ago)
            took.append(seconds() * 1000)
        p95 = statistics.quantiles(took, n=20)[-1]
        note = f"of {spaced(of_fleet)} passages of {spaced(_sizes(place).fleet)} vehicles; "
        note += f"median {statistics.median(took):.1f}"
        results.append(Result(name, p95, "ms", None, None, None, note, (QUICK,)))
    return results


def _by_verb(engine: Engine) -> Callable[[int], None]:
    sessions = session_factory(engine)

    def ask(ago: int) -> None:
        until = now_utc() - dt.timedelta(days=ago)
        with sessions() as session:
            period = queries.Period(FLEET, until=until)
            page = queries.page(session, period, newest_first=True)
            assert page.items
            if ago:
                queries.page(session, period, after=page.next, newest_first=True)

    return ask


def _over_http(client: FlaskClient, settings: Settings, agreement: Agreement) -> Callable[[int], None]:
    token = tokens.issue(settings, "customer", customer_id=agreement.customer_id)
    headers = {"Authorization": f"Bearer {token}"}
    path = f"/v1/agreements/{agreement.number}/passages"

    def ask(ago: int) -> None:
        day = now_utc().date() - dt.timedelta(days=ago)
        answer = client.get(f"{path}?since={day - dt.timedelta(days=30)}&until={day}", headers=headers)
        assert answer.status_code == 200, answer.text[:500]
        assert answer.json
        assert answer.json["items"]

    return ask


def _on_my_page(client: FlaskClient, agreement: Agreement) -> Callable[[int], None]:
    now = int(now_utc().timestamp())
    with client.session_transaction() as held:
        held.update(who=Principal("fleet", "customer", agreement.customer_id).claims(), since=now, seen=now, csrf="x")

    def ask(ago: int) -> None:
        day = now_utc().date() - dt.timedelta(days=ago)
        chosen = f"?from={day.replace(day=1)}&to={day}" if ago else ""
        answer = client.get(f"/mypage/{agreement.number}/passages{chosen}")
        assert answer.status_code == 200, answer.text[:500]

    return ask


BENCHES = {"ingest_growth": growth}
LARGE = ("ingest_growth",)
ALSO = dict.fromkeys(
    (*(f"ingest_growth_{name}" for name in PASSAGES), "passages_page_p95_ms", "passages_api_p95_ms",
     "passages_mypage_p95_ms"),
    "ingest_growth",
)  # fmt: skip
