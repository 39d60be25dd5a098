-- Booking a matched chunk: what is known already, records, passages, balances, answers. ingest.py has the order.

-- name: hold
-- Every table that is ours to read, before any is looked at. A change of one waits then for what has begun, which never
-- waits for the change, whatever it comes to touch: who holds a table is let past those that wait for it.
DO $$ BEGIN
    EXECUTE (SELECT format('LOCK TABLE ONLY %s IN ACCESS SHARE MODE', string_agg(CAST(c.oid AS regclass)::text, ', ONLY '))
        FROM pg_class AS c
        WHERE c.relnamespace = CAST('public' AS regnamespace) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            AND has_table_privilege(c.oid, 'SELECT'));
END $$

-- name: known
-- Records of this charger that are here already, with where they first stood; they leave the chunk.
DELETE FROM incoming AS i
USING records AS r
LEFT JOIN batches AS b ON b.id = r.batch_id
WHERE r.charger_id = %(charger)s AND r.source_id = i.source_id
    AND (r.batch_id <> %(batch)s OR r.position <> i.position)
RETURNING i.position, r.hash = i.hash, r.batch_id, coalesce(b.name, ''), r.position

-- name: any_known
SELECT EXISTS (SELECT FROM records WHERE charger_id = %(charger)s AND source_id = ANY(%(sample)s))

-- name: records
-- In order of source id: two batches that share records wait for each other and never deadlock. Of two with one
-- id in the chunk the first stays.
INSERT INTO records (charger_id, source_id, batch_id, position, hash, passed_at, amount_ore, code, flags, detail,
    passage_id, body)
SELECT %(charger)s, i.source_id, %(batch)s, i.position, i.hash, i.passed_at, i.amount_ore, m.code,
    CASE WHEN m.code IN ('accepted', 'other_agreement') THEN m.flags ELSE i.flags END, m.detail,
    CASE WHEN m.code IN ('accepted', 'other_agreement') THEN m.passage_id END,
    CASE WHEN m.code NOT IN ('accepted', 'other_agreement') OR m.flags & 2 <> 0 THEN jsonb_strip_nulls(
        jsonb_build_object(
            'passed_at', i.passed_at, 'offset_minutes', i.passed_offset, 'station', i.station, 'service', i.service,
            'country', i.country, 'plate', i.plate, 'pan', i.pan, 'obu_id', i.obu_id,
            'vehicle_class', i.vehicle_class, 'list_price', i.list_ore, 'amount', i.amount_ore,
            'vat_rate', i.vat_bp, 'flags', i.flags
        )
    ) END
FROM incoming AS i
JOIN matched AS m ON m.position = i.position
ORDER BY i.source_id COLLATE "C", i.position
ON CONFLICT (charger_id, source_id) DO NOTHING

-- name: drop_known
DELETE FROM matched AS m WHERE NOT EXISTS (SELECT FROM incoming AS i WHERE i.position = m.position)

-- name: passages
INSERT INTO passages (id, booked_at, agreement_id, registration_id, charger_id, source_id, batch_id, reverses_id,
    passed_at, passed_offset, station, project, service, country, plate, pan, vehicle_class, list_ore, amount_ore,
    vat_bp, flags, external, owed, claim_id)
SELECT m.passage_id, %(now)s, m.agreement_id, m.registration_id, %(charger)s, i.source_id, %(batch)s, NULL,
    i.passed_at, i.passed_offset, i.station, m.project, i.service, m.country, m.plate, i.pan, i.vehicle_class,
    i.list_ore, i.amount_ore, i.vat_bp, m.flags, m.external, NOT m.external, NULL
FROM incoming AS i
JOIN matched AS m ON m.position = i.position
WHERE m.code IN ('accepted', 'other_agreement')

-- name: balances
-- The rows are locked. Nothing indexed changes, so the update stays on the page.
UPDATE balances AS b
SET unbilled_ore = b.unbilled_ore + t.ore, unbilled_count = b.unbilled_count + t.number,
    open_since = least(b.open_since, %(now)s) -- a batch that began earlier may get the lock later
FROM (
    SELECT m.agreement_id, sum(m.amount_ore) AS ore, count(*) AS number
    FROM matched AS m WHERE m.code = 'accepted' GROUP BY m.agreement_id
) AS t
WHERE b.agreement_id = t.agreement_id
RETURNING b.agreement_id, b.unbilled_ore

-- name: old
-- Whose passages are old: nobody's, as a rule, and then nothing more is asked (billing.passages.backlog).
SELECT DISTINCT m.agreement_id FROM matched AS m WHERE m.passed_at < %(old_before)s AND m.code = 'accepted'

-- name: answers
-- Those that are not simply accepted, with the flags that are ours.
SELECT m.position, m.code, m.flags & 3847, m.detail FROM matched AS m
WHERE m.code <> 'accepted' OR m.flags & 3847 <> 0
