"""Tokens: what is taken, and everything that is not."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from accounts.access import issuers, tokens
from accounts.access.principal import ROLES, Principal
from config import values
from config.clock import now_utc
from config.problems import Unauthorized
from config.settings import Settings, load
from config.values import Issuer

SCOPES: dict[str, dict[str, Any]] = {"customer": {"customer_id": 7}, "charger": {"charger": "FJELL"}}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({"BRIKKE_VAR": str(tmp_path / "var")}, tmp_path / ".env")


def claims(settings: Settings, **change: Any) -> dict[str, Any]:
    now = int(now_utc().timestamp())
    found = {
        "iss": settings.token_issuer,
        "aud": settings.token_audience,
        "sub": "kari",
        "role": "agent",
        "iat": now,
        "exp": now + 600,
    }
    return {name: value for name, value in (found | change).items() if value is not None}


def signed(settings: Settings, **change: Any) -> str:
    """Return a token that our own key has signed, whatever it claims."""
    key = tokens.own_key(settings.token_key_file)
    return jwt.encode({"alg": "ES256"}, claims(settings, **change), key, ["ES256"])


@pytest.mark.parametrize("role", ROLES)
def test_what_we_issue_we_take(settings: Settings, role: str) -> None:
    text = tokens.issue(settings, role, **SCOPES.get(role, {}), subject="kari", name="Kari")
    expected = Principal(
        "kari", role, SCOPES.get(role, {}).get("customer_id"), SCOPES.get(role, {}).get("charger"), "Kari"
    )
    assert tokens.verify(settings, text, now_utc()) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "somebody"},
        {"iss": None},
        {"iss": 5},
        {"aud": "others"},
        {"aud": ["others", "more"]},
        {"aud": None},
        {"exp": None},
        {"exp": "soon"},
        {"sub": None},
        {"sub": ""},
        {"role": None},
        {"role": "king"},
        {"role": ["agent"]},
        {"role": "customer"},
        {"role": "customer", "customer_id": "7"},
        {"role": "customer", "customer_id": True},
        {"role": "charger"},
        {"role": "agent", "customer_id": 7},
        {"nbf": 9_999_999_999},
    ],
)
def test_wrong_claims_are_refused(settings: Settings, change: dict[str, Any]) -> None:
    tokens.verify(settings, signed(settings), now_utc())
    with pytest.raises(Unauthorized):
        tokens.verify(settings, signed(settings, **change), now_utc())


def test_one_of_several_audiences_is_enough(settings: Settings) -> None:
    assert tokens.verify(settings, signed(settings, aud=["others", "brikke"]), now_utc()).role == "agent"


@pytest.mark.parametrize(("seconds", "taken"), [(-60, True), (20, True), (40, False), (3600, False)])
def test_a_token_ends_with_a_little_leeway(settings: Settings, seconds: int, taken: bool) -> None:
    text, end = tokens.issue(settings, "agent", ttl=dt.timedelta(hours=1)), now_utc() + dt.timedelta(hours=1)
    when = end + dt.timedelta(seconds=seconds)
    if taken:
        assert tokens.verify(settings, text, when).role == "agent"
    else:
        with pytest.raises(Unauthorized, match="expired"):
            tokens.verify(settings, text, when)


def test_a_changed_token_is_refused(settings: Settings) -> None:
    header, body, signature = tokens.issue(settings, "agent").split(".")
    held = json.loads(base64.urlsafe_b64decode(body + "=="))
    forged = base64.urlsafe_b64encode(json.dumps(held | {"role": "operator"}).encode()).decode().rstrip("=")
    with pytest.raises(Unauthorized):
        tokens.verify(settings, f"{header}.{forged}.{signature}", now_utc())


def test_no_signature_is_no_token(settings: Settings) -> None:
    body = base64.urlsafe_b64encode(json.dumps(claims(settings)).encode()).decode().rstrip("=")
    for algorithm in ("none", "None", "NONE"):
        header = base64.urlsafe_b64encode(json.dumps({"alg": algorithm}).encode()).decode().rstrip("=")
        for signature in ("", "AAAA"):
            with pytest.raises(Unauthorized):
                tokens.verify(settings, f"{header}.{body}.{signature}", now_utc())


def test_the_public_key_is_nobodys_secret(settings: Settings) -> None:
    public = tokens.own_key(settings.token_key_file).as_pem(private=False)
    parts = [json.dumps({"alg": "HS256"}).encode(), json.dumps(claims(settings)).encode()]
    signing = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    mac = hmac.new(public, signing.encode(), hashlib.sha256).digest()
    with pytest.raises(Unauthorized):
        tokens.verify(settings, f"{signing}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}", now_utc())


@pytest.mark.parametrize(
    "text", ["", "a", "a.b", "a.b.c", "....", "é.é.é", "W10.W10.W10", "x" * 100_000, "e30.bnVsbA.AA"]
)
def test_nonsense_is_refused(settings: Settings, text: str) -> None:
    with pytest.raises(Unauthorized):
        tokens.verify(settings, text, now_utc())


@pytest.mark.parametrize("ttl", [dt.timedelta(0), dt.timedelta(seconds=-1), dt.timedelta(days=400)])
def test_a_token_lives_for_a_while(settings: Settings, ttl: dt.timedelta) -> None:
    with pytest.raises(ValueError, match="lives"):
        tokens.issue(settings, "agent", ttl=ttl)


def test_the_key_is_made_once_and_is_ours_alone(settings: Settings) -> None:
    path, made, start = settings.token_key_file, [], threading.Barrier(8)

    def make() -> None:
        start.wait()
        made.append(tokens.own_key.__wrapped__(path).thumbprint())

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert len(set(made)) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    path.chmod(0o644)
    with pytest.raises(PermissionError, match="chmod 600"):
        tokens.own_key.__wrapped__(path)


@dataclass
class Keys:
    """An issuer that can be seen at work."""

    settings: Settings
    name: str
    held: list[ECKey] = field(default_factory=list)
    asked: int = 0
    down: bool = False

    def token(self, key: ECKey, **change: Any) -> str:
        body = claims(self.settings, iss=self.name, **change)
        return jwt.encode({"alg": "ES256", "kid": key.kid or ""}, body, key, ["ES256"])


def new_key(kid: str) -> ECKey:
    return ECKey.generate_key("P-256", {"kid": kid})


@pytest.fixture
def their(settings: Settings) -> Iterator[Keys]:
    keys = Keys(settings, "https://login.example.no", [new_key("a")])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.asked += 1
            body = json.dumps(KeySet(list(keys.held)).as_dict(private=False)).encode()
            self.send_response(500 if keys.down else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/jwks"
    keys.settings = replace(settings, token_issuers=(Issuer(keys.name, url),))
    issuers.forget()
    yield keys
    server.shutdown()
    server.server_close()
    issuers.forget()


def test_anothers_token_is_taken_by_its_keys(their: Keys) -> None:
    text = their.token(their.held[0])
    found = tokens.verify(their.settings, text, now_utc())
    # The subject names the issuer: two issuers' "kari" are two people.
    assert found == Principal("https://login.example.no|kari", "agent")
    tokens.verify(their.settings, text, now_utc())
    assert their.asked == 1


def test_anothers_token_by_our_key_is_refused(their: Keys) -> None:
    with pytest.raises(Unauthorized):
        tokens.verify(their.settings, signed(their.settings, iss=their.name), now_utc())
    with pytest.raises(Unauthorized):
        tokens.verify(their.settings, their.token(their.held[0], aud="others"), now_utc())
    # And the other way round: their key does not speak for us.
    ours = jwt.encode({"alg": "ES256"}, claims(their.settings), their.held[0], ["ES256"])
    with pytest.raises(Unauthorized):
        tokens.verify(their.settings, ours, now_utc())


def test_a_new_key_is_found_and_forged_ids_do_not_hammer(their: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens.verify(their.settings, their.token(their.held[0]), now_utc())
    fresh = new_key("b")
    their.held = [fresh]
    for _ in range(5):
        with pytest.raises(Unauthorized):
            tokens.verify(their.settings, their.token(fresh), now_utc())
    assert their.asked == 1
    monkeypatch.setattr(issuers, "AGAIN_SECONDS", 0)
    assert tokens.verify(their.settings, their.token(fresh), now_utc()).role == "agent"
    assert their.asked == 2


def test_an_issuer_that_is_down_does_not_lock_out(their: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    text = their.token(their.held[0])
    tokens.verify(their.settings, text, now_utc())
    their.down = True
    monkeypatch.setattr(issuers, "KEEP_SECONDS", 0)
    monkeypatch.setattr(issuers, "AGAIN_SECONDS", 0)
    assert tokens.verify(their.settings, text, now_utc()).role == "agent"
    issuers.forget()
    with pytest.raises(Unauthorized, match="just now"):
        tokens.verify(their.settings, text, now_utc())


def test_keys_may_lie_in_a_file(settings: Settings, tmp_path: Path) -> None:
    key, name = new_key("a"), "https://login.example.no"
    place = tmp_path / "keys.json"
    place.write_text(json.dumps(KeySet([key]).as_dict(private=False)))
    (found,) = values.issuers(f"{name} file:{place}")
    theirs = replace(settings, token_issuers=(found,))
    text = jwt.encode({"alg": "ES256", "kid": "a"}, claims(settings, iss=name), key, ["ES256"])
    issuers.forget()
    assert tokens.verify(theirs, text, now_utc()).role == "agent"
    issuers.forget()


@pytest.mark.parametrize("address", ["http://login.example.no/keys", "file:keys.json", "ftp://a.no/keys", "keys"])
def test_keys_are_not_fetched_where_anybody_could_change_them(address: str) -> None:
    with pytest.raises(ValueError, match="must"):
        values.issuers(f"https://login.example.no {address}")
