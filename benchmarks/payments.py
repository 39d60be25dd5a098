"""The bank's file in: 20,000 payments read, matched by KID, settled and booked; and the overdue step."""

from __future__ import annotations

import datetime as dt

import psycopg
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from benchmarks import world
from benchmarks.floor import payments as floor
from benchmarks.frame import Place, Result, peak_mb, timed
from billing.claims.kid import make_kid
from billing.collection import overdue
from billing.collection.rules import Reach
from billing.invoices.numbers import FIRST
from billing.payments.bank import receive
from config.database import session_factory
from simulator.bank import Bank, BankPayment

AGREEMENTS = 20_000
FIRST_AGREEMENT = 10_000_001
ACCOUNT = "15030012345"
DUE = dt.date(2026, 2, 16)
PAID = dt.date(2026, 2, 12)
NOW = dt.datetime(2026, 2, 13, 9, tzinfo=dt.UTC)
AFTER = dt.datetime(2026, 2, 20, 9, tzinfo=dt.UTC)

# Claims of 100 to 299 kroner with their invoices, as a run leaves them; passages and lines are not looked at here.
_CLAIMS = (
    "INSERT INTO claims (agreement_id, kind, run, cutoff_at, passages_ore, passages_count, due_on, made_at) "
    "SELECT n, 'invoice', 'invoices:2026-02-01', :now, 10000 + 100 * (n % 200), 10, :due, :now "
    "FROM generate_series(1, :count) AS n",
    "INSERT INTO documents (number, claim_id, agreement_id, language, issued_on, due_on, period_from, period_to, kid, "
    "total_ore, seller, buyer, template, made_at) SELECT :first - 1 + c.id, c.id, c.agreement_id, 'nb', :due - 14, "
    ":due, :due, :due, k.kid, c.amount_ore, '{}', '{}', 1, :now FROM claims AS c "
    "JOIN unnest(CAST(:kids AS text[])) WITH ORDINALITY AS k (kid, n) ON k.n = c.id",
    "INSERT INTO balances (agreement_id) SELECT n FROM generate_series(1, :count) AS n",
)


def _kids() -> list[str]:
    return [make_kid(FIRST_AGREEMENT - 1 + n, FIRST - 1 + n) for n in range(1, AGREEMENTS + 1)]


def _fill(engine: Engine) -> None:
    world.fill(engine, vehicles=100, agreements=AGREEMENTS)
    params = {"now": NOW, "due": DUE, "count": AGREEMENTS, "first": FIRST, "kids": _kids()}
    with Session(engine) as session, session.begin():
        for statement in _CLAIMS:
            used = {name: value for name, value in params.items() if f":{name}" in statement}
            session.execute(text(statement), used)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
        connection.execute(text("CHECKPOINT"))


def _payments() -> list[BankPayment]:
    """One for each invoice: most pay it, some in part, some too much, some with a KID nobody has."""
    rows = []
    for n, kid in enumerate(_kids(), start=1):
        ore = 10_000 + 100 * (n % 200)
        if n % 50 == 0:
            ore += 500
        elif n % 50 == 1:
            ore -= 600
        rows.append(BankPayment("200000011000000015" if n % 100 == 7 else kid, ore, PAID))
    return rows


def match(place: Place) -> list[Result]:
    """A file of 20,000 payments: checked, matched, allocated, too much made credit, all booked; parsing included."""
    content = Bank().file(
        _payments(), account=ACCOUNT, agreement_id="1008566", recipient="00010200", made_on=NOW.date()
    )
    with place.database("payments") as engine:
        _fill(engine)
        with session_factory(engine)() as session, timed() as seconds:
            result = receive(session, "bench", content, NOW, accounts=[ACCOUNT], max_bytes=len(content))
            session.commit()
        rate, peak = AGREEMENTS / seconds(), peak_mb()
        assert (result.state, result.payments, result.suspense) == ("booked", AGREEMENTS, AGREEMENTS // 100), result
        assert result.matched == AGREEMENTS - AGREEMENTS // 100
    with place.database("payments_floor") as engine:
        _fill(engine)
        lines = floor.lines(_payments(), ACCOUNT)
        url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url) as connection, timed() as seconds:
            matched = floor.book(connection, lines)
        assert matched == result.matched
        least = AGREEMENTS / seconds()
    note = "floor: COPY, matched INSERT, nothing parsed or checked"
    return [Result("payments_match", rate, "payments/s", least, rate / least, peak, note)]


def collection(place: Place) -> list[Result]:
    """20,000 invoices past due, a tenth of them open: blocked, told, published."""
    with place.database("collection") as engine:
        _fill(engine)
        with Session(engine) as session, session.begin():
            session.execute(text("UPDATE claims SET settled_ore = passages_ore WHERE agreement_id % 10 <> 0"))
        with session_factory(engine)() as session, timed() as seconds:
            after, blocked = 0, 0
            while (outcome := overdue.step(session, Reach(DUE, None), after, AFTER.date(), AFTER)).looked_at:
                session.commit()
                after, blocked = outcome.looked_at[-1], blocked + outcome.blocked
        assert blocked == AGREEMENTS // 10
        return [Result("collection_step", blocked / seconds(), "blocked/s", None, None, peak_mb())]


BENCHES = {"payments_match": match, "collection_step": collection}
