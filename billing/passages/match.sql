-- Matching a chunk, set-based. Statements by name; match.py says which are needed when.
--
-- A probe is a LATERAL (… LIMIT 1) over scalar valid_from and valid_to with a btree: some microseconds, and a plan
-- that does not flip. Through the exclusion constraint's index it is fifty times that, and with equal costs on paper
-- the planner takes it, unless sorting is made dear: the btree gives the order that LIMIT 1 asks for, the other not.

-- name: prefer_btree
SET LOCAL enable_sort = off

-- name: prefer_any
SET LOCAL enable_sort = on

-- name: make_incoming
CREATE TEMP TABLE IF NOT EXISTS incoming (
    position integer NOT NULL,
    source_id text NOT NULL,
    hash bytea NOT NULL,
    passed_at timestamptz NOT NULL,
    passed_offset smallint NOT NULL,
    station text NOT NULL,
    service text NOT NULL,
    country text,
    plate text,
    pan text,
    obu_id text,
    vehicle_class text,
    list_ore bigint NOT NULL,
    amount_ore bigint NOT NULL,
    vat_bp integer NOT NULL,
    flags integer NOT NULL
) ON COMMIT DELETE ROWS

-- name: make_matched
-- country and plate: the vehicle the record is about, which is the tag's where the tag is mounted.
CREATE TEMP TABLE IF NOT EXISTS matched (
    position integer NOT NULL,
    passed_at timestamptz NOT NULL,
    code text NOT NULL,
    detail text,
    flags integer NOT NULL,
    agreement_id bigint,
    registration_id bigint,
    external boolean NOT NULL,
    country text,
    plate text,
    by_tag boolean NOT NULL,
    project text,
    amount_ore bigint NOT NULL,
    passage_id bigint NOT NULL,
    instead_of bigint -- the additional agreement's registration that could not take it
) ON COMMIT DELETE ROWS

-- name: obu_to_pan
-- Before matching, and only when a record of the chunk has an OBU id and no PAN.
UPDATE incoming AS i SET pan = t.pan
FROM tags AS t
WHERE i.pan IS NULL AND t.obu_id = i.obu_id

-- name: match
-- Tag → the vehicle it was mounted in, else the plate → the registration that covers the instant.
INSERT INTO matched
SELECT
    i.position,
    i.passed_at,
    CASE
        WHEN i.passed_at < %(oldest)s THEN 'too_old'
        WHEN s.id IS NULL THEN 'unknown_station'
        WHEN r.id IS NULL THEN 'unknown_vehicle'
        ELSE 'accepted'
    END,
    NULL,
    i.flags | CASE
        WHEN m.plate IS NULL THEN 1
        WHEN i.plate <> m.plate OR i.country <> m.country THEN 2
        ELSE 0
    END,
    r.agreement_id,
    r.id,
    false,
    coalesce(m.country, i.country),
    coalesce(m.plate, i.plate),
    m.plate IS NOT NULL,
    s.project,
    i.amount_ore,
    nextval('passage_ids')
FROM incoming AS i
LEFT JOIN stations AS s ON s.charger_id = %(charger)s AND s.code = i.station
LEFT JOIN LATERAL (
    SELECT tm.country, tm.plate FROM tag_mounts AS tm
    WHERE tm.pan = i.pan AND tm.valid_from <= i.passed_at AND (tm.valid_to IS NULL OR tm.valid_to > i.passed_at)
    ORDER BY tm.valid_from DESC LIMIT 1
) AS m ON true
LEFT JOIN LATERAL (
    SELECT reg.id, reg.agreement_id FROM registrations AS reg
    WHERE reg.country = coalesce(m.country, i.country) AND reg.plate = coalesce(m.plate, i.plate) AND reg.scope = ''
        AND reg.valid_from <= i.passed_at AND (reg.valid_to IS NULL OR reg.valid_to > i.passed_at)
    ORDER BY reg.valid_from DESC LIMIT 1
) AS r ON true

-- name: additional
-- A ferry operator's additional agreement, by tag or by vehicle, wins over the tag agreement. By a tag only until this
-- charger had been told that it is lost, stolen or returned: a tag in a thief's hands travels on nobody's agreement.
UPDATE matched AS m
SET agreement_id = a.agreement_id, registration_id = a.id, external = (a.settlement = 'external'),
    flags = CASE a.rank WHEN 1 THEN m.flags & ~1 ELSE m.flags END,
    code = CASE a.settlement WHEN 'external' THEN 'other_agreement' ELSE 'accepted' END
