"""Webhooks and what the gateway's codes mean: no server needed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from billing.cards.gateway import BadSignature, CardGateway, Unknown
from billing.cards.stripe.declines import judge
from billing.cards.stripe.gateway import StripeGateway
from billing.cards.stripe.outcomes import outcome_of_intent
from billing.cards.stripe.products import segment_of
from simulator.gateway.courier import sign

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def gateway() -> CardGateway:
    return StripeGateway(api_key="sk_test_1", timeout_seconds=0.3)


class TestEvents:
    BODY = json.dumps(
        {
            "id": "evt_1",
            "type": "payment_intent.succeeded",
            "created": int(NOW.timestamp()),
            "data": {"object": {"id": "pi_1", "object": "payment_intent", "metadata": {"attempt": "7"}}},
        },
        indent=1,
    ).encode()

    def _signed(self, secret: str = "whsec_new", age: int = 0, body: bytes | None = None) -> str:
        at = int(NOW.timestamp()) - age
        return f"t={at},v1={sign((body or self.BODY).decode(), secret, at)}"

    def _parse(self, gateway: CardGateway, header: str | None, body: bytes | None = None) -> Any:
        return gateway.parse_event(
            self.BODY if body is None else body,
            header,
            secrets=["whsec_new", "whsec_old"],
            tolerance_seconds=300,
            now=NOW,
        )

    @pytest.mark.parametrize("secret", ["whsec_new", "whsec_old"])
    @pytest.mark.parametrize("age", [0, 300, -300])
    def test_either_secret_is_good_while_it_is_rolled_over(self, gateway: CardGateway, secret: str, age: int) -> None:
        event = self._parse(gateway, self._signed(secret, age))
        assert (event.id, event.type, event.created) == ("evt_1", "payment_intent.succeeded", NOW)
        assert (event.object_type, event.object_id, event.metadata) == ("payment_intent", "pi_1", {"attempt": "7"})

    def test_signed_with_both_as_stripe_does(self, gateway: CardGateway) -> None:
        both = self._signed("whsec_someone") + "," + self._signed("whsec_old").split(",")[1]
        assert self._parse(gateway, both).id == "evt_1"

    def test_what_is_refused(self, gateway: CardGateway) -> None:
        good = self._signed()
        changed = self.BODY.replace(b"pi_1", b"pi_2")
        written_again = json.dumps(json.loads(self.BODY)).encode()
        for header, body in [
            (None, None),
            ("", None),
            ("garbage", None),
            ("t=1", None),
            ("t=x,v1=y", None),
            (self._signed("whsec_foreign"), None),
            (self._signed(age=301), None),
            (self._signed(age=-301), None),
            (good, changed),
            (good, written_again),
            (good, b"\xff\xfe"),
            (good, b""),
        ]:
            with pytest.raises(BadSignature):
                self._parse(gateway, header, body)

    def test_no_secret_accepts_nothing(self, gateway: CardGateway) -> None:
        for secrets in ([], [""]):
            with pytest.raises(BadSignature):
                gateway.parse_event(self.BODY, self._signed(""), secrets=secrets, tolerance_seconds=300, now=NOW)

    @pytest.mark.parametrize("body", [b"[]", b"7", b'{"id": "evt"}', b"not json", b"null"])
    def test_signed_but_no_event(self, gateway: CardGateway, body: bytes) -> None:
        with pytest.raises(BadSignature, match="not an event"):
            self._parse(gateway, self._signed(body=body), body)

    def test_a_kind_we_do_not_know_is_read_all_the_same(self, gateway: CardGateway) -> None:
        body = b'{"id": "evt_2", "type": "v2.core.thing", "data": null}'
        event = self._parse(gateway, self._signed(body=body), body)
        assert (event.type, event.object_id, event.metadata) == ("v2.core.thing", "", {})


class TestReading:
    @pytest.mark.parametrize(
        ("brand", "product", "description", "segment"),
        [
            ("visa", "F", None, "consumer"),
            ("visa", "G4", None, "commercial"),
            ("visa", "zz", None, "unknown"),
            ("visa", None, "Visa Business", "commercial"),
            ("visa", None, "Visa Classic", "unknown"),
            ("mastercard", "MWB", None, "commercial"),
            ("mastercard", "MTP", None, "unknown"),
            ("mastercard", "MTA", None, "commercial"),
            ("mastercard", "wbe", None, "consumer"),
            ("amex", "G", None, "unknown"),
        ],
    )
    def test_segment(self, brand: str, product: str | None, description: str | None, segment: str) -> None:
        assert segment_of(brand, product, description) == segment

    def test_the_issuers_advice_wins_over_the_code(self) -> None:
        assert judge("insufficient_funds", "do_not_try_again") == (True, "never")
        assert judge("some_new_code") == (False, "later")

    @pytest.mark.parametrize("status", ["processing", "requires_action", "requires_capture", "requires_payment_method"])
    def test_what_can_still_go_either_way_is_unknown(self, status: str) -> None:
        outcome = outcome_of_intent({"id": "pi_1", "status": status, "amount": 1, "created": 0})
        assert isinstance(outcome, Unknown)
        assert outcome.ref == "pi_1"
