"""Counter-rows: how a passage is taken back. The passage itself stays as it was.

A counter-row has the passage's fields with amounts negative and names it; it is unbilled, whether the passage was
or not, and so comes on the next claim. The key of ``reversals`` makes it happen once.
"""

from __future__ import annotations

# Columns of a counter-row or of a passage that comes in another's place, from the passage ``p``.
_SAME = "charger_id, source_id, batch_id, passed_at, passed_offset, station, project, service, vehicle_class, vat_bp"
_FROM = ", ".join(f"p.{name}" for name in _SAME.split(", "))

COUNTER_ROWS = f"""
    INSERT INTO passages (id, booked_at, agreement_id, registration_id, reverses_id, country, plate, pan, list_ore,
        amount_ore, flags, external, owed, claim_id, {_SAME})
    SELECT v.counter_id, :now, p.agreement_id, p.registration_id, p.id, p.country, p.plate, p.pan, -p.list_ore,
        -p.amount_ore, p.flags, p.external, :owed, NULL, {_FROM}
    FROM passages AS p
    JOIN reversals AS v ON v.passage_id = p.id
    WHERE p.id = ANY(CAST(:passages AS bigint[])) AND p.agreement_id = :agreement AND p.booked_at >= :since
"""  # noqa: S608 - no input in it
"""Params: passages (ids), agreement, since (none was booked before it), now, owed (whether the charger is no longer
owed)."""

COUNTERS = f"""
    INSERT INTO passages (id, booked_at, agreement_id, registration_id, reverses_id, country, plate, pan, list_ore,
        amount_ore, flags, external, owed, claim_id, {_SAME})
    SELECT v.counter_id, :now, p.agreement_id, p.registration_id, p.id, p.country, p.plate, p.pan, -p.list_ore,
        -p.amount_ore, p.flags, p.external,
        coalesce(CAST(:owed AS boolean), p.owed OR (p.reverses_id IS NULL AND NOT p.external)), NULL, {_FROM}
    FROM passages AS p
    JOIN reversals AS v ON v.passage_id = p.id
    WHERE p.id = ANY(CAST(:passages AS bigint[]))
"""  # noqa: S608 - no input in it
"""The same for passages of any agreement and time. Params: passages, now, owed (null: as the passage was).

A copy that a mass correction brought back after we had borne it is not owed itself, but what it copies still is: so the
counter-row of any passage of our own takes something from the charger.
"""

BROUGHT_BACK = f"""
    INSERT INTO passages (id, booked_at, agreement_id, registration_id, reverses_id, country, plate, pan, list_ore,
        amount_ore, flags, external, owed, claim_id, {_SAME})
    SELECT v.replaced_by, :now, p.agreement_id, p.registration_id, NULL, p.country, p.plate, p.pan, p.list_ore,
        p.amount_ore, p.flags, false, :owed, NULL, {_FROM}
    FROM passages AS p
    JOIN reversals AS v ON v.passage_id = p.id
    WHERE p.id = ANY(CAST(:passages AS bigint[])) AND p.booked_at BETWEEN :first AND :last
"""  # noqa: S608 - no input in it
"""A copy of a passage that was reversed, where it was. Params: passages, first and last (when they were booked), now,
owed (whether the charger is owed it again)."""

REPLACEMENTS = f"""
    INSERT INTO passages (id, booked_at, agreement_id, registration_id, reverses_id, country, plate, pan, list_ore,
        amount_ore, flags, external, owed, claim_id, {_SAME})
    SELECT v.replaced_by, :now, t.agreement_id, t.registration_id, NULL, p.country, p.plate, p.pan, p.list_ore,
        p.amount_ore, p.flags & ~260, t.external, NOT t.external, NULL, {_FROM}
    FROM passages AS p
    JOIN reversals AS v ON v.passage_id = p.id
    JOIN unnest(CAST(:passages AS bigint[]), CAST(:agreements AS bigint[]), CAST(:registrations AS bigint[]),
        CAST(:externals AS boolean[])) AS t (passage_id, agreement_id, registration_id, external)
        ON t.passage_id = p.id
    WHERE p.agreement_id = :agreement AND p.booked_at >= :since
"""  # noqa: S608 - no input in it
"""Params: as above, and per passage the agreement, registration and externality of where it goes."""

BALANCES = """
    UPDATE balances AS b
    SET unbilled_ore = b.unbilled_ore + t.ore, unbilled_count = b.unbilled_count + t.number,
        open_since = least(b.open_since, :now), charge_not_before = least(b.charge_not_before, :today)
    FROM (
        SELECT p.agreement_id, sum(p.amount_ore) AS ore, count(*) AS number FROM passages AS p
        WHERE p.id = ANY(CAST(:fresh AS bigint[])) AND p.booked_at = :now AND NOT p.external GROUP BY p.agreement_id
    ) AS t
    WHERE b.agreement_id = t.agreement_id
"""
"""Params: fresh (ids of rows just made at ``now``), now, today (its Oslo date). The balances are locked.

Whether a card is due now is for billing.cards to say: its daily sweep looks at those whose date has come.
"""
