"""How the books are spoiled where they tell of the road: passages, lists, complaints, settlement with chargers."""

from __future__ import annotations

ROAD = (
    ("outgoing_files_bytes", "UPDATE outgoing_files SET ref = '4711' WHERE kind = 'complaints'"),
    ("corrections_in_force", "DELETE FROM reversals WHERE reason = 'KA'"),
    ("corrections_records", "DELETE FROM records WHERE source_id = 'KB'"),
    ("batches_counts", "UPDATE amendments SET was_code = 'too_old'"),
    ("batches_kept", "DELETE FROM batch_parts"),
    ("transfers_reversals", "DELETE FROM transfers WHERE code = 'uncredited'"),
    ("transfers_reversals", "UPDATE transfers SET part = 'moved' WHERE part = 'cancelled'"),
    ("batches_counts", "DELETE FROM amendments"),
    ("mass_counts", "DELETE FROM mass_passages WHERE outcome = 'done'"),
    ("mass_reversals", "UPDATE reversals SET cause = 'mass' WHERE cause = 'mass_credited'"),
    ("mass_reversals", "UPDATE mass_passages SET amount_ore = amount_ore + 1 WHERE outcome = 'done'"),
    ("mass_undone", "UPDATE reversals SET replaced_by = NULL WHERE cause = 'mass_credited'"),
    (
        "reversals_copies",
        "UPDATE passages SET owed = true WHERE id IN (SELECT replaced_by FROM reversals WHERE cause = 'mass_credited')",
    ),
    (
        "reversals_copies",
        "UPDATE passages SET booked_at = booked_at + interval '1 second' "
        "WHERE id IN (SELECT counter_id FROM reversals WHERE cause = 'mass')",
    ),
    (
        "moves_are_whole",
        "UPDATE passages SET amount_ore = amount_ore + 1 WHERE id IN (SELECT replaced_by "
        "FROM reversals WHERE cause = 'mass_credited')",
    ),
    ("batches_counts", "UPDATE batches SET done = done - 1"),
    ("batches_counts", "UPDATE batches SET done = done + 1, counts = counts || '{\"too_old\": 1}'"),
    ("batches_counts", "UPDATE records SET code = 'not_valid' WHERE amount_ore = 4000"),
    (
        "batches_counts",
        "INSERT INTO batch_faults (batch_id, position, code, detail, raw) "
        "SELECT id, 1, 'conflict', '', '' FROM batches",
    ),
    ("batches_passages", "UPDATE passages SET batch_id = 4711 WHERE amount_ore = 4000"),
    ("batches_passages", "UPDATE reversals SET replaced_by = NULL"),
    ("publications_changes", "DELETE FROM publications WHERE status = 'removed'"),
    (
        "publications_changes",
        "DELETE FROM publications WHERE status = 'ended' AND id = (SELECT max(id) "
        "FROM publications WHERE status = 'ended')",
    ),
    ("publications_changes", "UPDATE publications SET status = 'valid' WHERE status = 'blocked'"),
    (
        "publications_changes",
        "INSERT INTO publications (agreement_id, registration_id, status, made_at, effective_at) "
        "SELECT agreement_id, registration_id, status, made_at, effective_at FROM publications "
        "WHERE status = 'removed'",
    ),
    ("publications_standings", "DELETE FROM publications WHERE status = 'ended'"),
    ("publications_standings", "UPDATE publications SET status = 'valid' WHERE status = 'blocked'"),
    (
        "publications_standings",
        "UPDATE publications SET effective_at = effective_at + interval '90 days' "
        "WHERE status = 'valid' AND agreement_id IN (SELECT agreement_id FROM publications WHERE status = 'blocked')",
    ),
    ("publications_causes", "UPDATE publications SET made_at = made_at + interval '1 day' WHERE status = 'blocked'"),
    (
        "publications_causes",
        "INSERT INTO publications (agreement_id, status, made_at, effective_at) "
        "SELECT agreement_id, 'blocked', made_at, effective_at FROM publications WHERE status = 'ended'",
    ),
    ("list_versions_numbers", "UPDATE list_versions SET through_change = through_change - 1 WHERE version = 1"),
    ("list_versions_numbers", "UPDATE list_versions SET from_change = 1 WHERE version = 2"),
    ("list_versions_numbers", "UPDATE list_versions SET through_change = 999999 WHERE version = 2"),
    ("list_versions_numbers", "UPDATE list_versions SET kind = 'incremental' WHERE version = 1"),
    ("list_versions_steps", "UPDATE list_versions SET sent_at = made_at - interval '1 hour'"),
    (
        "list_versions_steps",
        "UPDATE list_versions SET acknowledged_at = made_at - interval '1 day' WHERE state = 'acknowledged'",
    ),
    ("list_versions_steps", "UPDATE list_versions SET state = 'superseded', next_at = NULL WHERE state = 'sent'"),
    ("list_versions_bytes", "DELETE FROM list_parts"),
    ("list_periods_chargers", "DELETE FROM list_periods"),
    ("list_periods_chargers", "UPDATE list_periods SET latency_minutes = 7"),
    (
        "list_periods_chargers",
        "INSERT INTO list_periods (charger_id, since, until) "
        "SELECT charger_id, since, since + interval '400 days' FROM list_periods",
    ),
    ("transfers_batches", "UPDATE transfers SET ref = 999999 WHERE code = 'passages' AND amount_ore = 8000"),
    ("transfers_batches", "UPDATE passages SET project = 'other' WHERE amount_ore = 8000"),
    (
        "transfers_batches",
        "UPDATE transfers SET created_at = created_at - interval '40 days', booked_on = booked_on - 40 "
        "WHERE code = 'passages' AND amount_ore = 8000",
    ),
    ("transfers_reversals", "UPDATE transfers SET part = '' WHERE part = 'moved' AND code = 'passages'"),
    ("batches_states", "UPDATE batches SET finished_at = NULL"),
    ("batches_states", "UPDATE batches SET error = 'x'"),
    ("batches_sums", "UPDATE records SET amount_ore = amount_ore + 1 WHERE amount_ore = 8000"),
    ("records_passages", "UPDATE records SET code = 'other_agreement' WHERE amount_ore = 4000"),
    ("records_passages", "UPDATE records SET code = 'accepted' WHERE code = 'other_agreement'"),
    ("records_passages", "UPDATE records SET batch_id = 4711 WHERE amount_ore = 4000"),
    ("records_passages", "UPDATE passages SET passed_at = passed_at + interval '30 days' WHERE amount_ore = 4000"),
    ("passages_registrations", "UPDATE registrations SET agreement_id = 1 WHERE plate = 'EK12345'"),
    (
        "passages_registrations",
        "UPDATE registrations SET settlement = 'external', scope = 'FJELL' WHERE plate = 'EK12345'",
    ),
    ("passages_registrations", "UPDATE registrations SET valid_from = '2026-01-20' WHERE plate = 'EK12345'"),
    ("passages_registrations", "UPDATE passages SET plate = 'XX99999' WHERE registration_id IS NOT NULL"),
    ("passages_registrations", "UPDATE passages SET agreement_id = 1 WHERE registration_id IS NOT NULL"),
    ("reversals_copies", "UPDATE passages SET vat_bp = 2500 WHERE amount_ore = -2500"),
    ("transfers_settlements", "UPDATE transfers SET debit_owner = 4711 WHERE code = 'charger_payment'"),
    ("transfers_settlements", "UPDATE settlements SET agreed_at = agreed_at + interval '1 second'"),
    ("settlements_sums", "UPDATE settlement_lines SET reversed_count = reversed_count + 1"),
    ("settlements_sums", "UPDATE settlements SET remuneration_vat_bp = 2500"),
    ("settlements_passages", "UPDATE passages SET booked_at = booked_at + interval '31 days' WHERE amount_ore = 4000"),
    ("settlements_passages", "UPDATE passages SET owed = false WHERE amount_ore = -2500"),
    ("settlements_periods", "UPDATE settlements SET period_from = period_from + 1 WHERE state = 'carried'"),
    (
        "settlements_periods",
        "UPDATE settlements SET brought_ore = -5, payout_ore = payout_ore - 5 WHERE state = 'carried'",
    ),
    (
        "settlements_periods",
        "UPDATE settlements SET period_from = '2026-01-16' WHERE period_to = '2026-01-31'",
    ),
    ("settlements_orders", "UPDATE settlements SET state = 'agreed' WHERE state = 'carried'"),
    ("settlements_orders", "UPDATE charger_orders SET amount_ore = amount_ore + 1"),
    ("orders_files", "UPDATE charger_orders SET made_by = 'accountant:ola' WHERE released_by = 'lead:ola'"),
    ("orders_files", "UPDATE charger_orders SET end_to_end_id = 'S9'"),
    ("orders_files", "UPDATE charger_orders SET amount_ore = amount_ore + 1"),
    ("charger_claims_differences", "UPDATE charger_claim_differences SET ours_ore = ours_ore + 1"),
    ("charger_claims_differences", "DELETE FROM charger_claim_lines WHERE line = 1"),
    ("charger_claims_differences", "UPDATE charger_claims SET content = 'y'"),
)