FROM (
    SELECT m.position, r.*
    FROM matched AS m
    JOIN incoming AS i ON i.position = m.position
    JOIN chargers AS c ON c.id = %(charger)s
    CROSS JOIN LATERAL (
        SELECT f.* FROM (
            (SELECT 1 AS rank, reg.id, reg.agreement_id, reg.settlement FROM registrations AS reg
            WHERE reg.pan = i.pan AND reg.scope = %(code)s
                AND reg.valid_from <= i.passed_at AND (reg.valid_to IS NULL OR reg.valid_to > i.passed_at)
                AND NOT {tag_refused}
            ORDER BY reg.valid_from DESC LIMIT 1)
            UNION ALL
            (SELECT 2, reg.id, reg.agreement_id, reg.settlement FROM registrations AS reg
            WHERE reg.country = m.country AND reg.plate = m.plate AND reg.scope = %(code)s
                AND reg.valid_from <= i.passed_at AND (reg.valid_to IS NULL OR reg.valid_to > i.passed_at)
            ORDER BY reg.valid_from DESC LIMIT 1)
        ) AS f ORDER BY f.rank LIMIT 1
    ) AS r
    WHERE m.code IN ('accepted', 'unknown_vehicle')
) AS a
WHERE a.position = m.position

-- name: additional_instead_of_tag
-- The tag's vehicle is on no agreement, but the plate that was read has this operator's additional agreement.
UPDATE matched AS m
SET code = CASE a.settlement WHEN 'external' THEN 'other_agreement' ELSE 'accepted' END, flags = m.flags | 1,
    agreement_id = a.agreement_id, registration_id = a.id, external = (a.settlement = 'external'),
    country = a.country, plate = a.plate
FROM (
    SELECT m.position, i.country, i.plate, r.id, r.agreement_id, r.settlement
    FROM matched AS m
    JOIN incoming AS i ON i.position = m.position
    CROSS JOIN LATERAL (
        SELECT reg.id, reg.agreement_id, reg.settlement FROM registrations AS reg
        WHERE reg.country = i.country AND reg.plate = i.plate AND reg.scope = %(code)s
            AND reg.valid_from <= i.passed_at AND (reg.valid_to IS NULL OR reg.valid_to > i.passed_at)
        ORDER BY reg.valid_from DESC LIMIT 1
    ) AS r
    WHERE m.code = 'unknown_vehicle' AND m.by_tag
) AS a
WHERE a.position = m.position

-- name: plate_instead_of_tag
-- The tag's vehicle is on no agreement, but the plate that was read is.
UPDATE matched AS m
SET code = 'accepted', flags = m.flags | 1, agreement_id = a.agreement_id, registration_id = a.id,
    country = a.country, plate = a.plate
FROM (
    SELECT m.position, i.country, i.plate, r.id, r.agreement_id
    FROM matched AS m
    JOIN incoming AS i ON i.position = m.position
    CROSS JOIN LATERAL (
        SELECT reg.id, reg.agreement_id FROM registrations AS reg
        WHERE reg.country = i.country AND reg.plate = i.plate AND reg.scope = ''
            AND reg.valid_from <= i.passed_at AND (reg.valid_to IS NULL OR reg.valid_to > i.passed_at)
        ORDER BY reg.valid_from DESC LIMIT 1
    ) AS r
    WHERE m.code = 'unknown_vehicle' AND m.by_tag
) AS a
WHERE a.position = m.position

-- name: last_mount
-- The tag that was read is in no vehicle, and this charger had not been told: it is where it was last. Whether anybody
-- has that vehicle is found here or, where it was removed as well, by what follows. Of a vehicle that others have come
-- to since, with this operator or at all, the tag says nothing: they drive without it, and who bought a vehicle whose
-- tag was taken out, or stolen, pays for no journey of the tag's. Where that vehicle's plate was read as well (flag 1),
-- it was there, and the journey is its: move.py asks.
UPDATE matched AS m
SET code = CASE WHEN a.id IS NULL THEN m.code ELSE 'accepted' END, agreement_id = a.agreement_id,
    registration_id = a.id, by_tag = true, country = a.country, plate = a.plate,
    flags = CASE WHEN a.other_plate IS FALSE THEN m.flags ELSE m.flags & ~1 END | 4
        | CASE WHEN a.other_plate THEN 2 ELSE 0 END
