"""Disputes, for the audit's world: one that holds a passage back, one that was corrected; and a tag read elsewhere."""

from __future__ import annotations

from sqlalchemy import text

from accounts.customers.tell import NewMessage, tell
from billing.roadside.complaints.answer import link
from billing.roadside.complaints.make import dispute
from tests.integration.billing.books import ISSUED, Books

_PASSAGE = "SELECT passage_id FROM records WHERE source_id = '{}'"


def disputes(books: Books) -> None:
    """On the passages of ``corrected.corrections``: K3 stands, K0 was cancelled."""
    session = books.session
    held = books.one(_PASSAGE.format("K3"))
    agreement = books.one(f"SELECT agreement_id FROM passages WHERE id = {held}")
    dispute(session, agreement, held, "price", "", actor="customer:1", now=ISSUED)
    session.execute(
        text(
            "INSERT INTO complaints (agreement_id, passage_id, charger_id, source_id, kind, text, state, outcome, "
            "made_at, made_by, sent_at, answered_at, answered_by) SELECT agreement_id, id, charger_id, source_id, "
            "'not_there', '', 'answered', 'upheld', :at, 'customer:1', :at, :at, 'charger:KYST' "
            "FROM passages WHERE id = :passage"
        ),
        {"at": ISSUED, "passage": books.one(_PASSAGE.format("K0"))},
    )
    assert link(session) == 1
    session.execute(
        text(
            "WITH m AS (INSERT INTO complaint_messages (charger_id, number, content, made_at) "
            "SELECT charger_id, 1, 'K0', :at FROM complaints LIMIT 1 RETURNING id, charger_id, content) "
            "INSERT INTO outgoing_files (charger_id, kind, ref, name, state, made_at, sent_at, size, sha256) "
            "SELECT charger_id, 'complaints', id::text, 'c.jsonl', 'sent', :at, :at, 2, sha256(content) FROM m"
        ),
        {"at": ISSUED},
    )
    subject = f"tag_mismatch:{agreement}:{held}"
    tell(session, [NewMessage(agreement, "tag_mismatch", subject, data={"facts": {"tag": "0001"}})], now=ISSUED)
    session.execute(
        text(
            "INSERT INTO tag_mismatches (agreement_id, pan, passage_id, passed_at, told_on, told_at) "
            "SELECT agreement_id, '9578', id, passed_at, '2026-02-01', :at FROM passages WHERE id = :passage"
        ),
        {"at": ISSUED, "passage": held},
    )
