"""With the choice of channels around it: a mandate is a choice; what bounces goes by the next way, still in time."""

from __future__ import annotations

import datetime as dt
from typing import Any

from billing.delivery.channels import channels_of
from billing.delivery.choose import take_back
from billing.delivery.job import choose
from config.clock import now_utc
from tests.integration.billing.delivery.avtalegiro.conftest import DUE, TODAY, Bank


def choose_now(bank: Bank) -> None:
    bank.execute("UPDATE channel_choices SET next_at = next_at - interval '1 day'")
    choose(bank.sessions, bank.settings, channels_of(bank.settings))


def rows(bank: Bank, document: int) -> list[tuple[Any, ...]]:
    query = "SELECT channel, state, error, presents FROM deliveries WHERE document_id = :document ORDER BY id"
    return [tuple(row) for row in bank.rows(query, document=document)]


def due_on(bank: Bank, document: int) -> dt.date:
    [row] = bank.rows(
        "SELECT c.due_on FROM claims AS c JOIN documents AS d ON d.claim_id = c.id WHERE d.id = :d", d=document
    )
    found: dt.date = row.due_on
    return found


def test_who_has_a_mandate_is_claimed_from_and_who_has_none_is_not(bank: Bank) -> None:
    kari, ola = bank.agreement(), bank.agreement(email="ola@example.no")
    bank.mandate(kari)
    drawn, mailed = bank.invoice(kari, queue=False), bank.invoice(ola, queue=False)
    choose_now(bank)
    assert rows(bank, drawn) == [("avtalegiro", "queued", None, True)]
    assert rows(bank, mailed) == [("email", "queued", None, True)]
    bank.write()
    bank.payers.work()
    bank.inbox()
    assert rows(bank, drawn) == [("avtalegiro", "delivered", None, True)]


def test_a_claim_over_the_limit_goes_by_the_next_way_with_time_to_pay(bank: Bank) -> None:
    agreement = bank.agreement()
    bank.mandate(agreement, limit_ore=100)
    document = bank.invoice(agreement, queue=False)
    choose_now(bank)
    bank.at(TODAY + dt.timedelta(days=7))
    bank.write()
    bank.payers.work()
    bank.inbox()
    choose_now(bank)
    assert rows(bank, document) == [("avtalegiro", "failed", "limit", True), ("email", "queued", None, True)]
    assert due_on(bank, document) > DUE
    [first, second] = bank.rows("SELECT cause, channel FROM channel_choices WHERE document_id = :d ORDER BY ordinal",
                                d=document)  # fmt: skip
    assert [tuple(first), tuple(second)] == [("first", "avtalegiro"), ("fallback", "email")]


def test_a_mandate_that_ends_is_taken_back_before_another_way_presents_it(bank: Bank) -> None:
    agreement = bank.agreement()
    kid = bank.mandate(agreement)
    document = bank.invoice(agreement, queue=False)
    choose_now(bank)
    bank.write()
    bank.payers.work()
    bank.inbox()
    bank.payers.end(kid)
    bank.payers.send_mandates(TODAY)
    bank.inbox()
    choose_now(bank)
    assert rows(bank, document) == [("avtalegiro", "ending", "mandate_ended", True)]
    bank.write()
    bank.payers.work()
    bank.inbox()
    choose_now(bank)
    [old, new] = rows(bank, document)
    assert old[:2] == ("avtalegiro", "failed")
    assert new == ("email", "queued", None, True)


def test_what_another_way_is_to_present_is_taken_back_at_the_bank(bank: Bank) -> None:
    agreement = bank.agreement()
    bank.mandate(agreement)
    document = bank.invoice(agreement, queue=False)
    choose_now(bank)
    bank.write()
    bank.payers.work()
    bank.inbox()
    with bank.sessions.begin() as session:
        take_back(session, document, now=bank.now, real=now_utc())
    assert rows(bank, document) == [("avtalegiro", "ending", None, True)]
    bank.write()
    bank.payers.work()
    bank.inbox()
    assert rows(bank, document) == [("avtalegiro", "ended", None, True)]
    assert bank.payers.waits() == []
