"""Credit an invoice whole and present its claim anew: a credit note, and a new invoice of what is left.

Corrections of its passages that are unbilled join the claim; without any the new invoice says the same to whom it is
now (another address, another reference). What was paid stays paid; what was paid too much is credit. The old KID keeps
working: it is the same claim's.

Asked for by an agent, and done by itself for receivers whose rulebook takes no credit line (config/receivers.toml).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from accounts.customers.tell import NewMessage, tell
from billing.claims import credit
from billing.claims.anew import present_anew
from billing.claims.standing import recompute_locked
from billing.invoices import numbers
from billing.invoices.models import Document, DueExtension
from billing.invoices.rules import TEMPLATE, due_date
from billing.invoices.seller import seller_of
from billing.invoices.write import Presented, write
from billing.passages import join
from billing.passages.balances import lock
from config import receivers
from config.clock import business_date, business_now
from config.jobs import JobContext, Result
from config.problems import Conflict, Invalid, NotFound
from config.rates import whole

ACTOR = "rulebook"
RULEBOOK = "The receiver's rulebook takes no credit line"
LONGEST_REASON = 300


@dataclass(frozen=True)
class Reissued:
    """What came of it: numbers of the document credited, the credit note, and what presents the claim now (None where
    nothing is left of it); their sums in øre, the credit note's negative. ``already``: it had been done before."""

    credited: int
    credit_note: int
    credited_ore: int
    invoice: int | None
    total_ore: int
    already: bool = False


def reissue(
    session: Session,
    number: int,
    *,
    reason: str,
    seller: Mapping[str, Any],
    now: dt.datetime,
    actor: str,
    card_gone: bool = False,
) -> Reissued:
    """Credit an invoice or receipt whole and issue what is left of its claim anew, under the balance's lock.

    ``card_gone``: nothing of it is paid by a card any more (the card's bank took it all back): it has no fee, and is
    an invoice whatever pays it. One that was credited before is a result. The new
    due date is never earlier than the old one, and leaves at least the ordinary term. Raises NotFound; Invalid without
    a reason; Conflict for a credit note.
    """
    if not reason.strip() or len(reason) > LONGEST_REASON:
        wrong = {"field": "reason", "code": "missing" if not reason.strip() else "too_long", "message": "is needed"}
        raise Invalid("Say why, in 300 characters at most.", errors=[wrong])
    known = session.execute(
        select(Document.id, Document.agreement_id, Document.kind).where(Document.number == number)
    ).one_or_none()
    if known is None:
        raise NotFound("There is no such invoice.")
    if known.kind != "invoice":
        raise Conflict("A credit note is not credited.", slug="is-credit-note")
    lock(session, [known.agreement_id])
    old = session.get_one(Document, known.id, populate_existing=True)
    done = _done(session, old)
    if done is not None:
        return done
    today = business_date(now)
    anew = present_anew(session, old.claim_id, today, now, without_fee=card_gone)
    # What it gave back pays what else is open; what there was before may pay what is left of itself.
    open_ones = credit.to_pay(session, [old.agreement_id]) if anew.credited_ore else [old.claim_id]
    credit.use(session, open_ones, today, now)
    note_id, note = _credit_note(session, old, reason.strip(), actor, seller, now)
    tell(session, [NewMessage(old.agreement_id, "credit_note", f"document:{note_id}", note_id)], now=now)
    if anew.amount_ore:
        due_on, paid_by = _terms(session, old, today, card_gone=card_gone)
        write(session, [old.claim_id], Presented(seller, today, due_on, paid_by, None, now))
    recompute_locked(session, [old.agreement_id], today, now, actor, why="reissued")
    return Reissued(number, note, -old.total_ore, _presents(session, old.claim_id, anew.version), anew.amount_ore)


def _terms(
    session: Session, old: Document, today: dt.date, *, card_gone: bool
) -> tuple[dt.date | None, dict[str, Any] | None]:
    """Return the new due date, or by which card it is paid: a receipt of which something is open is an invoice now."""
    soonest = due_date(today, whole("invoice_term_days", today))
    if old.paid_by is None:
        later = session.scalar(select(func.max(DueExtension.due_on)).where(DueExtension.document_id == old.id))
        return max(old.due_on or soonest, later or soonest, soonest), None
    if card_gone:
        return soonest, None
    is_open = session.scalar(
        text("SELECT settled_ore < amount_ore FROM claims WHERE id = :claim"), {"claim": old.claim_id}
    )
    return (soonest, None) if is_open else (None, old.paid_by)


def _done(session: Session, old: Document) -> Reissued | None:
    """Return what came of crediting this document before."""
    note = session.execute(select(Document.number, Document.version).where(Document.credits_id == old.id)).one_or_none()
    if note is None:
        return None
    after = session.execute(
        select(Document.number, Document.total_ore).where(
            Document.claim_id == old.claim_id, Document.version == old.version + 1, Document.credits_id.is_(None)
        )
    ).one_or_none()
    invoice, total = (after.number, after.total_ore) if after else (None, 0)
    return Reissued(old.number, note.number, -old.total_ore, invoice, total, already=True)