FROM (
    SELECT m.position, l.country, l.plate, i.plate <> l.plate OR i.country <> l.country AS other_plate,
        CASE WHEN r.lasts THEN r.id END AS id, CASE WHEN r.lasts THEN r.agreement_id END AS agreement_id
    FROM matched AS m
    JOIN incoming AS i ON i.position = m.position
    CROSS JOIN LATERAL (
        SELECT tm.tag_id, tm.country, tm.plate, tm.valid_to FROM tag_mounts AS tm
        WHERE tm.pan = i.pan AND tm.valid_to <= i.passed_at AND tm.valid_to > tm.valid_from
        ORDER BY tm.valid_from DESC LIMIT 1
    ) AS l
    JOIN tags AS own ON own.id = l.tag_id
    CROSS JOIN LATERAL (
        -- Who has the vehicle, or had it last.
        SELECT reg.id, reg.agreement_id, reg.valid_to IS NULL OR reg.valid_to > i.passed_at AS lasts
        FROM registrations AS reg
        WHERE reg.country = l.country AND reg.plate = l.plate AND reg.scope = ''
            AND reg.valid_from <= i.passed_at AND (reg.valid_to IS NULL OR reg.valid_to > reg.valid_from)
        ORDER BY reg.valid_from DESC LIMIT 1
    ) AS r
    LEFT JOIN LATERAL (
        SELECT coalesce(f.parent_id, f.id) AS agreement_id
        FROM registrations AS reg
        JOIN agreements AS f ON f.id = reg.agreement_id
        WHERE reg.country = l.country AND reg.plate = l.plate AND reg.scope = %(code)s
            AND reg.valid_from <= i.passed_at AND (reg.valid_to IS NULL OR reg.valid_to > i.passed_at)
        ORDER BY reg.valid_from DESC LIMIT 1
    ) AS additional ON true
    CROSS JOIN LATERAL (
        -- What was published of the tag since: nothing where that was before there were such publications. Who was
        -- told any of it, knows.
        SELECT count(*) AS published, count(*) FILTER (WHERE k.at + {latency} <= m.passed_at) AS told
        FROM publications AS p
        JOIN chargers AS c ON c.id = %(charger)s
        CROSS JOIN LATERAL {taken} AS t
        LEFT JOIN LATERAL {told_by_tag} AS k ON true
        WHERE p.agreement_id = own.agreement_id AND p.tag_id = own.id AND p.effective_at >= l.valid_to
    ) AS w
    WHERE m.code = 'unknown_vehicle' AND NOT m.by_tag AND w.published > 0 AND w.told = 0
        AND r.agreement_id = own.agreement_id
        AND coalesce(additional.agreement_id, own.agreement_id) = own.agreement_id
) AS a
WHERE a.position = m.position

-- name: after_removal
-- Nobody has the vehicle, and this charger had not been told that its last holder did not either.
UPDATE matched AS m
SET code = 'accepted', flags = m.flags | 4, agreement_id = a.agreement_id, registration_id = a.id
FROM (
    SELECT m.position, r.id, r.agreement_id
    FROM matched AS m
    JOIN incoming AS i ON i.position = m.position
    CROSS JOIN LATERAL (
        SELECT reg.id, reg.agreement_id FROM registrations AS reg
        WHERE reg.country = m.country AND reg.plate = m.plate AND reg.scope = ''
            AND reg.valid_to <= i.passed_at AND reg.valid_to > reg.valid_from
        ORDER BY reg.valid_to DESC LIMIT 1
    ) AS r
    WHERE m.code = 'unknown_vehicle'
        AND NOT EXISTS (
            SELECT FROM publications AS p
            JOIN chargers AS c ON c.id = %(charger)s
            CROSS JOIN LATERAL {taken} AS t
            CROSS JOIN LATERAL {told} AS k
            WHERE p.registration_id = r.id AND p.status = 'removed' AND k.at + {latency} <= m.passed_at
        )
) AS a
WHERE a.position = m.position

-- name: not_started
UPDATE matched AS m
SET code = 'not_valid', detail = 'not_started'
FROM incoming AS i
WHERE i.position = m.position AND m.code = 'unknown_vehicle' AND EXISTS (
    SELECT FROM registrations AS reg
    WHERE reg.country = m.country AND reg.plate = m.plate AND reg.scope = '' AND reg.valid_from > i.passed_at
        AND (reg.valid_to IS NULL OR reg.valid_to > reg.valid_from)
)

