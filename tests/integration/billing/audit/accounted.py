"""The card provider's account of us in the audit's books: a fee, lines of its own, what we moved there and what it
keeps, payouts paid, failed, under way."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import text

from billing.cards.account import keep, keep_payout, take_in
from billing.cards.gateway_account import LineKind, PayoutState, ProviderLine, ProviderPayout
from tests.integration.billing.books import Books


def accounted(books: Books, now: dt.datetime) -> None:
    """Keep an account of some lines and three payouts, as read twice."""
    session = books.session
    inside = [_line("txn_1", "payment", 20_450, 466, "pi_1", now), _line("txn_2", "stripe_fee", -5_000, 0, None, now)]
    lines = [*inside, _line("txn_3", "adjustment", 700, 0, None, now), _line("po_1", "payout", -14_984, 0, "po_1", now)]
    lines += [_line("txn_4", "topup", 2_000, 10, None, now), _line("txn_5", "topup", -300, 0, None, now)]
    lines += [_line("txn_6", "reserve", -900, 0, None, now), _line("txn_7", "reserve", 400, 0, None, now)]
    for _ in range(2):
        keep(session, lines, now=now, real=now)
    _payout(books, "po_1", 14_984, "paid", now)
    payout = books.one("SELECT id FROM card_payouts WHERE provider_ref = 'po_1'")
    take_in(session, payout, inside, now=now, real=now)
    for state in ("paid", "failed"):
        _payout(books, "po_2", 300, state, now)
    _payout(books, "po_3", 200, "in_transit", now)
    _page(books, now)
    session.flush()


def _page(books: Books, now: dt.datetime) -> None:
    """A page on which a charge could have been paid, and was not."""
    attempt = books.one(
        "INSERT INTO attempts (charge_id, number, kind, card_id, amount_ore, fee_ore, state, idempotency_key, "
        "started_at, called_at, asked_at, ended_at) SELECT charge_id, 9, 'on_session', card_id, amount_ore, fee_ore, "
        "'nothing', 'page', :now, :now, :now, :now FROM attempts WHERE provider_ref = 'pi_1' RETURNING id",
        now=now,
    )
    books.session.execute(
        text(
            "INSERT INTO card_sessions (attempt_id, return_url, started_at, expires_at) "
            "VALUES (:attempt, 'http://localhost', :now, :now)"
        ),
        {"attempt": attempt, "now": now},
    )


def _line(ref: str, word: str, amount: int, fee: int, source: str | None, at: dt.datetime) -> ProviderLine:
    kinds: dict[str, LineKind] = {
        "payment": "payment", "payout": "payout", "topup": "topup", "reserve": "reserve",
    }  # fmt: skip
    return ProviderLine(ref, kinds.get(word, "other"), word, amount, fee, source, at)


def _payout(books: Books, ref: str, amount: int, state: PayoutState, now: dt.datetime) -> None:
    told = ProviderPayout(ref, amount, state, now.date(), now)
    keep_payout(books.session, told, now=now, real=now)
