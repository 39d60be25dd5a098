"""Two that write files at once: each delivery is claimed once, and no number is missing."""

from __future__ import annotations

import threading

import pytest

from billing.delivery.avtalegiro.channel import Payee
from billing.delivery.avtalegiro.claims import write_claims
from config.clock import now_utc
from simulator.bank_avtalegiro import read_claim_file
from tests.integration.billing.delivery.avtalegiro.conftest import Bank


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
