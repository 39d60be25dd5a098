"""Keep how files are exchanged with a charger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger
from billing.roadside.exchange import rules
from billing.roadside.exchange.models import Exchange
from billing.roadside.exchange.outgoing import JOB
from billing.roadside.formats import FORMATS
from config.checks import Checks, Wrong
from config.jobs import ring

_READ: Mapping[str, Callable[[str], str]] = {
    "host": rules.host,
    "username": rules.username,
    "key_file": rules.secret_name,
    "password_file": rules.secret_name,
    "host_key": rules.fingerprint,
    "remote_in": rules.remote_folder,
    "remote_out": rules.remote_folder,
    "remote_done": rules.remote_folder,
}
_NEEDED = ("host", "username", "host_key", "remote_in", "remote_out")
SSH_PORT = 22
LISTS_JOB = "status_lists"
"""What sends status lists; those of a charger whose exchange is off wait."""


@dataclass(frozen=True)
class ExchangeGiven:
    """An exchange as somebody gave it; see ``models.Exchange``."""

    kind: str
    enabled: bool = True
    form: str | None = None
    answer_form: str | None = None
    host: str | None = None
    port: int | None = None
    username: str | None = None
    key_file: str | None = None
    password_file: str | None = None
    host_key: str | None = None
    remote_in: str | None = None
    remote_out: str | None = None
    remote_done: str | None = None


def keep_exchange(
    session: Session, charger: Charger, given: ExchangeGiven, check: Callable[[Exchange], None] | None = None
) -> tuple[Exchange, bool]:
    """Add or change how files are exchanged with a charger; return it and whether it is new. ``check`` is called with
    a known one, locked, before it is changed, and may raise. It is tried at once, however often it failed before,
    and status lists that waited for it go.

    Raises Invalid, naming the fields: for a server all that is needed must be there, for a folder nothing of it.
    """
    values = _checked(given)
    # Two at once for a charger without one: the second waits here, and then finds the first's.
    session.execute(select(Charger.id).where(Charger.id == charger.id).with_for_update(key_share=True))
    query = select(Exchange).where(Exchange.charger_id == charger.id).with_for_update()
    known = session.scalar(query.execution_options(populate_existing=True))
    ring(session, JOB)
    ring(session, LISTS_JOB)
    if known is None:
        made = Exchange(charger_id=charger.id, **values)
        session.add(made)
        session.flush()
        return made, True
    if check is not None:
        check(known)
    for name, value in values.items():
        setattr(known, name, value)
    known.attempts, known.next_at, known.error = 0, None, None
    session.flush()
    return known, False


def _checked(given: ExchangeGiven) -> dict[str, Any]:
    checks = Checks()
    values = asdict(given)
    checks.take("kind", _one_of(rules.KINDS), given.kind, "")
    for name in ("form", "answer_form"):
        if values[name] is not None:
            checks.take(name, _one_of(tuple(FORMATS)), values[name], "")
    for name, read in _READ.items():
        if values[name] is None:
            if given.kind == "sftp" and name in _NEEDED:
                checks.note(name, "missing", "is needed for a server")
        elif given.kind == "folder":
            checks.note(name, "unwanted", "has no meaning for a folder")
        else:
            values[name] = checks.take(name, read, values[name], "")
    if given.kind == "sftp":
        values["port"] = given.port or SSH_PORT
        if given.key_file is None and given.password_file is None:
            checks.note("key_file", "missing", "or password_file is needed for a server")
        folders = [values[name] for name in ("remote_in", "remote_out", "remote_done") if values[name]]
        if len(set(folders)) < len(folders):
            checks.note("remote_out", "same", "must be another folder than the others")
    elif given.port is not None:
        checks.note("port", "unwanted", "has no meaning for a folder")
    checks.done()
    return values


def _one_of(known: tuple[str, ...]) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value not in known:
            raise Wrong("unknown", f"must be one of {', '.join(known)}")
        return value

    return check
