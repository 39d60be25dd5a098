"""Stripe's account of us: balance transactions, the payouts they go into, and what the balance is.

A charge's line names the charge (ch_…), which we do not keep: it is read with the line, and the payment (pi_…) is what
it is about. Lines in other currencies than NOK are none of ours and are left out, by Stripe itself or here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import stripe
from stripe.params import BalanceTransactionListParams, PayoutListParams

from billing.cards.gateway_account import LineKind, PayoutState, ProviderLine, ProviderPayout
from billing.cards.stripe.ask import ask

_PAGE = 100
_SOURCE = "data.source"
_KINDS: Mapping[str, LineKind] = {
    "charge": "payment",
    "payment": "payment",
    "refund": "refund",
    "refund_failure": "refund",
    "payment_refund": "refund",
    "payment_failure_refund": "refund",
    "payment_reversal": "refund",
    "payout": "payout",
    "payout_cancel": "payout",
    "payout_failure": "payout",
    "topup": "topup",
    "topup_reversal": "topup",
    "reserve_hold": "reserve",
    "reserve_release": "reserve",
    "reserve_transaction": "reserve",
    "reserved_funds": "reserve",
    "payment_network_reserve_hold": "reserve",
    "payment_network_reserve_release": "reserve",
    "payout_minimum_balance_hold": "reserve",
    "payout_minimum_balance_release": "reserve",
}
"""https://docs.stripe.com/reports/balance-transaction-types; a dispute's lines are of type adjustment."""
_KEPT = "risk_reserved"
"""The balance of what Stripe keeps back. Its lines are the other side of those in our own, which `balance` is about."""
_STATES: Mapping[str, PayoutState] = {
    "pending": "pending",
    "in_transit": "in_transit",
    "paid": "paid",
    "failed": "failed",
    "canceled": "canceled",
}


def transactions(client: stripe.StripeClient, since: datetime, until: datetime | None) -> list[ProviderLine]:
    """See `CardGateway.transactions`."""
    params: BalanceTransactionListParams = {"currency": "nok", "limit": _PAGE, "expand": [_SOURCE]}
    first = int(since.timestamp())
    params["created"] = {"gte": first} if until is None else {"gte": first, "lt": int(until.timestamp())}
    return _lines(client, params)


def transactions_of(client: stripe.StripeClient, payout: str) -> list[ProviderLine]:
    """See `CardGateway.transactions_of`."""
    return _lines(client, {"payout": payout, "limit": _PAGE, "expand": [_SOURCE]})


def payouts(client: stripe.StripeClient, since: datetime) -> list[ProviderPayout]:
    """See `CardGateway.payouts`."""
    params: PayoutListParams = {"created": {"gte": int(since.timestamp())}, "limit": _PAGE}
    found = ask(lambda: [one.to_dict() for one in client.v1.payouts.list(params).auto_paging_iter()])
    return [_payout(one) for one in found if one.get("currency") == "nok"]


def balance(client: stripe.StripeClient) -> int:
    """See `CardGateway.balance`."""
    found = ask(client.v1.balance.retrieve).to_dict()
    parts = [*(found.get("available") or []), *(found.get("pending") or [])]
    return sum(int(part["amount"]) for part in parts if part.get("currency") == "nok")


def _lines(client: stripe.StripeClient, params: BalanceTransactionListParams) -> list[ProviderLine]:
    page = ask(lambda: [one.to_dict() for one in client.v1.balance_transactions.list(params).auto_paging_iter()])
    return [_line(one) for one in page if one.get("currency") == "nok" and one.get("balance_type") != _KEPT]


def _line(line: Mapping[str, Any]) -> ProviderLine:
    source = line.get("source")
    about = _id(source)
    if isinstance(source, Mapping) and source.get("object") == "charge":
        about = _id(source.get("payment_intent")) or about
    kind = _KINDS.get(str(line["type"]), "other")
    if kind == "other" and _is_dispute(line, source):
        kind = "dispute"
    return ProviderLine(
        ref=str(line["id"]),
        kind=kind,
        word=str(line["type"]),
        amount_ore=int(line["amount"]),
        fee_ore=int(line["fee"]),
        source=about,
        at=datetime.fromtimestamp(int(line["created"]), tz=UTC),
    )


def _is_dispute(line: Mapping[str, Any], source: Any) -> bool:
    about = _id(source) or ""
    return about.startswith(("dp_", "du_")) or str(line.get("reporting_category", "")).startswith("dispute")


def _id(source: Any) -> str | None:
    """Return the id of a thing that is expanded or not."""
    found = source.get("id") if isinstance(source, Mapping) else source
    return str(found) if found else None


def _payout(payout: Mapping[str, Any]) -> ProviderPayout:
    return ProviderPayout(
        ref=str(payout["id"]),
        amount_ore=int(payout["amount"]),
        state=_STATES[str(payout["status"])],
        arrives_on=datetime.fromtimestamp(int(payout["arrival_date"]), tz=UTC).date(),
        made_at=datetime.fromtimestamp(int(payout["created"]), tz=UTC),
        automatic=payout.get("automatic") is not False,
    )
