"""Card clearing against the card provider's account of us, over HTTP."""

from __future__ import annotations

from typing import Any

from flask.views import MethodView

from accounts.access.guard import require
from billing.cards.provider import gateway_of
from billing.cards.reconcile import balance_of, reconcile
from config import http
from config.clock import now_utc

blp = http.Blueprint(
    "card_reconciliation",
    __name__,
    url_prefix="/v1",
    description="Whether our card clearing and the card provider's account of us agree.",
)


class CardDifferenceSchema(http.Schema):
    """One thing that differs."""

    word = http.choice(
        "missing_there: we have it, they do not; missing_here: the other way round; amount: of other sums; "
        "payout_lines: a payout's lines do not add up to it.",
        ("missing_there", "missing_here", "amount", "payout_lines"),
    )
    kind = http.choice("What it is.", ("payment", "refund", "dispute", "payout"))
    ref = http.text("The provider's id of it.", "pi_3Qx", allow_none=True)
    ours_ore = http.ore("What card clearing changed by for it.", 20000)
    theirs_ore = http.ore("What our balance at the provider changed by for it.", 0)
    at = http.instant("When it was, in real time.")
    charge_id = http.whole("Our charge, where there is one.", 12, allow_none=True)
    agreement = http.agreement_number("Its agreement, where there is one.", allow_none=True)


class CardReconciliationSchema(http.Schema):
    """How card clearing and the provider's balance stand: clearing = read + to_bank + differing + young + rest."""

    ok = http.flag("Nothing differs.", True)
    clearing_ore = http.ore("Card clearing in our ledger.", 81300)
    read_ore = http.ore("Our balance at the provider by the lines of its account that we have read.", 61300)
    balance_ore = http.ore("The balance as the provider itself tells it; null: no answer.", 61300, allow_none=True)
    to_bank_ore = http.ore("Paid out and not arrived.", 20000)
    differing_ore = http.ore("The sum of the differences of payments, refunds, disputes and payouts.", 0)
    young_ore = http.ore("What is too young to be on both sides.", 0)
    rest_ore = http.ore("What nothing explains: the ledger itself is wrong.", 0)
    count = http.whole("How many differences there are.", 0)
    read_at = http.instant("When the provider's account was read last, in real time.", allow_none=True)
    differences = http.many(CardDifferenceSchema, "The differences, oldest first; at most 200 of a sort.")


@blp.route("/card-reconciliation")
class CardReconciliation(MethodView):
    """Card clearing and the provider's account."""

    @require("accountant")
    @blp.response(200, CardReconciliationSchema)
    def get(self) -> dict[str, Any]:
        """Compare card clearing with the provider's account as it was read last, and with its balance now.

        200 also when something differs: see `ok`. Lines that were made after the last read (daily, job `card_account`)
        are in `balance_ore` and not in `read_ore`.
        """
        balance_ore = balance_of(gateway_of(http.current_settings()))
        with http.current_sessions()() as session:  # its own: what was asked is no part of any transaction
            return reconcile(session, real=now_utc(), balance_ore=balance_ore).as_dict()
