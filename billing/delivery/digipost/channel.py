"""Digipost behind the port of channels."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

import structlog

from billing.delivery import pages
from billing.delivery.calling import NoReply, Patience, each
from billing.delivery.digipost import outcomes, reading, writing
from billing.delivery.digipost.signing import KeyFileError, load_key
from billing.delivery.digipost.wire import Wire
from billing.delivery.port import (
    Asked,
    Back,
    Delivered,
    Found,
    Later,
    No,
    NoAnswer,
    Outcome,
    Parcel,
    Reader,
    TakenBack,
    TooLate,
    Unheard,
    Unsure,
    Verdict,
)
from config import rates
from config.clock import business_date
from config.settings import Settings

log = structlog.get_logger(__name__)

NOT_SET_UP = "not_set_up"
EVENTS_PAGE, EVENTS_PAGES = 500, 10
"""How many events are read, and how often, to learn when documents were opened. What lies beyond counts as unopened,
until it is asked for again."""


def from_settings(settings: Settings) -> Digipost:
    """Return the channel as the settings have it. Without an address it reaches nobody; with a key that cannot be
    used nobody is known to be reached or not, which is for a person: the log says what is wrong with the key."""
    if not settings.digipost_url:
        return Digipost(None, settings.seller_name)
    try:
        wire = _wire(
            settings.digipost_url,
            settings.digipost_sender_id,
            Path(settings.digipost_key_file),
            settings.digipost_key_password,
            settings.http_timeout_seconds,
        )
    except KeyFileError as error:
        log.error("digipost_key", error=str(error))
        return Digipost(None, settings.seller_name, without="key_unusable")
    return Digipost(wire, settings.seller_name)


@lru_cache(maxsize=4)
def _wire(url: str, sender: str, key_file: Path, password: str, seconds: int) -> Wire:
    """Return the wire of these settings: one a process, so that its connections and what it knows of Digipost's
    certificate serve one job after the other. Raises KeyFileError, which is not remembered."""
    return Wire(url, sender, load_key(key_file, password), seconds=seconds)


class Digipost:
    """The channel; a `port.Calls`. Without a wire it reaches nobody: ``without`` says why not."""

    name = "digipost"
    batch = 50

    def __init__(
        self,
        wire: Wire | None,
        seller: str,
        *,
        cost_ore: Callable[[dt.date], int] | None = None,
        without: str = NOT_SET_UP,
    ) -> None:
        self._wire, self._without = wire, without
        self._seller = seller
        self._cost = cost_ore or (lambda on: rates.whole("delivery_cost_digipost_ore", on))

    def look_up(self, readers: Sequence[Reader], today: dt.date) -> Mapping[int, Verdict]:
        """See `port.LooksUp`. Whoever cannot be asked for (no national id, no Norwegian address) is not identified."""
        wire, patience = self._wire, Patience()
        if wire is None:
            off: Verdict = No(NOT_SET_UP) if self._without == NOT_SET_UP else Unsure(self._without)
            return {reader.agreement_id: off for reader in readers}

        def one(reader: Reader) -> Verdict:
            question = writing.identification(reader)
            if question is None:
                return No("not_identifiable")
            try:
                return outcomes.verdict(patience.tried(lambda: wire.send("POST", "/identification", body=question)))
            except NoReply as error:
                return Unsure(error.why)

        verdicts = each(readers, one)
        return {reader.agreement_id: verdict for reader, verdict in zip(readers, verdicts, strict=True)}

    def hand_over(self, parcels: Sequence[Parcel]) -> Mapping[int, Outcome]:
        """See `port.Calls`."""
        wire, patience = self._wire, Patience()
        if wire is None:
            return {parcel.delivery_id: Later(self._without, unreachable=True) for parcel in parcels}
        cost = self._cost(business_date(wire.now()))
        ready, others = pages.made(parcels)

        def one(pair: tuple[Parcel, bytes]) -> Outcome:
            parcel, pdf = pair
            body, kind = writing.multipart(parcel, self._seller, pdf)
            try:
                reply = patience.tried(lambda: wire.send("POST", "/messages", body=body, kind=kind))
            except NoReply as error:
                return NoAnswer(error.why) if error.sent else Later(error.why, unreachable=True)
            return outcomes.outcome(reply, parcel.key, cost)

        sent = each(ready, one)
        return others | {pair[0].delivery_id: outcome for pair, outcome in zip(ready, sent, strict=True)}

    def ask(self, asked: Sequence[Asked]) -> Mapping[int, Found]:
        """See `port.Calls`. When something was opened comes from Digipost's events; where it tells only that it was,
        from the moment of asking."""
        wire = self._wire
        if wire is None:
            return {one.delivery_id: NoAnswer(self._without) for one in asked}
        statuses = self._statuses(wire, asked)
        return self._opened(wire, dict(zip((one.delivery_id for one in asked), statuses, strict=True)))

    def take_back(self, asked: Sequence[Asked]) -> Mapping[int, Back]:
        """See `port.Calls`. Digipost has no call for that: only what it never had is taken back."""
        wire = self._wire
        if wire is None:
            return {one.delivery_id: NoAnswer(self._without) for one in asked}
        result: dict[int, Back] = {}
        for one, status in zip(asked, self._statuses(wire, asked), strict=True):
            if isinstance(status, Unheard):
                result[one.delivery_id] = TakenBack()
            elif isinstance(status, NoAnswer):
                result[one.delivery_id] = NoAnswer(status.why)
            else:
                result[one.delivery_id] = TooLate("in_mailbox")
        return result

    def _statuses(self, wire: Wire, asked: Sequence[Asked]) -> list[Found]:
        patience, cost = Patience(), self._cost(business_date(wire.now()))

        def one(this: Asked) -> Found:
            path = f"/documents/{wire.sender}/{quote(this.key, safe='')}/status"
            try:
                return outcomes.found(patience.tried(lambda: wire.send("GET", path)), this.key, cost)
            except NoReply as error:
                return NoAnswer(error.why)

        return each(asked, one)

    def _opened(self, wire: Wire, found: dict[int, Found]) -> dict[int, Found]:
        """Add to what was delivered when it was opened."""
        maybe = {
            delivery: one
            for delivery, one in found.items()
            if isinstance(one, Delivered) and one.proof["read"] is not False
        }
        if not maybe:
            return found
        opened = self._openings(wire, list(maybe.values()))
        for delivery, one in maybe.items():
            at = opened.get(one.ref.lower())
            if at is None and one.proof["read"]:
                at = wire.now()
            found[delivery] = replace(one, opened_at=at)
        return found

    def _openings(self, wire: Wire, delivered: Sequence[Delivered]) -> dict[str, dt.datetime]:
        """Return by document when it was first opened, as far as the events tell; {} where they do not answer."""
        told = [one.proof["delivered_at"] for one in delivered if "delivered_at" in one.proof]
        wanted = {one.ref.lower() for one in delivered}
        opened: dict[str, dt.datetime] = {}
        try:
            path = wire.entry().paths.get("document_events")
            if path is None or not told:
                return {}
            for page in range(EVENTS_PAGES):
                query = _events_query(min(told), wire.now(), page * EVENTS_PAGE)
                reply = wire.send("GET", path, query=query)
                events = reading.events(reply.body) if reply.status == 200 else []
                for event in events:
                    if event.kind == "OPENED" and event.document in wanted:
                        opened[event.document] = min(event.at, opened.get(event.document, event.at))
                if len(events) < EVENTS_PAGE or len(opened) == len(wanted):
                    break
        except (NoReply, reading.Garbled) as error:
            log.warning("digipost_events", error=str(error))
        return opened


def _events_query(since: str, now: dt.datetime, offset: int) -> str:
    """Return the parameters of a page of events, as Digipost's own client writes them."""
    first = dt.datetime.fromisoformat(since) - dt.timedelta(minutes=1)
    times = {"from": first, "to": now + dt.timedelta(minutes=1)}
    shown = [f"{name}={quote(at.isoformat(timespec='milliseconds'), safe='')}" for name, at in times.items()]
    return "&".join([*shown, f"offset={offset}", f"maxResults={EVENTS_PAGE}"])
