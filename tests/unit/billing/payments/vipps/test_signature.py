"""A webhook is from Vipps, or it is not taken."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac

import pytest

from billing.payments.vipps.signature import BadSignature, check

NOW = dt.datetime(2026, 11, 22, 12, 0, 0, tzinfo=dt.UTC)
DATE = "Sun, 22 Nov 2026 12:00:00 GMT"
BODY = b'{"name":"AUTHORIZED"}'
TARGET, HOST, SECRET = "/v1/webhooks/vipps?a=1", "pay.example.no", "090a478d-37ff-4e77-970e-d457aeb26a3a"


def signed(
    body: bytes = BODY, *, secret: str = SECRET, date: str = DATE, host: str = HOST, target: str = TARGET
) -> dict[str, str]:
    """The headers as Vipps's own description makes them, written out here a second time."""
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    said = "POST\n" + target + "\n" + date + ";" + host + ";" + digest
    made = base64.b64encode(hmac.new(secret.encode(), said.encode(), hashlib.sha256).digest()).decode()
    return {
        "x-ms-date": date,
        "x-ms-content-sha256": digest,
        "authorization": f"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={made}",
    }


def look(headers: dict[str, str], body: bytes = BODY, *, now: dt.datetime = NOW, target: str = TARGET) -> None:
    check(
        method="POST", target=target, hosts=("127.0.0.1:8000", HOST), headers=headers, body=body,
        secrets=("old secret", SECRET), now=now,
    )  # fmt: skip


def test_a_signed_event_is_taken_with_either_secret() -> None:
    look(signed())
    look(signed(secret="old secret"))
    look(signed() | {"authorization": "", "x-vipps-authorization": signed()["authorization"]})


@pytest.mark.parametrize("seconds", [-300, 300])
def test_its_date_may_be_five_minutes_off(seconds: int) -> None:
    look(signed(), now=NOW + dt.timedelta(seconds=seconds))
    with pytest.raises(BadSignature, match="date"):
        look(signed(), now=NOW + dt.timedelta(seconds=seconds + (1 if seconds > 0 else -1)))


@pytest.mark.parametrize(
    "headers",
    [
        signed(secret="another"),
        signed(host="other.example.no"),
        signed(target="/v1/webhooks/vipps"),
        signed(b"other"),
        {},
        signed() | {"x-ms-date": "Sun, 22 Nov 2026 12:00:01 GMT"},
        signed() | {"x-ms-date": "yesterday"},
        signed() | {"x-ms-date": "Sun, 22 Nov 2026 12:00:00"},
        signed() | {"authorization": "Bearer x"},
        signed() | {"authorization": signed()["authorization"] + "æ"},
        signed() | {"x-ms-date": "9" * 501},
        {name: value for name, value in signed().items() if name != "x-ms-content-sha256"},
    ],
)
def test_anything_else_is_not(headers: dict[str, str]) -> None:
    with pytest.raises(BadSignature):
        look(headers)


def test_the_raw_body_counts() -> None:
    with pytest.raises(BadSignature, match="body"):
        look(signed(), BODY + b" ")
