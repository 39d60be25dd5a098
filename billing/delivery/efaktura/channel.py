"""eFaktura as a channel: looks readers up in the banks' hub, hands invoices over to it, asks, takes back.

Vipps shows eFakturas for those who chose so: it is the same channel by another name, so that what is shown there is
recorded as such.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import structlog

from billing.delivery.efaktura import page, rules
from billing.delivery.efaktura.halves import in_halves
from billing.delivery.efaktura.hub import MAX_KEYS, MAX_TRANSACTIONS, Hub, Key, KeyAnswer, Told, Transaction
from billing.delivery.efaktura.soap import Account, HubError, NoReply, NotReached, Turned
from billing.delivery.port import (
    Asked,
    Back,
    Form,
    Found,
    Later,
    No,
    NoAnswer,
    Outcome,
    Parcel,
    Reader,
    Unsure,
    Verdict,
)
from config.clock import business_date, now_utc
from config.rates import whole
from config.settings import Settings

MAX_PDF_BYTES = 4 * 1024 * 1024
"""A larger page is not sent along: the bank opens it at its address."""
MAX_SHIPMENT_BYTES = 16 * 1024 * 1024
"""Of the pages in a shipment; what is more goes in the next one."""
NOT_SET_UP = "not_set_up"
NOT_TRIED = "not_tried"
"""It was another one's turn, and the hub did not answer."""

_log = structlog.get_logger(__name__)
_Item = tuple[Parcel, Transaction]


def from_settings(settings: Settings, name: Literal["efaktura", "vipps"] = "efaktura") -> Efaktura:
    """Return the channel as it is set up; without EFAKTURA_URL it reaches nobody."""
    account = Account(
        url=settings.efaktura_url,
        user=settings.efaktura_user,
        password=settings.efaktura_password,
        issuer=settings.efaktura_issuer,
        seconds=settings.efaktura_timeout_seconds,
    )
    return Efaktura(
        Hub(account) if settings.efaktura_url else None,
        name=name,
        address=lambda document_id, form: page.address(settings, document_id, form, now_utc()),
        cost=lambda: whole(f"delivery_cost_{name}_ore", business_date(now_utc())),
    )


