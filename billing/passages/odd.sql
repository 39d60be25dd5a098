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

-- name: doubles
-- The same vehicle in the same lane within seconds: of several the first that came stays, of one chunk the earlier.
WITH reads AS (
    SELECT m.position, i.source_id, i.station, l.lane, m.country, m.plate, m.passed_at
    FROM lanes AS l JOIN incoming AS i ON i.position = l.position JOIN matched AS m ON m.position = l.position
    WHERE m.code = 'accepted' AND m.plate IS NOT NULL
), doubled AS (
    SELECT DISTINCT ON (r.position) r.position, o.source_id AS first
    FROM reads AS r
    CROSS JOIN LATERAL (
        SELECT k.source_id, 0 AS rank FROM lane_reads AS k
        WHERE k.charger_id = %(charger)s AND k.country = r.country AND k.plate = r.plate AND k.station = r.station
            AND k.lane = r.lane AND k.source_id <> r.source_id
            AND k.passed_at BETWEEN r.passed_at - %(within)s AND r.passed_at + %(within)s
            AND NOT EXISTS ( -- one that was cancelled since is no passing
                SELECT FROM corrections AS x
                WHERE x.charger_id = k.charger_id AND x.original_id = k.source_id AND x.state = 'applied'
                    AND x.action = 'cancel')
        UNION ALL
        SELECT k.source_id, 1 FROM reads AS k
        WHERE k.country = r.country AND k.plate = r.plate AND k.station = r.station AND k.lane = r.lane
            AND k.source_id <> r.source_id AND k.passed_at BETWEEN r.passed_at - %(within)s AND r.passed_at
            AND (k.passed_at, k.source_id) < (r.passed_at, r.source_id)
    ) AS o
    ORDER BY r.position, o.rank, o.source_id
)
UPDATE matched AS m
SET flags = m.flags | 2048, code = CASE WHEN %(accepted)s THEN m.code ELSE 'double_read' END,
    detail = CASE WHEN %(accepted)s THEN m.detail ELSE 'the same passing as ' || d.first END
FROM doubled AS d WHERE d.position = m.position

-- name: keep_lanes
INSERT INTO lane_reads (charger_id, source_id, station, lane, country, plate, passed_at)
SELECT %(charger)s, i.source_id, i.station, l.lane, m.country, m.plate, m.passed_at
FROM lanes AS l JOIN incoming AS i ON i.position = l.position JOIN matched AS m ON m.position = l.position
WHERE m.code = 'accepted' AND m.plate IS NOT NULL
ORDER BY i.source_id COLLATE "C"
ON CONFLICT DO NOTHING
