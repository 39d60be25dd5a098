"""e-Boks behind the port of channels."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from urllib.parse import quote

import httpx

from billing.delivery import calling, pages
from billing.delivery.calling import NoReply, Patience, Reply, each
from billing.delivery.eboks import protocol
from billing.delivery.eboks.tokens import Tokens
from billing.delivery.port import (
    Asked,
    Back,
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
from config import rates
from config.clock import business_date, now_utc
from config.settings import Settings


class Line:
    """The distributor's API at one address. Used by many threads at once."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        seconds: float,
        token_url: str = "",
        client_id: str = "",
        scope: str = "",
        client: httpx.Client | None = None,
    ) -> None:
        self._url, self._seconds = url.rstrip("/"), seconds
        self._client = client or calling.client(seconds)
        self._tokens = Tokens(self._client, key, url=token_url, client_id=client_id, scope=scope, seconds=seconds)

    def send(self, method: str, path: str, body: bytes = b"") -> Reply:
        """Send a request, once more with another token where one had come to its end. Raises NoReply."""
        bearer = self._tokens.bearer()
        reply = self._send(method, path, body, bearer)
        if reply.status == 401 and self._tokens.renewable:
            self._tokens.refused(bearer)
            reply = self._send(method, path, body, self._tokens.bearer())
        return reply

    def _send(self, method: str, path: str, body: bytes, bearer: str) -> Reply:
        headers = {"Accept": "application/json", "Authorization": f"Bearer {bearer}", "User-Agent": "Brikke"}
        if body:
            headers["Content-Type"] = "application/json"
        return calling.call(
            self._client, method, f"{self._url}{path}", headers=headers, body=body, seconds=self._seconds
        )


def from_settings(settings: Settings) -> Eboks:
    """Return the channel as the settings have it, not set up when they have no address for it."""
    if not settings.eboks_url:
        return Eboks(None, settings.seller_name)
    line = _line(
        settings.eboks_url,
        settings.eboks_key,
        settings.http_timeout_seconds,
        settings.eboks_token_url,
        settings.eboks_client_id,
        settings.eboks_scope,
    )
    return Eboks(line, settings.seller_name)


@lru_cache(maxsize=4)
def _line(url: str, key: str, seconds: int, token_url: str, client_id: str, scope: str) -> Line:
    """Return the line of these settings: one a process, so that its connections and token serve one job after the
    other."""
    return Line(url, key, seconds=seconds, token_url=token_url, client_id=client_id, scope=scope)


class Eboks:
    """The channel; a `port.Calls`. Without a line it is not set up and reaches nobody."""

    name = "eboks"
    batch = 50

    def __init__(self, line: Line | None, seller: str, *, cost_ore: Callable[[dt.date], int] | None = None) -> None:
        self._line = line
        self._seller = seller
        self._cost = cost_ore or (lambda on: rates.whole("delivery_cost_eboks_ore", on))

    def look_up(self, readers: Sequence[Reader], today: dt.date) -> Mapping[int, Verdict]:
        """See `port.LooksUp`. Asked for by the hundred."""
        line, patience = self._line, Patience()
        if line is None:
            return {one.agreement_id: No("not_set_up") for one in readers}
        result: dict[int, Verdict] = {one.agreement_id: No("not_identifiable") for one in readers}
        asked = [one for one in readers if protocol.identifiable(one)]
        step = protocol.LOOKED_UP_AT_ONCE

        def some(these: Sequence[Reader]) -> dict[int, Verdict]:
            try:
                reply = patience.tried(lambda: line.send("POST", "/recipients", protocol.question(these)))
            except NoReply as error:
                return {one.agreement_id: Unsure(error.why) for one in these}
            return protocol.verdicts(reply, these)

        for verdicts in each([asked[at : at + step] for at in range(0, len(asked), step)], some):
            result |= verdicts
        return result

    def hand_over(self, parcels: Sequence[Parcel]) -> Mapping[int, Outcome]:
        """See `port.Calls`."""
        line, patience = self._line, Patience()
        if line is None:
            return {one.delivery_id: Later("not_set_up", unreachable=True) for one in parcels}
        cost = self._today_cost()
        ready, others = pages.made(parcels)

        def one(pair: tuple[Parcel, bytes]) -> Outcome:
            parcel, pdf = pair
            body = protocol.message(parcel, self._seller, pdf)
            try:
                reply = patience.tried(lambda: line.send("PUT", _path(parcel.key), body))
            except NoReply as error:
                return NoAnswer(error.why) if error.sent else Later(error.why, unreachable=True)
            return protocol.outcome(reply, parcel.key, cost)

        sent = each(ready, one)
        return others | {pair[0].delivery_id: outcome for pair, outcome in zip(ready, sent, strict=True)}

    def ask(self, asked: Sequence[Asked]) -> Mapping[int, Found]:
        """See `port.Calls`."""
        line, patience = self._line, Patience()
        if line is None:
            return {one.delivery_id: NoAnswer("not_set_up") for one in asked}
        cost = self._today_cost()

        def one(this: Asked) -> Found:
            try:
                return protocol.found(patience.tried(lambda: line.send("GET", _path(this.key))), this.key, cost)
            except NoReply as error:
                return NoAnswer(error.why)

        return dict(zip((this.delivery_id for this in asked), each(asked, one), strict=True))

    def take_back(self, asked: Sequence[Asked]) -> Mapping[int, Back]:
        """See `port.Calls`. What was opened or paid stands."""
        line, patience = self._line, Patience()
        if line is None:
            return {one.delivery_id: NoAnswer("not_set_up") for one in asked}

        def one(this: Asked) -> Back:
            try:
                return protocol.back(patience.tried(lambda: line.send("DELETE", _path(this.key))))
            except NoReply as error:
                return NoAnswer(error.why) if error.sent else Later(error.why, unreachable=True)

        return dict(zip((this.delivery_id for this in asked), each(asked, one), strict=True))

    def _today_cost(self) -> int:
        return self._cost(business_date(now_utc()))


def _path(key: str) -> str:
    return f"/messages/{quote(key, safe='')}"
