"""References that are not constraints: what points to what, and is it there?

Hot tables carry no foreign keys (three cost 38 % of ingest), and rooms do not constrain rooms above or beside them.
"""

from __future__ import annotations

from billing.audit.rules import Rule

# (table, column, what names the row, table pointed to)
_REFERENCES = (
    ("passages", "agreement_id", "id", "agreements"),
    ("passages", "charger_id", "id", "chargers"),
    ("passages", "batch_id", "id", "batches"),
    ("passages", "registration_id", "id", "registrations"),
    ("records", "charger_id", "source_id", "chargers"),
    ("records", "batch_id", "source_id", "batches"),
    ("batch_faults", "batch_id", "position", "batches"),
    ("balances", "agreement_id", "agreement_id", "agreements"),
    ("charger_claim_lines", "claim_id", "line", "charger_claims"),
    ("charger_claim_differences", "claim_id", "number", "charger_claims"),
    ("balances", "open_charge_id", "agreement_id", "charges"),
    ("allocations", "agreement_id", "id", "agreements"),
    ("document_lines", "document_id", "line", "documents"),
    ("renderings", "document_id", "document_id", "documents"),
    ("payments", "agreement_id", "id", "agreements"),
    ("payments", "claim_id", "id", "claims"),
    ("payments", "reverses_id", "id", "payments"),
    ("publications", "agreement_id", "id", "agreements"),
    ("publications", "registration_id", "id", "registrations"),
    ("publications", "tag_id", "id", "tags"),
    ("messages", "agreement_id", "id", "agreements"),
    ("messages", "document_id", "id", "documents"),
    ("deliveries", "agreement_id", "id", "agreements"),
    ("removals", "agreement_id", "id", "agreements"),
    ("card_customers", "agreement_id", "agreement_id", "agreements"),
)


def _rule(table: str, column: str, name: str, target: str) -> Rule:
    return Rule(
        f"{table}_{column}",
        f"{table}.{column} names a row of {target}",
        f"SELECT format('{table} %s: {column} %s is not there', t.{name}, t.{column}) "  # noqa: S608 - no input in it
        f"FROM {table} AS t LEFT JOIN {target} AS o ON o.id = t.{column} WHERE t.{column} IS NOT NULL AND o.id IS NULL "
        f"ORDER BY t.{column}",
    )


RULES = tuple(_rule(*reference) for reference in _REFERENCES)
