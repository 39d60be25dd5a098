"""What chargers knew of an agreement at an instant: the sentence that an answer would say, and what was on it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from accounts.chargers.rules import told_sentence
from accounts.chargers.told import taken, told
from billing.roadside.lists.near import MOST_PLATES, NearMiss, near_misses
from config.clock import business_date
from config.rates import whole


@dataclass(frozen=True)
class Knew:
    """What a charger had been told by an instant; see KnewSchema."""

    charger: str
    charger_name: str
    list_type: str | None
    status: str
    version: int | None
    told_at: dt.datetime | None
    counts_from: dt.datetime | None
    coming: str | None

    @property
    def refused(self) -> bool:
        """Say whether a passage then is refused."""
        return self.status in ("blocked", "ended")

    @property
    def sentence(self) -> str:
        """Return what an answer says; of what is valid, since when that was told."""
        if self.told_at is None:
            return "valid: told nothing else"
        said = told_sentence(self.status, self.version, self.told_at)
        return f"not_valid: {said}" if self.refused else said


# What lists say of a change counts after the latency; what is told at once needs none. Of each charger and list the
# last change that counted by then, and the last there was.
_KNEW = f"""
    SELECT c.code, c.name, CASE WHEN NOT t.lists AND x.version IS NULL THEN NULL ELSE t.list_type END AS list_type,
        coalesce(x.status, 'valid') AS status, x.version, x.at, x.counts,
        CASE WHEN n.id IS DISTINCT FROM x.id THEN n.status END AS coming
    FROM chargers AS c
    CROSS JOIN LATERAL (
        SELECT l.list_type, w.lists, w.latency_minutes
        FROM {taken(":at")} AS w
        CROSS JOIN LATERAL (
            SELECT 'tags' AS list_type WHERE w.list_types <> 'plates'
            UNION ALL SELECT 'plates' WHERE w.list_types = 'plates' OR (w.list_types = 'both' AND w.lists)
        ) AS l
    ) AS t
    LEFT JOIN LATERAL (
        SELECT p.id, p.status, k.version, k.at, k.counts
        FROM publications AS p
        CROSS JOIN LATERAL (
            SELECT o.version, o.at, o.at + make_interval(
                mins => CASE WHEN o.version IS NULL THEN 0 ELSE coalesce(t.latency_minutes, :latency) END) AS counts
            FROM {told("t.list_type")} AS o
        ) AS k
        WHERE p.agreement_id = :agreement AND p.status IN ('valid', 'blocked', 'ended') AND k.counts <= :at
        ORDER BY p.status = 'ended' DESC, p.id DESC LIMIT 1
    ) AS x ON true
    LEFT JOIN LATERAL (
        SELECT p.id, p.status FROM publications AS p
        WHERE p.agreement_id = :agreement AND p.status IN ('valid', 'blocked', 'ended') AND p.effective_at <= :at
        ORDER BY p.status = 'ended' DESC, p.id DESC LIMIT 1
    ) AS n ON true
    WHERE CAST(:charger AS text) IS NULL OR c.code = :charger
    ORDER BY c.name, c.code, t.list_type DESC
