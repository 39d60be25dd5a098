"""Of the audit's world: what is settled with its charger."""

from __future__ import annotations

from accounts.chargers.models import Charger
from billing.payments.pain001 import Debtor
from billing.roadside.settlement.agree import agree
from billing.roadside.settlement.claim import ChargerClaim, ClaimLine, check_claim
from billing.roadside.settlement.order import order, paid, release
from billing.roadside.settlement.rules import Period
from billing.roadside.settlement.settle import settle
from tests.integration.billing.books import DAY, DUE, ISSUED, JANUARY, OURS, Books, noon

NOW = noon(DUE + 4 * DAY)


def settle_with_charger(books: Books) -> None:
    """January is settled with the charger, whose claim differs, and paid; some days of February are agreed to; of two
    days on which nothing came nothing is left."""
    session, charger = books.session, books.session.get_one(Charger, books.charger)
    charger.bank_account = "15030054323"
    january = Period(JANUARY.date(), ISSUED.date() - DAY)
    lines = iter([ClaimLine("t1", None, 10_000), ClaimLine("x9", None, 700)])
    claim = ChargerClaim("1", january.first, january.last, "NOK", lines, b"1")
    check_claim(session, charger, claim, NOW, actor="charger:FJELL")
    (row,) = settle(session, {charger.id: january}, now=NOW, actor="accountant:kari")
    agree(session, row.id, note="as agreed", actor="accountant:kari", now=NOW)
    made = order(session, row.id, actor="accountant:kari", now=NOW)
    release(session, made.id, debtor=Debtor("Brikke Eksempel AS", OURS), actor="lead:ola", now=NOW)
    made.state, made.written_at = "written", NOW
    session.flush()
    paid(session, made.id, reference="R1", paid_on=NOW.date(), actor="accountant:kari", now=NOW)
    tenth = ISSUED.date() + 9 * DAY
    for period in (Period(ISSUED.date(), tenth - DAY), Period(tenth, tenth + DAY)):
        (row,) = settle(session, {charger.id: period}, now=NOW, actor="accountant:kari")
        agree(session, row.id, note=None, actor="accountant:kari", now=NOW)
    assert row.state == "carried"
