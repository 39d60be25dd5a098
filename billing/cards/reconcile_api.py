"""Card clearing against the card provider's account of us, over HTTP."""

from __future__ import annotations

from typing import Any

from flask.views import MethodView

from accounts.access.guard import require
from billing.cards.reconcile import compare, figures
from config import http, metrics
from config.clock import now_utc

READERS = ("lead", "accountant")
"""Who sees it, here as on the page *Kortoppgjør*."""

blp = http.Blueprint(
    "card_reconciliation",
    __name__,
    url_prefix="/v1",
    description="Whether our card clearing and the card provider's account of us agree.",
)

if figures not in metrics.ALSO:
    metrics.ALSO.append(figures)


class CardDifferenceSchema(http.Schema):
    """One thing that differs."""

    word = http.choice(
        "missing_there: we have it, they do not; missing_here: the other way round; amount: of other sums; "
        "payout_lines: a payout's lines do not add up to it; payout_refused: they do not say what is in it.",
        ("missing_there", "missing_here", "amount", "payout_lines", "payout_refused"),
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
    balance_ore = http.ore(
        "The balance as the provider told it at the end of the last read; null: it did not, or lines kept coming.",
        61300,
        allow_none=True,
    )
    balance_lines_ore = http.ore(
        "What the lines that had been read at that moment add up to; null: the account was never read.",
        61300,
        allow_none=True,
    )
    balance_differs = http.flag("Those two differ.", False)
    to_bank_ore = http.ore("Paid out and not arrived.", 20000)
    differing_ore = http.ore("The sum of the differences of payments, refunds, disputes and payouts.", 0)
    young_ore = http.ore("What is too young to be on both sides: it happened after the last read, or just before.", 0)
    rest_ore = http.ore("What nothing explains: the ledger itself is wrong.", 0)
    count = http.whole("How many differences there are.", 0)
    read_at = http.instant("When the last read of the account began, in real time; null: never.", allow_none=True)
    differences = http.many(CardDifferenceSchema, "The differences, oldest first; at most 200 of a sort.")


@blp.route("/card-reconciliation")
class CardReconciliation(MethodView):
    """Card clearing and the provider's account."""

    @require(*READERS)
    @blp.response(200, CardReconciliationSchema)
    def get(self) -> dict[str, Any]:
        """Compare card clearing with the provider's account as it was read last, and with the balance it told then.

        200 also when something differs: see `ok`. The account is read daily (job `card_account`), and by `brikke cards
        reconcile`; the provider is not asked now. What changed here after that read is `young_ore` until the next.
        """
        return compare(http.current_sessions(), real=now_utc()).as_dict()
