"""The hub's five calls, typed: what is sent as it is to be, what is answered as it can be relied on.

Lists that come back may be in any order, and hold the same thing twice. What is said of one id in two ways that differ
is not known, and is left out, as what was not said.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, TypeVar

from billing.delivery.efaktura import soap

MAX_KEYS = 1000
MAX_TRANSACTIONS = 1000

KeyResult = Literal["UNIQUE_FOUND", "NOT_FOUND", "KEY_LACKS_DATA", "SEVERAL_FOUND"]
Status = Literal["IN_PROGRESS", "ACCEPTED", "REJECTED", "STOPPED", "CANCELLED"]
CancelResult = Literal["CANCELLED", "TOO_LATE", "UNKNOWN"]
Answered = TypeVar("Answered")


@dataclass(frozen=True, slots=True)
class Key:
    """What a consumer is looked up by: fields of the schema's Key. ``id`` is ours, for this call only."""

    id: str
    fields: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyAnswer:
    """What the hub says of a key. The flags are of the consumer it names: yes to all, an agreement with us, and whether
    they have blocked us."""

    result: KeyResult
    identifier: str | None = None
    auto_accept: bool = False
    agreement: bool = False
    blocked: bool = False


@dataclass(frozen=True, slots=True)
class Transaction:
    """One invoice to one consumer. Øre; Oslo dates; ``kid`` may be missing, and is then refused by the hub."""

    id: str
    identifier: str
    payment_type: Literal["EFAKTURA", "EFAKTURA_AND_AVTALEGIRO"]
    document_type: Literal["INVOICE", "REMINDER", "COLLECTION_NOTICE"]
    number: int
    issued_on: dt.date
    due_on: dt.date
    amount_ore: int
    kid: str | None
    account: str
    url: str
    pdf: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class State:
    """How far a transaction has come; ``reason`` is the hub's words."""

    status: Status
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why the hub did not take a transaction."""

    code: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class NeverHeard:
    """The hub has no such transaction."""


Told = State | Fault | NeverHeard


@dataclass(frozen=True, slots=True)
class Hub:
    """The hub as an account of ours sees it. Every call raises ``soap.HubError``."""

    account: soap.Account

    def identifiers(self, keys: Sequence[Key]) -> dict[str, KeyAnswer]:
        """Look consumers up, at most MAX_KEYS; return by the key's id what was said of it."""
        assert 0 < len(keys) <= MAX_KEYS
        sent = [{"keyId": key.id, **key.fields} for key in keys]
        answer = soap.call(self.account, "getEfakturaIdentifiers", key=sent)
        return _by_id(answer["answer"], "keyId", _key_answer, {key.id for key in keys})

    def add(self, shipment: str, transactions: Sequence[Transaction]) -> dict[str, Told]:
        """Hand a shipment over, at most MAX_TRANSACTIONS; return by transaction what came of it."""
        assert 0 < len(transactions) <= MAX_TRANSACTIONS
        sent = [_written(transaction) for transaction in transactions]
        answer = soap.call(self.account, "addShipment", shipmentId=shipment, transaction=sent)
        if answer["shipmentId"] != shipment:
            raise soap.NoReply("another_shipment")
        return _by_id(answer["result"], "transactionId", _told, {one.id for one in transactions})

    def shipment(self, shipment: str) -> dict[str, Told]:
        """Return what has become of a shipment's transactions."""
        answer = soap.call(self.account, "getShipmentStatus", shipmentId=shipment)
        if answer["shipmentId"] != shipment:
            raise soap.NoReply("another_shipment")
        return _by_id(answer["result"], "transactionId", _told, None)

    def transactions(self, ids: Sequence[str]) -> dict[str, Told]:
        """Return what has become of transactions, at most MAX_TRANSACTIONS."""
        assert 0 < len(ids) <= MAX_TRANSACTIONS
        answer = soap.call(self.account, "getTransactionStatus", transactionId=list(ids))
        return _by_id(answer["result"], "transactionId", _told, set(ids))

    def cancel(self, transaction: str) -> tuple[CancelResult, str]:
        """Take a transaction back; return what came of it and, where it was too late, why."""
        answer = soap.call(self.account, "cancelTransaction", transactionId=transaction)
        if answer["transactionId"] != transaction:
            raise soap.NoReply("another_transaction")
        return answer["result"], answer["reason"] or ""


def _by_id(
    rows: Iterable[Mapping[str, Any]] | None,
    name: str,
    read: Callable[[Mapping[str, Any]], Answered],
    asked: set[str] | None,
) -> dict[str, Answered]:
    """Return answers by id: of those that were asked for (None: of all), and of which one thing only was said."""
    found: dict[str, Answered] = {}
    contradicted = set()
    for row in rows or ():
        key, value = row[name], read(row)
        if found.setdefault(key, value) != value:
            contradicted.add(key)
    return {key: value for key, value in found.items() if key not in contradicted and (asked is None or key in asked)}


def _key_answer(row: Mapping[str, Any]) -> KeyAnswer:
    return KeyAnswer(
        result=row["result"],
        identifier=row["efakturaIdentifier"],
        auto_accept=row["autoAccept"] is True,
        agreement=row["agreement"] is True,
        blocked=row["issuerBlocked"] is True,
    )


def _told(row: Mapping[str, Any]) -> Told:
    if row["state"] is not None:
        return State(row["state"]["status"], row["state"]["reason"] or "")
    if row["error"] is not None:
        return Fault(int(row["error"]["code"]), row["error"]["text"] or "")
    if row["unknown"] is True:
        return NeverHeard()
    raise soap.NoReply("wrong_schema")  # unknown=false, with nothing beside it: it says nothing


def _written(transaction: Transaction) -> dict[str, Any]:
    assert transaction.amount_ore > 0
    return {
        "transactionId": transaction.id,
        "efakturaIdentifier": transaction.identifier,
        "paymentType": transaction.payment_type,
        "documentType": transaction.document_type,
        "invoiceNumber": str(transaction.number),
        "issueDate": transaction.issued_on,
        "dueDate": transaction.due_on,
        "amount": Decimal(transaction.amount_ore).scaleb(-2),
        "kid": transaction.kid,
        "account": transaction.account,
        "presentationUrl": transaction.url,
        "pdf": transaction.pdf,
    }