-- name: published
-- What this charger had last been told of the agreement when it happened: only a block or an end refuses. The last is
-- the one that was written last (under the agreement's lock; an instant is read before it); an end is for good. Few
-- agreements were ever blocked: the others cost one look at an index that does not have them.
-- Of a vehicle that this charger had not been told is on the agreement, its list still said what its holder before was:
-- it refuses only where it did by that. By a tag only where that came with the vehicle: one that was put into it since
-- stands on the lists as where it was before.
WITH suspects AS MATERIALIZED (
    SELECT m.position, m.agreement_id, m.registration_id, m.passed_at, m.flags, m.by_tag
    FROM matched AS m
    CROSS JOIN LATERAL (
        SELECT FROM publications AS r WHERE r.agreement_id = m.agreement_id AND r.status IN ('blocked', 'ended')
        ORDER BY r.agreement_id LIMIT 1
    ) AS r
    WHERE m.code = 'accepted'
), blocked AS MATERIALIZED (
    SELECT m.*, x.status, x.version, x.at
    FROM suspects AS m
    JOIN chargers AS c ON c.id = %(charger)s
    CROSS JOIN LATERAL {taken} AS t
    CROSS JOIN LATERAL (
        SELECT p.status, k.version, k.at
        FROM publications AS p
        CROSS JOIN LATERAL {told} AS k
        WHERE p.agreement_id = m.agreement_id AND p.status IN ('valid', 'blocked', 'ended')
            AND p.effective_at <= m.passed_at AND k.at + {latency} <= m.passed_at
        ORDER BY p.status = 'ended' DESC, p.id DESC LIMIT 1
    ) AS x
    WHERE x.status IN ('blocked', 'ended')
), pans AS MATERIALIZED ( -- once for all: where few are expected to be blocked, incoming would be read for each
    SELECT m.position, i.pan FROM suspects AS m JOIN incoming AS i ON i.position = m.position
), moved AS MATERIALIZED (
    SELECT m.position
    FROM blocked AS m
    JOIN pans AS i ON i.position = m.position
    JOIN chargers AS c ON c.id = %(charger)s
    CROSS JOIN LATERAL {taken} AS t
    JOIN registrations AS own ON own.id = m.registration_id
    CROSS JOIN LATERAL (
        SELECT reg.id, reg.agreement_id, reg.valid_to FROM registrations AS reg
        WHERE reg.country = own.country AND reg.plate = own.plate AND reg.scope = own.scope
            AND reg.valid_to <= own.valid_from AND reg.valid_to > reg.valid_from
        ORDER BY reg.valid_from DESC LIMIT 1
    ) AS before
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE p.status = 'registered') AS registered,
            count(*) FILTER (WHERE k.at + {latency} <= m.passed_at) AS told
        FROM publications AS p
        LEFT JOIN LATERAL {told} AS k ON true
        WHERE p.registration_id = ANY(ARRAY[own.id, before.id])
            AND p.status = CASE p.registration_id WHEN own.id THEN 'registered' ELSE 'removed' END
    ) AS w
    LEFT JOIN LATERAL (
        SELECT p.status
        FROM publications AS p
        CROSS JOIN LATERAL {told} AS k
        WHERE p.agreement_id = before.agreement_id AND p.status IN ('valid', 'blocked', 'ended')
            AND p.effective_at <= m.passed_at AND k.at + {latency} <= m.passed_at
        ORDER BY p.status = 'ended' DESC, p.id DESC LIMIT 1
    ) AS s ON true
    WHERE w.registered > 0 AND w.told = 0 AND coalesce(s.status, 'valid') = 'valid'
        AND ({list_type} = 'plates' OR EXISTS (
            SELECT FROM tag_mounts AS tm
            WHERE tm.pan = i.pan AND tm.country = own.country AND tm.plate = own.plate
                AND tm.valid_from < before.valid_to AND (tm.valid_to IS NULL OR tm.valid_to > m.passed_at)))
)
UPDATE matched AS m
SET code = 'not_valid', detail = a.status || CASE WHEN a.version IS NULL THEN ', published '
    ELSE format(', list %%s acknowledged ', a.version) END
    || to_char(a.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"')
FROM blocked AS a
WHERE a.position = m.position AND NOT EXISTS (SELECT FROM moved AS o WHERE o.position = m.position)

-- name: additional_unavailable
-- An additional agreement of ours that was blocked or ended for this operator leaves the journey to the tag agreement,
-- which is judged by what was published of it in turn.
UPDATE matched AS m
SET code = 'accepted', detail = NULL, agreement_id = a.agreement_id, registration_id = a.id, instead_of = a.additional,
    flags = (CASE WHEN m.by_tag THEN m.flags ELSE m.flags | 1 END) | 256
FROM (
    SELECT m.position, x.id AS additional, r.id, r.agreement_id
    FROM matched AS m
    JOIN registrations AS x ON x.id = m.registration_id AND x.scope <> ''
    CROSS JOIN LATERAL (
        SELECT reg.id, reg.agreement_id FROM registrations AS reg
        WHERE reg.country = m.country AND reg.plate = m.plate AND reg.scope = ''
            AND reg.valid_from <= m.passed_at AND (reg.valid_to IS NULL OR reg.valid_to > m.passed_at)
        ORDER BY reg.valid_from DESC LIMIT 1
    ) AS r
    WHERE m.code = 'not_valid'
) AS a
WHERE a.position = m.position

-- name: additional_not_covering
-- The holder has an additional agreement with this operator, but it did not cover this vehicle or tag then: it had
-- ended or not begun for it, or is for others. Lapsed for others, it says nothing.
UPDATE matched AS m
SET flags = m.flags | 256
FROM (
    SELECT m.position
    FROM matched AS m
    JOIN incoming AS i ON i.position = m.position
    CROSS JOIN LATERAL (
        SELECT FROM (
            SELECT m.agreement_id AS id
            UNION ALL SELECT f.id FROM agreements AS f WHERE f.parent_id = m.agreement_id
        ) AS family
        JOIN registrations AS x ON x.agreement_id = family.id AND x.scope = %(code)s
        WHERE (x.valid_to IS NULL OR x.valid_to > x.valid_from) AND (
            (x.country = m.country AND x.plate = m.plate) OR x.pan = i.pan
            OR (x.valid_from <= m.passed_at AND (x.valid_to IS NULL OR x.valid_to > m.passed_at)))
        LIMIT 1
    ) AS x
    WHERE m.code = 'accepted' AND m.flags & (4 | 256) = 0 AND EXISTS (
        SELECT FROM registrations AS own WHERE own.id = m.registration_id AND own.scope = '')
) AS a
WHERE a.position = m.position

-- name: stale
-- After the lock: is a registration that was matched no longer what it was (it was ended or moved meanwhile), or has
-- somebody come from an earlier instant for what nobody had? Billing may have looked for theirs before we had the lock.
SELECT EXISTS (
    SELECT FROM matched AS m
    LEFT JOIN registrations AS r ON r.id = m.registration_id
    WHERE m.code IN ('accepted', 'other_agreement') AND (m.flags & 4 = 0 OR r.scope <> '')
        AND (r.agreement_id IS DISTINCT FROM m.agreement_id OR r.valid_from > m.passed_at OR r.valid_to <= m.passed_at)
) OR EXISTS (
    SELECT FROM matched AS m
    JOIN registrations AS own ON own.id = m.registration_id AND own.scope = ''
    CROSS JOIN LATERAL (
        SELECT reg.id FROM registrations AS reg
        WHERE reg.country = m.country AND reg.plate = m.plate AND reg.scope = ''
            AND reg.valid_from <= m.passed_at AND (reg.valid_to IS NULL OR reg.valid_to > m.passed_at)
        ORDER BY reg.valid_from DESC LIMIT 1
    ) AS r
    WHERE m.code = 'accepted' AND m.flags & 4 <> 0 AND r.id <> own.id
)

-- name: stale_additional
-- And to a ferry operator: has an additional agreement come from an earlier instant?
SELECT EXISTS (
    SELECT FROM matched AS m
    JOIN incoming AS i ON i.position = m.position
    JOIN chargers AS c ON c.id = %(charger)s
    CROSS JOIN LATERAL (
        SELECT f.id FROM (
            (SELECT 1 AS rank, reg.id FROM registrations AS reg
            WHERE reg.pan = i.pan AND reg.scope = %(code)s
                AND reg.valid_from <= i.passed_at AND (reg.valid_to IS NULL OR reg.valid_to > i.passed_at)
                AND NOT {tag_refused}
            ORDER BY reg.valid_from DESC LIMIT 1)
            UNION ALL
            (SELECT 2, reg.id FROM registrations AS reg
            WHERE reg.country = m.country AND reg.plate = m.plate AND reg.scope = %(code)s
                AND reg.valid_from <= i.passed_at AND (reg.valid_to IS NULL OR reg.valid_to > i.passed_at)
            ORDER BY reg.valid_from DESC LIMIT 1)
        ) AS f ORDER BY f.rank LIMIT 1
    ) AS r
    WHERE m.code IN ('accepted', 'other_agreement') AND r.id <> m.registration_id
        AND r.id IS DISTINCT FROM m.instead_of
)
