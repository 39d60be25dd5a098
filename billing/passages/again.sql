-- Records decided anew: what had been refused or had waited is matched once more. again.py has the order.

-- name: lock
-- The records and, of corrections, what they correct, up to the original: whoever corrects one of these waits, and is
-- seen by what follows. All in one order; nothing that is locked later may come before these.
WITH RECURSIVE wanted AS (
    SELECT w.source_id FROM unnest(CAST(%(ids)s AS text[])) AS w (source_id)
    UNION
    SELECT k.original_id FROM wanted AS w
    JOIN corrections AS k ON k.charger_id = %(charger)s AND k.source_id = w.source_id
)
SELECT count(*) FROM (
    SELECT FROM records AS r
    WHERE r.charger_id = %(charger)s AND r.source_id = ANY(ARRAY(SELECT w.source_id FROM wanted AS w))
    ORDER BY r.source_id COLLATE "C" FOR NO KEY UPDATE
) AS locked

-- name: open
-- Under the locks: those that are not accepted. What a correction has replaced, or a later one has taken the place of,
-- counts no more.
SELECT r.source_id FROM records AS r
WHERE r.charger_id = %(charger)s AND r.source_id = ANY(%(ids)s)
    AND r.code NOT IN ('accepted', 'other_agreement', 'superseded')
    AND NOT EXISTS (
        SELECT FROM corrections AS k
        WHERE k.charger_id = r.charger_id AND k.original_id = r.source_id AND k.state = 'applied'
    )
    AND NOT EXISTS (
        SELECT FROM corrections AS k JOIN corrections AS o ON o.charger_id = k.charger_id
            AND o.original_id = k.original_id AND o.state = 'applied'
        WHERE k.charger_id = r.charger_id AND k.source_id = r.source_id AND k.state = 'applied'
            AND (o.version, o.issued_at, o.source_id COLLATE "C") > (k.version, k.issued_at, k.source_id COLLATE "C")
    )
ORDER BY r.source_id COLLATE "C"

-- name: too_old
-- By the age they had when they came, whenever they are decided.
UPDATE matched AS m SET code = 'too_old', detail = NULL
FROM incoming AS i
JOIN records AS r ON r.charger_id = %(charger)s AND r.source_id = i.source_id
JOIN batches AS b ON b.id = r.batch_id
WHERE i.position = m.position AND m.passed_at < b.received_at - make_interval(days => %(days)s)

-- name: records
-- In the order in which they came.
INSERT INTO incoming (position, source_id, hash, passed_at, passed_offset, station, service, country, plate, pan, obu_id,
    vehicle_class, list_ore, amount_ore, vat_bp, flags)
SELECT row_number() OVER (ORDER BY r.batch_id, r.position), r.source_id, r.hash, r.passed_at, b.offset_minutes, b.station,
    b.service, b.country, b.plate, b.pan, b.obu_id, b.vehicle_class, b.list_price, b.amount, b.vat_rate, b.flags
FROM records AS r
CROSS JOIN LATERAL jsonb_to_record(r.body) AS b (offset_minutes smallint, station text, service text, country text,
    plate text, pan text, obu_id text, vehicle_class text, list_price bigint, amount bigint, vat_rate integer,
    flags integer)
WHERE r.charger_id = %(charger)s AND r.source_id = ANY(%(ids)s) AND r.body IS NOT NULL

-- name: corrections
INSERT INTO correcting (position, source_id, hash, action, original_id, version, issued_at, again)
SELECT coalesce(i.position, 1000000 + row_number() OVER (ORDER BY k.source_id COLLATE "C")), k.source_id, r.hash, k.action,
    k.original_id, k.version, k.issued_at, true
FROM corrections AS k
JOIN records AS r ON r.charger_id = k.charger_id AND r.source_id = k.source_id
LEFT JOIN incoming AS i ON i.source_id = k.source_id
WHERE k.charger_id = %(charger)s AND k.source_id = ANY(%(ids)s) AND k.state IN ('waiting', 'refused')

-- name: decided
-- What is now said of each, whether it is another thing than before or not.
CREATE TEMP TABLE IF NOT EXISTS decided (
    source_id text PRIMARY KEY,
    batch_id bigint NOT NULL,
    line integer NOT NULL,
    was_code text NOT NULL,
    was_detail text,
    code text NOT NULL,
    flags integer NOT NULL,
    detail text,
    amount_ore bigint NOT NULL,
    passage_id bigint,
    amendment_id bigint
) ON COMMIT DELETE ROWS

-- name: decide
INSERT INTO decided
SELECT r.source_id, r.batch_id, r.position, r.code, r.detail, d.code,
    CASE WHEN d.code IN ('accepted', 'other_agreement') THEN d.flags ELSE 0 END, d.detail, r.amount_ore,
    CASE WHEN d.code IN ('accepted', 'other_agreement') THEN d.passage_id END, NULL
