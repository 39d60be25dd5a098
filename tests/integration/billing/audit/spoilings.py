"""How the books of the audit's test are spoiled: which rule must see it, and the SQL that does it."""

from __future__ import annotations

from tests.integration.billing.audit.spoilings_money import MONEY
from tests.integration.billing.audit.spoilings_road import ROAD

# One tampering (or more) a rule. `replica` switches foreign keys off, as a restore or a careless hand does.
TAMPERED = {
    "ledger_accounts": "UPDATE transfers SET credit = 'purse' WHERE code = 'claim'",
    "ledger_unbilled": "DELETE FROM transfers WHERE id = (SELECT min(id) FROM transfers WHERE debit = 'unbilled')",
    "ledger_receivable": "UPDATE transfers SET amount_ore = amount_ore + 1 WHERE code = 'credit_used'",
    "ledger_credit": "DELETE FROM transfers WHERE code = 'overpaid' AND amount_ore = 2655",
    "ledger_payable": "UPDATE passages SET owed = false WHERE id = (SELECT min(id) FROM passages)",
    "ledger_bank": "DELETE FROM transfers WHERE code = 'payment' AND amount_ore = 500",
    "ledger_suspense": "UPDATE transfers SET amount_ore = amount_ore + 1 WHERE code = 'payment' AND amount_ore = 9000",
    "ledger_card_clearing": "UPDATE transfers SET amount_ore = amount_ore - 1 WHERE code = 'card_payment'",
    "ledger_card_fees": "DELETE FROM transfers WHERE code = 'card_fee'",
    "transfers_claims": "UPDATE transfers SET debit_owner = debit_owner + 1 WHERE code = 'claim' "
    "AND amount_ore = 12345",
    "transfers_payments": "UPDATE transfers SET ref = ref + 1000 WHERE code = 'payment' AND amount_ore = 9000",
    "transfers_allocations": "UPDATE transfers SET ref = ref + 1000 WHERE code = 'allocation' AND amount_ore = 6000",
    "transfers_credit": "DELETE FROM transfers WHERE code = 'credit_back'",
    "balances_charged": "UPDATE balances SET last_charged_on = last_charged_on - 1 WHERE last_charged_on IS NOT NULL",
    "batches_counts": "UPDATE batches SET counts = counts || '{\"duplicate\": 1}'",
    "batches_passages": "UPDATE batches SET sums = '{}'",
    "outgoing_files_bytes": "UPDATE complaint_messages SET content = 'other'",
    "publications_standings": "DELETE FROM publications WHERE id = (SELECT max(p.id) FROM publications AS p "
    "JOIN agreements AS a ON a.id = p.agreement_id WHERE p.status = 'blocked' AND a.standing = 'blocked')",
    "publications_changes": "DELETE FROM publications WHERE status = 'blocked'",
    "balances": "UPDATE balances SET unbilled_ore = unbilled_ore + 1 WHERE unbilled_ore = 4000",
    "passages_one_place": "UPDATE passages SET claim_id = 1 WHERE external",
    "passages_unique": "INSERT INTO passages SELECT id, booked_at + interval '1 second', agreement_id, "
    "registration_id, charger_id, source_id, batch_id, reverses_id, passed_at, passed_offset, station, project, "
    "service, country, plate, pan, vehicle_class, list_ore, amount_ore, vat_bp, flags, external, owed, claim_id "
    "FROM passages WHERE amount_ore = 4000",
    "records_have_passages": "DELETE FROM passages WHERE amount_ore = 4000",
    "passages_have_records": "DELETE FROM records WHERE amount_ore = 4000",
    "reversals_have_counters": "UPDATE passages SET amount_ore = -2499 WHERE amount_ore = -2500",
    "counters_have_reversals": "DELETE FROM reversals",
    "moves_are_whole": "UPDATE passages SET amount_ore = 2499 "
    "WHERE id = (SELECT replaced_by FROM reversals WHERE cause = 'moved')",
    "mass_counts": "UPDATE mass_corrections SET skipped = skipped + 1 WHERE undoes_id IS NULL",
    "mass_reversals": "UPDATE reversals SET reason = 'mass:4711' WHERE cause = 'mass'",
    "mass_undone": "UPDATE mass_passages SET outcome = 'left' "
    "WHERE mass_id = (SELECT id FROM mass_corrections WHERE undoes_id IS NOT NULL)",
    "transfers_mass": "UPDATE transfers SET amount_ore = amount_ore + 1 WHERE code = 'mass_undone' "
    "OR code = 'mass_reversed'",
    "backlogs_slices": "UPDATE backlogs SET taken_ore = taken_ore + 1",
    "claims_passages": "UPDATE passages SET claim_id = NULL WHERE amount_ore = 2345",
    "claims_settled": "UPDATE claims SET settled_ore = settled_ore - 1 WHERE amount_ore = 12345",
    "allocations_sources": "UPDATE allocations SET source_id = 4711 WHERE source = 'card'",
    "credit_not_negative": "UPDATE credit_entries SET amount_ore = -5000 WHERE code = 'used'",
    "credit_used": "DELETE FROM credit_entries WHERE code = 'used'",
    "payments_placed": "UPDATE payments SET state = 'settled' WHERE amount_ore = 9000",
    "payments_owners": "UPDATE payments SET agreement_id = agreement_id + 1 WHERE amount_ore = 15000",
    "complaints_passages": "UPDATE complaints SET source_id = 'K1' WHERE state = 'made'",
    "complaints_corrections": "UPDATE complaints SET correction_id = 'KA' WHERE correction_id = 'KC'",
    "held_passages": "UPDATE held_passages SET amount_ore = amount_ore + 1",
    "held_unbilled": "UPDATE passages SET claim_id = 1 WHERE id = (SELECT passage_id FROM held_passages)",
    "tag_mismatches_told": "DELETE FROM messages WHERE template = 'tag_mismatch'",
    "card_successes": "UPDATE attempts SET state = 'declined' WHERE state = 'succeeded'",
    "transfers_codes": "UPDATE transfers SET code = 'xyz' WHERE code = 'claim' AND amount_ore = 8000",
    "transfers_dates": "UPDATE transfers SET booked_on = booked_on - 40 WHERE code = 'passages' AND amount_ore = 8000",
    "transfers_vouchers": "UPDATE transfers SET voucher = 999999 WHERE code = 'claim' AND amount_ore = 8000",
    "transfers_batches": "UPDATE transfers SET part = 'other' WHERE code = 'passages' AND amount_ore = 8000",
    "transfers_reversals": "UPDATE transfers SET amount_ore = amount_ore + 1 WHERE code = 'reversed'",
    "ledger_write_off": "UPDATE transfers SET debit = 'write_off' WHERE code = 'reversed'",
    "corrections_records": "UPDATE corrections SET state = 'superseded' WHERE source_id = 'KC'",
    "corrections_in_force": "UPDATE corrections SET version = 9, state = 'applied' WHERE source_id = 'KB'",
    "corrections_causes": "UPDATE reversals SET reason = 'K3' WHERE reason = 'KC'",
    "amendments_records": "UPDATE amendments SET code = 'superseded'",
    "batches_kept": "DELETE FROM batch_answers WHERE batch_id = (SELECT max(batch_id) FROM batch_answers)",
    "batches_states": "UPDATE batches SET state = 'refused'",
    "batches_chargers": "UPDATE batches SET charger_id = (SELECT max(id) FROM chargers)",
    "batches_sums": "UPDATE batches SET sums = sums || '{\"too_old\": 100}'",
    "records_passages": "UPDATE records SET passed_at = passed_at + interval '3 days' WHERE amount_ore = 4000",
    "passages_registrations": "UPDATE registrations SET valid_to = valid_from WHERE plate = 'EK12345'",
    "reversals_copies": "UPDATE passages SET project = 'other' WHERE amount_ore = -2500",
    "charges_claims": "UPDATE charges SET state = 'cancelled'",
    "balances_open_charges": "UPDATE balances SET open_charge_id = (SELECT min(id) FROM charges) "
    "WHERE unbilled_ore = 4000",
    "attempts_charges": "UPDATE attempts SET fee_ore = fee_ore + 1",
    "attempts_states": "UPDATE attempts SET provider_ref = NULL WHERE number = 1",
    "charges_tries": "UPDATE charges SET tries = 7",
    "card_allocations": "UPDATE allocations SET value_date = value_date + 10 WHERE source = 'card'",
    "bank_files_content": "UPDATE bank_files SET content = 'x' WHERE id = (SELECT min(id) FROM bank_files)",
    "bank_assignments": "UPDATE bank_assignments SET last_date = last_date + 300 "
    "WHERE id = (SELECT min(id) FROM bank_assignments)",
    "payments_keys": "UPDATE payments SET key = 'free' WHERE amount_ore = 15000",
    "payments_states": "UPDATE payments SET kid = '1' WHERE amount_ore = 15000",
    "payments_reversals": "UPDATE payments SET reverses_id = (SELECT id FROM payments WHERE amount_ore = 15000) "
    "WHERE amount_ore = -7000",
    "documents_versions": "UPDATE documents SET version = 2 WHERE total_ore = 8000",
    "documents_passages": "UPDATE document_lines SET plate = 'XX1' WHERE gross_ore = 8000",
    "documents_periods": "UPDATE documents SET period_to = period_to + 1 WHERE total_ore = 8000",
    "documents_issued": "UPDATE documents SET issued_on = issued_on - 100 WHERE total_ore = 8000",
    "documents_paid": 'UPDATE documents SET due_on = NULL, paid_by = \'{"method": "card"}\' WHERE total_ore = 8000',
    "documents_buyers": "UPDATE documents SET buyer = '{}' WHERE total_ore = 8000",
    "renderings_digests": "INSERT INTO renderings (document_id, template, sha256, pdf, made_at) "
    "SELECT id, 1, sha256('right'), 'wrong', made_at FROM documents LIMIT 1",
    "runs_sums": "INSERT INTO runs (kind, for_date, cutoff_at, actor, started_at, sum_ore) "
    "VALUES ('invoices', '2026-03-01', '2026-03-01', 'test', '2026-03-01', 1)",
    "standings_steps": "UPDATE standings SET at = at - interval '9 days' WHERE standing = 'open'",
    "standings_blocks": "UPDATE blocks SET claims = '[]'",
    "ledger_refunds": "UPDATE transfers SET credit = 'suspense' WHERE code = 'payout' AND amount_ore = 900",
    "transfers_payouts": "DELETE FROM transfers WHERE code = 'payout_paid'",
    "transfers_anew": "DELETE FROM transfers WHERE code = 'claim_reduced'",
    "claims_joined": "UPDATE joined SET amount_ore = amount_ore + 1",
    "claims_below_zero": "DELETE FROM credit_entries WHERE code = 'credit_note'",
    "allocations_released": "UPDATE credit_entries SET value_date = value_date - 1 WHERE code = 'released'",
    "documents_credited": "UPDATE document_lines SET plate = 'XX1' "
    "WHERE document_id = (SELECT id FROM documents WHERE credits_id IS NOT NULL)",
    "documents_anew": "UPDATE documents SET reason = NULL WHERE credits_id IS NOT NULL",
    "payouts_credit": "UPDATE credit_entries SET ref = ref + 1000 WHERE code = 'payout_back'",
    "payouts_approved": "UPDATE payouts SET approved_at = NULL WHERE state = 'paid'",
    "payout_orders": "UPDATE payout_orders SET sum_ore = sum_ore + 1",
    "card_extra": "UPDATE attempts SET amount_ore = amount_ore + 1 WHERE credited",
    "bank_files": "UPDATE bank_files SET transactions = 0 WHERE id = (SELECT min(id) FROM bank_files)",
    "documents_numbers": "DELETE FROM documents WHERE number = (SELECT min(number) + 1 FROM documents)",
    "documents_claims": "UPDATE documents SET total_ore = total_ore + 1 WHERE total_ore = 8000",
    "claims_documents": "DELETE FROM documents WHERE number = (SELECT max(number) FROM documents)",
    "documents_lines": "UPDATE document_lines SET gross_ore = gross_ore + 1, net_ore = net_ore + 1 "
    "WHERE gross_ore = 8000",
    "documents_vat": "UPDATE document_lines SET net_ore = net_ore - 1, vat_ore = vat_ore + 1 WHERE gross_ore = 8000",
    "documents_kid": "UPDATE documents SET kid = '200000011000000015' WHERE total_ore = 8000",
    "standings_facts": "UPDATE agreements SET standing = 'open' WHERE standing = 'blocked'",
    "standings_history": "DELETE FROM standings WHERE standing = 'blocked'",
    "blocks_claims": "UPDATE blocks SET claims = '[4711]'",
    "passages_agreement_id": "UPDATE passages SET agreement_id = 4711 WHERE amount_ore = 4000",
    "passages_charger_id": "UPDATE passages SET charger_id = 4711 WHERE amount_ore = 4000",
    "passages_batch_id": "UPDATE passages SET batch_id = 4711 WHERE amount_ore = 4000",
    "passages_registration_id": "UPDATE passages SET registration_id = 4711 WHERE amount_ore = 4000",
    "records_charger_id": "UPDATE records SET charger_id = 4711 WHERE amount_ore = 4000",
    "records_batch_id": "UPDATE records SET batch_id = 4711 WHERE amount_ore = 4000",
    "batch_faults_batch_id": "INSERT INTO batch_faults (batch_id, position, code, detail, raw) "
    "VALUES (4711, 1, 'broken', '', '')",
    "balances_agreement_id": "INSERT INTO balances (agreement_id) VALUES (4711)",
    "balances_open_charge_id": "UPDATE balances SET open_charge_id = 4711 WHERE unbilled_ore = 4000",
    "allocations_agreement_id": "UPDATE allocations SET agreement_id = 4711 WHERE source = 'card'",
    "document_lines_document_id": "INSERT INTO document_lines (document_id, line, kind, vat_bp, count, gross_ore, "
    "net_ore, vat_ore) VALUES (4711, 1, 'toll', 0, 0, 0, 0, 0)",
    "renderings_document_id": "INSERT INTO renderings (document_id, template, sha256, pdf, made_at) "
    "VALUES (4711, 1, '', '', '2026-02-01')",
    "payments_agreement_id": "UPDATE payments SET agreement_id = 4711 WHERE amount_ore = 7000",
    "payments_claim_id": "UPDATE payments SET claim_id = 4711 WHERE amount_ore = 7000",
    "payments_reverses_id": "UPDATE payments SET reverses_id = 4711 WHERE amount_ore = -7000",
    "publications_agreement_id": "UPDATE publications SET agreement_id = 4711 WHERE status = 'blocked'",
    "publications_registration_id": "UPDATE publications SET registration_id = 4711 WHERE status = 'removed'",
    "publications_tag_id": "UPDATE publications SET tag_id = 4711 WHERE status = 'tag'",
    "publications_causes": "UPDATE publications SET status = 'ended' WHERE status = 'blocked'",
    "publications_positions": "UPDATE publications SET position = position + 1000 WHERE position = 2",
    "list_versions_numbers": "DELETE FROM list_versions WHERE version = 1",
    "list_versions_steps": "UPDATE list_versions SET sent_at = NULL WHERE state = 'sent'",
    "list_versions_bytes": "UPDATE list_parts SET body = 'x'",
    "list_periods_chargers": "UPDATE chargers SET lists = 'none'",
    "messages_agreement_id": "UPDATE messages SET agreement_id = 4711 WHERE template = 'blocked'",
    "messages_document_id": "UPDATE messages SET document_id = 4711 WHERE template = 'blocked'",
    "deliveries_agreement_id": "INSERT INTO deliveries (message_id, agreement_id, channel, next_at, queued_at) "
    "SELECT id, 4711, 'email', made_at, made_at FROM messages LIMIT 1",
    "removals_agreement_id": "INSERT INTO removals (registration_id, agreement_id, ends_at, requested_at, actor) "
    "VALUES (1, 4711, '2026-02-01', '2026-02-01', 'test')",
    "card_customers_agreement_id": "INSERT INTO card_customers (agreement_id, provider_customer, created_at) "
    "VALUES (4711, 'cus_1', '2026-02-01')",
    "charger_claim_lines_claim_id": "UPDATE charger_claim_lines SET claim_id = 4711",
    "charger_claim_differences_claim_id": "UPDATE charger_claim_differences SET claim_id = 4711",
    "ledger_remuneration": "DELETE FROM transfers WHERE code = 'remuneration'",
    "transfers_settlements": "UPDATE transfers SET ref = ref + 1000 WHERE code = 'charger_payment'",
    "settlements_sums": "UPDATE settlements SET remuneration_ore = remuneration_ore + 1, payout_ore = payout_ore - 1 "
    "WHERE state = 'paid'",
    "settlements_passages": "UPDATE settlement_lines SET project = 'other'",
    "settlements_periods": "UPDATE settlements SET cutoff_at = cutoff_at + interval '1 hour'",
    "settlements_orders": "UPDATE settlements SET state = 'agreed' WHERE state = 'paid'",
    "orders_files": "UPDATE charger_orders SET content = content || ' '::bytea WHERE content IS NOT NULL",
    "charger_claims_differences": "DELETE FROM charger_claim_differences",
}

# More ways to break a rule that says several things.
ALSO: tuple[tuple[str, str], ...] = (*ROAD, *MONEY)
