-- What is odd about a record: flagged where it is accepted with it, else answered with the oddity's name. odd.py says when.

-- name: take_in_stations
-- Where stations that nobody told us of are accepted: they are named and given a project when somebody looks.
INSERT INTO stations (charger_id, code, name, project)
SELECT DISTINCT %(charger)s, i.station, i.station, '?' FROM incoming AS i
WHERE NOT EXISTS (SELECT FROM stations AS s WHERE s.charger_id = %(charger)s AND s.code = i.station)
ORDER BY i.station
ON CONFLICT DO NOTHING

-- name: unknown_station
UPDATE matched AS m SET flags = m.flags | 1024
FROM incoming AS i JOIN stations AS s ON s.charger_id = %(charger)s AND s.code = i.station AND s.project = '?'
WHERE i.position = m.position AND m.code = 'accepted'

-- name: mismatch
UPDATE matched AS m SET code = 'tag_plate_mismatch', detail = concat('the tag is mounted in ', m.country, ' ', m.plate)
WHERE m.code = 'accepted' AND m.flags & 2 <> 0

-- name: wrong_class
UPDATE matched AS m
SET flags = m.flags | 512, code = CASE WHEN %(accepted)s THEN m.code ELSE 'wrong_class' END,
    detail = CASE WHEN %(accepted)s THEN m.detail ELSE concat('the vehicle is of class ', v.vehicle_class) END
FROM vehicle_classes AS v, incoming AS i
WHERE i.position = m.position AND m.code = 'accepted' AND v.country = m.country AND v.plate = m.plate
    AND upper(i.vehicle_class) <> upper(v.vehicle_class)

-- name: keep_mismatches
-- Of those that are refused: their holders are told (mismatch.py).
INSERT INTO refused_mismatches (charger_id, source_id)
SELECT %(charger)s, i.source_id FROM matched AS m JOIN incoming AS i ON i.position = m.position
WHERE m.code = 'tag_plate_mismatch' ORDER BY m.position

-- name: make_lanes
-- counts: a read that stood, for as long as no higher correction of this chunk took its place. first: whose double it is.
CREATE TEMP TABLE IF NOT EXISTS lanes (
    position integer PRIMARY KEY,
    lane text NOT NULL,
    counts boolean NOT NULL DEFAULT false,
    first text
) ON COMMIT DELETE ROWS

-- name: lanes_as_sent
INSERT INTO lanes (position, lane)
SELECT i.position, r.body ->> 'lane'
FROM incoming AS i JOIN records AS r ON r.charger_id = %(charger)s AND r.source_id = i.source_id
WHERE r.body ->> 'lane' IS NOT NULL

-- name: lanes_of_corrections
UPDATE lanes AS l SET counts = true FROM correcting AS c
WHERE c.position = l.position AND c.outcome = 'superseded' AND c.booked

-- name: lanes_adjusted
-- An adjustment that names no lane, at the station, was read where that which it adjusts was, by the last word on it:
-- whatever is booked, refused or taken back by now.
INSERT INTO lanes (position, lane)
WITH asked AS (
    SELECT c.position, c.source_id, c.original_id, i.station
    FROM correcting AS c JOIN incoming AS i ON i.position = c.position
    WHERE c.action = 'adjust' AND c.outcome IN ('applied', 'superseded')
        AND NOT EXISTS (SELECT FROM lanes AS l WHERE l.position = c.position)
), family AS (
    SELECT a.position, a.station, a.original_id AS source_id, CAST(NULL AS integer) AS version,
        CAST(NULL AS timestamptz) AS issued_at
    FROM asked AS a
    UNION ALL
    SELECT a.position, a.station, o.source_id, o.version, o.issued_at
    FROM asked AS a JOIN corrections AS o ON o.charger_id = %(charger)s AND o.original_id = a.original_id
    WHERE o.source_id <> a.source_id
    UNION ALL
    SELECT a.position, a.station, o.source_id, o.version, o.issued_at
    FROM asked AS a JOIN correcting AS o ON o.original_id = a.original_id AND o.position < a.position
), here AS (
    SELECT DISTINCT ON (o.source_id) o.source_id, o.station, l.lane
    FROM incoming AS o JOIN lanes AS l ON l.position = o.position ORDER BY o.source_id, o.position
)
SELECT DISTINCT ON (f.position) f.position, coalesce(k.lane, h.lane, r.body ->> 'lane')
FROM family AS f
LEFT JOIN lane_reads AS k ON k.charger_id = %(charger)s AND k.source_id = f.source_id AND k.station = f.station
LEFT JOIN here AS h ON h.source_id = f.source_id AND h.station = f.station
LEFT JOIN records AS r ON r.charger_id = %(charger)s AND r.source_id = f.source_id AND r.body ->> 'station' = f.station
WHERE coalesce(k.lane, h.lane, r.body ->> 'lane') IS NOT NULL
ORDER BY f.position, f.version DESC NULLS LAST, f.issued_at DESC, f.source_id COLLATE "C" DESC
ON CONFLICT DO NOTHING

