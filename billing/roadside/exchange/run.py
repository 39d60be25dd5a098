"""A look at the chargers: fetch, take, answer, send. The job does it every minute, ``brikke exchange`` at once."""

from __future__ import annotations

import datetime as dt
from collections import Counter

import structlog
from sqlalchemy import Engine, select

from accounts.chargers.models import Charger
from billing.roadside.exchange import inbox
from billing.roadside.exchange.amended import gather
from billing.roadside.exchange.models import Exchange, Outgoing
from billing.roadside.exchange.outgoing import answer_all
from billing.roadside.exchange.pull import clear, pull, taken
from billing.roadside.exchange.push import push, waiting
from billing.roadside.exchange.transport import connect, folder_of
from billing.roadside.exchange.world import IN, Look, failed
from config.clock import business_now, now_utc
from config.database import SessionFactory
from config.jobs import JobContext, Result, alone
from config.settings import Settings

log = structlog.get_logger(__name__)

WORDS = ("fetched", "booked", "again", "noted", "refused", "amended", "sent", "wait", "failed", "alarms")


def job(ctx: JobContext, scheduled_for: dt.datetime) -> Result:
    """Look at every charger once."""
    del scheduled_for
    return look_at_all(ctx.sessions, ctx.settings)


def look_at_all(sessions: SessionFactory, settings: Settings, code: str | None = None) -> Result:
    """Look at every charger that files are exchanged with, or at one; return how much of what was done."""
    counts: Counter[str] = Counter()
    engine: Engine = sessions.kw["bind"]
    for one in _parties(sessions, settings, code):
        try:
            with alone(engine, f"exchange {one}"):
                counts.update(look_at(sessions, settings, one))
        except Exception:  # of one charger; the others are not kept waiting
            log.exception("exchange.look_failed", charger=one)
            counts["failed"] += 1
    return {word: counts[word] for word in WORDS}


def _parties(sessions: SessionFactory, settings: Settings, code: str | None) -> list[str]:
    """Return the chargers with an exchange, a folder, or files that wait for them; not those where it is off."""
    with sessions() as session:
        query = select(Charger.code, Exchange).outerjoin(Exchange).order_by(Charger.code)
        if code is not None:
            query = query.where(Charger.code == code)
        rows = session.execute(query).all()
        due = select(Charger.code).join(Outgoing).where(Outgoing.next_at <= now_utc()).distinct()
        wanted = set(session.scalars(due))
    return [
        row.code
        for row in rows
        if (
            row.Exchange.enabled
            if row.Exchange
            else row.code in wanted or (folder_of(settings, row.code) / IN).is_dir()
        )
    ]


def look_at(sessions: SessionFactory, settings: Settings, code: str) -> Counter[str]:
    """Look at one charger; the caller holds its lock."""
    with sessions() as session:
        charger = session.scalars(select(Charger).where(Charger.code == code)).one()
        exchange = session.get(Exchange, charger.id) or Exchange(charger_id=charger.id, kind="folder", attempts=0)
    look = Look(sessions, settings, charger, exchange)
    if exchange.kind == "folder":
        (look.folder / IN).mkdir(parents=True, exist_ok=True)
    reachable = exchange.kind != "sftp" or _visit(look, fetch=True)
    inbox.take_all(look)
    with sessions.begin() as session:
        now = business_now(session)
        answer_all(session, charger.id, now)
        look.counts["amended"] += gather(session, charger, exchange.answer_form or exchange.form, now)
    if exchange.kind == "folder":
        push(look, None)
    elif reachable and _something_to_do(look):
        _visit(look, fetch=False)
    return look.counts


def _something_to_do(look: Look) -> bool:
    with look.sessions() as session:
        if waiting(look, session):
            return True
    return bool(taken(look))


def _visit(look: Look, *, fetch: bool) -> bool:
    """Connect to a charger's server and fetch, or send and clear away; return whether it could be reached. Whether it
    could is written in the exchange's row; while it could not lately, it is left alone."""
    exchange = look.exchange
    if exchange.next_at is not None and exchange.next_at > now_utc():
        return False
    broken: str | OSError | None = None
    try:
        with connect(exchange, look.settings) as there:
            if fetch:
                pull(look, there)
            else:
                push(look, there)
                clear(look, there)
            broken = "the connection was lost on the way" if there.broken else None
    except OSError as error:
        broken = error
    with look.sessions.begin() as session:
        row = session.get_one(Exchange, exchange.charger_id)
        if broken is not None:
            failed(look, row, "reach", broken)
        else:
            row.attempts, row.next_at, row.error, row.reached_at = 0, None, None, now_utc()
    return broken is None
