-- Corrections: records that cancel or adjust others. correct.py has the order.
--
-- Of several of one original the highest (version, issued_at, source id) is in force. That is content only, so whatever
-- order they come in, the same one wins. The original's row in records is their lock.

-- name: make_correcting
-- What corrects, in this chunk (or, `again`, what had waited). An adjustment is in incoming and matched too. outcome:
-- applied, superseded, deferred_original_missing, refused (it could not be booked anyhow), twice (in the chunk).
CREATE TEMP TABLE IF NOT EXISTS correcting (
    position integer PRIMARY KEY,
    source_id text NOT NULL,
    hash bytea NOT NULL,
    action text NOT NULL,
    original_id text NOT NULL,
    version integer NOT NULL,
    issued_at timestamptz NOT NULL,
    again boolean NOT NULL DEFAULT false,
    outcome text,
    detail text,
    booked boolean NOT NULL DEFAULT false -- had it counted
) ON COMMIT DELETE ROWS

-- name: make_reversing
-- What they take back. credited: the passage is a counter-row of support's, which is taken back first (counter_id), so
-- that the charger's claim can be (second_id). fresh: it is of this chunk, and not in passages yet.
CREATE TEMP TABLE IF NOT EXISTS reversing (
    position integer PRIMARY KEY,
    source_id text NOT NULL,
    passage_id bigint NOT NULL,
    agreement_id bigint NOT NULL,
    cause text NOT NULL,
    credited boolean NOT NULL,
    fresh boolean NOT NULL,
    counter_id bigint NOT NULL,
    second_id bigint
) ON COMMIT DELETE ROWS

-- name: known
-- Cancellations that are here already; adjustments are found with all other records, and leave with them.
WITH known AS (
    DELETE FROM correcting AS c
    USING records AS r
    LEFT JOIN batches AS b ON b.id = r.batch_id
    WHERE r.charger_id = %(charger)s AND r.source_id = c.source_id AND c.action = 'cancel'
    RETURNING c.position, r.hash = c.hash AS same, r.batch_id, coalesce(b.name, '') AS name, r.position AS line
), gone AS (
    DELETE FROM correcting AS c
    WHERE c.action = 'adjust' AND NOT EXISTS (SELECT FROM incoming AS i WHERE i.position = c.position)
)
SELECT * FROM known

-- name: twice
UPDATE correcting AS c SET outcome = 'twice'
WHERE EXISTS (SELECT FROM incoming AS o WHERE o.source_id = c.source_id AND o.position < c.position)
   OR EXISTS (SELECT FROM correcting AS o WHERE o.source_id = c.source_id AND o.position < c.position)

-- name: roots_known
-- A correction of a correction is one of what that one corrects.
UPDATE correcting AS c SET original_id = k.original_id
FROM corrections AS k
WHERE k.charger_id = %(charger)s AND k.source_id = c.original_id

-- name: roots_here
UPDATE correcting AS c SET original_id = k.original_id
FROM correcting AS k
WHERE k.source_id = c.original_id AND k.outcome IS DISTINCT FROM 'twice'

-- name: lock_originals
SELECT count(*) FROM (
    SELECT FROM records AS r
    WHERE r.charger_id = %(charger)s
        AND r.source_id = ANY(ARRAY(SELECT c.original_id FROM correcting AS c WHERE c.outcome IS NULL))
    ORDER BY r.source_id COLLATE "C" FOR NO KEY UPDATE
) AS locked

-- name: judge
WITH asked AS (
    SELECT c.position, c.original_id, c.version, c.issued_at, c.source_id,
        coalesce(m.code IN ('too_old', 'unknown_station'), false) AS refused, coalesce(m.code = 'accepted', false) AS booked,
        (EXISTS (SELECT FROM records AS r WHERE r.charger_id = %(charger)s AND r.source_id = c.original_id)
            AND NOT EXISTS (SELECT FROM corrections AS k WHERE k.charger_id = %(charger)s AND k.source_id = c.original_id))
        OR EXISTS (
            SELECT FROM incoming AS i
            WHERE i.source_id = c.original_id
                AND NOT EXISTS (SELECT FROM correcting AS k WHERE k.position = i.position)
        ) AS here
    FROM correcting AS c
    LEFT JOIN matched AS m ON m.position = c.position
    WHERE c.outcome IS NULL
), ranked AS (
    SELECT DISTINCT ON (x.original_id) x.original_id, x.version, x.source_id FROM (
        SELECT original_id, version, issued_at, source_id FROM asked WHERE here AND NOT refused
        UNION ALL
        SELECT k.original_id, k.version, k.issued_at, k.source_id FROM corrections AS k
        WHERE k.charger_id = %(charger)s AND k.state = 'applied' AND k.original_id IN (SELECT original_id FROM asked)
    ) AS x
    ORDER BY x.original_id, x.version DESC, x.issued_at DESC, x.source_id COLLATE "C" DESC
)
UPDATE correcting AS c
SET booked = a.booked,
    outcome = CASE
        WHEN NOT a.here THEN 'deferred_original_missing'
        WHEN a.refused THEN 'refused'
        WHEN t.source_id <> c.source_id THEN 'superseded'
        ELSE 'applied'
    END,
    detail = CASE
        WHEN NOT a.here THEN a.original_id || ' has not come yet'
        WHEN t.source_id <> c.source_id AND NOT a.refused THEN 'by ' || t.source_id
            || CASE WHEN t.version > 0 THEN ', version ' || t.version ELSE '' END
    END