FROM records AS r
JOIN (
    SELECT i.source_id, m.code, m.flags, m.detail, m.passage_id
    FROM incoming AS i JOIN matched AS m ON m.position = i.position
    UNION ALL
    SELECT c.source_id, CASE c.outcome WHEN 'applied' THEN 'accepted' ELSE c.outcome END, 0, c.detail, NULL
    FROM correcting AS c WHERE c.action = 'cancel'
) AS d ON d.source_id = r.source_id
WHERE r.charger_id = %(charger)s AND (r.code, coalesce(r.detail, '')) IS DISTINCT FROM (d.code, coalesce(d.detail, ''))

-- name: forget_doubles
-- Those that are none any more. After ``stand``: who takes a read back locks its lane first, then its doubles.
DELETE FROM double_reads AS d
WHERE d.charger_id = %(charger)s AND d.source_id = ANY(%(ids)s) AND NOT EXISTS (
    SELECT FROM matched AS m JOIN incoming AS i ON i.position = m.position
    WHERE i.source_id = d.source_id AND m.code = 'double_read'
)

-- name: amend
WITH made AS (
    INSERT INTO amendments (charger_id, source_id, batch_id, position, was_code, was_detail, code, flags, detail,
        amount_ore, cause, reason, actor, at)
    SELECT %(charger)s, d.source_id, d.batch_id, d.line, d.was_code, d.was_detail, d.code, d.flags & 3847, d.detail,
        d.amount_ore, %(cause)s, %(reason)s, %(actor)s, %(now)s
    FROM decided AS d ORDER BY d.source_id COLLATE "C"
    RETURNING id, source_id
)
UPDATE decided AS d SET amendment_id = made.id FROM made WHERE made.source_id = d.source_id

-- name: update
UPDATE records AS r SET code = d.code, flags = CASE WHEN d.passage_id IS NULL THEN r.flags ELSE d.flags END,
    detail = d.detail, passage_id = d.passage_id
FROM decided AS d WHERE r.charger_id = %(charger)s AND r.source_id = d.source_id

-- name: passages
INSERT INTO passages (id, booked_at, agreement_id, registration_id, charger_id, source_id, batch_id, reverses_id,
    passed_at, passed_offset, station, project, service, country, plate, pan, vehicle_class, list_ore, amount_ore,
    vat_bp, flags, external, owed, claim_id)
SELECT m.passage_id, %(now)s, m.agreement_id, m.registration_id, %(charger)s, i.source_id, d.batch_id, NULL,
    i.passed_at, i.passed_offset, i.station, m.project, i.service, m.country, m.plate, i.pan, i.vehicle_class,
    i.list_ore, i.amount_ore, i.vat_bp, m.flags, m.external, NOT m.external, NULL
FROM decided AS d
JOIN incoming AS i ON i.source_id = d.source_id
JOIN matched AS m ON m.position = i.position
WHERE m.code IN ('accepted', 'other_agreement')

-- name: give_up
-- Not those that lead, through whatever corrections, to a record that is none: it came, they are applied yet. Others may
-- lead to nothing, to a correction that was given up, or back to themselves.
WITH RECURSIVE above (charger_id, source_id, original_id) AS (
    SELECT k.charger_id, k.source_id, k.original_id FROM corrections AS k
    WHERE k.state = 'waiting' AND k.received_at < :before
    UNION
    SELECT k.charger_id, k.source_id, k.original_id
    FROM above AS a JOIN corrections AS k ON k.charger_id = a.charger_id AND k.source_id = a.original_id
), found (charger_id, source_id) AS (
    SELECT a.charger_id, a.source_id
    FROM above AS a JOIN records AS o ON o.charger_id = a.charger_id AND o.source_id = a.original_id
    WHERE NOT EXISTS (
        SELECT FROM corrections AS k WHERE k.charger_id = a.charger_id AND k.source_id = a.original_id
    )
    UNION
    SELECT a.charger_id, a.source_id
    FROM found AS f JOIN above AS a ON a.charger_id = f.charger_id AND a.original_id = f.source_id
), late AS (
    UPDATE corrections SET state = 'refused', decided_at = :now
    WHERE state = 'waiting' AND received_at < :before AND NOT EXISTS (
        SELECT FROM found AS f WHERE f.charger_id = corrections.charger_id AND f.source_id = corrections.source_id
    )
    RETURNING charger_id, source_id
), told AS (
    UPDATE records AS r SET code = 'invalid_record', detail = :detail
    FROM late AS k, records AS was
    WHERE r.charger_id = k.charger_id AND r.source_id = k.source_id
        AND was.charger_id = r.charger_id AND was.source_id = r.source_id
    RETURNING r.charger_id, r.source_id, r.batch_id, r.position, was.code AS was_code, was.detail AS was_detail, r.amount_ore
)
INSERT INTO amendments (charger_id, source_id, batch_id, position, was_code, was_detail, code, flags, detail, amount_ore,
    cause, reason, actor, at)
SELECT t.charger_id, t.source_id, t.batch_id, t.position, t.was_code, t.was_detail, 'invalid_record', 0, :detail,
    t.amount_ore, 'gave_up', NULL, 'billing.roadside', :now
FROM told AS t
