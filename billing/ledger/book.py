"""Book transfers: the one way into the books."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing.ledger.models import VOUCHERS, Transfer
from config.database import touched

KINDS = frozenset(
    {
        "unbilled",
        "receivable",
        "credit",
        "agency",
        "payable",
        "bank",
        "card_clearing",
        "vipps_clearing",
        "suspense",
        "refunds",
        "fee_income",
        "interest",
        "card_fees",
        "card_costs",
        "card_reserves",
        "disputes",
        "remuneration",
        "write_off",
        "vat",
    }
)
OWNED = frozenset({"receivable", "credit", "agency", "payable"})


@dataclass(frozen=True)
class Account:
    """An account of the ledger: its kind, and the agreement or charger id it belongs to (0 for the house's own)."""

    kind: str
    owner: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS or (self.owner != 0) != (self.kind in OWNED):
            raise ValueError(f"no such account: {self.kind}/{self.owner}")


@dataclass(frozen=True)
class Entry:
    """One transfer to be: ``amount_ore`` > 0 from ``credit`` to ``debit``; (code, ref, part) says what for."""

    debit: Account
    credit: Account
    amount_ore: int
    code: str
    ref: int
    part: str = ""


def book(session: Session, entries: Sequence[Entry], *, booked_on: dt.date, now: dt.datetime) -> int:
    """Book the entries of one event under one voucher and return its number.

    An entry whose (code, ref, part) is in the books already is left alone. Raises ValueError for an amount
    that is not positive.
    """
    if any(entry.amount_ore <= 0 for entry in entries):
        raise ValueError("a transfer moves more than 0 øre; turn the accounts round instead")
    voucher: int = session.execute(VOUCHERS.next_value().select()).scalar_one()
    if not entries:
        return voucher
    rows = [
        {
            "debit": entry.debit.kind,
            "debit_owner": entry.debit.owner,
            "credit": entry.credit.kind,
            "credit_owner": entry.credit.owner,
            "amount_ore": entry.amount_ore,
            "code": entry.code,
            "ref": entry.ref,
            "part": entry.part,
            "voucher": voucher,
            "booked_on": booked_on,
            "created_at": now,
        }
        for entry in entries
    ]
    session.execute(insert(Transfer).on_conflict_do_nothing(index_elements=["code", "ref", "part"]), rows)
    return voucher


def book_query(session: Session, query: str, params: Mapping[str, Any], *, booked_on: dt.date, now: dt.datetime) -> int:
    """Book what a query yields, set-based, each row its own event, and return how many were booked.

    ``query`` is SQL of ours that yields (debit, debit_owner, credit, credit_owner, amount_ore, code, ref,
    part); rows of 0 øre are skipped, as are those in the books already.
    """
    result = session.execute(
        text(
            "INSERT INTO transfers (debit, debit_owner, credit, credit_owner, amount_ore, code, ref, part, "  # noqa: S608 - code, no input
            "voucher, booked_on, created_at) "
            "SELECT q.debit, q.debit_owner, q.credit, q.credit_owner, q.amount_ore, q.code, q.ref, q.part, "
            f"nextval('vouchers'), :booked_on, :booked_at FROM ({query}) AS q "
            "WHERE q.amount_ore <> 0 ON CONFLICT (code, ref, part) DO NOTHING"
        ),
        {**params, "booked_on": booked_on, "booked_at": now},
    )
    return touched(result)
