"""The charge run: 5,000 cards that are due, two workers, the stand-in a tenth of a second away, a hundred a second."""

from __future__ import annotations

import datetime as dt
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import requests
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from benchmarks.frame import Place, Result, apart, peak_mb, ratio, scalar, settle, timed, url_of
from billing.cards import charge
from billing.cards.gateway import Succeeded
from billing.cards.line import Line
from billing.passages.partitions import ensure
from config.clock import now_utc
from config.database import make_engine, session_factory
from config.jobs import JobContext
from config.settings import Settings, load
from simulator.gateway import setups
from simulator.gateway.courier import Courier
from simulator.gateway.faults import Faults
from simulator.gateway.store import Store
from simulator.gateway.world import World

CARDS, EACH, WORKERS = 5_000, 8, 2
PER_SECOND, LATENCY_MS = 100, 100
BARE = 1_500
"""So many calls are enough to see what the pace and the stand-in alone let through."""

# Every third card is a business card; eight passages make 20 000 øre and more.
_FILL = (
    "INSERT INTO chargers (code, name, kind) VALUES ('FJELL', 'Fjellbompenger', 'toll')",
    "INSERT INTO customers (kind, name, email, street, postal_code, city, created_at) SELECT 'private', 'Kunde ' || n, "
    "'k' || n || '@example.org', 'Veien ' || n, '0150', 'Oslo', :now FROM generate_series(1, :cards) AS n",
    "INSERT INTO agreements (customer_id, payment_method, opened_at) SELECT n, 'card', :now "
    "FROM generate_series(1, :cards) AS n",
    "INSERT INTO card_customers (agreement_id, provider_customer, created_at) SELECT n, 'cus_' || n, :now "
    "FROM generate_series(1, :cards) AS n",
    "INSERT INTO cards (agreement_id, payment_method, brand, last4, exp_month, exp_year, funding, country, segment, "
    "segment_source, is_default, registered_at) SELECT n, m.method, 'visa', '4242', 12, 2034, 'credit', 'NO', "
    "CASE WHEN n % 3 = 0 THEN 'commercial' ELSE 'consumer' END, 'provider', true, :now "
    "FROM unnest(CAST(:methods AS text[])) WITH ORDINALITY AS m (method, n)",
    "INSERT INTO passages (id, booked_at, agreement_id, charger_id, source_id, batch_id, passed_at, passed_offset, "
    "station, project, service, country, plate, vehicle_class, list_ore, amount_ore, vat_bp, flags, external, owed) "
    "SELECT nextval('passage_ids'), :now, 1 + (n * 7919) % CAST(:cards AS integer), 1, 'F' || n, 1, "
    ":now - make_interval(secs => n), 60, 'S1', 'P1', 'toll', 'NO', "
    "'EV' || (100000 + (n * 7919) % CAST(:cards AS integer)), '1', 3100 + n % 900, 2600 + n % 900, 0, 64, false, true "
    "FROM generate_series(1, CAST(:cards AS integer) * :each) AS n",
    "INSERT INTO balances (agreement_id, unbilled_ore, unbilled_count, open_since) "
    "SELECT agreement_id, sum(amount_ore), count(*), min(booked_at) FROM passages GROUP BY agreement_id",
    "INSERT INTO transfers (debit, debit_owner, credit, credit_owner, amount_ore, code, ref, part, voucher, booked_on, "
    "created_at) SELECT 'unbilled', 0, 'payable', 1, sum(amount_ore), 'passages', 1, '', nextval('vouchers'), "
    "current_date, :now FROM passages",
    "INSERT INTO charges (agreement_id, cause, next_at, due_at) SELECT n, 'threshold', :now, :now "
    "FROM generate_series(1, :cards) AS n",
    "UPDATE balances AS b SET open_charge_id = h.id FROM charges AS h WHERE h.agreement_id = b.agreement_id",
)


def _register(file: Path, count: int) -> list[str]:
    """Let the stand-in know so many customers with a card each; return the cards' ids."""
    store, faults = Store(file), Faults()
    world = World(store, faults, Courier(store, faults, url=None, secrets=["whsec_bench"], first_wait=1.0))
    methods = []
    with store.transaction():
        for n in range(1, count + 1):
            store.put("customer", {"id": f"cus_{n}", "object": "customer", "created": world.seconds(), "metadata": {}})
            kind = "commercial" if n % 3 == 0 else "consumer"
            methods.append(str(setups.add_card(world, f"cus_{n}", kind)["id"]))
    store.close()
    return methods


