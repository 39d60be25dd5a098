"""One pace for a provider, whoever asks it: a row that all workers on all hosts share, on the database's real clock.

``reserve`` hands out turns evenly spaced. What the provider answers is told back: "too many" (429) moves everybody's
next turn ahead, and enough calls in a row without any answer close the door (``down_until``) for half a minute, then
for twice as long, at most five minutes. While it is closed nobody begins anything; then one is let through to try,
and the first answer opens it for all.

Each verb is a short transaction of its own, never one that holds business rows: the row is everybody's.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from config.clock import DATABASE_NOW as NOW
from config.settings import Settings

TOO_MANY = 5
"""So many calls in a row without an answer, and the provider counts as down."""
FIRST_REST = dt.timedelta(seconds=30)
LONGEST_REST = dt.timedelta(minutes=5)
PATIENCE = dt.timedelta(seconds=30)
"""Nobody waits longer for a turn: the work is found again where it lies."""


class Resting(Exception):
    """The provider is left alone for now; ``seconds`` is for how long."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the card gateway is left alone for {seconds:.0f} s more")
        self.seconds = seconds


@dataclass(frozen=True)
class Turns:
    """Turns that were handed out: how many seconds from now each is. ``probe``: the one that tries whether it is up."""

    waits: tuple[float, ...]
    probe: bool = False


@dataclass(frozen=True)
class State:
    """How it stands: ``resting`` seconds (0 when it is not), and whether only one may be let through (``probe``)."""

    resting: float
    probe: bool


# What is counted here may be lost in a crash; nobody waits for the disk because of it.
_SOON = text("SET LOCAL synchronous_commit = off")

_RESERVE = text(f"""
    UPDATE card_pace SET
        next_at = greatest(next_at, {NOW})
            + make_interval(secs => (CASE WHEN failures >= :too_many THEN 1 ELSE :n END) / CAST(:rate AS float)),
        down_until = CASE WHEN failures >= :too_many THEN {NOW} + make_interval(secs => :lease) END
    WHERE provider = :provider AND (down_until IS NULL OR down_until <= {NOW})
      AND next_at <= {NOW} + make_interval(secs => :patience)
    RETURNING failures >= :too_many AS probe, extract(epoch FROM next_at - {NOW})::float AS until
""")  # noqa: S608 - no input in it

_MAKE = text(
    f"INSERT INTO card_pace (provider, next_at) VALUES (:provider, {NOW}) "  # noqa: S608 - no input in it
    "ON CONFLICT (provider) DO NOTHING"
)

_STATE = text(f"""
    SELECT greatest(0, extract(epoch FROM down_until - {NOW}),
                    CASE WHEN next_at > {NOW} + make_interval(secs => :patience)
                         THEN extract(epoch FROM next_at - {NOW}) END)::float AS resting,
           failures >= :too_many AS probe
    FROM card_pace WHERE provider = :provider
""")  # noqa: S608 - no input in it

# One that was under way when the door was closed says nothing new; the one that was let through to try does.
_FAILED = text(f"""
    UPDATE card_pace SET
        failures = failures + 1,
        down_until = CASE WHEN failures + 1 >= :too_many THEN {NOW} + make_interval(
            secs => least(:longest, :first * power(2, least(failures + 1 - :too_many, 10)))) END
    WHERE provider = :provider AND (:probe OR down_until IS NULL OR down_until <= {NOW})
""")  # noqa: S608 - no input in it

_ANSWERED = text(
    "UPDATE card_pace SET failures = 0, down_until = NULL "
    "WHERE provider = :provider AND (failures > 0 OR down_until IS NOT NULL)"
)

_HOLD = text(
    f"UPDATE card_pace SET next_at = greatest(next_at, {NOW} + make_interval(secs => :seconds)) "  # noqa: S608 - no input in it
    "WHERE provider = :provider"
)


def lease(settings: Settings) -> float:
    """Return for how many seconds the turn that tries whether the provider is back is nobody else's: a request's."""
    return 2.0 * settings.http_timeout_seconds + 10.0


def reserve(session: Session, provider: str, n: int, per_second: float, *, lease: float = 60.0) -> Turns:
    """Take the next ``n`` turns; of a provider that may be down only one, and nobody else any for ``lease`` seconds.

    Raises Resting while it is left alone, and where the next turn is further away than anybody waits.
    """
    session.execute(_SOON)
    told = {
        "provider": provider, "n": n, "rate": per_second, "lease": lease, "too_many": TOO_MANY,
        "patience": PATIENCE.total_seconds(),
    }  # fmt: skip
    row = session.execute(_RESERVE, told).one_or_none()
    if row is None and (resting := state(session, provider).resting):
        raise Resting(resting)
    if row is None:
        session.execute(_MAKE, {"provider": provider})
        row = session.execute(_RESERVE, told).one_or_none()
    if row is None:
        raise Resting(state(session, provider).resting)
    granted = 1 if row.probe else n
    first = row.until - granted / per_second
    return Turns(tuple(max(0.0, first + place / per_second) for place in range(granted)), row.probe)


def state(session: Session, provider: str) -> State:
    """Return how it stands with a provider."""
    told = {"provider": provider, "too_many": TOO_MANY, "patience": PATIENCE.total_seconds()}
    row = session.execute(_STATE, told).one_or_none()
    return State(0.0, probe=False) if row is None else State(row.resting, row.probe)


def failed(session: Session, provider: str, *, probe: bool) -> None:
    """Tell that a call had no answer: a time-out, a broken connection, a 5xx. ``probe``: of the one that tried."""
    session.execute(_SOON)
    session.execute(_MAKE, {"provider": provider})
    told = {
        "provider": provider, "probe": probe, "too_many": TOO_MANY, "first": FIRST_REST.total_seconds(),
        "longest": LONGEST_REST.total_seconds(),
    }  # fmt: skip
    session.execute(_FAILED, told)


def answered(session: Session, provider: str) -> None:
    """Tell that a call was answered, whatever it said: the provider is up. Writes only where it was not thought so."""
    session.execute(_SOON)
    session.execute(_ANSWERED, {"provider": provider})


def hold(session: Session, provider: str, wait: dt.timedelta) -> None:
    """Tell that the provider turned a call away as one too many: nobody's next turn is before ``wait`` is over."""
    session.execute(_SOON)
    session.execute(_MAKE, {"provider": provider})
    session.execute(_HOLD, {"provider": provider, "seconds": wait.total_seconds()})
