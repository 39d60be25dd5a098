"""Why an agreement stands as it does, and what to do about it: what an agent says on the telephone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from accounts.agreements.models import Agreement
from accounts.agreements.queries import Story
from billing.claims.queries import OpenClaim
from billing.delivery.desk import Told
from web.words import account, day, kroner, t

FEW = 4
"""So many claims are named one by one; of more, the sum."""


@dataclass(frozen=True)
class Do:
    """One thing to do: a sentence, and perhaps the page it is done on (a payment, a mail)."""

    text: str
    payment_id: int | None = None
    delivery_id: int | None = None


@dataclass(frozen=True)
class Advice:
    """How it stands (good, warn, bad), why, and what to do now."""

    tone: str
    why: str
    todo: Sequence[Do] = field(default_factory=list)


@dataclass(frozen=True)
class Facts:
    """What advice is made of. ``overdue``, ``open`` and ``on_card`` as My Page has them; ``candidates``: payments in
    suspense of just such a sum; ``undelivered``: messages that did not reach the holder."""

    agreement: Agreement
    story: Story
    overdue: Sequence[OpenClaim]
    open: Sequence[OpenClaim]
    on_card: Sequence[OpenClaim]
    candidates: Sequence[Mapping[str, Any]]
    undelivered: Sequence[Told]
    account: str
    now: dt.datetime


def advise(facts: Facts) -> Advice:
    """Return why an agreement stands as it does, and what to do."""
    standing = facts.agreement.standing
    if standing == "blocked":
        return Advice("bad", _blocked(facts), [*_collect(facts), *_beside(facts)])
    if standing == "awaiting_reopen":
        return Advice("warn", _awaiting(facts), _beside(facts, only_mail=True))
    if standing == "closed":
        return Advice("", _closed(facts), [*_collect(facts, ending=False), *_beside(facts)])
    if facts.overdue:
        return Advice("warn", _late(facts), [*_collect(facts, ending=False), *_beside(facts)])
    return Advice("good", _open(facts), _beside(facts))


def unpaid(claim: OpenClaim) -> str:
    """Say of a claim past due what it is and what is not paid."""
    if claim.due_on is None:
        return t("{sum} trekkes på kortet", "{sum} is being charged to the card", sum=kroner(claim.open_ore))
    number = claim.number or "–"
    if claim.open_ore < claim.amount_ore:
        return t(
            "faktura {number} på {sum} forfalt {due}, og {open} av den er ikke betalt",
            "invoice {number} of {sum} was due on {due}, and {open} of it is not paid",
            number=number, sum=kroner(claim.amount_ore), due=day(claim.due_on), open=kroner(claim.open_ore),
        )  # fmt: skip
    return t(
        "faktura {number} på {sum} forfalt {due} og er ikke betalt",
        "invoice {number} of {sum} was due on {due} and is not paid",
        number=number, sum=kroner(claim.amount_ore), due=day(claim.due_on),
    )  # fmt: skip


def _joined(claims: Sequence[OpenClaim]) -> str:
    if len(claims) > FEW:
        return t(
            "{count} fakturaer på til sammen {sum} er forfalt og ikke betalt",
            "{count} invoices of {sum} altogether are overdue and not paid",
            count=len(claims), sum=kroner(sum(one.open_ore for one in claims)),
        )  # fmt: skip
    return "; ".join(unpaid(one) for one in claims)


def _blocked(facts: Facts) -> str:
    block = facts.story.active_block
    when = day(block.at) if block else ""
    if not facts.overdue:
        return t("Sperret {when}.", "Blocked on {when}.", when=when)
    return t("Sperret {when}: {claims}.", "Blocked on {when}: {claims}.", when=when, claims=_joined(facts.overdue))


def _awaiting(facts: Facts) -> str:
    block, paid = facts.story.active_block, facts.story.changes[-1].at
    return t(
        "Sperret {when}. Alt som var forfalt, er betalt siden {paid}; avtalen er stengt til kunden har snakket med "
        "oss.",
        "Blocked on {when}. All that was due is paid since {paid}; it stays closed to traffic until the customer has "
        "talked to us.",
        when=day(block.at) if block else "–",
        paid=day(paid),
    )


def _closed(facts: Facts) -> str:
    ended = facts.agreement.closed_at
    text = t("Avsluttet {when}.", "Closed on {when}.", when=day(ended) if ended else "–")
    if facts.overdue:
        text += " " + t("Ikke betalt: {claims}.", "Not paid: {claims}.", claims=_joined(facts.overdue))
    return text


def _late(facts: Facts) -> str:
    return t(
        "Åpen, men {claims}. Avtalen sperres når bankens fil for forfallsdagen er lest, om pengene ikke er i den.",
        "Open, but {claims}. It is blocked when the bank's file for the due date has been read, unless the money is "
        "in it.",
        claims=_joined(facts.overdue),
    )


def _open(facts: Facts) -> str:
    last = facts.story.changes[-1]
    since = {
        "reopened": t("Åpen, gjenåpnet {when}.", "Open, reopened on {when}.", when=day(last.at)),
        "paid_in_time": t(
            "Åpen. Sperringen ble opphevet {when}: betalingen viste seg å være i tide.",
            "Open. The block was undone on {when}: the payment turned out to be in time.", when=day(last.at),
        ),
    }.get(last.reason, t("Åpen siden {when}.", "Open since {when}.", when=day(last.at)))  # fmt: skip
    return since + " " + t("Ingenting er forfalt.", "Nothing is overdue.")


def pay(claim: OpenClaim, account_no: str) -> str:
    """Say what to ask the customer to pay, and how."""
    return t(
        "Be kunden betale {sum} med KID {kid} til konto {account}.",
        "Ask the customer to pay {sum} with KID {kid} to account {account}.",
        sum=kroner(claim.open_ore), kid=claim.kid or "–", account=account(account_no),
    )  # fmt: skip


def _collect(facts: Facts, *, ending: bool = True) -> list[Do]:
    """Return what to do about money that is past due; first whether it has come already, without an owner."""
    found = [
        Do(
            t(
                "En innbetaling på {sum} {when} har ingen eier. Er det denne kundens? Plasser den.",
                "A payment of {sum} on {when} has no owner. Is it this customer's? Place it.",
                sum=kroner(one["amount_ore"]), when=day(one["value_date"]),
            ),
            payment_id=one["id"],
        )
        for one in facts.candidates
    ]  # fmt: skip
    if len(facts.overdue) > FEW:
        found.append(
            Do(t("Be kunden betale fakturaene under, én betaling for hver KID.",
                 "Ask the customer to pay the invoices below, one payment for each KID."))
        )  # fmt: skip
    else:
        found += [Do(pay(claim, facts.account)) for claim in facts.overdue]
    if ending:
        found.append(
            Do(
                t(
                    "Si at pengene vanligvis er her neste virkedag, og at kunden må ta kontakt igjen da: avtalen åpnes "
                    "ikke av seg selv.",
                    "Say that the money is usually here the next working day, and to contact us again then: the "
                    "agreement does not open by itself.",
                )
            )
        )
    return found


def _beside(facts: Facts, *, only_mail: bool = False) -> list[Do]:
    """Return what else wants doing: mail that did not arrive."""
    found = [
        Do(
            t(
                "E-post til {address} kom ikke fram. Spør om adressen er riktig.",
                "Mail to {address} did not arrive. Ask whether the address is right.",
                address=one.recipient or "–",
            ),
            delivery_id=one.delivery_id,
        )
        for one in facts.undelivered[:1]
    ]
    if not only_mail and facts.on_card:
        found.append(
            Do(t("Et trekk på kortet er i gang. Vent på svar; det trekkes aldri to ganger.",
                 "A charge on the card is under way. Wait for the outcome; it is never charged twice."))
        )  # fmt: skip
    return found
