"""Stripe's HTTP: who asks, which call, idempotency, faults, and the answer with its headers."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from werkzeug.wrappers import Request

from simulator.gateway import account, checkout, disputes, payments, refunds, setups
from simulator.gateway.errors import ApiError, invalid
from simulator.gateway.faults import Fault
from simulator.gateway.forms import BadForm, decode
from simulator.gateway.keys import Keys, Stored, fingerprint
from simulator.gateway.objects import Call
from simulator.gateway.world import API_VERSION, World

MAX_BODY = 256 * 1024
Handler = Callable[[Call], tuple[int, dict[str, Any]]]


@dataclass
class ApiAnswer:
    """What goes back: status, JSON, headers."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


class CutOff(Exception):
    """No answer: hold the connection so long, then cut it."""

    def __init__(self, hold_seconds: float) -> None:
        super().__init__(f"cut after {hold_seconds} s")
        self.hold_seconds = hold_seconds


@dataclass(frozen=True)
class _Route:
    method: str
    pattern: re.Pattern[str]
    on: str  # which faults mean this call
    handler: Handler
    allowed: frozenset[str]


def _route(method: str, path: str, on: str, handler: Handler, allowed: set[str] | None = None) -> _Route:
    pattern = re.compile("/v1/" + path.replace("{id}", r"(?P<id>[A-Za-z0-9_]+)"))
    return _Route(method, pattern, on, handler, frozenset(allowed or {"expand"}))


_ROUTES = [
    _route("POST", "payment_intents", "charge", payments.create, payments.CREATE),
    _route("GET", "payment_intents", "read", payments.list_, payments.LIST),
    _route("GET", "payment_intents/{id}", "read", payments.retrieve),
    _route("POST", "payment_intents/{id}/cancel", "charge", payments.cancel, {"expand", "cancellation_reason"}),
    _route("POST", "refunds", "refund", refunds.create, refunds.CREATE),
    _route("GET", "refunds", "read", refunds.list_, refunds.LIST),
    _route("GET", "refunds/{id}", "read", refunds.retrieve),
    _route("GET", "disputes", "read", disputes.list_, disputes.LIST),
    _route("GET", "disputes/{id}", "read", disputes.retrieve),
    _route("GET", "balance", "read", account.balance),
    _route("GET", "balance_transactions", "read", account.list_, account.LIST),
    _route("GET", "payouts", "read", account.list_payouts, account.PAYOUTS),
    _route("GET", "payouts/{id}", "read", account.retrieve_payout),
    _route("POST", "customers", "customer", setups.create_customer, setups.CUSTOMER),
    _route("GET", "customers/{id}", "read", setups.retrieve_customer),
    _route("POST", "checkout/sessions", "setup", setups.create_session, setups.SESSION),
    _route("GET", "checkout/sessions", "read", checkout.list_, checkout.LIST),
    _route("GET", "checkout/sessions/{id}", "read", setups.retrieve_session),
    _route("POST", "checkout/sessions/{id}/expire", "setup", checkout.expire),
    _route("GET", "setup_intents/{id}", "read", setups.retrieve_setup_intent),
    _route("GET", "payment_methods/{id}", "read", setups.retrieve_method),
    _route("POST", "payment_methods/{id}/detach", "setup", setups.detach_method),
]