FROM asked AS a
LEFT JOIN ranked AS t ON t.original_id = a.original_id
WHERE a.position = c.position

-- name: adjustments
-- What does not count is not booked either.
UPDATE matched AS m SET code = c.outcome, detail = c.detail
FROM correcting AS c
WHERE c.position = m.position AND c.outcome IN ('superseded', 'deferred_original_missing')

-- name: targets
-- From what is in force, or else from the original, along what it was moved to.
WITH RECURSIVE begun AS (
    SELECT c.position, c.source_id, c.action,
        CASE WHEN f.source_id IS NOT NULL THEN f.passage_id WHEN r.source_id IS NOT NULL THEN r.passage_id
            ELSE n.passage_id END AS passage_id,
        f.source_id IS NULL AND r.source_id IS NULL AS fresh, n.agreement_id
    FROM correcting AS c
    LEFT JOIN records AS r ON r.charger_id = %(charger)s AND r.source_id = c.original_id
    LEFT JOIN LATERAL (
        SELECT k.source_id, fr.passage_id FROM corrections AS k
        JOIN records AS fr ON fr.charger_id = k.charger_id AND fr.source_id = k.source_id
        WHERE k.charger_id = %(charger)s AND k.original_id = c.original_id AND k.state = 'applied'
        ORDER BY k.version DESC, k.issued_at DESC, k.source_id COLLATE "C" DESC LIMIT 1
    ) AS f ON true
    LEFT JOIN LATERAL ( -- of several of one id in the chunk the first is the record
        SELECT CASE WHEN m.code IN ('accepted', 'other_agreement') THEN m.passage_id END AS passage_id, m.agreement_id
        FROM incoming AS i JOIN matched AS m ON m.position = i.position
        WHERE i.source_id = c.original_id AND NOT EXISTS (SELECT FROM correcting AS k WHERE k.position = i.position)
        ORDER BY i.position LIMIT 1
    ) AS n ON true
    WHERE c.outcome = 'applied'
), chain AS (
    SELECT b.position, b.passage_id FROM begun AS b WHERE b.passage_id IS NOT NULL AND NOT b.fresh
    UNION ALL
    SELECT c.position, v.replaced_by FROM chain AS c JOIN reversals AS v ON v.passage_id = c.passage_id
    WHERE v.replaced_by IS NOT NULL
), ends AS (
    -- What we bore ourselves, one passage's (credited) or a station's (mass_credited), the charger is still owed.
    SELECT c.position,
        CASE WHEN v.cause IN ('credited', 'mass_credited') THEN v.counter_id ELSE c.passage_id END AS passage_id,
        v.passage_id IS NOT NULL AS credited
    FROM chain AS c
    LEFT JOIN reversals AS v ON v.passage_id = c.passage_id
    WHERE v.passage_id IS NULL OR (
        v.cause IN ('credited', 'mass_credited') AND v.replaced_by IS NULL
        AND NOT EXISTS (SELECT FROM reversals AS w WHERE w.passage_id = v.counter_id)
    )
)
INSERT INTO reversing
SELECT b.position, b.source_id, coalesce(e.passage_id, b.passage_id), coalesce(p.agreement_id, b.agreement_id),
    CASE b.action WHEN 'cancel' THEN 'cancelled' ELSE 'adjusted' END, coalesce(e.credited, false), b.fresh,
    nextval('passage_ids'), CASE WHEN e.credited THEN nextval('passage_ids') END
FROM begun AS b
LEFT JOIN ends AS e ON e.position = b.position
LEFT JOIN passages AS p ON p.id = e.passage_id
WHERE b.passage_id IS NOT NULL AND (b.fresh OR e.position IS NOT NULL)

-- name: stale
SELECT EXISTS (SELECT FROM reversing AS x JOIN reversals AS v ON v.passage_id = x.passage_id)

-- name: nothing_taken_back
UPDATE correcting AS c SET detail = 'nothing to take back'
WHERE c.outcome = 'applied' AND c.action = 'cancel'
    AND NOT EXISTS (SELECT FROM reversing AS x WHERE x.position = c.position)

