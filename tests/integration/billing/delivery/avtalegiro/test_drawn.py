"""Due dates for those who pay by AvtaleGiro are such that what is issued then is claimed in time."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import replace

import pytest

from billing.claims.deadlines import Notice
from billing.claims.drawn import earliest_dues
from billing.delivery.avtalegiro.channel import Payee
from billing.delivery.avtalegiro.claims import write_claims
from config.clock import now_utc
from simulator.bank_avtalegiro import read_claim_file
from tests.integration.billing.delivery.avtalegiro.conftest import Bank


@pytest.mark.parametrize(
    ("policy", "wants", "beside", "due"),
    [
        ("own", True, False, dt.date(2026, 2, 16)),
        ("bank", False, False, dt.date(2026, 2, 16)),
        ("bank", True, True, dt.date(2026, 2, 16)),
        ("bank", True, False, dt.date(2026, 3, 16)),
    ],
)
def test_what_is_due_then_is_claimed(bank: Bank, policy: Notice, wants: bool, beside: bool, due: dt.date) -> None:
    agreement, without = bank.agreement(), bank.agreement()
    bank.mandate(agreement, notice=wants)
    bank.execute("UPDATE customers SET efaktura_beside = :beside", beside=beside)
    with bank.sessions() as session:
        found = earliest_dues(session, [agreement, without], bank.now, policy=policy)
    assert found == {agreement: due}
    bank.settings = replace(bank.settings, avtalegiro_notice=policy)
    bank.invoice(agreement, due_on=due)
    bank.write()
    assert bank.deliveries() == [("sent", None)]


def test_two_that_write_at_once_claim_everything_once(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billing.delivery.avtalegiro.claims.MOST", 2)
    agreement = bank.agreement()
    bank.mandate(agreement)
    for _ in range(6):
        bank.invoice(agreement, 10_000)
    payee = Payee.of(bank.settings)
    assert payee is not None
    together = threading.Barrier(3)

    def write() -> None:
        together.wait()
        for _ in range(2):
            with bank.sessions.begin() as session:
                write_claims(session, payee, now=bank.now, real=now_utc())

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = bank.rows("SELECT number, content FROM delivery_files WHERE direction = 'out' ORDER BY number")
    assert [row.number for row in rows] == [1, 2, 3]
    kids = [asked.kid for row in rows for asked in read_claim_file(bytes(row.content)).orders[0].asked]
    assert len(kids) == len(set(kids)) == 6
    assert {state for state, _ in bank.deliveries()} == {"sent"}
