"""Our client against the stand-in: its answers, and every failure."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from billing.payments.vipps.client import VippsClient, VippsRefused, VippsUnavailable
from simulator.vipps import VippsServer
from tests.integration.billing.payments.vipps.payer import our_client

REFERENCE = "brikke-100000001-abcdef"
BACK = "http://127.0.0.1:1/back"


@pytest.fixture
def client(vipps: VippsServer) -> VippsClient:
    """Ours."""
    return our_client(vipps, timeout_seconds=0.4)


def make(client: VippsClient, reference: str = REFERENCE, ore: int = 5_000, key: str = "k") -> str:
    return client.create(reference, amount_ore=ore, key=key, return_url=BACK, description="Faktura 100000001")


def test_a_payment_from_beginning_to_end(client: VippsClient, vipps: VippsServer) -> None:
    url = make(client)
    made = client.get(REFERENCE)
    assert made is not None
    assert (made.state, made.amount_ore, made.authorized_ore, made.url) == ("CREATED", 5_000, 0, url)
    vipps.do(REFERENCE, "approve")
    assert client.capture(REFERENCE, amount_ore=3_000, key="c").captured_ore == 3_000
    assert client.cancel(REFERENCE, key="x").cancelled_ore == 2_000
    assert client.refund(REFERENCE, amount_ore=500, key="r").refunded_ore == 500
    assert client.refund(REFERENCE, amount_ore=500, key="r").refunded_ore == 500
    seen = client.get(REFERENCE)
    assert seen is not None
    assert (seen.state, seen.authorized_ore, seen.captured_ore, seen.refunded_ore) == ("AUTHORIZED", 5_000, 3_000, 500)
    assert vipps.world.calls.count("token") == 1


def test_what_is_not_there_is_none(client: VippsClient) -> None:
    assert client.get("brikke-nothing") is None


def test_the_same_key_is_the_same_payment_another_is_refused(client: VippsClient, vipps: VippsServer) -> None:
    assert make(client) == make(client)
    with pytest.raises(VippsRefused) as taken:
        make(client, key="other")
    assert taken.value.status == 409
    assert len(vipps.books()["payments"]) == 1


@pytest.mark.parametrize("call", ["capture", "refund", "cancel"])
def test_what_cannot_be_is_refused_in_words(client: VippsClient, vipps: VippsServer, call: str) -> None:
    make(client)
    if call == "cancel":
        vipps.do(REFERENCE, "abort")
    sums = {} if call == "cancel" else {"amount_ore": 1}
    with pytest.raises(VippsRefused) as refused:
        getattr(client, call)(REFERENCE, key="a", **sums)
    assert refused.value.status == 400
    assert refused.value.code.startswith("Not possible")


@pytest.mark.parametrize(
    ("kind", "fields", "answered"),
    [
        ("error", {"status": 500}, True),
        ("error", {"status": 503, "when": "before"}, True),
        ("rate_limit", {}, True),
        ("garbage", {}, True),
        ("refuse", {"status": 403}, True),
        ("timeout", {"hold_seconds": 1}, False),
        ("timeout", {"hold_seconds": 1, "when": "before"}, False),
        ("timeout", {"hold_seconds": 0, "when": "before"}, False),
    ],
)
@pytest.mark.parametrize("call", ["create", "get", "capture", "token"])
def test_an_answer_that_says_nothing_is_none(
    client: VippsClient, vipps: VippsServer, kind: str, fields: dict[str, object], answered: bool, call: str
) -> None:
    if call == "capture":
        make(client)
        vipps.do(REFERENCE, "approve")
    if call == "get":
        make(client)
    calls: dict[str, Callable[[], object]] = {
        "capture": lambda: client.capture(REFERENCE, amount_ore=5_000, key="c"),
        "get": lambda: client.get(REFERENCE),
    }
    vipps.fault(kind, on=call, **fields)
    with pytest.raises(VippsUnavailable) as silent:
        calls.get(call, lambda: make(client))()
    assert silent.value.answered is answered


def test_a_token_that_is_withdrawn_is_asked_for_anew(client: VippsClient, vipps: VippsServer) -> None:
    make(client)
    vipps.world.tokens.clear()
    assert client.get(REFERENCE) is not None
    assert vipps.world.calls.count("token") == 2


def test_wrong_keys_of_ours_say_nothing_of_a_payment(vipps: VippsServer) -> None:
    ids = vipps.ids
    wrong = VippsClient(
        url=vipps.url, client_id=ids.client_id, client_secret="wrong", subscription_key=ids.subscription_key,
        msn=ids.msn, timeout_seconds=1,
    )  # fmt: skip
    with pytest.raises(VippsUnavailable):
        wrong.get(REFERENCE)


def test_nobody_there_is_no_answer() -> None:
    nobody = VippsClient(
        url="http://127.0.0.1:9", client_id="a", client_secret="b", subscription_key="c", msn="d", timeout_seconds=1
    )
    with pytest.raises(VippsUnavailable) as silent:
        nobody.get(REFERENCE)
    assert not silent.value.answered


def test_another_payments_answer_is_not_believed(
    client: VippsClient, vipps: VippsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(client)
    real = vipps.world.shown
    for change in ({"reference": "brikke-other-1"}, {"state": "PAID"}, {"aggregate": None},
                   {"aggregate": {"capturedAmount": {"currency": "EUR", "value": 1}}},
                   {"amount": {"currency": "NOK", "value": "5000"}}):  # fmt: skip
        monkeypatch.setattr(vipps.world, "shown", lambda one, change=change: real(one) | change)
        with pytest.raises(VippsUnavailable):
            client.get(REFERENCE)