-- name: cancellations
INSERT INTO records (charger_id, source_id, batch_id, position, hash, passed_at, amount_ore, code, detail)
SELECT %(charger)s, c.source_id, %(batch)s, c.position, c.hash,
    CASE WHEN c.issued_at > 'epoch' THEN c.issued_at ELSE %(now)s END, 0,
    CASE c.outcome WHEN 'applied' THEN 'accepted' ELSE c.outcome END, c.detail
FROM correcting AS c
WHERE c.action = 'cancel' AND c.outcome <> 'twice' AND NOT c.again
ORDER BY c.source_id COLLATE "C"
ON CONFLICT (charger_id, source_id) DO NOTHING

-- name: raced
-- Has another transaction brought one of the corrections, or the original that came with one, in the meantime?
SELECT EXISTS (
    SELECT FROM correcting AS c
    LEFT JOIN records AS r ON r.charger_id = %(charger)s AND r.source_id = c.source_id
    WHERE c.outcome <> 'twice' AND NOT c.again AND (r.batch_id, r.position) IS DISTINCT FROM (%(batch)s, c.position)
) OR EXISTS (
    SELECT FROM reversing AS x WHERE x.fresh AND NOT EXISTS (SELECT FROM matched AS m WHERE m.passage_id = x.passage_id)
)

-- name: corrections
INSERT INTO corrections (charger_id, source_id, original_id, action, version, issued_at, state, received_at, decided_at)
SELECT %(charger)s, c.source_id, c.original_id, c.action, c.version, c.issued_at,
    CASE c.outcome WHEN 'deferred_original_missing' THEN 'waiting' ELSE c.outcome END, %(now)s,
    CASE WHEN c.outcome <> 'deferred_original_missing' THEN CAST(%(now)s AS timestamptz) END
FROM correcting AS c
WHERE c.outcome <> 'twice' AND NOT c.again

-- name: decided
-- Of those that had waited. One that waits on knows by now what it waits for.
UPDATE corrections AS k
SET state = CASE c.outcome WHEN 'deferred_original_missing' THEN 'waiting' ELSE c.outcome END,
    decided_at = CASE WHEN c.outcome <> 'deferred_original_missing' THEN CAST(%(now)s AS timestamptz) END,
    original_id = c.original_id
FROM correcting AS c
WHERE c.again AND k.charger_id = %(charger)s AND k.source_id = c.source_id

-- name: reversals
INSERT INTO reversals (passage_id, counter_id, cause, reason, actor, at)
SELECT x.passage_id, x.counter_id, CASE WHEN x.credited THEN 'uncredited' ELSE x.cause END, x.source_id, %(actor)s,
    %(now)s
FROM reversing AS x
UNION ALL
SELECT x.counter_id, x.second_id, x.cause, x.source_id, %(actor)s, %(now)s FROM reversing AS x WHERE x.credited

-- name: answers
-- Of cancellations; adjustments are answered with the other records.
SELECT c.position, CASE c.outcome WHEN 'applied' THEN 'accepted' ELSE c.outcome END, 0, c.detail
FROM correcting AS c
WHERE c.action = 'cancel' AND c.outcome <> 'twice'

-- name: said_twice
SELECT c.position, r.hash = c.hash, r.batch_id, coalesce(b.name, ''), r.position
FROM correcting AS c
JOIN records AS r ON r.charger_id = %(charger)s AND r.source_id = c.source_id
LEFT JOIN batches AS b ON b.id = r.batch_id
WHERE c.action = 'cancel' AND c.outcome = 'twice'

-- name: free_lanes
-- What has been corrected stands in its lane no more; what is in force does. Where it was read is remembered.
-- In the order in which ``stand`` holds them.
WITH gone AS (
    SELECT c.original_id AS source_id FROM correcting AS c WHERE c.outcome = 'applied'
    UNION
    SELECT o.source_id
    FROM correcting AS c JOIN corrections AS o ON o.charger_id = %(charger)s AND o.original_id = c.original_id
    WHERE c.outcome = 'applied' AND o.source_id <> c.source_id
), held AS MATERIALIZED (
    SELECT k.source_id FROM lane_reads AS k
    WHERE k.charger_id = %(charger)s AND k.source_id IN (SELECT g.source_id FROM gone AS g) AND k.stands
    ORDER BY k.source_id COLLATE "C" FOR NO KEY UPDATE
)
UPDATE lane_reads AS k SET stands = false FROM held AS h
WHERE k.charger_id = %(charger)s AND k.source_id = h.source_id
RETURNING k.source_id

-- name: free_doubles
UPDATE double_reads SET freed = true WHERE charger_id = %(charger)s AND kept_id = ANY(%(gone)s)

-- name: drop_refused
-- An original of this chunk that was refused under the locks leaves nothing to take back.
DELETE FROM reversing AS x USING matched AS m
WHERE x.fresh AND m.passage_id = x.passage_id AND m.code NOT IN ('accepted', 'other_agreement')