class Efaktura:
    """A ``port.Calls``. ``hub``: None where the channel is off. ``address`` makes the address of a document's page
    in a form, ``cost`` the øre of one delivery today. Safe to share between threads."""

    batch = MAX_TRANSACTIONS

    def __init__(
        self, hub: Hub | None, *, name: str, address: Callable[[int, Form], str], cost: Callable[[], int] = lambda: 0
    ) -> None:
        self.name = name
        self._hub = hub
        self._address = address
        self._cost = cost

    def look_up(self, readers: Sequence[Reader], today: dt.date) -> Mapping[int, Verdict]:
        """See ``LooksUp``. A reader whose key settles nothing is looked up by the next one, all of them together."""
        if self._hub is None:
            return {reader.agreement_id: No(NOT_SET_UP) for reader in readers}
        verdicts: dict[int, Verdict] = {reader.agreement_id: No("no_key") for reader in readers}
        waiting = {reader.agreement_id: ways for reader in readers if (ways := rules.ways(reader))}
        while waiting:
            answers = self._answers({agreement: ways[0] for agreement, ways in waiting.items()}, self._hub)
            further = {}
            for agreement, (way, *others) in waiting.items():
                answer = answers[agreement]
                if isinstance(answer, Unsure):
                    verdicts[agreement] = answer
                elif others and not rules.settles(way.name, answer):
                    further[agreement] = others
                else:
                    verdicts[agreement] = rules.verdict(way.name, answer)
            waiting = further
        return verdicts

    def _answers(self, ways: Mapping[int, rules.Way], hub: Hub) -> dict[int, KeyAnswer | Unsure]:
        """Ask the hub for one key of each agreement."""
        # The key's id is its place in the call: the hub learns no number of ours by it.
        keys = [(agreement, Key(str(place), way.fields)) for place, (agreement, way) in enumerate(ways.items(), 1)]
        answers: dict[int, KeyAnswer | Unsure] = {}
        for part, told in in_halves(keys, MAX_KEYS, lambda part: hub.identifiers([key for _, key in part])):
            if isinstance(told, HubError):
                self._failed("look_up", told, len(part))
            for agreement, key in part:
                answers[agreement] = (
                    Unsure(told.why) if isinstance(told, HubError) else told.get(key.id) or Unsure("not_mentioned")
                )
        return answers

    def hand_over(self, parcels: Sequence[Parcel]) -> Mapping[int, Outcome]:
        """See ``Calls``. One that cannot be shown, or whose page cannot be made, does not hold up the others."""
        if self._hub is None:
            return {parcel.delivery_id: Later(NOT_SET_UP, unreachable=True) for parcel in parcels}
        outcomes: dict[int, Outcome] = {}
        fit = []
        for parcel in parcels:
            refused = rules.unfit(parcel)
            if refused is None:
                fit.append(parcel)
            else:
                outcomes[parcel.delivery_id] = refused
        for shipment in self._shipments(fit, outcomes):
            if not self._ship(shipment, outcomes, self._hub):
                break
        for parcel in fit:
            outcomes.setdefault(parcel.delivery_id, Later(NOT_TRIED, unreachable=True))
        return outcomes

    def _shipments(self, parcels: Sequence[Parcel], outcomes: dict[int, Outcome]) -> Iterator[list[_Item]]:
        """Yield what goes in one call, its pages made just before: no more of them are held at once."""
        items: list[_Item] = []
        size = 0
        for parcel in parcels:
            try:
                pdf = parcel.pdf()
            except Exception as error:  # whatever it is, it is this page's only
                _log.error("efaktura_page_failed", delivery=parcel.delivery_id, error=type(error).__name__)
                outcomes[parcel.delivery_id] = Later("no_page")
                continue
            sent = pdf if len(pdf) <= MAX_PDF_BYTES else None
            if items and (len(items) == MAX_TRANSACTIONS or size + len(sent or b"") > MAX_SHIPMENT_BYTES):
                yield items
                items, size = [], 0
            items.append((parcel, rules.transaction(parcel, self._address(parcel.bill.document_id, parcel.form), sent)))
            size += len(sent or b"")
        if items:
            yield items

    def _ship(self, items: Sequence[_Item], outcomes: dict[int, Outcome], hub: Hub) -> bool:
        """Hand one shipment over; say whether the hub answers, so that the next one is worth a call."""
        answers = True
        for part, told in in_halves(items, MAX_TRANSACTIONS, lambda part: _add(hub, [one for _, one in part])):
            if isinstance(told, HubError):
                self._failed("hand_over", told, len(part))
                answers = answers and _answered(told)
                for parcel, _one in part:
                    outcomes[parcel.delivery_id] = _not_taken(told, alone=len(part) == 1)
                continue
            shipment, said = told
            cost = self._cost()
            for parcel, one in part:
                outcomes[parcel.delivery_id] = rules.taken(said.get(one.id), shipment, cost)
        return answers

    def ask(self, asked: Sequence[Asked]) -> Mapping[int, Found]:
        """See ``Calls``: by key, so that it also finds what was handed over without an answer."""
        if self._hub is None:
            return {one.delivery_id: NoAnswer(NOT_SET_UP) for one in asked}
        hub, cost = self._hub, self._cost()
        outcomes: dict[int, Found] = {}
        for part, told in in_halves(asked, MAX_TRANSACTIONS, lambda part: hub.transactions([one.key for one in part])):
            if isinstance(told, HubError):
                self._failed("ask", told, len(part))
            for one in part:
                outcomes[one.delivery_id] = (
                    NoAnswer(told.why)
                    if isinstance(told, HubError)
                    else rules.found(told.get(one.key), one.ref or one.key, cost)
                )
        return outcomes

    def take_back(self, asked: Sequence[Asked]) -> Mapping[int, Back]:
        """See ``Calls``. The hub takes them one by one."""
        if self._hub is None:
            return {one.delivery_id: Later(NOT_SET_UP, unreachable=True) for one in asked}
        outcomes: dict[int, Back] = {one.delivery_id: Later(NOT_TRIED, unreachable=True) for one in asked}
        for one in asked:
            try:
                outcomes[one.delivery_id] = rules.back(*self._hub.cancel(one.key))
            except HubError as error:
                self._failed("take_back", error, 1)
                outcomes[one.delivery_id] = (
                    NoAnswer(error.why) if isinstance(error, NoReply) else Later(error.why, not _answered(error))
                )
                if not _answered(error):
                    break
        return outcomes

    def _failed(self, what: str, error: HubError, count: int) -> None:
        _log.warning("efaktura_call_failed", channel=self.name, call=what, why=error.why, count=count)


def _add(hub: Hub, transactions: Sequence[Transaction]) -> tuple[str, dict[str, Told]]:
    """Hand transactions over; return the shipment and what came of each.

    A shipment's id is new with each call. One that was taken before is this very call, heard twice on its way: the hub
    is asked what it made of it. The same goes for a call refused because of transactions taken before.
    """
    shipment = str(uuid.uuid4())
    try:
        return shipment, hub.add(shipment, transactions)
    except HubError as error:
        if error.code not in rules.DUPLICATE:
            raise
        try:
            if error.code == rules.DUPLICATE_SHIPMENT:
                return shipment, hub.shipment(shipment)
            return shipment, hub.transactions([one.id for one in transactions])
        except HubError as silent:
            raise NoReply(silent.why, error.code) from None


def _answered(error: HubError) -> bool:
    """Say whether another call may do better than this one."""
    return isinstance(error, Turned) and not error.account


def _not_taken(error: HubError, *, alone: bool) -> Outcome:
    """Return what came of a transaction in a call that had no answer. ``alone``: the call was of nothing else, so that
    what the hub refuses for good is this one."""
    if isinstance(error, NotReached | Turned):
        if alone and error.code in rules.REFUSALS:
            return rules.refusal(error.code)
        return Later(error.why, unreachable=not _answered(error))
    return NoAnswer(error.why)