"""  # noqa: S608 - no input in it


def knew(session: Session, agreement_id: int, at: dt.datetime, charger: str | None = None) -> list[Knew]:
    """Return what each charger (or one, by its code) had been told of an agreement by an instant: one entry, or one a
    list for those that take both. By the same SQL as matching judges."""
    latency = whole("status_list_latency_minutes", business_date(at))
    params = {"agreement": agreement_id, "at": at, "charger": charger, "latency": latency}
    return [Knew(*row) for row in session.execute(text(_KNEW), params)]


@dataclass(frozen=True)
class Vehicle:
    """What was on the agreement; see ValidVehicleSchema."""

    country: str | None
    plate: str | None
    pan: str | None
    operator: str | None
    since: dt.datetime
    until: dt.datetime | None


@dataclass(frozen=True)
class TagThen:
    """A tag, and where it was; see ValidTagSchema."""

    pan: str
    printed_number: str
    state: str
    country: str | None
    plate: str | None
    registered: bool


@dataclass(frozen=True)
class Validity:
    """The whole answer; see ValiditySchema."""

    agreement: int
    at: dt.datetime
    standing: str
    chargers: Sequence[Knew]
    vehicles: Sequence[Vehicle]
    tags: Sequence[TagThen]
    near_misses: Sequence[NearMiss]
    looked_for: Sequence[str]


_MOST = 1000
_VEHICLES = text("""
    SELECT r.country, r.plate, r.pan, nullif(r.scope, ''), r.valid_from, r.valid_to
    FROM registrations AS r JOIN agreements AS a ON a.id = r.agreement_id
    WHERE (a.id = :agreement OR a.parent_id = :agreement)
        AND r.valid_from <= :at AND (r.valid_to IS NULL OR r.valid_to > :at)
        AND (CAST(:plate AS text) IS NULL OR r.plate = :plate)
    ORDER BY r.scope, r.plate, r.pan LIMIT :most
""")
_TAGS = text("""
    SELECT t.pan, t.printed_number, t.state, m.country, m.plate, r.id IS NOT NULL
    FROM tags AS t
    LEFT JOIN tag_mounts AS m ON m.pan = t.pan AND m.valid_from <= :at AND (m.valid_to IS NULL OR m.valid_to > :at)
    LEFT JOIN registrations AS r ON r.country = m.country AND r.plate = m.plate AND r.scope = ''
        AND r.agreement_id = t.agreement_id AND r.valid_from <= :at AND (r.valid_to IS NULL OR r.valid_to > :at)
    WHERE t.agreement_id = :agreement ORDER BY t.id LIMIT :most
""")
_STANDING = text("""
    SELECT standing FROM standings WHERE agreement_id = :agreement AND at <= :at ORDER BY id DESC LIMIT 1
""")

_EVER_HAD = text("""
    SELECT EXISTS (
        SELECT FROM registrations AS r JOIN agreements AS a ON a.id = r.agreement_id
        WHERE r.country = :country AND r.plate = :plate AND (a.id = :agreement OR a.parent_id = :agreement))
""")


def _ever_had(session: Session, agreement_id: int, vehicle: tuple[str, str]) -> bool:
    params = {"agreement": agreement_id, "country": vehicle[0], "plate": vehicle[1]}
    return bool(session.scalar(_EVER_HAD, params))


def validity(
    session: Session,
    agreement: Agreement,
    at: dt.datetime,
    *,
    vehicle: tuple[str, str] | None = None,
    charger: str | None = None,
    own: bool = False,
) -> Validity:
    """Return what chargers knew of an agreement at an instant, what was on it, and refused records near it: of one
    vehicle (country, plate), or of its first MOST_PLATES plates and all its tags.

    ``own``: for its customer, who is told nothing of a vehicle that never was on it, as if there were none, and of
    others only what happened while they had them (near.py).
    """
    params = {"agreement": agreement.id, "at": at, "most": _MOST}
    plate = vehicle[1] if vehicle is not None else None
    vehicles = [Vehicle(*row) for row in session.execute(_VEHICLES, {**params, "plate": plate})]
    tags = [TagThen(*row) for row in session.execute(_TAGS, params)]
    plates = sorted({(one.country or "", one.plate) for one in vehicles if one.plate is not None})
    if vehicle is not None:
        plates = [vehicle] if not own or _ever_had(session, agreement.id, vehicle) else []
        tags = [one for one in tags if (one.country, one.plate) == vehicle or not one.registered]
    misses = near_misses(session, plates, [one.pan for one in tags], at, charger, own_of=agreement.id if own else None)
    return Validity(
        agreement=agreement.number,
        at=at,
        standing=session.scalar(_STANDING, {"agreement": agreement.id, "at": at}) or "not opened",
        chargers=knew(session, agreement.id, at, charger),
        vehicles=vehicles,
        tags=tags,
        near_misses=misses,
        looked_for=[one[1] for one in plates[:MOST_PLATES]],
    )
