"""Mass corrections and their undoings, against what they reversed and brought back; backlogs in slices."""

from __future__ import annotations

from billing.audit.rules import Rule

_CAUSE = "CASE m.bearer WHEN 'charger' THEN 'mass' ELSE 'mass_credited' END"

RULES = (
    Rule(
        "mass_counts",
        "a mass correction counts what became of its passages; one that is done has none left to look at",
        """
        SELECT format('mass correction %s (%s): of %s passages %s done of %s øre, %s left; they are %s, %s of %s øre, '
                      '%s, and %s wait', m.id, m.state, m.passages, m.done, m.done_ore, m.skipped, x.n, x.done,
                      x.done_ore, x.skipped, x.n - x.done - x.skipped)
        FROM mass_corrections AS m
        CROSS JOIN LATERAL (
            SELECT count(*) AS n, count(*) FILTER (WHERE outcome = 'done') AS done,
                   count(*) FILTER (WHERE outcome = 'left') AS skipped,
                   coalesce(sum(amount_ore) FILTER (WHERE outcome = 'done'), 0) AS done_ore
            FROM mass_passages WHERE mass_id = m.id
        ) AS x
        WHERE (m.done, m.done_ore, m.skipped) IS DISTINCT FROM (x.done, x.done_ore, x.skipped)
           OR x.n <> CASE m.state WHEN 'preview' THEN 0 ELSE m.passages END
           OR (m.state = 'done' AND x.n <> x.done + x.skipped)
        ORDER BY m.id
        """,
    ),
    Rule(
        "mass_reversals",
        "what a mass correction did are the reversals that name it, by who bears it, with the passages' sums",
        f"""
        SELECT format('passage %s: mass correction %s says %s of %s øre, the reversal names %s', coalesce(d.passage_id,
                      v.passage_id), coalesce(d.name, v.reason), coalesce(d.cause, 'nothing'),
                      coalesce(d.amount_ore, 0), coalesce(v.reason || ', ' || v.cause, 'nothing'))
        FROM (
            SELECT x.passage_id, x.amount_ore, x.agreement_id, 'mass:' || m.id AS name, {_CAUSE} AS cause
            FROM mass_corrections AS m JOIN mass_passages AS x ON x.mass_id = m.id
            WHERE m.undoes_id IS NULL AND x.outcome = 'done'
        ) AS d
        FULL JOIN (SELECT r.*, p.amount_ore, p.agreement_id FROM reversals AS r
                   LEFT JOIN passages AS p ON p.id = r.passage_id
                   WHERE r.cause IN ('mass', 'mass_credited')) AS v ON v.passage_id = d.passage_id AND v.reason = d.name
        WHERE (d.cause, d.amount_ore, d.agreement_id) IS DISTINCT FROM (v.cause, v.amount_ore, v.agreement_id)
        ORDER BY 1
        """,  # noqa: S608 - no input in it
    ),
    Rule(
        "mass_undone",
        "what came back after a mass correction is what its undoing did, once",
        """
        SELECT format('passage %s of mass correction %s: %s came back, its undoing %s did %s',
                      coalesce(d.passage_id, v.passage_id), coalesce('mass:' || d.undoes_id, v.reason),
                      coalesce(v.replaced_by::text, 'nothing'), coalesce(d.id::text, 'none'),
                      coalesce(d.passage_id::text, 'nothing'))
        FROM (SELECT m.id, m.undoes_id, x.passage_id FROM mass_corrections AS m
              JOIN mass_passages AS x ON x.mass_id = m.id WHERE m.undoes_id IS NOT NULL AND x.outcome = 'done') AS d
        FULL JOIN (SELECT * FROM reversals WHERE cause IN ('mass', 'mass_credited') AND replaced_by IS NOT NULL) AS v
            ON v.passage_id = d.passage_id AND v.reason = 'mass:' || d.undoes_id
        WHERE d.passage_id IS NULL OR v.passage_id IS NULL ORDER BY 1
        """,
    ),
    Rule(
        "transfers_mass",
        "a mass correction's transfers are, by project and chunk, what it took back or brought back",
        """
        SELECT format('mass correction %s, %s, charger %s, project %s, booked %s: transfers %s øre, passages %s øre',
                      ref, code, charger, project, at, coalesce(t.ore, 0), coalesce(p.ore, 0))
        FROM (
            SELECT code, ref, created_at AS at, sum(amount_ore) AS ore,
                   CASE WHEN split_part(part, '/', 1) ~ '^[0-9]+$' THEN split_part(part, '/', 2) END AS charger,
                   substr(part, length(split_part(part, '/', 1)) + length(split_part(part, '/', 2)) + 3) AS project
            FROM transfers
            WHERE code IN ('mass_reversed', 'mass_credited', 'mass_undone', 'mass_uncredited')
                AND debit_owner + credit_owner = CASE WHEN code IN ('mass_reversed', 'mass_undone')
                    THEN split_part(part, '/', 2)::bigint ELSE 0 END
            GROUP BY 1, 2, 3, 5, 6
        ) AS t
        FULL JOIN (
            SELECT CASE WHEN p.id = v.counter_id THEN CASE v.cause WHEN 'mass' THEN 'mass_reversed'
                            ELSE 'mass_credited' END
                        ELSE CASE v.cause WHEN 'mass' THEN 'mass_undone' ELSE 'mass_uncredited' END END AS code,
                   CASE WHEN p.id = v.counter_id THEN substr(v.reason, 6)::bigint ELSE u.id END AS ref,
                   p.booked_at AS at, p.charger_id::text AS charger, p.project, abs(sum(p.amount_ore)) AS ore
            FROM reversals AS v
            CROSS JOIN LATERAL (VALUES (v.counter_id), (v.replaced_by)) AS n (id)
            JOIN passages AS p ON p.id = n.id
            LEFT JOIN mass_corrections AS u ON 'mass:' || u.undoes_id = v.reason
            WHERE v.cause IN ('mass', 'mass_credited')
            GROUP BY 1, 2, 3, 4, 5
        ) AS p USING (code, ref, at, charger, project)
        WHERE t.ore IS DISTINCT FROM p.ore ORDER BY ref, code, project
        """,
    ),
    # Who had the lock first need not have begun first: the instants of two transactions say little to the second.
    Rule(
        "backlogs_slices",
        "what a backlog's slices took is in claims made since it began",
        """
        SELECT format('backlog %s of agreement %s: %s slices of %s øre, claims since it began are %s of %s øre', b.id,
                      b.agreement_id, b.slices, b.taken_ore, c.n, c.ore)
        FROM backlogs AS b
        CROSS JOIN LATERAL (
            SELECT count(*) AS n, coalesce(sum(passages_ore - joined_ore), 0) AS ore FROM claims
            WHERE agreement_id = b.agreement_id AND kind <> 'credit' AND made_at >= b.noticed_at - interval '1 day'
        ) AS c
        WHERE b.slices > c.n OR b.taken_ore > c.ore OR (b.slices = 0) <> (b.taken_ore = 0)
        ORDER BY b.id
        """,
    ),
)