def _presents(session: Session, claim_id: int, version: int) -> int | None:
    return session.scalar(
        select(Document.number).where(
            Document.claim_id == claim_id, Document.version == version, Document.credits_id.is_(None)
        )
    )


# The same lines with the same VAT, the other way round: what was told the state is taken back to the øre. To whom and
# about when is as it was; language and seller are as they are now.
_CREDIT = """
    INSERT INTO documents (number, kind, claim_id, version, agreement_id, language, issued_on, period_from, period_to,
                           booked_from, booked_to, total_ore, fee_ore, seller, buyer, template, made_at, credits_id,
                           reason, actor)
    SELECT :number, 'credit_note', d.claim_id, d.version, d.agreement_id, k.language, :today, d.period_from,
           d.period_to, d.booked_from, d.booked_to, -d.total_ore, -d.fee_ore, CAST(:seller AS jsonb), d.buyer,
           :template, :now, d.id, :reason, :actor
    FROM documents AS d JOIN agreements AS a ON a.id = d.agreement_id JOIN customers AS k ON k.id = a.customer_id
    WHERE d.id = :old RETURNING id
"""

_CREDIT_LINES = """
    INSERT INTO document_lines (document_id, line, kind, country, plate, vat_bp, count, gross_ore, net_ore, vat_ore)
    SELECT :id, line, kind, country, plate, vat_bp, count, -gross_ore, -net_ore, -vat_ore
    FROM document_lines WHERE document_id = :old
"""


def _credit_note(
    session: Session, old: Document, reason: str, actor: str, seller: Mapping[str, Any], now: dt.datetime
) -> tuple[int, int]:
    """Write the credit note of a document; return its id and number."""
    number = numbers.take(session, "invoice", 1)
    note_id: int = session.execute(
        text(_CREDIT),
        {
            "number": number,
            "old": old.id,
            "today": business_date(now),
            "seller": json.dumps(dict(seller)),
            "template": TEMPLATE,
            "now": now,
            "reason": reason,
            "actor": actor,
        },
    ).scalar_one()
    session.execute(text(_CREDIT_LINES), {"id": note_id, "old": old.id})
    return note_id, number


def reissue_by_rulebook(
    session: Session, agreement_ids: Sequence[int], cutoff: dt.datetime, *, seller: Mapping[str, Any], now: dt.datetime
) -> list[Reissued]:
    """Reissue what was corrected since, for those of the agreements whose holder's rulebook takes no credit line.

    Locks their balances. Called before a run takes counter-rows as lines of the next invoice.
    """
    strict = _strict(session, agreement_ids)
    if not strict:
        return []
    lock(session, strict)
    rows = session.execute(
        text(
            "SELECT d.number FROM documents AS d JOIN claims AS c ON c.id = d.claim_id AND c.version = d.version "
            "WHERE d.claim_id = ANY(:claims) AND d.kind = 'invoice' AND NOT EXISTS "
            "(SELECT FROM documents AS n WHERE n.credits_id = d.id) ORDER BY d.number"
        ),
        {"claims": join.corrected(session, strict, cutoff)},
    )
    numbers_ = list(rows.scalars())
    return [reissue(session, one, reason=RULEBOOK, seller=seller, now=now, actor=ACTOR) for one in numbers_]


def _strict(session: Session, agreement_ids: Sequence[int] | None) -> list[int]:
    """Return the agreements (of those given, or of all that have unbilled passages) whose rulebook forbids it."""
    organisations = receivers.without_partial_credit()
    if not organisations:
        return []
    rows = session.execute(
        text(
            "SELECT a.id FROM agreements AS a JOIN customers AS k ON k.id = a.customer_id "
            "JOIN balances AS b ON b.agreement_id = a.id AND b.unbilled_count <> 0 "
            "WHERE k.org_no = ANY(:organisations) AND (CAST(:ids AS bigint[]) IS NULL OR a.id = ANY(:ids)) "
            "ORDER BY a.id"
        ),
        {
            "organisations": sorted(organisations),
            "ids": None if agreement_ids is None else list(agreement_ids),
        },
    )
    return list(rows.scalars())


def job(ctx: JobContext, scheduled_for: dt.datetime) -> Result:
    """Daily: credit and issue anew what was corrected, for receivers that take no credit line; one at a time."""
    del scheduled_for
    seller, count = seller_of(ctx.settings), 0
    with ctx.sessions() as session:
        found = _strict(session, None)
    for agreement_id in found:
        with ctx.sessions.begin() as session:
            now = business_now(session)
            count += len(reissue_by_rulebook(session, [agreement_id], now, seller=seller, now=now))
    return {"agreements": len(found), "reissued": count}
