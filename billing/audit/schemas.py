"""The HTTP shape of the audit."""

from __future__ import annotations

from config import http


class AuditCheckSchema(http.Schema):
    """A rule and what was found."""

    name = http.text("The rule's name.", "ledger_receivable")
    ok = http.flag("Whether it holds.")
    detail = http.text(
        "What holds, or the first difference.", "an agreement's receivable is what is open of its claims"
    )
    differences = http.list_of(
        http.text("A difference.", "agreement 7, account receivable: ledger 100 øre, detail 90 øre"),
        "The differences, at most twenty; empty when it holds.",
        [],
    )


class AuditSchema(http.Schema):
    """Whether the books, the passages, the claims, the documents and the payments agree."""

    ok = http.flag("Whether everything agrees.")
    at = http.instant("The business time it was judged at.")
    first_difference = http.text("The first difference; null when there is none.", "balances: …", allow_none=True)
    accounts = http.mapping(
        "What stands on each kind of account in the ledger: øre, debit less credit.", {"receivable": 16450}
    )
    checks = http.many(AuditCheckSchema, "Every check.")
