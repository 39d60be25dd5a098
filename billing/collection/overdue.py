"""The overdue step: who has not paid is closed to traffic.

Runs daily, and when a bank file has been read. Works through agreements in chunks, each a transaction, and can be
stopped and begun again anywhere: what is found is what is still open and not blocked for.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import structlog
from prometheus_client import Counter
from sqlalchemy import text
from sqlalchemy.orm import Session

from accounts.agreements.block import block
from accounts.agreements.standing import apply
from accounts.customers.tell import NewMessage, tell
from billing.claims import credit, queries
from billing.claims.rules import chased
from billing.claims.standing import REMAINDER, overdue_sums
from billing.claims.write_off import write_off
from billing.collection.rules import Hole, Reach, by_grace, holes, reach, read_until
from billing.passages.balances import lock
from config.clock import business_date, business_now
from config.jobs import JobContext
from config.rates import whole

log = structlog.get_logger(__name__)

CHUNK = 500
ACTOR = "overdue"
# Far longer than any grace: a file missing for so long is no longer waited for nor named.
LOOKED_BACK = dt.timedelta(days=60)
BLOCKED_BY_GRACE = Counter(
    "brikke_blocked_without_bank_file_total",
    "Agreements blocked because the grace was over while the bank's file for their due date had not come.",
)


@dataclass
class Outcome:
    """What a chunk came to: agreements looked at, blocked (of them without the bank's file), sums written off (øre)."""

    looked_at: list[int] = field(default_factory=list)
    blocked: int = 0
    by_grace: int = 0
    written_off: int = 0
    written_off_ore: int = 0


def find_reach(session: Session, accounts: Sequence[str], today: dt.date) -> Reach:
    """Return which due dates may be judged, by what has been read of our bank accounts, and what is missing of it.

    The bank counts its assignments one by one for each bank agreement, so a number left out is a file that has not
    come: the account has been read to there, until it comes or the grace is over (``rules.read_until``). A bank that
    counts otherwise is judged by the grace alone. What has no number tells its date, as before.
    """
    rows = session.execute(
        text(
            "SELECT account, max(last_date) AS through FROM bank_assignments WHERE account = ANY(:accounts) "
            "GROUP BY account"
        ),
        {"accounts": list(accounts)},
    )
    read: dict[str, dt.date] = {row.account: row.through for row in rows}
    grace = whole("overdue_grace_bank_days", today)
    missing: dict[str, list[Hole]] = {}
    for (account, agreement), numbers in _numbers(session, accounts, today).items():
        found = holes(numbers)
        until = read_until(today, found, grace)
        if until is not None:
            read[account] = min(read[account], until)
        if found:
            missing.setdefault(agreement, []).extend(found)
    named = tuple(f"{agreement}: {', '.join(map(str, found))}" for agreement, found in sorted(missing.items()))
    return replace(reach(today, [read.get(account) for account in accounts], grace), missing=named)


def _numbers(
    session: Session, accounts: Sequence[str], today: dt.date
) -> dict[tuple[str, str], list[tuple[dt.date, int]]]:
    """Return the assignments read lately, by (account, bank agreement), as `holes` wants them."""
    rows = session.execute(
        text(
            "SELECT account, agreement_ref, last_date, number::bigint AS number FROM bank_assignments "
            "WHERE account = ANY(:accounts) AND last_date >= :since AND number ~ '^[0-9]{1,18}$' "
            "AND number !~ '^0+$' ORDER BY last_date, id"
        ),
        {"accounts": list(accounts), "since": today - LOOKED_BACK},
    )
    found: dict[tuple[str, str], list[tuple[dt.date, int]]] = defaultdict(list)
    for row in rows:
        found[row.account, row.agreement_ref].append((row.last_date, row.number))
    return found


# Claims that an active block stands for are not looked at again; new ones of a blocked agreement are.
_FIND = """
    SELECT DISTINCT c.agreement_id FROM claims AS c JOIN agreements AS a ON a.id = c.agreement_id
    WHERE c.due_on <= :through AND c.settled_ore < c.passages_ore + c.fee_ore AND c.agreement_id > :after
      AND (c.amount_ore - c.settled_ore < :remainder
           OR (a.standing IN ('open', 'awaiting_reopen') AND (a.closed_at IS NULL OR a.closed_at > :now)))
    ORDER BY c.agreement_id LIMIT :chunk
"""


def step(session: Session, reached: Reach, after: int, today: dt.date, now: dt.datetime) -> Outcome:
    """Judge the next chunk of agreements after id ``after`` with something due and open, in this transaction.

    Credit they have is used first, remainders under the figure are written off, and for the rest the agreement is
    blocked and told, once. ``looked_at`` is empty when there is nothing left.
    """
    remainder = max(whole(REMAINDER, today), 1)
    found = list(
        session.scalars(
            text(_FIND),
            {"through": reached.through, "after": after, "remainder": remainder, "now": now, "chunk": CHUNK},
        )
    )
    outcome = Outcome(looked_at=found)
    if not found:
        return outcome
    lock(session, found)
    credit.use(session, [row.claim_id for row in _due(session, found, reached)], today, now)
    rows = _due(session, found, reached)
    small = [row.claim_id for row in rows if not chased(row.open_ore, remainder)]
    outcome.written_off = len(small)
    outcome.written_off_ore = write_off(session, small, today, now) if small else 0
    overdue: dict[int, list[queries.OpenClaim]] = defaultdict(list)
    for row in rows:
        if chased(row.open_ore, remainder):
            overdue[row.agreement_id].append(row)
    _block(session, _not_closed(session, overdue, now), reached, outcome, today, now)
    return outcome


def _due(session: Session, agreement_ids: Sequence[int], reached: Reach) -> list[queries.OpenClaim]:
    """Return the open claims of agreements whose due date may be judged."""
    rows = queries.open_claims(session, agreement_ids)
    return [row for row in rows if row.due_on is not None and row.due_on <= reached.through]


def _not_closed(
    session: Session, overdue: dict[int, list[queries.OpenClaim]], now: dt.datetime
) -> dict[int, list[queries.OpenClaim]]:
    """Leave out closed agreements: there is nothing left to close, and nobody to ask us to reopen it."""
    ids = session.scalars(
        text("SELECT id FROM agreements WHERE id = ANY(:ids) AND (closed_at IS NULL OR closed_at > :now)"),
        {"ids": list(overdue), "now": now},
    )
    return {agreement_id: overdue[agreement_id] for agreement_id in sorted(ids)}


def _block(
    session: Session,
    overdue: dict[int, list[queries.OpenClaim]],
    reached: Reach,
    outcome: Outcome,
    today: dt.date,
    now: dt.datetime,
) -> None:
    """Block, let the standing follow, tell the holders what is due."""
    if not overdue:
        return
    blocks = block(session, {i: [row.claim_id for row in rows] for i, rows in overdue.items()}, now)
    sums = overdue_sums(session, overdue, today, whole(REMAINDER, today))
    changes = {c.agreement_id: c for c in apply(session, {i: sums.get(i, 0) for i in overdue}, now, "overdue", ACTOR)}
    messages = []
    for row in blocks:
        change = changes.get(row.agreement_id)
        if change is None or change.after != "blocked":
            continue
        claims = overdue[row.agreement_id]
        outcome.blocked += 1
        if all(by_grace(claim.due_on, reached.read) for claim in claims if claim.due_on):
            outcome.by_grace += 1
        # From open it is the block that is told; from awaiting_reopen it is that more has fallen due since.
        subject = f"block:{row.id}" if change.before == "open" else f"standing:{change.change_id}"
        data = {"due": [c.as_dict() for c in claims], "open_ore": sum(c.open_ore for c in claims)}
        messages.append(NewMessage(row.agreement_id, "blocked", subject, claims[0].document_id, data))
    tell(session, messages, now=now)


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Block agreements whose due date has passed unpaid; say what was done and through which due date."""
    after, blocked, graced, written_off = 0, 0, 0, 0
    with ctx.sessions() as session:
        today = business_date(business_now(session))
        reached = find_reach(session, [ctx.settings.bank_account], today)
    missing = "; ".join(reached.missing)
    if missing:
        log.warning("overdue.bank_numbers_missing", missing=missing)
    while True:
        with ctx.sessions.begin() as session:  # each chunk at its own instant: what it publishes counts from then
            outcome = step(session, reached, after, today, business_now(session))
        if not outcome.looked_at:
            break
        after = outcome.looked_at[-1]
        blocked += outcome.blocked
        graced += outcome.by_grace
        written_off += outcome.written_off
    if graced:
        BLOCKED_BY_GRACE.inc(graced)
        log.error(
            "overdue.bank_file_missing",
            blocked_without_it=graced,
            read_through=reached.read.isoformat() if reached.read else None,
        )
    return {
        "through": reached.through.isoformat(),
        "bank_read_through": reached.read.isoformat() if reached.read else "nothing yet",
        "bank_files_missing": missing or "none",
        "blocked": blocked,
        "blocked_without_bank_file": graced,
        "written_off": written_off,
    }
