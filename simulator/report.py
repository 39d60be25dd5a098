"""What a played quarter came to, gathered through the API, and written so that somebody wants to read it."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from simulator import mailbox
from simulator.client import Json
from simulator.stage import Stage
from simulator.tale import Tale, kroner

WIDTH = 100


@dataclass
class Figures:
    """Sums over every agreement, in øre, and counts."""

    agreements: int = 0
    standings: Counter[str] = field(default_factory=Counter)
    documents: Counter[str] = field(default_factory=Counter)
    billed_ore: int = 0
    credited_ore: int = 0
    receipts_ore: int = 0
    open_ore: int = 0
    claimed_ore: int = 0
    accounts: dict[str, int] = field(default_factory=dict)
    card_ore: int = 0
    card_payments: int = 0
    bank_ore: int = 0
    gateway_ore: int = 0
    gateway_payments: int = 0
    fees_ore: int = 0
    mails: Counter[str] = field(default_factory=Counter)

    def differences(self) -> list[str]:
        """Return what does not agree between others' books and ours; empty when all does."""
        found = []
        if (self.card_ore, self.card_payments) != (self.gateway_ore, self.gateway_payments):
            found.append(
                f"cards: we say {self.card_payments} payments, {kroner(self.card_ore)}; "
                f"the gateway says {self.gateway_payments}, {kroner(self.gateway_ore)}"
            )
        # What the gateway has paid out is on its way, or arrived: the two accounts together do not say when.
        for accounts, told, who in (
            (("card_clearing", "bank"), self.gateway_ore - self.fees_ore + self.bank_ore, "gateway and bank"),
            (("card_costs",), self.fees_ore, "the gateway's fees are"),
            (("receivable",), self.open_ore + self.claimed_ore, "open invoices and claims on cards make"),
        ):
            ours = sum(self.accounts.get(account, 0) for account in accounts)
            if ours != told:
                found.append(f"{' + '.join(accounts)}: the ledger has {kroner(ours)}, {who} {kroner(told)}")
        return found


def gather(stage: Stage, proven: Json, *, threads: int = 4) -> Figures:
    """Read every agreement, its documents and its charges, and add them up; `proven` is the audit's answer."""
    figures = Figures(accounts=proven["accounts"], bank_ore=stage.bank.sent["ore"])
    with ThreadPoolExecutor(threads) as pool:
        for agreement, documents, charges in pool.map(lambda one: _read(stage, one), list(stage.persons)):
            _add(figures, agreement, documents, charges)
    books = stage.cards.books()
    figures.gateway_ore, figures.gateway_payments = books["net_ore"], books["count"]
    figures.fees_ore = books["fees_ore"]
    figures.mails = mailbox.count(stage.ground.mail)
    return figures


def _read(stage: Stage, number: int) -> tuple[Json, list[Json], list[Json]]:
    charges = stage.charges(number) if number in stage.with_card else []
    return stage.agreement(number), stage.invoices(number), charges


def _add(figures: Figures, agreement: Json, documents: Sequence[Json], charges: Sequence[Json]) -> None:
    figures.agreements += 1
    figures.standings[agreement["standing"]] += 1
    for document in documents:
        figures.open_ore += document["open_ore"]
        if document["kind"] == "credit_note":
            figures.documents["credit notes"] += 1
            figures.credited_ore -= document["total_ore"]
            continue
        receipt = document["due_on"] is None
        figures.documents["receipts" if receipt else "invoices"] += 1
        if receipt:
            figures.receipts_ore += document["total_ore"]
        else:
            figures.billed_ore += document["total_ore"]
    for charge in charges:
        figures.claimed_ore += charge["amount_ore"] if charge["state"] == "claimed" else 0
        for attempt in charge["attempts"]:
            if attempt["state"] == "succeeded":
                figures.card_ore += attempt["amount_ore"]
                figures.card_payments += 1


def text(
    stage: Stage, tales: Sequence[Tale], figures: Figures, audit: Json, *, first: dt.date, last: dt.date, seconds: float
) -> str:
    """Return the whole report."""
    parts = [_head(f"{figures.agreements} agreements, {first} to {last}, in {seconds:.0f} s")]
    parts += [_tale(tale) for tale in tales]
    parts += [_head("On the road"), _table(_road(stage))]
    parts += [_head("Money"), _table(_money(stage, figures))]
    parts += [_head("Agreements and e-mail")]
    parts += [
        _table([(name, f"{count:,}") for name, count in [*figures.standings.items(), *sorted(figures.mails.items())]])
    ]
    parts += [_head("The books"), _books(figures, audit)]
    return "\n".join(parts)


def _head(title: str) -> str:
    return f"\n{title}\n{'─' * min(len(title), WIDTH)}"


def _tale(tale: Tale) -> str:
    mark = "✗" if tale.failure else "✓"
    lines = [f"  {mark} {tale.name} ({tale.checked} checks)" if tale.checked else f"  {mark} {tale.name}"]
    lines += [f"      {line}" for line in tale.lines]
    if tale.failure:
        lines.append(f"      BROKEN: {tale.failure}")
    return "\n".join(lines)


def _table(rows: Sequence[tuple[str, Any]]) -> str:
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join(f"  {name:<{width}}  {value:>16}" for name, value in rows)


def _road(stage: Stage) -> list[tuple[str, str]]:
    total = sum(stage.answers.values())
    return [("records sent", f"{total:,}"), *((code, f"{count:,}") for code, count in stage.answers.most_common())]


def _money(stage: Stage, figures: Figures) -> list[tuple[str, str]]:
    return [
        (f"invoiced ({figures.documents['invoices']:,} invoices)", kroner(figures.billed_ore)),
        (f"credited ({figures.documents['credit notes']:,} credit notes)", kroner(figures.credited_ore)),
        (f"on card receipts ({figures.documents['receipts']:,})", kroner(figures.receipts_ore)),
        (f"paid by card ({figures.card_payments:,} payments)", kroner(figures.card_ore)),
        (f"paid by bank ({stage.bank.sent['payments']:,} payments in {stage.bank.sent['files']} files)",
         kroner(figures.bank_ore)),
        ("open on invoices", kroner(figures.open_ore)),
        ("in suspense", kroner(-figures.accounts.get("suspense", 0))),
        ("credit we owe customers", kroner(-figures.accounts.get("credit", 0))),
        ("driven and not billed yet", kroner(figures.accounts.get("unbilled", 0))),
        ("written off", kroner(figures.accounts.get("write_off", 0))),
        ("owed to chargers", kroner(-figures.accounts.get("payable", 0))),
    ]  # fmt: skip


def _books(figures: Figures, audit: Json) -> str:
    checks = audit["checks"]
    lines = [f"  audit: {sum(1 for check in checks if check['ok'])} of {len(checks)} rules hold"]
    lines += [f"  WRONG {check['name']}: {check['detail']}" for check in checks if not check["ok"]]
    lines += [f"  WRONG {difference}" for difference in figures.differences()]
    if not figures.differences():
        lines.append(
            f"  the gateway's books are ours: {figures.gateway_payments:,} payments, {kroner(figures.gateway_ore)}"
        )
    return "\n".join(lines)