def _fill(engine: Engine, methods: list[str], now: dt.datetime) -> None:
    told = {"cards": len(methods), "each": EACH, "now": now, "methods": methods}
    with Session(engine) as session, session.begin():
        ensure(session, now)
        for statement in _FILL:
            session.execute(text(statement), {name: value for name, value in told.items() if f":{name}" in statement})
    settle(engine)


@contextmanager
def _stand_in(file: Path, latency_ms: int) -> Iterator[str]:
    """The stand-in as a process of its own; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = ["--port", str(port), "--data", str(file), "--latency-ms", str(latency_ms)]
    process = subprocess.Popen([sys.executable, "-m", "simulator.gateway", *told], stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(url, timeout=1).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _settings(folder: str, gateway: str) -> Settings:
    return load(
        {
            "BRIKKE_VAR": folder,
            "STRIPE_API_KEY": "sk_test_bench",
            "STRIPE_API_BASE": gateway,
            "STRIPE_WEBHOOK_SECRETS": "whsec_bench",
            "CARD_RATE_PER_SECOND": str(PER_SECOND),
            "LOG_LEVEL": "WARNING",
        },
        Path(folder) / ".env",
    )


def _work(url: str, folder: str, gateway: str, begin_at: float) -> tuple[int, float, float]:
    """A worker: charge what is due from a moment (monotonic) on; return how many succeeded, the end, and memory."""
    engine = make_engine(url, pool_size=10)
    ctx = JobContext(session_factory(engine), _settings(folder, gateway), "due_charges")
    with ctx.sessions() as session:
        charge.waiting(session, now=now_utc())
    time.sleep(max(0.0, begin_at - time.monotonic()))
    counts = charge.job(ctx, now_utc())
    engine.dispose()
    return int(counts["succeeded"]), time.monotonic(), peak_mb()


def _bare(engine: Engine, gateway: str, methods: list[str]) -> float:
    """Make bare HTTP calls at the same pace, from as many threads; return how many a second."""
    line = Line(session_factory(engine), per_second=PER_SECOND, name="bare")
    local = threading.local()

    def call(n: int) -> Succeeded:
        if not hasattr(local, "http"):
            local.http = requests.Session()
            local.http.headers["Authorization"] = "Bearer sk_test_bench"
        form = {
            "amount": 20_000, "currency": "nok", "customer": f"cus_{n}", "payment_method": methods[n - 1],
            "off_session": "true", "confirm": "true",
        }  # fmt: skip
        answer = local.http.post(f"{gateway}/v1/payment_intents", data=form, timeout=20)
        answer.raise_for_status()
        return Succeeded(answer.json()["id"], 20_000, now_utc())

    count = min(BARE, len(methods))
    with ThreadPoolExecutor(32) as threads, timed() as seconds:
        for _ in threads.map(lambda n: line.ask(lambda: call(n)), range(1, count + 1)):
            pass
    return count / seconds()


def card_run(place: Place) -> list[Result]:
    """Claims, attempts, calls, settlement, receipts, ledger; no PDF."""
    folder = place.folder / "cards"
    folder.mkdir(exist_ok=True)
    count = place.scaled(CARDS, 200)
    methods = _register(folder / "gateway.sqlite", count)
    with place.database("cards") as engine, _stand_in(folder / "gateway.sqlite", LATENCY_MS) as gateway:
        _fill(engine, methods, now_utc())
        with apart(WORKERS) as children:
            begin_at = time.monotonic() + 6
            told = (url_of(engine), str(folder), gateway, begin_at)
            worked = [one.result() for one in [children.submit(_work, *told) for _ in range(WORKERS)]]
        seconds = max(ended for _, ended, _ in worked) - begin_at
        assert sum(done for done, _, _ in worked) == count, worked
        assert scalar(engine, "SELECT count(*) FROM documents WHERE paid_by IS NOT NULL") == count
        assert scalar(engine, "SELECT count(*) FROM attempts WHERE state <> 'succeeded'") == 0
        least = _bare(engine, gateway, methods)
    rate, peak = count / seconds, max(memory for _, _, memory in worked)
    shares = " + ".join(str(done) for done, _, _ in worked)
    note = f"ratio to the pace of {PER_SECOND}/s; by worker {shares}; floor: bare calls at that pace"
    return [Result("card_run", rate, "charges/s", least, rate / PER_SECOND, peak, note, (ratio(0.95),))]


BENCHES = {"card_run": card_run}
