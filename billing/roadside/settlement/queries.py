"""Reads of settlements, orders and claims."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger
from billing.roadside.settlement.agree import replaced
from billing.roadside.settlement.models import (
    ChargerClaim,
    ChargerOrder,
    ClaimDifference,
    Settlement,
    SettlementLine,
)
from config.problems import NotFound

OURS = ("made_by", "released_by", "agreed_by", "ended_by", "note", "why")
"""Names of our people and what they noted: null where a charger asks."""


@dataclass(frozen=True)
class Claimed:
    """A charger's claim, and whether a later one has taken its place: then what it differs by counts no more."""

    row: ChargerClaim
    replaced: bool


@dataclass(frozen=True)
class Shown:
    """A settlement with its charger's code and name, lines by project, orders (the last first), and claims for any of
    its days."""

    row: Settlement
    code: str
    name: str
    lines: Sequence[SettlementLine]
    orders: Sequence[ChargerOrder]
    claims: Sequence[Claimed]

    def as_dict(self, *, to_charger: bool = False) -> dict[str, Any]:
        """Return it as the API shows it; a charger is not told who of ours did what, nor what they noted."""
        names = (
            "id", "period_from", "period_to", "cutoff_at", "state", "accepted_count", "accepted_ore", "reversed_count",
            "reversed_ore", "claim_ore", "remuneration_bp", "remuneration_ore", "remuneration_vat_ore", "brought_ore",
            "payout_ore", "made_at", "made_by", "agreed_at", "agreed_by", "note",
        )  # fmt: skip
        said = {name: getattr(self.row, name) for name in names} | {
            "charger": self.code,
            "lines": [line_dict(line) for line in self.lines],
            "orders": [order_dict(one, to_charger=to_charger) for one in self.orders],
        }
        return without(said, OURS) if to_charger else said


def line_dict(line: SettlementLine) -> dict[str, Any]:
    """Return a line as it is shown."""
    names = ("project", "accepted_count", "accepted_ore", "reversed_count", "reversed_ore", "net_ore")
    return {name: getattr(line, name) for name in names}


def without(said: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return what is shown, with null for what has one of these names."""
    return said | {name: None for name in names if name in said}


def order_dict(order: ChargerOrder, *, to_charger: bool = False) -> dict[str, Any]:
    """Return an order as it is shown: to ours, or to its charger."""
    names = (
        "id", "settlement_id", "end_to_end_id", "amount_ore", "creditor_name", "account", "execute_on", "state",
        "made_at", "made_by", "released_at", "released_by", "written_at", "reference", "paid_on", "ended_at", "why",
    )  # fmt: skip
    digest = None if order.sha256 is None else order.sha256.hex()
    said = {name: getattr(order, name) for name in names} | {"sha256": digest}
    return without(said, OURS) if to_charger else said


def settlements(code: str | None = None) -> Select[Settlement]:
    """Return a query of settlements, of one charger or all, for keyset pages by Settlement.id."""
    query = select(Settlement)
    if code is not None:
        query = query.where(Settlement.charger_id == select(Charger.id).where(Charger.code == code).scalar_subquery())
    return query


def shown(session: Session, rows: Iterable[Settlement]) -> list[Shown]:
    """Return settlements with what belongs to them, in their order; a page at a time."""
    wanted = list(rows)
    ids, owners = [row.id for row in wanted], {row.charger_id for row in wanted}
    chargers = {one.id: one for one in session.scalars(select(Charger).where(Charger.id.in_(owners)))}
    lines = session.scalars(
        select(SettlementLine).where(SettlementLine.settlement_id.in_(ids)).order_by(SettlementLine.project)
    ).all()
    orders = session.scalars(
        select(ChargerOrder).where(ChargerOrder.settlement_id.in_(ids)).order_by(ChargerOrder.id.desc())
    ).all()
    claims = session.execute(
        select(ChargerClaim, replaced()).where(ChargerClaim.charger_id.in_(owners)).order_by(ChargerClaim.id)
    ).all()
    return [
        Shown(
            row,
            chargers[row.charger_id].code,
            chargers[row.charger_id].name,
            [line for line in lines if line.settlement_id == row.id],
            [one for one in orders if one.settlement_id == row.id],
            [
                Claimed(one, later)
                for one, later in claims
                if one.charger_id == row.charger_id
                and one.period_from <= row.period_to
                and one.period_to >= row.period_from
            ],
        )
        for row in wanted
    ]


def one(session: Session, settlement_id: int, code: str | None = None) -> Shown:
    """Return a settlement, of charger ``code`` only where that is given. Raises NotFound."""
    row = session.scalar(settlements(code).where(Settlement.id == settlement_id))
    if row is None:
        raise NotFound("There is no such settlement.")
    return shown(session, [row])[0]


def one_order(session: Session, order_id: int) -> ChargerOrder:
    """Return a payment order. Raises NotFound."""
    row = session.get(ChargerOrder, order_id, populate_existing=True)
    if row is None:
        raise NotFound("There is no such payment order.")
    return row


def claim(session: Session, code: str, number: str) -> ChargerClaim:
    """Return a charger's claim by its number. Raises NotFound."""
    row = session.scalar(
        select(ChargerClaim)
        .join(Charger, Charger.id == ChargerClaim.charger_id)
        .where(Charger.code == code, ChargerClaim.number == number)
    )
    if row is None:
        raise NotFound("There is no such claim.")
    return row


def differences(claim_id: int, kind: str | None = None) -> Select[ClaimDifference]:
    """Return a query of a claim's differences, for keyset pages by ClaimDifference.number."""
    query = select(ClaimDifference).where(ClaimDifference.claim_id == claim_id)
    return query if kind is None else query.where(ClaimDifference.kind == kind)
