"""Tokens of public pages: for one thing, one purpose, a limited time; anything else is no token."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey

from billing.delivery.tokens import BadTokenError, Named, read, sign
from config import settings as settings_of

REAL = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
OURS = settings_of.load({"SECRET_KEY": "k" * 40, "BRIKKE_VAR": "/nonexistent"}, Path("/nonexistent/.env"))


def test_a_token_names_what_it_was_signed_for_until_its_time_is_over() -> None:
    token = sign(OURS, "mail", 17, 30, real=REAL)
    until = REAL + dt.timedelta(days=30)
    assert read(OURS, "mail", token, real=REAL) == Named(17, until, expired=False)
    assert not read(OURS, "mail", token, real=until - dt.timedelta(seconds=1)).expired
    assert read(OURS, "mail", token, real=until) == Named(17, until, expired=True)
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


def test_it_is_good_for_nothing_else() -> None:
    token = sign(OURS, "mail", 17, 30, real=REAL)
    others = dataclasses.replace(OURS, secret_key="o" * 40)
    for settings_, purpose in ((OURS, "efaktura"), (others, "mail")):
        with pytest.raises(BadTokenError):
            read(settings_, purpose, token, real=REAL)


def test_a_token_that_somebody_made_is_not_taken() -> None:
    claims = {"aud": "mail", "sub": "17", "exp": 4_000_000_000}
    theirs = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key("k" * 40), ["HS256"])
    head, body, signature = sign(OURS, "mail", 17, 30, real=REAL).split(".")
    nobody = "eyJhbGciOiJub25lIn0"  # {"alg":"none"}
    for token in (theirs, f"{nobody}.{body}.", f"{nobody}.{body}.{signature}", f"{head}.{body}.", "x" * 1000, "", "å"):
        with pytest.raises(BadTokenError):
            read(OURS, "mail", token, real=REAL)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_garbage_is_never_a_token(text: str) -> None:
    with pytest.raises(BadTokenError):
        read(OURS, "mail", text, real=REAL)


@pytest.mark.parametrize(("id_", "days"), [(0, 1), (-1, 1), (1, 0), (2**63, 1)])
def test_what_cannot_be_signed(id_: int, days: int) -> None:
    with pytest.raises(ValueError, match="at least a day"):
        sign(OURS, "mail", id_, days, real=REAL)
