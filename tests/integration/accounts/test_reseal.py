"""`brikke reseal`: an old key of national ids is taken out of use."""

from __future__ import annotations

import base64
import json

import pytest
from click.testing import CliRunner
from sqlalchemy import select
from sqlalchemy.orm import Session

import app as front_door
from accounts.customers.models import Customer
from accounts.customers.sign_up import sign_up
from config.sealed import Sealing
from tests.integration.accounts.conftest import KARI, NOW

OLD, NEW, GONE = (bytes([number]) * 32 for number in (1, 2, 3))
ID = "15108695088"


def told(*keys: bytes) -> str:
    return ",".join(base64.b64encode(key).decode() for key in keys)


def test_what_an_old_key_sealed_is_sealed_anew_and_what_is_lost_is_told(
    session: Session, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = []
    for key in (OLD, OLD, NEW, GONE):
        customer = sign_up(session, "private", KARI, now=NOW, actor="test").customer
        customer.national_id = Sealing([key]).seal(ID)
        session.flush()
        ids.append(customer.id)
    session.commit()
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("DEMO", "true")
    monkeypatch.setenv("SEALING_KEYS", told(NEW, OLD))

    def run() -> tuple[int, dict[str, int]]:
        done = CliRunner().invoke(front_door.main, ["reseal", "--json"])
        assert ID not in done.output
        return done.exit_code, json.loads(done.output.splitlines()[-1])

    assert run() == (1, {"sealed_anew": 2, "lost": 1})
    assert run() == (1, {"sealed_anew": 0, "lost": 1})
    session.expire_all()
    kept = {one.id: one.national_id for one in session.scalars(select(Customer))}
    assert [Sealing([NEW]).open(kept[number] or b"") for number in ids[:3]] == [ID] * 3
    monkeypatch.setenv("SEALING_KEYS", told(NEW, GONE))
    assert run() == (0, {"sealed_anew": 1, "lost": 0})
