"""Records, passages, counter-rows, balances."""

from __future__ import annotations

from billing.audit.rules import FIRST_ANSWERS, Rule

RULES = (
    Rule(
        "balances",
        "an agreement's balance is the sum and the count of its own passages that no claim has, open since the oldest",
        """
        SELECT format('agreement %s: balance %s øre in %s passages since %s, unbilled are %s øre in %s since %s',
                      agreement_id, coalesce(b.unbilled_ore, 0), coalesce(b.unbilled_count, 0),
                      coalesce(b.open_since::text, 'never'), coalesce(p.ore, 0), coalesce(p.n, 0),
                      coalesce(p.since::text, 'never'))
        FROM balances AS b FULL JOIN (
            SELECT agreement_id, sum(amount_ore) AS ore, count(*) AS n, min(booked_at) AS since FROM passages
            WHERE claim_id IS NULL AND NOT external GROUP BY agreement_id
        ) AS p USING (agreement_id)
        WHERE coalesce(b.unbilled_ore, 0) <> coalesce(p.ore, 0) OR coalesce(b.unbilled_count, 0) <> coalesce(p.n, 0)
           OR b.open_since IS DISTINCT FROM p.since
        ORDER BY agreement_id
        """,
    ),
    Rule(
        "balances_charged",
        "an agreement was last charged on the Oslo date of its last charge that succeeded, or of money of a card that "
        "came after its charge had ended",
        """
        SELECT format('agreement %s: last charged on %s, its last success was on %s', agreement_id,
                      coalesce(b.last_charged_on::text, 'no day'), coalesce(c.day::text, 'none'))
        FROM balances AS b FULL JOIN (
            SELECT agreement_id, max(day) AS day FROM (
                SELECT agreement_id, (ended_at AT TIME ZONE 'Europe/Oslo')::date AS day
                FROM charges WHERE state = 'succeeded'
                UNION ALL SELECT agreement_id, value_date FROM credit_entries WHERE code = 'card_extra'
            ) AS x GROUP BY agreement_id
        ) AS c USING (agreement_id)
        WHERE b.last_charged_on IS DISTINCT FROM c.day ORDER BY agreement_id
        """,
    ),
    # A duplicate leaves nothing of its own behind; a broken record and one in conflict a fault; all others a record.
    Rule(
        "batches_counts",
        "a batch's counts by answer code are its records and its faults of that code, and add up to those answered",
        f"""
        SELECT format('batch %s, %s: %s counted, %s there', coalesce(c.id, f.batch_id), coalesce(c.code, f.code),
                      coalesce(c.n, 0), coalesce(f.n, 0))
        FROM (SELECT b.id, k.key AS code, k.value::bigint AS n FROM batches AS b, jsonb_each_text(b.counts) AS k
              WHERE k.key <> 'duplicate') AS c
        FULL JOIN (
            SELECT batch_id, code, sum(n)::bigint AS n FROM (
                SELECT batch_id, code, count(*) AS n FROM {FIRST_ANSWERS} AS r GROUP BY 1, 2
                UNION ALL SELECT batch_id, code, count(*) FROM batch_faults GROUP BY 1, 2
            ) AS x GROUP BY 1, 2
        ) AS f ON f.batch_id = c.id AND f.code = c.code
        WHERE coalesce(c.n, 0) <> coalesce(f.n, 0)
        UNION ALL
        SELECT format('batch %s: %s records answered, its counts say %s', b.id, b.done, k.n)
        FROM batches AS b CROSS JOIN LATERAL (
            SELECT coalesce(sum(value::bigint), 0) AS n FROM jsonb_each_text(b.counts)
        ) AS k WHERE b.done <> k.n
        """,  # noqa: S608 - no input in it
    ),
    Rule(
        "batches_passages",
        "the passages that name a batch are those it was accepted with, in number and in sum, but for moved ones, for "
        "cancellations and for what was accepted later",
        f"""
        SELECT format('batch %s: accepted %s of %s øre, its passages are %s of %s øre', coalesce(b.id, p.batch_id),
                      coalesce(b.n, 0), coalesce(b.ore, 0), coalesce(p.n, 0), coalesce(p.ore, 0))
        FROM (
            SELECT id, coalesce((counts->>'accepted')::bigint, 0) + coalesce((counts->>'other_agreement')::bigint, 0)
                       - coalesce(k.n, 0) AS n,
                   coalesce((sums->>'accepted')::bigint, 0) + coalesce((sums->>'other_agreement')::bigint, 0) AS ore
            FROM batches
            LEFT JOIN (
                SELECT r.batch_id, count(*) AS n FROM corrections AS k JOIN {FIRST_ANSWERS} AS r
                    ON r.charger_id = k.charger_id AND r.source_id = k.source_id
                WHERE k.action = 'cancel' AND r.code = 'accepted' GROUP BY 1
            ) AS k ON k.batch_id = id
        ) AS b
        FULL JOIN (
            SELECT p.batch_id, count(*) AS n, sum(p.amount_ore) AS ore
            FROM passages AS p LEFT JOIN reversals AS v ON v.replaced_by = p.id
            WHERE p.reverses_id IS NULL AND v.passage_id IS NULL AND NOT EXISTS (
                SELECT FROM amendments AS a
                WHERE a.charger_id = p.charger_id AND a.source_id = p.source_id AND a.cause <> 'moved'
            ) GROUP BY 1
        ) AS p ON p.batch_id = b.id
        WHERE coalesce(b.n, 0) <> coalesce(p.n, 0) OR coalesce(b.ore, 0) <> coalesce(p.ore, 0)
        ORDER BY coalesce(b.id, p.batch_id)
        """,  # noqa: S608 - no input in it
    ),
    Rule(
        "passages_one_place",
        "an external passage is neither claimed nor owed to its charger by us",
        "SELECT format('passage %s is external, and %s', id, CASE WHEN claim_id IS NULL THEN 'owed' "
        "ELSE 'in claim ' || claim_id END) FROM passages WHERE external AND (claim_id IS NOT NULL OR owed) ORDER BY id",
    ),
    Rule(
        "passages_unique",
        "a passage's id is one passage, although partitions are keyed with the month",
        "SELECT format('passage %s is there %s times', id, count(*)) FROM passages GROUP BY id HAVING count(*) > 1 "
        "ORDER BY id",
    ),
    Rule(
        "records_have_passages",
        "an accepted record has its passage, with its sum; a cancellation has none",
        """
        SELECT format('record %s of charger %s (%s, %s øre): passage %s has %s øre', r.source_id, r.charger_id, r.code,
                      r.amount_ore, coalesce(r.passage_id::text, 'missing'), coalesce(p.amount_ore::text, 'nothing'))
        FROM records AS r
        LEFT JOIN passages AS p ON p.id = r.passage_id AND p.charger_id = r.charger_id AND p.source_id = r.source_id
        WHERE (r.code IN ('accepted', 'other_agreement') OR r.passage_id IS NOT NULL)
          AND p.amount_ore IS DISTINCT FROM r.amount_ore
          AND NOT EXISTS (SELECT FROM corrections AS k WHERE k.charger_id = r.charger_id AND k.source_id = r.source_id
                          AND k.action = 'cancel' AND r.passage_id IS NULL)
        ORDER BY r.charger_id, r.source_id
        """,
    ),
    Rule(
        "passages_have_records",
        "a passage is an accepted record's, or replaces one that was moved, or reverses one",
        """
        SELECT format('passage %s (record %s of charger %s) comes from nothing', p.id, p.source_id, p.charger_id)
        FROM passages AS p
        LEFT JOIN records AS r ON r.charger_id = p.charger_id AND r.source_id = p.source_id AND r.passage_id = p.id
        LEFT JOIN reversals AS m ON m.replaced_by = p.id
        WHERE p.reverses_id IS NULL AND m.passage_id IS NULL
          AND (r.passage_id IS NULL OR r.code NOT IN ('accepted', 'other_agreement'))
        ORDER BY p.id
        """,
    ),
    Rule(
        "reversals_have_counters",
        "a reversal has its counter-row: the same agreement and charger, the opposite sum",
        """
        SELECT format('reversal of passage %s by %s: %s øre against %s øre', v.passage_id, v.counter_id,
                      coalesce(p.amount_ore::text, 'no'), coalesce(c.amount_ore::text, 'no'))
        FROM reversals AS v
        LEFT JOIN passages AS p ON p.id = v.passage_id
        LEFT JOIN passages AS c ON c.id = v.counter_id AND c.reverses_id = v.passage_id
        WHERE p.id IS NULL
           OR (c.agreement_id, c.charger_id, c.amount_ore)
              IS DISTINCT FROM (p.agreement_id, p.charger_id, -p.amount_ore)
        ORDER BY v.passage_id
        """,
    ),
    Rule(
        "counters_have_reversals",
        "a counter-row is of a reversal",
        """
        SELECT format('counter-row %s of passage %s is of no reversal', c.id, c.reverses_id)
        FROM passages AS c LEFT JOIN reversals AS v ON v.counter_id = c.id AND v.passage_id = c.reverses_id
        WHERE c.reverses_id IS NOT NULL AND v.passage_id IS NULL ORDER BY c.id
        """,
    ),
    Rule(
        "moves_are_whole",
        "what replaces a moved passage has its charger and its sum",
        """
        SELECT format('passage %s was replaced by %s: %s øre by %s øre', v.passage_id, v.replaced_by, p.amount_ore,
                      coalesce(n.amount_ore::text, 'no'))
        FROM reversals AS v JOIN passages AS p ON p.id = v.passage_id
        LEFT JOIN passages AS n ON n.id = v.replaced_by
        WHERE v.replaced_by IS NOT NULL
          AND (n.charger_id, n.amount_ore) IS DISTINCT FROM (p.charger_id, p.amount_ore)
        ORDER BY v.passage_id
        """,
    ),
)
