"""Complaints, what is held back for them, and tags read in other vehicles."""

from __future__ import annotations

from billing.audit.rules import Rule

RULES = (
    Rule(
        "complaints_passages",
        "a complaint is about a passage of its agreement, and goes to the charger whose record it was",
        """
        SELECT format('complaint %s of agreement %s to charger %s about record %s: passage %s is %s', c.id,
                      c.agreement_id, c.charger_id, c.source_id, c.passage_id,
                      coalesce(format('of agreement %s, charger %s, record %s', p.agreement_id, p.charger_id,
                                      p.source_id), 'missing'))
        FROM complaints AS c LEFT JOIN passages AS p ON p.id = c.passage_id
        WHERE (p.agreement_id, p.charger_id, p.source_id) IS DISTINCT FROM (c.agreement_id, c.charger_id, c.source_id)
        ORDER BY c.id
        """,
    ),
    Rule(
        "complaints_corrections",
        "what a complaint names as its correction is one of the charger's, of the record that was disputed",
        """
        SELECT format('complaint %s about record %s of charger %s: %s corrects %s', c.id, c.source_id, c.charger_id,
                      c.correction_id, coalesce(k.original_id, 'nothing'))
        FROM complaints AS c
        LEFT JOIN corrections AS k ON k.charger_id = c.charger_id AND k.source_id = c.correction_id
        LEFT JOIN corrections AS o ON o.charger_id = c.charger_id AND o.source_id = c.source_id
        WHERE c.correction_id IS NOT NULL
          AND (k.state IS DISTINCT FROM 'applied' OR k.original_id <> coalesce(o.original_id, c.source_id))
        ORDER BY c.id
        """,
    ),
    Rule(
        "held_passages",
        "what is held back is disputed, and is its agreement's",
        """
        SELECT format('passage %s of agreement %s (%s øre) is held for agreement %s (%s øre), %s', h.passage_id,
                      p.agreement_id, p.amount_ore, h.agreement_id, h.amount_ore,
                      CASE WHEN c.passage_id IS NULL THEN 'undisputed' ELSE 'disputed' END)
        FROM held_passages AS h
        LEFT JOIN passages AS p ON p.id = h.passage_id
        LEFT JOIN (SELECT DISTINCT passage_id FROM complaints) AS c ON c.passage_id = h.passage_id
        WHERE (p.agreement_id, p.amount_ore) IS DISTINCT FROM (h.agreement_id, h.amount_ore) OR c.passage_id IS NULL
        ORDER BY h.passage_id
        """,
    ),
    # A passage that was billed before it could be held is never held; one that is held is never billed, unless a
    # counter-row took it along.
    Rule(
        "held_unbilled",
        "what is held back is not billed, unless it was taken back",
        """
        SELECT format('passage %s is held, and on claim %s', h.passage_id, p.claim_id)
        FROM held_passages AS h JOIN passages AS p ON p.id = h.passage_id
        WHERE p.claim_id IS NOT NULL AND NOT EXISTS (SELECT FROM reversals AS v WHERE v.passage_id = h.passage_id)
        ORDER BY h.passage_id
        """,
    ),
    # The bytes of answers are made of the records when they are sent; the exchange holds them to their digest.
    Rule(
        "outgoing_files_bytes",
        "what was sent to a charger and is kept here, a message of complaints or a list, has the digest it was sent by",
        """
        SELECT format('file %s (%s) to charger %s: sent %s, kept %s', o.name, o.kind, o.charger_id,
                      encode(o.sha256, 'hex'), coalesce(encode(k.sha256, 'hex'), 'nothing'))
        FROM outgoing_files AS o
        LEFT JOIN LATERAL (
            SELECT sha256(m.content) AS sha256 FROM complaint_messages AS m
            WHERE o.kind = 'complaints' AND m.id = o.ref::bigint AND m.charger_id = o.charger_id
            UNION ALL
            SELECT v.sha256 FROM list_versions AS v
            WHERE o.kind = 'list' AND v.id = o.ref::bigint AND v.charger_id = o.charger_id
        ) AS k ON true
        WHERE o.kind IN ('complaints', 'list') AND o.sha256 IS NOT NULL AND k.sha256 IS DISTINCT FROM o.sha256
        ORDER BY o.id
        """,
    ),
    Rule(
        "tag_mismatches_told",
        "who is told of a tag that was read elsewhere, is told of a passage or of a refused record, by one message",
        """
        SELECT format('mismatch %s of agreement %s, passage %s: passage %s, message %s', t.id, t.agreement_id,
                      coalesce(t.passage_id::text, 'none'), CASE WHEN p.id IS NULL THEN 'missing' ELSE 'there' END,
                      CASE WHEN m.id IS NULL THEN 'missing' ELSE 'there' END)
        FROM tag_mismatches AS t
        LEFT JOIN passages AS p ON p.id = t.passage_id
        LEFT JOIN messages AS m ON m.template LIKE 'tag_mismatch%' AND m.agreement_id = t.agreement_id
            AND m.subject = format('tag_mismatch:%s:%s', t.agreement_id,
                                   coalesce(t.passage_id::text, 'refused-' || t.id))
        WHERE (p.id IS NULL AND t.passage_id IS NOT NULL) OR m.id IS NULL ORDER BY t.id
        """,
    ),
)