-- name: refused
SELECT i.source_id, i.position, l.lane
FROM lanes AS l JOIN incoming AS i ON i.position = l.position JOIN matched AS m ON m.position = l.position
WHERE m.code NOT IN ('accepted', 'other_agreement')

-- name: lanes_of_refused
-- What is not booked keeps its lane beside the rest of what was sent, for when it is decided anew.
UPDATE records AS r SET body = r.body || jsonb_build_object('lane', d.lane)
FROM unnest(CAST(%(names)s AS text[]), CAST(%(positions)s AS integer[]), CAST(%(lanes)s AS text[]))
    AS d (source_id, position, lane)
WHERE r.charger_id = %(charger)s AND r.source_id = ANY(%(names)s) AND r.source_id = d.source_id
    AND r.body ->> 'lane' IS DISTINCT FROM d.lane
    AND (CAST(%(batch)s AS bigint) IS NULL OR (r.batch_id = %(batch)s AND r.position = d.position))
    AND r.body IS NOT NULL

-- name: near
-- Reads that may be doubles: another of the vehicle in that lane is near, of this chunk or kept before. Of several of one
-- id the first is the record.
WITH reads AS (
    SELECT m.position, i.source_id, m.country, m.plate, i.station, l.lane, m.passed_at,
        m.passed_at - lag(m.passed_at) OVER beside <= %(within)s
            OR lead(m.passed_at) OVER beside - m.passed_at <= %(within)s AS beside
    FROM lanes AS l JOIN incoming AS i ON i.position = l.position JOIN matched AS m ON m.position = l.position
    WHERE (m.code = 'accepted' OR l.counts) AND m.plate IS NOT NULL
        AND NOT EXISTS (SELECT FROM incoming AS o WHERE o.source_id = i.source_id AND o.position < i.position)
    WINDOW beside AS (PARTITION BY m.country, m.plate, i.station, l.lane ORDER BY m.passed_at)
)
SELECT r.position, r.source_id, r.country, r.plate, r.station, r.lane, r.passed_at, k.source_id, k.passed_at
FROM reads AS r
LEFT JOIN LATERAL (
    SELECT k.source_id, k.passed_at FROM lane_reads AS k
    WHERE k.charger_id = %(charger)s AND k.country = r.country AND k.plate = r.plate AND k.station = r.station
        AND k.lane = r.lane AND k.stands AND k.passed_at BETWEEN r.passed_at - %(within)s AND r.passed_at + %(within)s
    OFFSET 0 -- a look-up a read, whatever is believed of how many there are
) AS k ON true
WHERE r.beside OR k.source_id IS NOT NULL

-- name: here
SELECT source_id FROM records WHERE charger_id = %(charger)s AND source_id = ANY(%(names)s)

-- name: words
SELECT position, source_id, original_id, version, issued_at FROM correcting WHERE outcome IN ('applied', 'superseded')

-- name: roots
SELECT source_id, original_id FROM corrections WHERE charger_id = %(charger)s AND source_id = ANY(%(names)s)

-- name: ranks
-- Of what came before the highest that is sure to count. A cancellation that waits is, when its original comes; an
-- adjustment may be refused yet.
SELECT DISTINCT ON (original_id) original_id, version, issued_at, source_id FROM corrections
WHERE charger_id = %(charger)s AND original_id = ANY(%(names)s)
    AND (state = 'applied' OR (state = 'waiting' AND action = 'cancel'))
