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

-- name: make_lanes
CREATE TEMP TABLE IF NOT EXISTS lanes (
    position integer PRIMARY KEY,
    lane text NOT NULL
) ON COMMIT DELETE ROWS

-- name: near
-- Reads that may be doubles: another of the vehicle in that lane is near, of this chunk or kept before. Of several of one
-- id the first is the record.
WITH reads AS (
    SELECT m.position, i.source_id, m.country, m.plate, i.station, l.lane, m.passed_at,
        m.passed_at - lag(m.passed_at) OVER beside <= %(within)s
            OR lead(m.passed_at) OVER beside - m.passed_at <= %(within)s AS beside
    FROM lanes AS l JOIN incoming AS i ON i.position = l.position JOIN matched AS m ON m.position = l.position
    WHERE m.code = 'accepted' AND m.plate IS NOT NULL
        AND NOT EXISTS (SELECT FROM incoming AS o WHERE o.source_id = i.source_id AND o.position < i.position)
    WINDOW beside AS (PARTITION BY m.country, m.plate, i.station, l.lane ORDER BY m.passed_at)
)
SELECT r.position, r.source_id, r.country, r.plate, r.station, r.lane, r.passed_at, k.source_id, k.passed_at
FROM reads AS r
LEFT JOIN LATERAL (
    SELECT k.source_id, k.passed_at FROM lane_reads AS k
    WHERE k.charger_id = %(charger)s AND k.country = r.country AND k.plate = r.plate AND k.station = r.station
        AND k.lane = r.lane AND k.passed_at BETWEEN r.passed_at - %(within)s AND r.passed_at + %(within)s
    OFFSET 0 -- a look-up a read, whatever is believed of how many there are
) AS k ON true
WHERE r.beside OR k.source_id IS NOT NULL

-- name: here
SELECT source_id FROM records WHERE charger_id = %(charger)s AND source_id = ANY(%(names)s)

-- name: words
SELECT position, source_id, original_id, action = 'cancel', version, issued_at FROM correcting
WHERE outcome NOT IN ('twice', 'refused')

-- name: ranks
-- Of what came before the highest counts, also where it still waits for its original (which is in this chunk then).
SELECT DISTINCT ON (original_id) original_id, version, issued_at, source_id, action = 'cancel' FROM corrections
WHERE charger_id = %(charger)s AND original_id = ANY(%(names)s) AND state IN ('applied', 'waiting')
ORDER BY original_id, version DESC, issued_at DESC, source_id COLLATE "C" DESC

-- name: doubles
UPDATE matched AS m
SET flags = m.flags | 2048, code = CASE WHEN %(accepted)s THEN m.code ELSE 'double_read' END,
    detail = CASE WHEN %(accepted)s THEN m.detail ELSE 'the same passing as ' || d.first END
FROM unnest(CAST(%(positions)s AS integer[]), CAST(%(firsts)s AS text[])) AS d (position, first)
WHERE d.position = m.position

-- name: keep_lanes
-- Of what is booked, but for doubles that are accepted all the same.
INSERT INTO lane_reads (charger_id, source_id, station, lane, country, plate, passed_at)
SELECT %(charger)s, i.source_id, i.station, l.lane, m.country, m.plate, m.passed_at
FROM lanes AS l JOIN incoming AS i ON i.position = l.position JOIN matched AS m ON m.position = l.position
WHERE m.code = 'accepted' AND m.plate IS NOT NULL AND m.flags & 2048 = 0
ORDER BY i.source_id COLLATE "C"
ON CONFLICT DO NOTHING