class Api:
    """The calls under /v1."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.keys = Keys(world)

    def answer(self, request: Request) -> ApiAnswer:
        """Answer one call. Raises `CutOff` when the caller shall get nothing."""
        request_id = f"req_{secrets.token_hex(7)}"
        headers = {"Request-Id": request_id, "Stripe-Version": request.headers.get("Stripe-Version", API_VERSION)}
        key = request.headers.get("Idempotency-Key", "") if request.method == "POST" else ""
        if key:
            headers["Idempotency-Key"] = key
        try:
            status, body = self._work(request, key, request_id, headers)
        except ApiError as error:
            status, body = error.status, error.body
        return ApiAnswer(status, body, headers)

    def _work(self, request: Request, key: str, request_id: str, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        _authorise(request)
        route, number = _find(request)
        params = _params(request, route)
        call = Call(self._world, params, number, request_id)
        customer = self._customer(call)
        self._turn_away(route, customer, headers)
        if not key:
            return self._perform(route, call, customer, None, "")
        print_ = fingerprint(request.path, params)
        stored = self.keys.begin(key, print_)
        if stored is not None:
            headers |= {"Idempotent-Replayed": "true", "Original-Request": stored.request_id}
            return stored.status, stored.body
        try:
            return self._perform(route, call, customer, key, print_)
        finally:
            self.keys.end(key)

    def _turn_away(self, route: _Route, customer: str | None, headers: dict[str, str]) -> None:
        fault = self._world.faults.take("rate_limit", on=route.on, customer=customer)
        if fault is None:
            return
        if fault.retry_after is not None:
            headers["Retry-After"] = str(fault.retry_after)
        raise ApiError(429, "invalid_request_error", "Too many requests. Try again later.", code="rate_limit")

    def _perform(
        self, route: _Route, call: Call, customer: str | None, key: str | None, print_: str
    ) -> tuple[int, dict[str, Any]]:
        """Do the work and store its answer in one transaction, with what shall go wrong before and after."""
        faults, store = self._world.faults, self._world.store
        cut = faults.take("timeout", on=route.on, customer=customer, when="before")
        if cut is not None:
            raise CutOff(cut.hold_seconds)
        if self._world.latency_ms:
            time.sleep(self._world.latency_ms / 1000)
        broken = faults.take("error", on=route.on, customer=customer, when="before")
        with store.transaction():
            status, body = _failure(broken) if broken is not None else route.handler(call)
            told = status, body
            if broken is None:
                broken_after = faults.take("error", on=route.on, customer=customer, when="after")
                if broken_after is not None:
                    told = _failure(broken_after)
                    status, body = told if broken_after.stored else (status, body)
            if key is not None and (broken is None or broken.stored):
                self.keys.keep(key, print_, Stored(status, body, call.request_id))
        cut = faults.take("timeout", on=route.on, customer=customer, when="after")
        if cut is not None:
            raise CutOff(cut.hold_seconds)
        return told

    def _customer(self, call: Call) -> str | None:
        """Whose call it is, for faults of one customer."""
        given = call.params.get("customer")
        if given is None:
            about = call.params.get("payment_intent") or call.id
            kind = {"pi": "payment_intent", "pm": "payment_method"}.get(str(about).split("_", maxsplit=1)[0], "")
            given = (self._world.store.get(kind, about) or {}).get("customer")
        return given if isinstance(given, str) else None


def _failure(fault: Fault) -> tuple[int, dict[str, Any]]:
    return fault.status, {"error": {"type": "api_error", "message": "An unknown error occurred."}}


def _authorise(request: Request) -> None:
    given = request.authorization
    key = "" if given is None else (given.token or given.username or "")
    if not key.startswith(("sk_", "rk_")):
        raise ApiError(401, "invalid_request_error", "Invalid API Key provided.")


def _find(request: Request) -> tuple[_Route, str]:
    for route in _ROUTES:
        found = route.pattern.fullmatch(request.path)
        if found is not None and route.method == request.method:
            return route, found.groupdict().get("id", "")
    raise invalid(f"Unrecognized request URL ({request.method}: {request.path}).", status=404)


def _params(request: Request, route: _Route) -> dict[str, Any]:
    if (request.content_length or 0) > MAX_BODY:
        raise invalid("Request body too large.", status=413)
    text = request.get_data(as_text=True) if request.method == "POST" else request.query_string.decode("latin-1")
    try:
        params = decode(text)
    except (BadForm, UnicodeDecodeError) as error:
        raise invalid(f"Invalid request: {error}") from error
    if "payment_method_types" in params:
        raise invalid(
            "payment_method_types is no longer supported in this API version.",
            code="payment_method_types_no_longer_supported",
            param="payment_method_types",
        )
    for name in params:
        if name not in route.allowed:
            raise invalid(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)
    return params