ORDER BY original_id, version DESC, issued_at DESC, source_id COLLATE "C" DESC

-- name: apart
SELECT original_id, other_id FROM passings_apart WHERE charger_id = %(charger)s AND original_id = ANY(%(names)s)

-- name: doubles
UPDATE matched AS m
SET flags = m.flags | 2048, code = CASE WHEN %(accepted)s THEN m.code ELSE 'double_read' END,
    detail = CASE WHEN %(accepted)s THEN m.detail ELSE 'the same passing as ' || d.first END
FROM unnest(CAST(%(positions)s AS integer[]), CAST(%(firsts)s AS text[])) AS d (position, first)
WHERE d.position = m.position AND m.code = 'accepted'

-- name: firsts
UPDATE lanes AS l SET first = d.first
FROM unnest(CAST(%(positions)s AS integer[]), CAST(%(firsts)s AS text[])) AS d (position, first)
WHERE d.position = l.position

-- name: stand
-- Held until we commit: who takes one of these back waits, and then sees its doubles.
SELECT k.source_id FROM lane_reads AS k
WHERE k.charger_id = %(charger)s AND k.source_id = ANY(%(names)s) AND k.stands
ORDER BY k.source_id COLLATE "C" FOR SHARE

-- name: refused_doubles
SELECT i.source_id, l.first
FROM lanes AS l JOIN incoming AS i ON i.position = l.position JOIN matched AS m ON m.position = l.position
WHERE l.first IS NOT NULL AND m.code = 'double_read'

-- name: keep_doubles
INSERT INTO double_reads (charger_id, source_id, kept_id, freed)
SELECT %(charger)s, d.source_id, d.kept_id, NOT d.kept_id = ANY(%(standing)s)
FROM unnest(CAST(%(doubles)s AS text[]), CAST(%(firsts)s AS text[])) AS d (source_id, kept_id)
ON CONFLICT (charger_id, source_id) DO UPDATE SET kept_id = excluded.kept_id, freed = excluded.freed

-- name: keep_apart
-- What is booked as a passing of its own, and what stands near it: both ways, by what they correct. Before its own lane
-- is kept.
WITH beside AS (
    SELECT coalesce(c.original_id, i.source_id) AS original_id, coalesce(o.original_id, k.source_id) AS other_id
    FROM lanes AS l JOIN incoming AS i ON i.position = l.position JOIN matched AS m ON m.position = l.position
    CROSS JOIN LATERAL (
        SELECT k.source_id FROM lane_reads AS k
        WHERE k.charger_id = %(charger)s AND k.country = m.country AND k.plate = m.plate AND k.station = i.station
            AND k.lane = l.lane AND k.stands
            AND k.passed_at BETWEEN m.passed_at - %(within)s AND m.passed_at + %(within)s
        OFFSET 0
    ) AS k
    LEFT JOIN corrections AS c ON c.charger_id = %(charger)s AND c.source_id = i.source_id
    LEFT JOIN corrections AS o ON o.charger_id = %(charger)s AND o.source_id = k.source_id
    WHERE m.code = 'accepted' AND m.flags & 2048 <> 0
)
INSERT INTO passings_apart (charger_id, original_id, other_id)
SELECT %(charger)s, b.original_id, b.other_id FROM beside AS b WHERE b.original_id <> b.other_id
UNION
SELECT %(charger)s, b.other_id, b.original_id FROM beside AS b WHERE b.original_id <> b.other_id
ORDER BY 2, 3
ON CONFLICT DO NOTHING

-- name: keep_lanes
-- Of what is booked; doubles that are accepted all the same do not stand, but where a person just said that it is a
-- passing. What is one by what was said before bears no flag.
INSERT INTO lane_reads (charger_id, source_id, station, lane, country, plate, passed_at, stands)
SELECT %(charger)s, i.source_id, i.station, l.lane, m.country, m.plate, m.passed_at,
    m.flags & 2048 = 0 OR %(said)s
FROM lanes AS l JOIN incoming AS i ON i.position = l.position JOIN matched AS m ON m.position = l.position
WHERE m.code = 'accepted' AND m.plate IS NOT NULL
ORDER BY i.source_id COLLATE "C"
ON CONFLICT DO NOTHING
