"""How the books are spoiled where they tell of payments by Vipps."""

from __future__ import annotations

VIPPS = {
    "ledger_vipps_clearing": "DELETE FROM transfers WHERE code = 'vipps_payment'",
    "vipps_captures": "UPDATE vipps_payments SET captured_ore = captured_ore - 1 WHERE captured_ore > 0",
    "vipps_placed": "DELETE FROM allocations WHERE source = 'vipps'",
    "vipps_credit": "UPDATE credit_entries SET ref = ref + 1000 WHERE code = 'vipps_extra'",
    "vipps_states": "UPDATE vipps_payments SET state = 'aborted' WHERE state = 'captured'",
    "vipps_refunds_payments": "UPDATE vipps_payments SET refunded_ore = refunded_ore + 1 WHERE refunded_ore > 0",
    "vipps_refunds_states": "UPDATE vipps_refunds SET approved_at = NULL WHERE state = 'succeeded'",
    "vipps_refunds_credit": "DELETE FROM credit_entries WHERE code = 'vipps_refund_back'",
    "transfers_vipps_refunds": "DELETE FROM transfers WHERE code = 'vipps_refund_back'",
}

VIPPS_ALSO = (
    ("allocations_sources", "UPDATE allocations SET source_id = source_id + 1000 WHERE source = 'vipps'"),
    ("transfers_allocations", "DELETE FROM transfers WHERE code = 'vipps_payment'"),
    ("transfers_credit", "DELETE FROM transfers WHERE code = 'vipps_extra'"),
    ("ledger_refunds", "UPDATE vipps_refunds SET amount_ore = amount_ore + 1 WHERE state = 'approved'"),
    ("ledger_write_off", "UPDATE vipps_refunds SET amount_ore = amount_ore + 1 WHERE requested_by = 'vipps'"),
    ("refunds_alone", "UPDATE vipps_refunds SET amount_ore = 200001 WHERE state = 'approved'"),
    ("vipps_captures", "UPDATE vipps_captures SET value_date = value_date + 1"),
    ("vipps_captures", "UPDATE vipps_captures SET upto_ore = upto_ore + 1"),
    ("vipps_captures", "DELETE FROM vipps_captures WHERE amount_ore = 3331"),
    ("vipps_placed", "UPDATE credit_entries SET amount_ore = amount_ore - 1 WHERE code = 'vipps_extra'"),
    ("vipps_states", "UPDATE vipps_payments SET state = 'captured' WHERE state = 'expired'"),
    ("vipps_states", "UPDATE vipps_payments SET agreement_id = agreement_id + 1"),
    ("vipps_states", "UPDATE vipps_payments SET capture_ore = amount_ore + 1 WHERE state = 'captured'"),
    ("vipps_refunds_payments", "UPDATE vipps_refunds SET amount_ore = 4000 WHERE state = 'approved'"),
    ("vipps_refunds_payments", "UPDATE vipps_refunds SET agreement_id = agreement_id + 1"),
    ("vipps_refunds_states", "UPDATE vipps_refunds SET approved_by = 'lead:kari' WHERE state = 'approved'"),
    ("vipps_refunds_states", "UPDATE vipps_refunds SET ended_by = NULL WHERE state = 'failed'"),
    ("vipps_refunds_credit", "DELETE FROM credit_entries WHERE code = 'vipps_refund'"),
    ("transfers_vipps_refunds", "DELETE FROM transfers WHERE code = 'vipps_refund_paid'"),
    ("transfers_vipps_refunds", "DELETE FROM transfers WHERE code = 'vipps_refund_written_off'"),
)
