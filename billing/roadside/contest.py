"""Decide a record anew that was refused, because its charger contests it: by somebody of ours, with a reason."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy.orm import Session

from accounts.chargers.models import Charger
from billing.cards.due import decide
from billing.passages.again import decide_again
from billing.passages.ingest import StillChanging
from billing.passages.models import Record
from config.checks import Checks, one_line
from config.problems import Conflict, NotFound

LONGEST_REASON = 300


@dataclass(frozen=True)
class Contested:
    """What came of it: what was said before and is said now; ``amendment`` names the decision when they differ."""

    id: str
    was_code: str
    code: str
    detail: str | None
    amendment: int | None

    @property
    def changed(self) -> bool:
        """Say whether another thing is said now."""
        return self.amendment is not None


def contest(
    session: Session,
    charger: Charger,
    source_id: str,
    *,
    reason: str,
    actor: str,
    now: dt.datetime,
    any_age: bool = False,
    double: bool = False,
    despite: bool = False,
) -> Contested:
    """Match a refused record once more and book it when it is accepted now; a card that is due by it, is charged.

    ``any_age``: also when it is too old. ``double``: also when it is a second read of one passing. ``despite``: also
    when the charger had been told that the agreement was blocked or had ended. The caller commits, and writes the
    trail. Raises Invalid without a reason; NotFound; Conflict for what is accepted, superseded, replaced by a
    correction, or holds no passage.
    """
    checks = Checks()
    why = checks.take("reason", one_line(LONGEST_REASON), reason, "")
    checks.done()
    record = session.get(Record, (charger.id, source_id), populate_existing=True)
    if record is None:
        raise NotFound(f"{charger.code} has sent no record {source_id} that could be read and kept.")
    before = record.code
    if before in ("accepted", "other_agreement"):
        raise Conflict("This record is accepted; only its charger can correct it.", slug="accepted")
    if before == "superseded":
        raise Conflict("A later correction is in force instead of this one.", slug="superseded")
    how = {"any_age": any_age, "double": double, "judged": not despite}
    try:
        done = decide_again(session, charger, [source_id], cause="contested", reason=why, actor=actor, now=now, **how)
    except StillChanging as changing:
        raise Conflict(f"{changing}.", slug="still-changing") from None
    decide(session, done.touched, now=now)
    session.refresh(record)
    made = next((one.amendment_id for one in done.amended if one.source_id == source_id), None)
    return Contested(source_id, before, record.code, record.detail, made)
