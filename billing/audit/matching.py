"""Whose a passage is: its batch, its record, its registration."""

from __future__ import annotations

from billing.audit.rules import FIRST_ANSWERS, Rule

RULES = (
    Rule(
        "batches_states",
        "a batch has ended unless it is being received, and was refused for a reason",
        """
        SELECT format('batch %s is %s, finished %s, error: %s', id, state, coalesce(finished_at::text, 'never'),
                      coalesce(error, 'none'))
        FROM batches WHERE (state = 'receiving') <> (finished_at IS NULL) OR (state = 'refused') <> (error IS NOT NULL)
        ORDER BY id
        """,
    ),
    Rule(
        "batches_chargers",
        "a batch's records and passages are its charger's",
        """
        SELECT format('batch %s is charger %s''s, it has %s of charger %s', b.id, b.charger_id, x.what, x.charger_id)
        FROM (SELECT DISTINCT 'passages' AS what, batch_id, charger_id FROM passages
              UNION ALL SELECT DISTINCT 'records', batch_id, charger_id FROM records) AS x
        JOIN batches AS b ON b.id = x.batch_id
        WHERE x.charger_id <> b.charger_id ORDER BY b.id
        """,
    ),
    # Of what left a fault the sum is not kept; all others left a record.
    Rule(
        "batches_sums",
        "a batch's sums by answer code are those of its records that were answered so",
        f"""
        SELECT format('batch %s, %s: %s øre counted, records of %s øre', batch_id, code, coalesce(b.ore, 0),
                      coalesce(r.ore, 0))
        FROM (SELECT id AS batch_id, k.key AS code, k.value::bigint AS ore
              FROM batches, jsonb_each_text(sums) AS k
              WHERE k.key NOT IN ('duplicate', 'conflict', 'invalid_record', 'invalid_amount')) AS b
        FULL JOIN (SELECT batch_id, code, sum(amount_ore)::bigint AS ore FROM {FIRST_ANSWERS} AS r GROUP BY 1, 2) AS r
             USING (batch_id, code)
        WHERE coalesce(b.ore, 0) <> coalesce(r.ore, 0) ORDER BY batch_id, code
        """,  # noqa: S608 - no input in it
    ),
    Rule(
        "records_passages",
        "a record and its passage are of one batch and instant; other_agreement is what is settled elsewhere",
        """
        SELECT format('record %s of charger %s (%s): batch %s, passed %s; passage %s: batch %s, passed %s, external %s',
                      r.source_id, r.charger_id, r.code, r.batch_id, r.passed_at, p.id, p.batch_id, p.passed_at,
                      p.external)
        FROM records AS r JOIN passages AS p ON p.id = r.passage_id
        WHERE r.batch_id <> p.batch_id OR r.passed_at <> p.passed_at OR (r.code = 'other_agreement') <> p.external
           OR r.code NOT IN ('accepted', 'other_agreement')
        ORDER BY r.charger_id, r.source_id
        """,
    ),
    # A registration that ends from an earlier instant leaves what was driven since where nobody else had the vehicle.
    Rule(
        "passages_registrations",
        "a passage is its registration's: agreement, vehicle or tag, operator, period; or its end was told too late",
        """
        SELECT format('passage %s of agreement %s (%s) at %s: registration %s of agreement %s, from %s to %s', p.id,
                      p.agreement_id, CASE WHEN p.external THEN 'external' ELSE 'own' END, p.passed_at, r.id,
                      r.agreement_id, r.valid_from, coalesce(r.valid_to::text, 'now'))
        FROM passages AS p
        JOIN registrations AS r ON r.id = p.registration_id
        JOIN chargers AS c ON c.id = p.charger_id
        WHERE r.agreement_id <> p.agreement_id OR (r.settlement = 'external') <> p.external
           OR r.scope NOT IN ('', c.code)
           OR NOT (coalesce((r.country, r.plate) = (p.country, p.plate), false) OR coalesce(r.pan = p.pan, false))
           OR r.valid_from > p.passed_at
           OR (r.valid_to <= p.passed_at AND p.flags & 4 = 0
               AND NOT EXISTS (SELECT FROM removals AS m WHERE m.registration_id = r.id)
               AND NOT EXISTS (SELECT FROM agreements AS a WHERE a.id = r.agreement_id AND a.closed_at <= p.passed_at))
        ORDER BY p.id
        """,
    ),
    Rule(
        "reversals_copies",
        "a counter-row and what replaces a passage say the same journey",
        """
        SELECT format('passage %s is reversed by %s (%s), and %s tells another journey', p.id, v.counter_id, v.cause,
                      o.id)
        FROM reversals AS v
        JOIN passages AS p ON p.id = v.passage_id
        CROSS JOIN LATERAL (VALUES (v.counter_id), (v.replaced_by)) AS n (id)
        JOIN passages AS o ON o.id = n.id
        WHERE (o.batch_id, o.source_id, o.passed_at, o.station, o.project, o.service, o.vat_bp, o.list_ore)
              IS DISTINCT FROM (p.batch_id, p.source_id, p.passed_at, p.station, p.project, p.service, p.vat_bp,
                                CASE o.id WHEN v.counter_id THEN -p.list_ore ELSE p.list_ore END)
           OR (o.id = v.counter_id AND o.registration_id IS DISTINCT FROM p.registration_id)
           OR (v.cause NOT IN ('mass', 'mass_credited')
               AND (o.booked_at <> v.at OR (v.cause = 'moved') <> (v.replaced_by IS NOT NULL)))
           OR (v.cause IN ('mass', 'mass_credited') AND CASE o.id WHEN v.counter_id THEN o.booked_at <> v.at
               ELSE (o.agreement_id, o.registration_id, o.owed, o.booked_at >= v.at)
                    IS DISTINCT FROM (p.agreement_id, p.registration_id, v.cause = 'mass', true) END)
        ORDER BY p.id
        """,
    ),
)
