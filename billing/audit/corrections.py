"""Corrections, what was decided anew, and what is kept of a batch: its bytes and its answers."""

from __future__ import annotations

from billing.audit.rules import Rule

RULES = (
    Rule(
        "corrections_records",
        "a correction has its record, answered by what became of it",
        """
        SELECT format('correction %s of charger %s is %s, its record %s', k.source_id, k.charger_id, k.state,
                      coalesce(r.code, 'missing'))
        FROM corrections AS k LEFT JOIN records AS r USING (charger_id, source_id)
        WHERE r.code IS NULL
           OR (k.state = 'waiting') <> (r.code = 'deferred_original_missing')
           OR (k.state = 'superseded') <> (r.code = 'superseded')
           OR (k.action = 'cancel' AND k.state = 'applied' AND r.code <> 'accepted')
           OR (k.action = 'cancel' AND r.passage_id IS NOT NULL)
        ORDER BY k.charger_id, k.source_id
        """,
    ),
    Rule(
        "corrections_in_force",
        "of an original and its corrections only what is in force stands; all else that was booked is taken back",
        """
        WITH force AS (
            SELECT DISTINCT ON (charger_id, original_id) charger_id, original_id, source_id FROM corrections
            WHERE state = 'applied'
            ORDER BY charger_id, original_id, version DESC, issued_at DESC, source_id COLLATE "C" DESC
        ), others AS (
            SELECT f.charger_id, f.original_id AS source_id FROM force AS f
            UNION ALL
            SELECT k.charger_id, k.source_id FROM corrections AS k
            JOIN force AS f USING (charger_id, original_id) WHERE k.source_id <> f.source_id AND k.state = 'applied'
        )
        SELECT format('record %s of charger %s was corrected, and its passage %s stands', o.source_id, o.charger_id,
                      r.passage_id)
        FROM others AS o JOIN records AS r USING (charger_id, source_id)
        WHERE r.passage_id IS NOT NULL AND NOT EXISTS (SELECT FROM reversals AS v WHERE v.passage_id = r.passage_id)
        ORDER BY o.charger_id, o.source_id
        """,
    ),
    Rule(
        "corrections_causes",
        "what was cancelled or adjusted names the correction that did it",
        """
        SELECT format('passage %s was %s by %s, which is no correction of charger %s', v.passage_id, v.cause,
                      coalesce(v.reason, 'nothing'), p.charger_id)
        FROM reversals AS v JOIN passages AS p ON p.id = v.passage_id
        LEFT JOIN corrections AS k ON k.charger_id = p.charger_id AND k.source_id = v.reason
        WHERE v.cause IN ('cancelled', 'adjusted', 'uncredited')
          AND (k.state IS DISTINCT FROM 'applied'
               OR (v.cause <> 'uncredited' AND (v.cause = 'cancelled') <> (k.action = 'cancel')))
        ORDER BY v.passage_id
        """,
    ),
    Rule(
        "amendments_records",
        "what was decided last of a record is what it says, and each decision follows the one before",
        """
        SELECT format('record %s of charger %s: amendment %s says %s (before: %s), %s', a.source_id, a.charger_id,
                      a.id, a.code, a.was_code,
                      coalesce('then ' || a.next, 'the record says ' || coalesce(r.code, 'nothing')))
        FROM (
            SELECT *, lead(was_code) OVER (PARTITION BY charger_id, source_id ORDER BY id) AS next FROM amendments
            WHERE cause <> 'moved' -- the record stays accepted, though the charger is owed nothing for it any more
        ) AS a LEFT JOIN records AS r USING (charger_id, source_id)
        WHERE coalesce(a.next, r.code) IS DISTINCT FROM a.code ORDER BY a.id
        """,
    ),
    Rule(
        "batches_kept",
        "a batch is kept as it was received, and each of its chunks with its answers",
        """
        SELECT format('batch %s of %s bytes: %s parts of %s, answers to %s chunks of %s', b.id, b.bytes,
                      coalesce(p.n, 0), (b.bytes + 1048575) / 1048576, coalesce(a.n, 0),
                      (b.done + b.chunk_size - 1) / b.chunk_size)
        FROM batches AS b
        LEFT JOIN (SELECT batch_id, count(*) AS n FROM batch_parts GROUP BY 1) AS p ON p.batch_id = b.id
        LEFT JOIN (SELECT batch_id, count(*) AS n FROM batch_answers GROUP BY 1) AS a ON a.batch_id = b.id
        WHERE b.bytes IS NOT NULL AND (coalesce(p.n, 0), coalesce(a.n, 0)) IS DISTINCT FROM
              ((b.bytes + 1048575) / 1048576, (b.done + b.chunk_size - 1) / b.chunk_size)
        ORDER BY b.id
        """,
    ),
)
